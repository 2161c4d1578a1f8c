// Calls about many keys at once, and looks that are no gets.

import { NearCache } from "nearcache";
import { equal, test, throws } from "../runner.mjs";

test("many keys are set and deleted by one call", () => {
  const cache = new NearCache();
  equal(
    cache.setMany(
      new Map([
        ["a", 1],
        ["b", 2],
      ]),
      { tags: ["t"] },
    ) === cache,
    true,
  );
  equal(cache.setMany([["c", 3]]).get("c"), 3);
  equal(cache.deleteByTag("t"), 2);
  cache.setMany(Object.entries({ a: 1, b: 2 }));
  equal(cache.deleteMany(new Set(["a", "nobody", "c"])), 2);
  equal([...cache.keys()], ["b"]);
});

test("what a predicate picks is deleted, and it may call the cache", () => {
  const cache = new NearCache();
  cache.setMany([1, 2, 3, 4].map((key) => [key, key * key]));
  const deleted = cache.deleteWhere((value, key) => {
    cache.set(key + 10, value);
    return value > 4;
  });
  equal([deleted, [...cache.keys()].sort((a, b) => a - b)], [2, [1, 2, 11, 12, 13, 14]]);
  throws(() => cache.deleteWhere("all"), { code: "ERR_OPTION" });
});

test("a misspelt option of peek is an error", () => {
  throws(() => new NearCache().peek("k", { stale: true }), { code: "ERR_OPTION" });
});
