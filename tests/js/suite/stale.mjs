// Stale values, while they are refreshed.

import { NearCache } from "nearcache";
import { equal, handClock, held, never, ok, rejects, settleDown, sleep, test, testBothWays } from "../runner.mjs";
import { details, down, fails, warm } from "./stale-value.mjs";

test("a stale value is handed out at once, and exactly one refresh brings the next", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
  clock.pass(100);
  const load = held();
  const gets = Array.from({ length: 50 }, () => cache.getOrSet("k", load));
  equal(await Promise.all(gets), new Array(50).fill("old"));
  equal([load.loads.length, load.loads[0].ctx.stale], [1, "old"]);
  load.loads[0].resolve("new");
  await settleDown();
  equal([cache.get("k"), cache.remainingTtl("k")], ["new", 100]);
  const { staleHits, misses, loads, refreshes, coalesced } = cache.stats();
  equal([staleHits, misses, loads, refreshes, coalesced], [50, 1, 2, 1, 0]);
});

test("swr is the same as staleWhileRevalidate, for a cache and for a call, and both together are refused", async () => {
  for (const [options, call] of [[{ swr: 50 }], [{}, { swr: "50ms" }], [{ swr: 50 }, { staleIfError: 1 }]]) {
    const { cache, clock } = await warm(options, undefined, call);
    clock.pass(149);
    equal((await details(cache, never)).status, "stale");
  }
  const message = "swr: got staleWhileRevalidate as well, wants one of the two names";
  await rejects(new NearCache().getOrSet("k", never, { swr: 1, staleWhileRevalidate: 1 }), {
    code: "ERR_OPTION",
    message,
  });
});

test("a window ends where ttl and it end together: the load is waited for", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
  clock.pass(149);
  equal(await cache.getOrSet("k", never), "old");
  cache.delete("k");
  cache.set("k", "old");
  clock.pass(150);
  equal(await details(cache, () => "new"), { value: "new", status: "miss", age: 0, ttl: 100 });
});

test("get, peek, has and iteration know nothing of stale values, and leave them", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
  clock.pass(100);
  equal(
    [cache.get("k"), cache.peek("k"), cache.has("k"), cache.remainingTtl("k"), [...cache], cache.size],
    [undefined, undefined, false, undefined, [], 1],
  );
  equal(await cache.getOrSet("k", never), "old");
});

test("a refresh that fails changes nothing, and the next get begins another", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
  clock.pass(100);
  equal(await cache.getOrSet("k", fails), "old");
  await settleDown();
  equal(
    await cache.getOrSet("k", () => {
      throw down;
    }),
    "old",
  );
  const load = held();
  equal(await cache.getOrSet("k", load), "old");
  equal([load.loads.length, cache.stats().loadFailures], [1, 2]);
  load.loads[0].resolve("new");
  await settleDown();
  equal(cache.get("k"), "new");
});

for (const [how, supersede, after] of [
  ["delete", (cache) => cache.delete("k"), undefined],
  ["set", (cache) => cache.set("k", "set"), "set"],
  ["clear", (cache) => cache.clear(), undefined],
  ["expire", (cache) => cache.expire("k"), undefined],
]) {
  test(`what a refresh brings is not stored after ${how}`, async () => {
    const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
    clock.pass(100);
    const load = held();
    await cache.getOrSet("k", load);
    supersede(cache);
    load.loads[0].resolve("late");
    await settleDown();
    equal([cache.get("k"), cache.stats().inFlight], [after, 0]);
    if (how === "expire") {
      equal(await cache.getOrSet("k", () => "newer"), "old");
      equal(cache.get("k"), "newer");
    }
  });
}

test("a loader that asks for its own stale key gets the stale value", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
  clock.pass(100);
  let inner;
  await cache.getOrSet("k", () => (inner = cache.getOrSet("k", never)));
  equal(await inner, "old");
});

test("a refresh belongs to no caller: the signal of the get that began it does not end it", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
  clock.pass(100);
  const load = held();
  const controller = new AbortController();
  equal(await cache.getOrSet("k", load, { signal: controller.signal }), "old");
  controller.abort();
  await settleDown();
  equal(load.loads[0].ctx.signal.aborted, false);
  load.loads[0].resolve("new");
  await settleDown();
  equal(cache.get("k"), "new");
});

