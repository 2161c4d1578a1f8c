// negativeTtl: how long the answer "there is nothing" is kept.

import { NearCache } from "nearcache";
import { equal, handClock, test, testBothWays } from "../runner.mjs";

const make = (options) => new NearCache({ clock: handClock(), ttl: 1000, negativeTtl: 10, ...options });
const ways = {
  getOrSet: (cache, value, options) => cache.getOrSet("k", () => value, options),
  set: async (cache, value, options) => cache.set("k", value, options),
  update: (cache, value, options) => cache.update("k", async () => value, options),
};

for (const [way, store] of Object.entries(ways)) {
  test(`negativeTtl is the ttl of undefined and null, and of nothing else: ${way}`, async () => {
    for (const [value, ttl] of [
      [undefined, 10],
      [null, 10],
      [0, 1000],
      ["", 1000],
      [false, 1000],
      [NaN, 1000],
    ]) {
      const cache = make();
      await store(cache, value);
      equal([cache.has("k"), cache.get("k"), cache.remainingTtl("k")], [true, value, ttl]);
    }
  });

  test(`negativeTtl can be said by the call, and 0 keeps no absence: ${way}`, async () => {
    const cache = make();
    await store(cache, null, { negativeTtl: "20ms" });
    equal(cache.remainingTtl("k"), 20);
    cache.delete("k");
    await store(cache, undefined, { negativeTtl: 0 });
    equal([cache.has("k"), cache.size], [false, 0]);
    const usual = new NearCache({ clock: handClock(), ttl: 1000 });
    await store(usual, null);
    equal(usual.remainingTtl("k"), 1000);
  });
}

test("an absence that is kept is a hit", async () => {
  const cache = make();
  let calls = 0;
  const nothing = () => (calls++, undefined);
  for (let i = 0; i < 5; i++) equal(await cache.getOrSet("k", nothing), undefined);
  equal([calls, cache.stats().hits], [1, 4]);
});

test("a set that says how long its absence lives goes before negativeTtl", () => {
  const cache = make();
  cache.set("k", null, { ttl: 500 });
  equal(cache.remainingTtl("k"), 500);
});

test("what the loader says goes before negativeTtl: ctx.ttl, ctx.skip", async () => {
  const cache = make();
  await cache.getOrSet("k", (_, ctx) => ((ctx.ttl = 77), null));
  equal(cache.remainingTtl("k"), 77);
  await cache.getOrSet("j", (_, ctx) => ctx.skip());
  equal(cache.has("j"), false);
});

test("an absence has its stale windows, and is handed out stale", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 1000, negativeTtl: 10, staleWhileRevalidate: 5 });
  await cache.getOrSet("k", () => null);
  clock.pass(12);
  equal(await cache.getOrSet("k", () => "there", { details: true }), { value: null, status: "stale", age: 12, ttl: 0 });
  equal(cache.get("k"), "there");
});

test("ctx.skip on a forced load removes the older value", async () => {
  const cache = make().set("k", "older");
  equal(await cache.getOrSet("k", (_, ctx) => (ctx.skip(), "newer"), { forceFresh: true }), "newer");
  equal(cache.has("k"), false);
});

testBothWays("a negative value that is set lives for negativeTtl, unless that set names a ttl", async (world) => {
  const cache = new NearCache({ ttl: 1000, negativeTtl: 10 });
  cache.set("null", null).set("undefined", undefined).set("named", null, { ttl: 500 }).set("value", 1);
  cache.set("call", null, { negativeTtl: 20 });
  await cache.update("written", () => null);
  const left = ["null", "undefined", "named", "value", "call", "written"].map((key) => cache.remainingTtl(key));
  equal(left, [10, 10, 500, 1000, 20, 10]);
});
