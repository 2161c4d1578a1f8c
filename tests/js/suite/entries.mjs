import { NearCache } from "nearcache";
import { equal, test } from "../runner.mjs";

test("what was set is there, and what was not is not", () => {
  const cache = new NearCache();
  equal(cache.get("a"), undefined);
  equal(cache.set("a", 1), cache, "set returns the cache");
  equal([cache.get("a"), cache.peek("a"), cache.has("a"), cache.size], [1, 1, true, 1]);
  equal([cache.get("b"), cache.peek("b"), cache.has("b")], [undefined, undefined, false]);
});

test("set takes the place of the old value", () => {
  const cache = new NearCache().set("a", 1).set("a", 2);
  equal([cache.get("a"), cache.size], [2, 1]);
});

test("delete says whether there was a value", () => {
  const cache = new NearCache().set("a", 1);
  equal([cache.delete("a"), cache.delete("a"), cache.delete("never")], [true, false, false]);
  equal([cache.get("a"), cache.size], [undefined, 0]);
});

test("clear removes everything, and the cache goes on", () => {
  const cache = new NearCache();
  for (let i = 0; i < 100; i++) cache.set(i, i);
  cache.clear();
  equal([cache.size, cache.get(5), [...cache]], [0, undefined, []]);
  for (let i = 0; i < 100; i++) cache.set(i, -i - 1);
  equal([cache.size, cache.get(99)], [100, -100]);
});

test("values that look like nothing are values", () => {
  const cache = new NearCache();
  for (const value of [undefined, null, 0, -0, NaN, "", false]) {
    cache.set("k", value);
    equal([cache.has("k"), cache.get("k"), cache.peek("k"), cache.size], [true, value, value, 1]);
  }
});

test("keys are anything a Map takes, compared as a Map does", () => {
  const [object, array, symbol, regexp] = [{}, [], Symbol("s"), /x/];
  const fn = () => {};
  const keys = [
    NaN,
    0,
    1,
    "0",
    "1",
    "",
    "NaN",
    "null",
    null,
    undefined,
    "undefined",
    true,
    "true",
    1n,
    2n ** 70n,
    object,
    {},
    array,
    symbol,
    Symbol("s"),
    Symbol.iterator,
    regexp,
    fn,
    new Date(0),
    Infinity,
    -Infinity,
    "\u0000",
    "\ud800",
    "é",
    "e\u0301",
    "x".repeat(100_000),
  ];
  const cache = new NearCache();
  const map = new Map();
  keys.forEach((key, i) => {
    cache.set(key, i);
    map.set(key, i);
  });
  equal(cache.size, map.size);
  for (const [key, value] of map) equal([cache.get(key), cache.has(key)], [value, true], "a key's value");
  equal(cache.get({}), undefined, "another object");
  for (const key of keys) equal(cache.delete(key), map.delete(key), "delete");
  equal(cache.size, 0);
});

test("-0 is the key 0, as in a Map", () => {
  const cache = new NearCache().set(-0, "zero");
  equal([cache.get(0), cache.get(-0), cache.size], ["zero", "zero", 1]);
  equal([...cache.keys()], [0]);
  cache.set(0, "nought");
  equal([cache.get(-0), cache.size], ["nought", 1]);
});

test("an entry's number of uses, sets and deletes has no end", () => {
  const cache = new NearCache({ maxEntries: 10 });
  for (let i = 0; i < 50_000; i++) {
    cache.set(i % 37, i);
    if (i % 3 === 0) cache.delete(i % 31);
    equal(cache.size <= 10, true);
  }
});

test("two caches know nothing of each other", () => {
  const [a, b] = [new NearCache(), new NearCache()];
  a.set("k", 1);
  equal([b.get("k"), b.size], [undefined, 0]);
});
