import { NearCache } from "nearcache";
import {
  busy,
  equal,
  handClock,
  held,
  never,
  now,
  ok,
  rejects,
  settleDown,
  sleep,
  test,
  testBothWays,
} from "../runner.mjs";

const DAY = 86_400_000;

test("a wait ends at its hardTimeout with a typed error that names key and option", async () => {
  const cache = new NearCache({ hardTimeout: 30 });
  const start = now();
  const error = await rejects(cache.getOrSet("k", never), { name: "NearCacheError", code: "ERR_TIMEOUT", key: "k" });
  equal(
    error.message,
    'no value for "k" within 30 ms (hardTimeout); the load is slow, or never ends, or waits for itself',
  );
  ok(error instanceof Error);
  equal([now() - start, cache.stats().timeouts, cache.stats().inFlight], [30, 1, 0]);
});

test("a call's hardTimeout goes before the cache's, and may be a string", async () => {
  const cache = new NearCache({ hardTimeout: "1h" });
  await rejects(cache.getOrSet("k", never, { hardTimeout: "20ms" }), { code: "ERR_TIMEOUT", message: /within 20 ms/ });
});

test("hardTimeout Infinity waits", async () => {
  const cache = new NearCache({ hardTimeout: Infinity });
  const load = held();
  const get = cache.getOrSet("k", load);
  await sleep(1e12);
  load.loads[0].resolve(1);
  equal(await get, 1);
});

test("hardTimeout longer than the longest timer waits", async () => {
  const cache = new NearCache({ hardTimeout: "100d" });
  const load = held();
  const gets = [cache.getOrSet("k", load), cache.getOrSet("k", load, { hardTimeout: "60d" })];
  await sleep(24 * DAY);
  load.loads[0].resolve(1);
  equal(await Promise.all(gets), [1, 1]);
});

test("a wait longer than the longest timer ends on its millisecond", { requestBound: false }, async () => {
  const start = now();
  await rejects(new NearCache({ hardTimeout: "60d" }).getOrSet("k", never), { code: "ERR_TIMEOUT" });
  equal(now() - start, 60 * DAY);
});

test("hardTimeout 0 takes what is there or comes at once", async () => {
  const cache = new NearCache({ hardTimeout: 0 }).set("k", 1);
  equal([await cache.getOrSet("k", never), await cache.getOrSet("sync", () => 2)], [1, 2]);
  await rejects(cache.getOrSet("slow", never), { code: "ERR_TIMEOUT" });
});

test("all who wait until the same moment end together", async () => {
  const cache = new NearCache({ hardTimeout: 30, clock: handClock() });
  const gets = Array.from({ length: 100 }, () => cache.getOrSet("k", never));
  const results = await Promise.allSettled(gets);
  ok(results.every(({ reason }) => reason?.code === "ERR_TIMEOUT"));
  equal([cache.stats().timeouts, cache.stats().loads, cache.stats().inFlight], [100, 1, 0]);
});

test("a leader that can't wait as long as its follower leaves the load to it", async () => {
  const cache = new NearCache();
  const load = held();
  const leader = cache.getOrSet("k", load, { hardTimeout: 30 });
  const follower = cache.getOrSet("k", load, { hardTimeout: 5000 });
  await rejects(leader, { code: "ERR_TIMEOUT", message: /within 30 ms/ });
  await settleDown();
  equal([load.loads.length, load.loads[0].ctx.signal.aborted], [1, false]);
  load.loads[0].resolve("v");
  equal([await follower, load.loads.length, cache.get("k")], ["v", 1, "v"]);
  equal(cache.stats().timeouts, 1);
});

test("a follower that can't wait as long as its leader leaves alone", async () => {
  const cache = new NearCache();
  const load = held();
  const leader = cache.getOrSet("k", load, { hardTimeout: 5000 });
  const follower = cache.getOrSet("k", load, { hardTimeout: 30 });
  await rejects(follower, { code: "ERR_TIMEOUT", message: /within 30 ms/ });
  equal([load.loads.length, load.loads[0].ctx.signal.aborted], [1, false]);
  load.loads[0].resolve("v");
  equal([await leader, cache.get("k"), cache.stats().timeouts], ["v", "v", 1]);
});

test("a load can be joined after every one of its followers has left at a deadline", async () => {
  // The symptom: the next to join threw "Cannot read properties of undefined".
  const cache = new NearCache();
  const load = held();
  const leader = cache.getOrSet("k", load);
  await rejects(cache.getOrSet("k", load, { hardTimeout: 15 }), { code: "ERR_TIMEOUT" });
  const again = cache.getOrSet("k", load, { hardTimeout: 5000 });
  load.loads[0].resolve("v");
  equal([await leader, await again, load.loads.length], ["v", "v", 1]);
});

test("deadlines a few milliseconds apart cost one load, not one each", async () => {
  const cache = new NearCache({ hardTimeout: 60 });
  const load = held();
  const gets = [];
  for (let i = 0; i < 10; i++) {
    gets.push(cache.getOrSet("k", load).catch((error) => error.code));
    await sleep(2);
  }
  equal(await Promise.all(gets), new Array(10).fill("ERR_TIMEOUT"));
  equal([load.loads.length, cache.stats().loads, cache.stats().timeouts, cache.stats().inFlight], [1, 1, 10, 0]);
});

