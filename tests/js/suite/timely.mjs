// Entries that leave in time by a timer. The cases of both faces are in tests/contract/timely.json.

import { NearCache } from "nearcache";
import { equal, handClock, ok, sleep, test, throws } from "../runner.mjs";

/** What has left, as the hook was told. */
function watched(options) {
  const cache = new NearCache(options);
  const left = [];
  cache.on("expire", ({ key }) => left.push(key));
  return { cache, left };
}

test("entries leave in time by one timer for all, which is there only while something ends", async (world) => {
  const { cache, left } = watched({ ttl: "5m", purgeStaleEvery: "1s" });
  const before = world.timers.size;
  for (let i = 0; i < 100; i++) cache.set(i, i);
  equal(world.timers.size - before, 1);
  await world.pass(300_000 + 1_000);
  equal([left.length, cache.size, world.timers.size - before], [100, 0, 0]);
  cache.set("ever", 1, { ttl: Infinity });
  equal(world.timers.size - before, 0, "nothing to wait for");
});

test("without the option there is no timer", (world) => {
  const before = world.timers.size;
  new NearCache({ ttl: 10 }).set("k", 1);
  equal(world.timers.size - before, 0);
});

test("a cache that is emptied waits for nothing", (world) => {
  const before = world.timers.size;
  const cache = new NearCache({ ttl: 10, purgeStaleEvery: 10 }).set("k", 1);
  equal(world.timers.size - before, 1);
  cache.clear();
  equal(world.timers.size - before, 0);
  cache.set("k", 1);
  equal(world.timers.size - before, 1);
});

test("what a load brings is waited for, in namespaces and scopes too", async (world) => {
  const { cache, left } = watched({ ttl: 100, purgeStaleEvery: 10 });
  await cache.getOrSet("a", () => 1);
  await cache
    .namespace("n", { ttl: 200 })
    .scope("s")
    .getOrSet("b", () => 1);
  await world.pass(110);
  equal(left, ["a"]);
  await world.pass(100);
  equal([left, cache.size], [["a", "b"], 0]);
});

test("a hook may use the cache, and what it stores is waited for", async (world) => {
  const cache = new NearCache({ ttl: 100, purgeStaleEvery: 10 });
  let renewed = 0;
  cache.on("expire", ({ key }) => renewed++ < 3 && cache.set(key, 1));
  cache.set("k", 1);
  await world.pass(1_000);
  equal([renewed, cache.size], [4, 0]);
});

test("many entries leave in steps, between which others have their turn", async (world) => {
  const cache = new NearCache({ maxEntries: 20_000, ttl: 100, purgeStaleEvery: 100 });
  for (let i = 0; i < 20_000; i++) cache.set(i, i);
  let most = 0;
  let before = cache.size;
  await world.pass(99);
  for (let i = 0; i < 100 && cache.size > 0; i++) {
    await sleep(1);
    most = Math.max(most, before - cache.size);
    before = cache.size;
  }
  await world.pass(200);
  equal(cache.size, 0);
  ok(most < 20_000, `${most} at once`);
});

test("by a clock of one's own what is over by that leaves", async (world) => {
  const clock = handClock();
  const { cache, left } = watched({ ttl: 100, purgeStaleEvery: 10, clock });
  cache.set("k", 1);
  await world.pass(500);
  equal(left, [], "that clock stands still");
  clock.pass(100);
  await world.pass(500);
  equal(left, ["k"]);
});

test(
  "where a timer died with its request the next that stores something sets another",
  { requestBound: true },
  async (world) => {
    const { cache, left } = watched({ ttl: 100, purgeStaleEvery: 10 });
    world.as(1, () => cache.set("a", 1));
    world.kill(1);
    await world.pass(150);
    equal(left, []);
    world.as(2, () => cache.set("b", 1, { ttl: Infinity }).set("c", 1, { ttl: 30 }));
    await world.pass(50);
    equal([left.sort(), cache.size], [["a", "c"], 1]);
  },
);

const PROCESS = { realTime: "the runtime's own timer would hold the process" };
test("its timer holds no process: this one is set for an hour, and the suite ends", PROCESS, () => {
  new NearCache({ ttl: "1h", purgeStaleEvery: "1s" }).set("k", 1);
});

test("an interval that is none is an error", () => {
  throws(() => new NearCache({ purgeStaleEvery: 0 }), {
    code: "ERR_OPTION",
    message: "purgeStaleEvery: got 0, wants 1 ms or more",
  });
  throws(() => new NearCache({ purgeStaleEvery: "soon" }), { code: "ERR_OPTION" });
  throws(() => new NearCache({ ttlAutopurge: true }), {
    code: "ERR_OPTION",
    message: /did you mean purgeStaleEvery/,
  });
});
