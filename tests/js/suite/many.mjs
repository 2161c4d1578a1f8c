// Calls about many keys at once, and looks that are no gets.

import { NearCache } from "nearcache";
import { equal, rejects, test, throws } from "../runner.mjs";

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

test("an entry that is no pair is an error that says so", () => {
  const message = (shown) => `entry: got ${shown}, wants an array or another iterable`;
  for (const [entry, shown] of [
    [5, "5"],
    ["ab", '"ab"'],
    [undefined, "undefined"],
  ]) {
    throws(() => new NearCache().setMany([entry]), { code: "ERR_OPTION", message: message(shown) });
  }
});

test("what is no list of keys is an error that says so, and so is a string, which is one key", async () => {
  const cache = new NearCache();
  for (const [given, shown] of [
    [5, "5"],
    ["ada", '"ada"'],
    [undefined, "undefined"],
    [{ a: 1 }, "an object"],
    [Promise.resolve(["a"]), "a promise"],
  ]) {
    const refused = (option) => ({
      code: "ERR_OPTION",
      message: `${option}: got ${shown}, wants an array or another iterable`,
    });
    throws(() => cache.setMany(given), refused("entries"));
    throws(() => cache.deleteMany(given), refused("keys"));
    throws(() => cache.getAllPresent(given), refused("keys"));
    await rejects(
      cache.getMany(given, (keys) => keys),
      refused("keys"),
    );
  }
  equal(cache.size, 0);
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

test("what was found is told even if it is undefined", () => {
  const cache = new NearCache().set("a", undefined).set("b", null).set("c", 1);
  equal(
    [...cache.getAllPresent(["a", "b", "c", "d"])],
    [
      ["a", undefined],
      ["b", null],
      ["c", 1],
    ],
  );
  const { hits, misses } = cache.stats();
  equal([hits, misses], [3, 1]);
});
