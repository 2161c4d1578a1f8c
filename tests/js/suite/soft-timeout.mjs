// softTimeout: the last good value in place of a slow load.

import { NearCache } from "nearcache";
import { busy, equal, held, now, rejects, settleDown, sleep, test, testBothWays } from "../runner.mjs";
import { warm } from "./stale-value.mjs";

/** A cache with a value that is stale by now. */
async function stale(options) {
  const { cache, clock } = await warm({ staleIfError: 1000, softTimeout: 5, hardTimeout: undefined, ...options });
  clock.pass(150);
  return { cache, clock };
}

test("after softTimeout the stale value is handed out, and the load goes on and is stored", async () => {
  const { cache } = await stale();
  const load = held();
  const got = await Promise.all([
    cache.getOrSet("k", load, { details: true }),
    cache.getOrSet("k", load, { softTimeout: "6ms" }),
  ]);
  equal(got, [{ value: "old", status: "stale-on-timeout", age: 150, ttl: 0 }, "old"]);
  equal([load.loads.length, load.loads[0].ctx.signal.aborted, cache.stats().inFlight], [1, false, 1]);
  load.loads[0].resolve("new");
  await settleDown();
  const { softTimeouts, timeouts, loadsAbandoned } = cache.stats();
  equal([cache.get("k"), softTimeouts, timeouts, loadsAbandoned], ["new", 2, 0, 0]);
});

test("without a value to fall back on softTimeout waits", async () => {
  const cache = new NearCache({ softTimeout: 3, hardTimeout: 25 });
  const load = held();
  const get = cache.getOrSet("k", load);
  await sleep(10);
  load.loads[0].resolve("late");
  equal(await get, "late");
  await rejects(cache.getOrSet("j", load), { code: "ERR_TIMEOUT" });
  equal(cache.stats().softTimeouts, 0);
});

test("a value past its last moment does not stand in for a slow load", async () => {
  const { cache, clock } = await stale();
  const load = held();
  const get = cache.getOrSet("k", load, { softTimeout: 10 });
  clock.pass(10_000);
  await sleep(20);
  load.loads[0].resolve("new");
  equal([await get, cache.stats().softTimeouts], ["new", 0]);
});

test("a load that is quicker than softTimeout, or fails before it, is not waited out", async () => {
  const { cache } = await stale();
  equal(await cache.getOrSet("k", async () => "new", { details: true }), {
    value: "new",
    status: "miss",
    age: 0,
    ttl: 100,
  });
  equal(await cache.getOrSet("k", () => Promise.reject(new Error("no")), { forceFresh: true, details: true }), {
    value: "new",
    status: "stale-if-error",
    age: 0,
    ttl: 100,
  });
  equal(cache.stats().softTimeouts, 0);
});

test("forceFresh falls back on any value when it takes longer than softTimeout", async () => {
  const cache = new NearCache({ softTimeout: 4 }).set("k", "there");
  const load = held();
  equal((await cache.getOrSet("k", load, { forceFresh: true, details: true })).status, "stale-on-timeout");
  load.loads[0].resolve("forced");
  await settleDown();
  equal(cache.get("k"), "forced");
});

test("a signal after softTimeout, and hardTimeout, change nothing for the load", async () => {
  const { cache } = await stale();
  const load = held();
  const controller = new AbortController();
  equal(await cache.getOrSet("k", load, { signal: controller.signal }), "old");
  controller.abort();
  await settleDown();
  equal([load.loads[0].ctx.signal.aborted, cache.stats().inFlight], [false, 1]);
  load.loads[0].resolve("new");
  await settleDown();
  equal(cache.get("k"), "new");
});

test("a signal before softTimeout takes the caller out", async () => {
  const { cache } = await stale({ softTimeout: 20 });
  const load = held();
  const controller = new AbortController();
  const get = cache.getOrSet("k", load, { signal: controller.signal });
  controller.abort(new Error("left"));
  await rejects(get, { message: "left" });
  await sleep(30);
  equal([load.loads[0].ctx.signal.aborted, cache.stats().softTimeouts], [true, 0]);
});

test("the load that outlives its callers' softTimeout ends at their hardTimeout", async () => {
  const { cache } = await stale({ hardTimeout: 20 });
  const load = held();
  equal(await cache.getOrSet("k", load), "old");
  await sleep(50);
  equal([load.loads[0].ctx.signal.aborted, cache.stats().inFlight], [true, 0]);
  equal(await cache.getOrSet("k", () => "new"), "new");
});

test("what is written while a slow load is waited for will do at softTimeout", async () => {
  const { cache } = await stale();
  const load = held();
  const get = cache.getOrSet("k", load);
  cache.set("k", "set");
  equal(await get, "set");
  load.loads[0].resolve("late");
  await settleDown();
  equal(cache.get("k"), "set");
});

test("what is deleted while a slow load is waited for is not handed out at softTimeout", async () => {
  const { cache } = await stale();
  const load = held();
  const get = cache.getOrSet("k", load);
  cache.delete("k");
  await sleep(15);
  load.loads[0].resolve("loaded");
  equal([await get, cache.get("k")], ["loaded", undefined]);
});

test("a call's short hardTimeout is counted from the call, however busy the task was", async () => {
  // The symptom: the deadline was counted from a reading of the clock that the task had made long before.
  const cache = new NearCache();
  for (let i = 0; i < 40; i++) cache.get(i);
  busy(40);
  const start = now();
  await rejects(
    cache.getOrSet("k", () => new Promise(() => {}), { hardTimeout: 30 }),
    { code: "ERR_TIMEOUT" },
  );
  equal(now() - start, 30);
});

testBothWays(
  "a stale value is handed out on the millisecond of softTimeout, and the load ends at hardTimeout",
  async (world) => {
    const cache = new NearCache({ ttl: 100, staleIfError: "1h", softTimeout: 50, hardTimeout: 1000 }).set("k", "old");
    await world.pass(100);
    const load = held();
    const got = [];
    for (let i = 0; i < 2; i++) cache.getOrSet("k", load, { details: true }).then((details) => got.push(details));
    await world.pass(49);
    equal(got, []);
    await world.pass(1);
    equal(got, new Array(2).fill({ value: "old", status: "stale-on-timeout", age: 150, ttl: 0 }));
    await world.pass(949);
    equal([load.loads.length, load.loads[0].ctx.signal.aborted], [1, false]);
    await world.pass(1);
    equal([load.loads[0].ctx.signal.aborted, cache.stats().softTimeouts, cache.stats().timeouts], [true, 2, 0]);
  },
);