test("when the last one's deadline passes, the load is told to stop, and what it brings is not stored", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = [cache.getOrSet("k", load, { hardTimeout: 20 }), cache.getOrSet("k", load, { hardTimeout: 400 })];
  const { signal } = load.loads[0].ctx;
  await rejects(gets[0], { code: "ERR_TIMEOUT" });
  await settleDown();
  equal(signal.aborted, false);
  await rejects(gets[1], { code: "ERR_TIMEOUT" });
  await settleDown();
  equal([signal.aborted, signal.reason.name], [true, "NearCacheError"]);
  load.loads[0].resolve("late");
  await settleDown();
  equal([cache.has("k"), cache.stats().loadsAbandoned], [false, 1]);
});

test("a load that never ends does not hold its key", async () => {
  const cache = new NearCache({ hardTimeout: 20 });
  await rejects(cache.getOrSet("k", never), { code: "ERR_TIMEOUT" });
  equal(await cache.getOrSet("k", () => "second"), "second");
});

test("a load that never ends does not hold its key while a patient follower waits for it", async () => {
  const cache = new NearCache();
  const leader = cache.getOrSet("k", never, { hardTimeout: 20 });
  const patient = cache.getOrSet("k", never, { hardTimeout: 150 }).catch((error) => error.code);
  await rejects(leader, { code: "ERR_TIMEOUT" });
  await sleep(5);
  equal(await cache.getOrSet("k", () => "second"), "second");
  equal(await patient, "ERR_TIMEOUT");
  equal(cache.get("k"), "second");
});

test("a wait ends though the cache was used after its deadline, before its timer rang", async () => {
  // The symptom: it hung for ever, because the cache had swept the load away and the timer found nothing due.
  const cache = new NearCache({ hardTimeout: 20 });
  const load = held();
  const get = cache.getOrSet("k", load);
  const { signal } = load.loads[0].ctx;
  busy(40);
  for (let i = 0; i < 10; i++) cache.set(i, i).get("missing");
  await rejects(Promise.race([get, sleep(1000)]), { code: "ERR_TIMEOUT" });
  await settleDown();
  equal([signal.aborted, cache.stats().inFlight, cache.stats().timeouts], [true, 0, 1]);
});

test("timers follow the runtime's time, also where a cache has a clock of its own", async () => {
  for (const pass of [0, 10_000_000, -500_000]) {
    const clock = handClock();
    const cache = new NearCache({ hardTimeout: 30, clock });
    const get = cache.getOrSet("k", never);
    clock.pass(pass);
    await rejects(Promise.race([get, sleep(2000)]), { code: "ERR_TIMEOUT" });
  }
});

test("so does a follower's timer, one after the other while that clock stands still", async () => {
  const cache = new NearCache({ clock: handClock() });
  const load = held();
  const leader = cache.getOrSet("k", load, { hardTimeout: 2000 });
  for (let i = 0; i < 3; i++) {
    await rejects(Promise.race([cache.getOrSet("k", load, { hardTimeout: 20 }), sleep(1000)]), { code: "ERR_TIMEOUT" });
  }
  load.loads[0].resolve(1);
  equal(await leader, 1);
});

test("an early value leaves nothing behind that ends later", async () => {
  const cache = new NearCache({ hardTimeout: 20, ttl: Infinity });
  equal(await cache.getOrSet("k", () => 1), 1);
  equal(await cache.getOrSet("j", async () => 1), 1);
  await sleep(40);
  equal([cache.stats().timeouts, cache.stats().loadsAbandoned], [0, 0]);
});

test("in real time a wait ends at its hardTimeout", { realTime: "the runtime's timers, end to end" }, async () => {
  const cache = new NearCache({ hardTimeout: 30 });
  const start = Date.now();
  await rejects(cache.getOrSet("k", never), { code: "ERR_TIMEOUT" });
  ok(Date.now() - start >= 29, `${Date.now() - start} ms`);
});

test("many deadlines at once are all met", async () => {
  const cache = new NearCache();
  const start = now();
  const results = await Promise.all(
    Array.from({ length: 500 }, (_, i) =>
      cache.getOrSet(i % 50, never, { hardTimeout: 20 + (i % 7) * 5 }).catch((error) => error.code),
    ),
  );
  ok(results.every((code) => code === "ERR_TIMEOUT"));
  equal(now() - start, 50);
  equal([cache.stats().timeouts, cache.stats().inFlight, cache.size], [500, 0, 0]);
});

testBothWays("a wait ends on the millisecond of its hardTimeout", async (world) => {
  const cache = new NearCache({ hardTimeout: 1000 });
  let code;
  cache.getOrSet("k", never).catch((error) => (code = error.code));
  await world.pass(999);
  equal([code, cache.stats().inFlight], [undefined, 1]);
  await world.pass(1);
  equal([code, cache.stats().inFlight, cache.stats().timeouts], ["ERR_TIMEOUT", 0, 1]);
});

testBothWays("a clock that is set back puts no deadline off", async (world) => {
  // The symptom: whoever waited before was rejected when the clock had caught up.
  const cache = new NearCache({ hardTimeout: 200 });
  const codes = [];
  cache.getOrSet("a", never).catch((error) => codes.push(`a ${error.code}`));
  world.setClock(world.now - 3_600_000);
  cache.getOrSet("b", never).catch((error) => codes.push(`b ${error.code}`));
  await world.pass(201);
  equal(codes.sort(), ["a ERR_TIMEOUT", "b ERR_TIMEOUT"]);
});

test("a cache without loads under way holds no timer of its own", { requestBound: false }, async (world) => {
  const cache = new NearCache();
  for (let i = 0; i < 10; i++) await cache.getOrSet(i, async () => i);
  ok(world.timers.size <= 1, "one timer for all");
  await world.pass(60_000);
  equal(world.timers.size, 0, "and none set anew when it rings");
});