test("a refresh that never ends does not hold its key past the deadline", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: Infinity, hardTimeout: 15 });
  clock.pass(100);
  equal(await cache.getOrSet("k", never), "old");
  clock.pass(15);
  equal(await cache.getOrSet("k", () => "new"), "old");
  equal(cache.get("k"), "new");
  await sleep(15);
  equal(cache.stats().inFlight, 0);
});

test("both windows: first the refresh, then the load that is waited for, then nothing", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 50, staleIfError: 100 });
  clock.pass(100);
  equal((await details(cache, fails)).status, "stale");
  await settleDown();
  clock.pass(50);
  equal((await details(cache, fails)).status, "stale-if-error");
  clock.pass(50);
  equal(await rejects(details(cache, fails)), down);
});

test("ctx.stale is the last good value that may still be used", async () => {
  const seen = [];
  const see = (_, ctx) => (seen.push(ctx.stale), ctx.stale ?? "v");
  const { cache, clock } = await warm({ staleIfError: 50 }, see);
  await cache.getOrSet("k", see, { forceFresh: true });
  clock.pass(149);
  equal((await details(cache, see)).ttl, 100);
  clock.pass(150);
  await cache.getOrSet("k", see);
  equal(seen, [undefined, "v", "v", undefined]);
  const remembers = new NearCache({ errorBackoff: Infinity });
  await rejects(remembers.getOrSet("k", fails));
  await remembers.getOrSet("k", see, { forceFresh: true });
  equal(seen[4], undefined, "an error is no value, so ctx.stale");
});

// What a value is kept with can be seen by how it is answered later.
const lives = {
  ttl: async (options, set) => {
    const clock = handClock();
    const cache = new NearCache({ clock, ...options.cache });
    await set(cache);
    return cache.remainingTtl("k");
  },
  staleWhileRevalidate: (options, set) => windowOf("stale", options, set),
  staleIfError: (options, set) => windowOf("stale-if-error", options, set),
};
async function windowOf(status, options, set) {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100, ...options.cache });
  await set(cache);
  clock.pass(100);
  for (let i = 0; i < 100; i++, clock.pass(1)) {
    const got = await details(cache, fails).catch(() => ({}));
    await settleDown();
    if (got.status !== status) return i;
  }
  return 100;
}
for (const [option, measure] of Object.entries(lives)) {
  test(`${option}: what the loader says, then what the call says, then what the cache says`, async () => {
    const given = { cache: { [option]: 10 } };
    const load = (call, ctx) => (cache) =>
      cache.getOrSet("k", (_, c) => (ctx !== undefined && (c[option] = ctx), 1), call);
    equal(await measure(given, load()), 10, "the cache's");
    equal(await measure(given, load({ [option]: 20 })), 20, "the call's");
    equal(await measure(given, load({ [option]: 20 }, "30ms")), 30, "the loader's");
    equal(await measure(given, load(undefined, 30)), 30, "the loader's, without the call's");
    equal(await measure(given, (cache) => cache.set("k", 1)), 10, "the cache's, for set");
    equal(await measure(given, (cache) => cache.set("k", 1, { [option]: 20 })), 20, "set's");
    equal(await measure(given, (cache) => cache.update("k", () => 1, { [option]: 20 })), 20, "update's");
    equal(
      await measure(given, (cache) => cache.update("k", (_, ctx) => ((ctx[option] = 30), 1), { [option]: 20 })),
      30,
      "the writer's",
    );
  });
}

test("a stale value is not handed out past its last moment, whatever the order of things", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 10, errorBackoff: 1000 });
  clock.pass(105);
  equal(await cache.getOrSet("k", fails), "old");
  await settleDown();
  clock.pass(5);
  ok((await details(cache, () => "new")).value !== "old");
});

testBothWays("a clock that is set back puts no refresh off", async (world) => {
  // The symptom: after a failed refresh there was none until the clock had caught up.
  const cache = new NearCache({ ttl: 10, swr: Infinity }).set("k", "old");
  await world.pass(100);
  equal(await cache.getOrSet("k", () => Promise.reject(down)), "old");
  await world.settle();
  world.setClock(world.now - 50);
  let loads = 0;
  equal(await cache.getOrSet("k", async () => (loads++, "new")), "old");
  await world.settle();
  equal([loads, cache.get("k")], [1, "new"]);
});
