import { NearCache } from "nearcache";
import { equal, handClock, ok, test, testBothWays } from "../runner.mjs";

test("a value is handed out until its ttl has passed, and not a millisecond longer", () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 1000, clock }).set("a", 1);
  clock.pass(999);
  equal([cache.get("a"), cache.peek("a"), cache.has("a"), cache.remainingTtl("a")], [1, 1, true, 1]);
  clock.pass(1);
  equal(
    [cache.get("a"), cache.peek("a"), cache.has("a"), cache.remainingTtl("a")],
    [undefined, undefined, false, undefined],
  );
});

test("time zero is a time like any other", () => {
  const clock = handClock(0);
  const cache = new NearCache({ ttl: 10, clock }).set("a", 1);
  equal([cache.get("a"), cache.remainingTtl("a")], [1, 10]);
  clock.pass(10);
  equal(cache.get("a"), undefined);
});

test("a get does not lengthen a life; a set begins a new one", () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 100, clock }).set("a", 1);
  clock.pass(60);
  cache.get("a");
  equal(cache.remainingTtl("a"), 40);
  cache.set("a", 2);
  equal(cache.remainingTtl("a"), 100);
});

test("a call's ttl goes before the cache's", () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 100, clock });
  cache.set("short", 1, { ttl: 10 }).set("long", 2, { ttl: 1000 }).set("ever", 3, { ttl: Infinity }).set("usual", 4);
  equal(
    ["short", "long", "ever", "usual"].map((key) => cache.remainingTtl(key)),
    [10, 1000, Infinity, 100],
  );
  clock.pass(10);
  equal(cache.has("short"), false);
  clock.pass(990);
  equal([cache.has("long"), cache.get("ever")], [false, 3]);
});

test("the loader's ttl goes before the call's, and the call's before the cache's", async () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 100, clock });
  await cache.getOrSet("cache", () => 1);
  await cache.getOrSet("call", () => 1, { ttl: 200 });
  await cache.getOrSet("loader", (_, ctx) => ((ctx.ttl = 300), 1), { ttl: 200 });
  await cache.getOrSet("ever", async (_, ctx) => ((ctx.ttl = Infinity), 1), { ttl: 200 });
  equal(
    ["cache", "call", "loader", "ever"].map((key) => cache.remainingTtl(key)),
    [100, 200, 300, Infinity],
  );
});

test("durations may be strings", () => {
  const clock = handClock();
  const cases = {
    "250ms": 250,
    "30s": 30_000,
    "5m": 300_000,
    "2h": 7_200_000,
    "1d": 86_400_000,
    "1.5s": 1500,
    "0.25m": 15_000,
  };
  for (const [text, millis] of Object.entries(cases)) {
    equal(new NearCache({ ttl: text, clock }).set("a", 1).remainingTtl("a"), millis, text);
    equal(new NearCache({ clock }).set("a", 1, { ttl: text }).remainingTtl("a"), millis, text);
  }
});

test("ttl 0 stores nothing, and an old value goes", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock }).set("a", 1);
  cache.set("a", 2, { ttl: 0 });
  equal([cache.get("a"), cache.size], [undefined, 0]);
  cache.set("a", 1);
  equal(await cache.getOrSet("a", (_, ctx) => ((ctx.ttl = 0), 2), { forceFresh: true }), 2);
  equal([cache.get("a"), cache.size], [undefined, 0]);
  const none = new NearCache({ ttl: 0 });
  equal([await none.getOrSet("a", () => 1), none.size, none.set("b", 1).size], [1, 0, 0]);
});

test("without a ttl a value stays", () => {
  const clock = handClock();
  const cache = new NearCache({ clock }).set("a", 1);
  clock.pass(1e15);
  equal([cache.get("a"), cache.remainingTtl("a")], [1, Infinity]);
});

test("ttls beyond every clock are fine", () => {
  const clock = handClock();
  const cache = new NearCache({ clock }).set("a", 1, { ttl: 1e300 }).set("b", 1, { ttl: Number.MAX_SAFE_INTEGER });
  clock.pass(1e12);
  equal([cache.get("a"), cache.get("b")], [1, 1]);
});

test("parts of a millisecond are dropped, so that nothing lives too long", () => {
  const clock = handClock();
  const cache = new NearCache({ clock }).set("a", 1, { ttl: 10.9 }).set("b", 1, { ttl: 0.9 });
  equal([cache.remainingTtl("a"), cache.has("b")], [10, false]);
});

test("delete of a value whose time has passed says false", () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 10, clock }).set("a", 1);
  clock.pass(10);
  equal([cache.delete("a"), cache.size], [false, 0]);
});

test("dead entries leave while others are written or missed, without anybody asking for them", () => {
  const clock = handClock();
  const cache = new NearCache({ clock });
  for (let i = 0; i < 1000; i++) cache.set(i, i, { ttl: 10 });
  clock.pass(10);
  equal(cache.size, 1000);
  for (let i = 0; i < 600; i++) cache.set("live", i, { ttl: 10 });
  equal(cache.size, 1);
  for (let i = 0; i < 1000; i++) cache.set(i, i, { ttl: 5 });
  clock.pass(5);
  for (let i = 0; i < 600; i++) cache.get("not there");
  ok(cache.size <= 1, `size ${cache.size}`);
});

test("a clock that goes back lengthens lives, and breaks nothing", () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 100, clock }).set("a", 1);
  clock.pass(-50);
  equal([cache.get("a"), cache.remainingTtl("a")], [1, 150]);
  clock.pass(150);
  equal(cache.get("a"), undefined);
});

test("a clock, a random number, sizeOf or an option that uses the cache never gets another key's value", async () => {
  // The symptom: the slot had been looked up before, and belonged to another key afterwards.
  let arm = false;
  let cache;
  const meddle = (result) => {
    if (arm) {
      arm = false;
      cache.delete("a");
      cache.set("b", "of b");
    }
    return result;
  };
  const ways = {
    clock: { clock: () => meddle(1000) },
    random: { ttl: 1000, jitter: 0.1, clock: () => 5, random: () => meddle(0.5) },
    sizeOf: { maxBytes: 1000, sizeOf: () => meddle(1) },
  };
  for (const [way, options] of Object.entries(ways)) {
    cache = new NearCache(options);
    cache.set("a", "of a");
    arm = true;
    equal([undefined, "of a"].includes(cache.get("a")), true, way);
    arm = true;
    cache.set("a", "anew");
    equal([cache.get("a"), cache.get("b"), cache.size], ["anew", "of b", 2], way);
    arm = true;
    equal(await cache.getOrSet("a", () => "loaded"), way === "clock" ? "loaded" : "anew", way);
  }
  cache = new NearCache({ clock: () => 5 }).set("a", "of a");
  arm = true;
  const got = await cache.getOrSet("a", () => "loaded", {
    get ttl() {
      return meddle(50);
    },
  });
  equal([got, cache.get("a"), cache.get("b")], ["loaded", "loaded", "of b"]);
});

testBothWays("a timer that rings late hands out nothing past its time", async (world) => {
  const cache = new NearCache({ ttl: "6s" });
  for (let i = 0; i < 100; i++) cache.set(i, "old").get(i);
  world.now += 24_700;
  equal([cache.get(1), cache.has(2), await cache.getOrSet(3, () => "new")], [undefined, false, "new"]);
});
