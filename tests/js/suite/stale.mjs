// Stale values: while they are refreshed, where a load fails, and how failures are remembered.

import { NearCache } from "nearcache";
import { equal, handClock, held, ok, rejects, settleDown, sleep, test, testBothWays } from "../runner.mjs";

const down = new Error("down");
const fails = () => Promise.reject(down);
const never = () => new Promise(() => {});

/** A cache under a clock of the test's, with one value that was loaded at the start. */
async function warm(options, loader = () => "old", call = undefined) {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100, hardTimeout: 500, ...options });
  await cache.getOrSet("k", loader, call);
  return { cache, clock };
}
const details = (cache, loader, options) => cache.getOrSet("k", loader, { ...options, details: true });

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

test("a refresh that fails is not begun again before errorBackoff has passed", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 500, errorBackoff: 30 });
  clock.pass(100);
  let calls = 0;
  const failing = () => (calls++, fails());
  for (let i = 0; i < 90; i++) {
    equal(await cache.getOrSet("k", failing), "old");
    await settleDown();
    clock.pass(1);
  }
  equal([calls, cache.stats().staleHits], [3, 90]);
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

test("a refresh is nobody's: the signal of the get that began it does not end it", async () => {
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

test("within staleIfError a failed load gives the last good value, to all who waited", async () => {
  const { cache, clock } = await warm({ staleIfError: 50 });
  clock.pass(120);
  const load = held();
  const gets = [details(cache, load), details(cache, load), cache.getOrSet("k", load)];
  equal(load.loads.length, 1);
  load.loads[0].reject(down);
  const stale = { value: "old", status: "stale-if-error", age: 120, ttl: 0 };
  equal(await Promise.all(gets), [stale, stale, "old"]);
  const { rescues, loadFailures, misses, coalesced } = cache.stats();
  equal([rescues, loadFailures, misses, coalesced], [1, 1, 2, 2]);
});

test("after staleIfError the error is the caller's", async () => {
  const { cache, clock } = await warm({ staleIfError: 50 });
  clock.pass(149);
  equal(await cache.getOrSet("k", fails), "old");
  clock.pass(1);
  equal(await rejects(cache.getOrSet("k", fails)), down);
});

test("a load that outlasts staleIfError does not bring a value past its last moment", async () => {
  const { cache, clock } = await warm({ staleIfError: 50 });
  clock.pass(149);
  const load = held();
  const get = cache.getOrSet("k", load);
  clock.pass(1);
  load.loads[0].reject(down);
  equal(await rejects(get), down);
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

test("a failing origin is asked once in each errorBackoff, whatever is there", async () => {
  for (const staleIfError of [0, Infinity]) {
    const { cache, clock } = await warm({ staleIfError, errorBackoff: "10ms" });
    clock.pass(100);
    let calls = 0;
    for (let i = 0; i < 95; i++) {
      const get = cache.getOrSet("k", () => (calls++, fails()));
      if (staleIfError) equal(await get, "old");
      else equal(await rejects(get), down);
      clock.pass(1);
    }
    equal(calls, 10, `calls with staleIfError ${staleIfError}`);
  }
});

test("within errorBackoff the last good value is stale, not a miss", async () => {
  const { cache, clock } = await warm({ staleIfError: 50, errorBackoff: 20 });
  clock.pass(100);
  await cache.getOrSet("k", fails);
  clock.pass(5);
  equal(await details(cache, never), { value: "old", status: "stale", age: 105, ttl: 0 });
  clock.pass(15);
  equal(await details(cache, () => "new"), { value: "new", status: "miss", age: 0, ttl: 100 });
});

test("a remembered error ends with its time, with delete, expire, set, clear and forceFresh", async () => {
  for (const [end, after] of [
    [({ clock }) => clock.pass(50), "new"],
    [({ cache }) => cache.delete("k"), "new"],
    [({ cache }) => cache.expire("k"), "new"],
    [({ cache }) => cache.clear(), "new"],
    [({ cache }) => cache.set("k", "set"), "set"],
    [({ cache }) => cache.getOrSet("k", () => "forced", { forceFresh: true }), "forced"],
  ]) {
    const clock = handClock();
    const cache = new NearCache({ clock, errorBackoff: 50 });
    equal(await rejects(cache.getOrSet("k", fails)), down);
    clock.pass(49);
    const again = await Promise.allSettled([cache.getOrSet("k", never), cache.getOrSet("k", never)]);
    equal(
      again.map(({ reason }) => reason),
      [down, down],
    );
    equal(
      [cache.get("k"), cache.peek("k"), cache.has("k"), [...cache], cache.size],
      [undefined, undefined, false, [], 1],
    );
    await end({ cache, clock });
    equal(await cache.getOrSet("k", () => "new"), after);
  }
});

test("errorBackoff may be decided by the error and the key, and a rule that throws or is wrong is no backoff", async () => {
  const clock = handClock();
  const told = [];
  const rule = (error, key) => {
    told.push([error, key]);
    return (
      { slow: "20ms", none: undefined, wrong: "a while", bad: -1 }[key] ??
      (key === "throws" ? fails.call.nothing.here : undefined)
    );
  };
  const cache = new NearCache({ clock, errorBackoff: rule });
  for (const [key, calls] of [
    ["slow", 1],
    ["none", 3],
    ["wrong", 3],
    ["bad", 3],
    ["throws", 3],
  ]) {
    let made = 0;
    for (let i = 0; i < 3; i++) equal(await rejects(cache.getOrSet(key, () => (made++, fails()))), down);
    equal(made, calls, `calls of ${key}`);
  }
  equal(told[0], [down, "slow"]);
});

test("errorBackoff: the loader's word before the call's before the cache's", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, errorBackoff: 10 });
  const lasts = async (key, loader, options) => {
    await rejects(cache.getOrSet(key, loader, options));
    for (let i = 0; ; i++, clock.pass(1)) {
      if ((await cache.getOrSet(key, () => "new").catch(() => "error")) === "new") return i;
    }
  };
  equal(await lasts("cache", fails), 10);
  equal(await lasts("call", fails, { errorBackoff: 20 }), 20);
  equal(await lasts("rule", fails, { errorBackoff: () => 25 }), 25);
  equal(
    await lasts(
      "ctx",
      (_, ctx) => {
        ctx.errorBackoff = "30ms";
        throw down;
      },
      { errorBackoff: 20 },
    ),
    30,
  );
  equal(
    await lasts("none", (_, ctx) => {
      ctx.errorBackoff = 0;
      throw down;
    }),
    0,
  );
});

test("remembered errors are entries: they are bounded, and a cache without room remembers none", async () => {
  const cache = new NearCache({ maxEntries: 3, errorBackoff: Infinity, clock: handClock() });
  for (let i = 0; i < 10; i++) await rejects(cache.getOrSet(i, fails));
  equal([cache.size, cache.stats().evictions.size], [3, 0]);
  let calls = 0;
  for (let i = 9; i >= 0; i--) await rejects(cache.getOrSet(i, () => (calls++, fails())));
  equal(calls, 7);
  const none = new NearCache({ maxEntries: 0, errorBackoff: Infinity });
  for (let i = 0; i < 2; i++) await rejects(none.getOrSet(1, () => (calls++, fails())));
  equal([calls, none.size], [9, 0]);
});

test("a forced load that fails within staleIfError gives what is there, fresh or stale", async () => {
  for (const ttl of [100, Infinity]) {
    const { cache, clock } = await warm({ ttl, staleIfError: 50 });
    clock.pass(10);
    const got = await details(cache, fails, { forceFresh: true });
    equal(got, { value: "old", status: "stale-if-error", age: 10, ttl: ttl - 10 });
    equal(cache.get("k"), "old");
  }
  const { cache } = await warm({});
  equal(await rejects(cache.getOrSet("k", fails, { forceFresh: true })), down);
  equal(cache.get("k"), "old");
});

test("expire begins the stale windows, of a value without an end of its own too", async () => {
  // The symptom: with an infinite ttl, expire deleted the value though the cache has stale windows.
  for (const ttl of [100, Infinity]) {
    const { cache, clock } = await warm({ ttl, staleWhileRevalidate: 20, staleIfError: 40 });
    clock.pass(7);
    equal([cache.expire("k"), cache.expire("k"), cache.get("k"), cache.size], [true, false, undefined, 1]);
    equal(await details(cache, fails), { value: "old", status: "stale", age: 7, ttl: 0 });
    await settleDown();
    clock.pass(20);
    equal(await details(cache, fails), { value: "old", status: "stale-if-error", age: 27, ttl: 0 });
    clock.pass(20);
    equal(await rejects(details(cache, fails)), down);
    equal(cache.size, 0);
  }
});

test("expire removes what has no stale windows", async () => {
  const { cache } = await warm({});
  equal([cache.expire("k"), cache.size, cache.expire("nothing")], [true, 0, false]);
});

test("expire supersedes a first load, and its key does not stay behind", async () => {
  // The symptom: the key stayed in the map for ever.
  const cache = new NearCache({ clock: handClock() });
  const load = held();
  const get = cache.getOrSet("k", load);
  equal(cache.expire("k"), false);
  const again = cache.getOrSet("k", load);
  equal(load.loads.length, 2);
  load.loads[0].resolve(1);
  equal([await get, cache.get("k")], [1, undefined]);
  load.loads[1].resolve(2);
  equal([await again, cache.get("k")], [2, 2]);
  const scope = cache.scope("s");
  const scoped = scope.getOrSet("k", load);
  scope.expire("k");
  load.loads[2].resolve(3);
  equal([await scoped, scope.get("k"), cache.stats().inFlight], [3, undefined, 0]);
});

test("details tell the status, age and ttl of every answer", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100, staleWhileRevalidate: 50, staleIfError: 90 });
  const load = held();
  const first = [details(cache, load), details(cache, load)];
  clock.pass(5);
  load.loads[0].resolve("v");
  equal(await Promise.all(first), [
    { value: "v", status: "miss", age: 0, ttl: 100 },
    { value: "v", status: "coalesced", age: 0, ttl: 100 },
  ]);
  clock.pass(30);
  equal(await details(cache, never), { value: "v", status: "hit", age: 30, ttl: 70 });
  clock.pass(80);
  equal(await details(cache, fails), { value: "v", status: "stale", age: 110, ttl: 0 });
  await settleDown();
  clock.pass(60);
  equal(await details(cache, fails), { value: "v", status: "stale-if-error", age: 170, ttl: 0 });
  equal(await cache.getOrSet("skip", (_, ctx) => (ctx.skip(), 1), { details: true }), {
    value: 1,
    status: "miss",
    age: 0,
    ttl: 0,
  });
  equal(await cache.getOrSet("for ever", () => 1, { details: true, ttl: Infinity }), {
    value: 1,
    status: "miss",
    age: 0,
    ttl: Infinity,
  });
  clock.pass(3);
  equal(await cache.getOrSet("for ever", never, { details: true }), { value: 1, status: "hit", age: 3, ttl: Infinity });
  equal(await cache.getOrSet("for ever", never, { details: false }), 1);
});

test("details of a stale value are its own, though its refresh is quick", async () => {
  // The symptom: age 0, because the refresh had replaced the value before the caller was told.
  for (const quick of [() => "new", async () => "new"]) {
    const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
    clock.pass(110);
    equal(await details(cache, quick), { value: "old", status: "stale", age: 110, ttl: 0 });
  }
});

test("details of a hit are as of the get, whatever is done right after it", async () => {
  const { cache, clock } = await warm({});
  clock.pass(10);
  const get = details(cache, never);
  cache.delete("k");
  equal(await get, { value: "old", status: "hit", age: 10, ttl: 90 });
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
