// Advice from a cache's own figures: that the class tells what the core finds. The rules are tested in tests/advice.rs.

import { advise, NearCache } from "nearcache";
import { context, equal, handClock, ok, randomFrom, test, throws } from "../runner.mjs";

test("more room is advised where it would be used, with what to expect", () => {
  const cache = new NearCache({ maxEntries: 100 });
  equal(advise(cache), []);
  const random = randomFrom(context.seed);
  for (let i = 0; i < 40_000; i++) {
    const key = `key ${Math.min(random(1_000), random(1_000))}`;
    if (cache.get(key) === undefined) cache.set(key, i);
  }
  const [{ option, present, suggested, rate, expected, why }, ...others] = advise(cache);
  equal([option, present, suggested, others], ["maxEntries", 100, 400, []]);
  ok(expected > rate + 0.2, `${rate}, ${expected}`);
  ok(why.startsWith("400 entries would give "), why);
});

test("more bytes are advised where they are what entries make room for", () => {
  const cache = new NearCache({ maxBytes: 1_000, sizeOf: () => 10 });
  advise(cache);
  const random = randomFrom(context.seed);
  for (let i = 0; i < 40_000; i++) {
    const key = `key ${Math.min(random(1_000), random(1_000))}`;
    if (cache.get(key) === undefined) cache.set(key, i);
  }
  const [{ option, present, suggested, rate, expected, why }, ...others] = advise(cache);
  equal([option, present, suggested, others], ["maxBytes", 1_000, 4_000, []]);
  ok(expected > rate + 0.2, `${rate}, ${expected}`);
  ok(why.startsWith("4000 bytes would give "), why);
});

test("a longer life is advised where time takes what is asked for again", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 10 });
  for (let i = 0; i < 2_000; i++) {
    clock.pass(3);
    await cache.getOrSet(i % 2, () => i);
  }
  equal(
    advise(cache).map(({ option, present, suggested }) => [option, present, suggested]),
    [["ttl", 10, 20]],
  );
});

test("what is no cache is an error", () => {
  throws(() => advise({}), { code: "ERR_OPTION", message: "cache: got an object, wants a NearCache" });
});
