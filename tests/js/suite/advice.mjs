// Advice from a cache's own figures: that the class tells what the core finds. The rules are tested in tests/advice.rs.

import { advise, NearCache } from "nearcache";
import { context, equal, handClock, ok, randomFrom, sleep, test, throws } from "../runner.mjs";

for (const [option, present, unit, options] of [
  ["maxEntries", 100, "entries", { maxEntries: 100 }],
  ["maxBytes", 1_000, "bytes", { maxBytes: 1_000, sizeOf: () => 10 }],
]) {
  test(`more room is advised where ${option} is what entries make room for, with what to expect`, () => {
    const cache = new NearCache(options);
    equal(advise(cache), []);
    const random = randomFrom(context.seed);
    for (let i = 0; i < 40_000; i++) {
      const key = `key ${Math.min(random(1_000), random(1_000))}`;
      if (cache.get(key) === undefined) cache.set(key, i);
    }
    const [{ rate, expected, why, ...advice }, ...others] = advise(cache);
    equal([advice.option, advice.present, advice.suggested, others], [option, present, 4 * present, []]);
    ok(expected > rate + 0.2, `${rate}, ${expected}`);
    ok(why.startsWith(`${4 * present} ${unit} would give `), why);
  });
}

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

/** Ten seconds in which a page asks for twelve keys, one each other millisecond, and then nobody for a while. */
async function oneByOne(batch) {
  const cache = new NearCache({ maxEntries: 10, batch: { ...batch, load: (keys) => sleep(30).then(() => keys) } });
  const gets = [];
  for (let millis = 0; millis < 10_000; millis += 2) {
    if (millis % 100 < 24) gets.push(cache.getOrSet(millis));
    await sleep(2);
  }
  await Promise.all(gets);
  return { calls: cache.stats().batches.count, advice: advise(cache) };
}

test("a longer batchWindow is advised where batches follow each other closely", async () => {
  const before = await oneByOne({});
  const [{ option, present, suggested, rate, expected, why }, ...others] = before.advice;
  equal([before.calls, option, present, suggested, others], [1_200, "batchWindow", 0, 16, []]);
  const after = await oneByOne({ batchWindow: suggested });
  equal([after.calls, after.advice], [200, []]);
  ok(Math.abs(rate - 5 / 6) < 0.01, `${rate}`);
  ok(Math.abs(expected - 6) < 0.1, `${expected}`);
  ok(
    /^83\.\d % of batches came within 16 ms of an earlier one; with a batchWindow so long they would have 6\.0 keys/.test(
      why,
    ),
    why,
  );
});

test("a larger maxBatchSize is advised where batches are full and the rest goes right after", async () => {
  const cache = new NearCache({
    maxEntries: 10,
    batch: { maxBatchSize: 6, load: (keys) => sleep(20).then(() => keys) },
  });
  for (let page = 0; page < 100; page++) {
    await cache.getMany(Array.from({ length: 12 }, (_, at) => 12 * page + at));
    await sleep(50);
  }
  equal(
    advise(cache).map(({ option, present, suggested, expected }) => [option, present, suggested, Math.round(expected)]),
    [["maxBatchSize", 6, 12, 12]],
  );
});

test("batches of getMany's own loader are none that a window could join", async () => {
  const cache = new NearCache({ maxEntries: 10 });
  for (let i = 0; i < 200; i++) await cache.getMany([i], (keys) => sleep(10).then(() => keys));
  equal(advise(cache), []);
});

test("what is no cache is an error", () => {
  throws(() => advise({}), { code: "ERR_OPTION", message: "cache: got an object, wants a NearCache" });
});
