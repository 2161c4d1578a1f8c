import { NearCache } from "nearcache";
import { equal, rejects, test } from "../runner.mjs";

const text =
  'the loader of "k" asked the cache for that very key, which it is loading; load it directly, or under another key';

test("a loader that asks for its own key gets an error that says so, not a deadlock", async () => {
  const cache = new NearCache({ hardTimeout: 2000 });
  let inner;
  const value = await cache.getOrSet("k", async () => {
    inner = cache.getOrSet("k", () => 2);
    return (
      (await rejects(inner, { name: "NearCacheError", code: "ERR_RECURSIVE_LOAD", key: "k", message: text })) && "outer"
    );
  });
  equal([value, cache.get("k"), cache.stats().inFlight], ["outer", "outer", 0]);
});

test("a loader that returns a load of its own key rejects with that error", async () => {
  const cache = new NearCache({ hardTimeout: 2000 });
  const direct = () => cache.getOrSet("k", () => 2);
  await rejects(cache.getOrSet("k", direct), { code: "ERR_RECURSIVE_LOAD", message: text });
  await rejects(
    cache.getOrSet("k", async () => cache.getOrSet("k", () => 2)),
    { code: "ERR_RECURSIVE_LOAD", message: text },
  );
  const itself = (key) => cache.getOrSet(key, itself);
  await rejects(cache.getOrSet("k", itself), { code: "ERR_RECURSIVE_LOAD", message: text });
  equal([cache.has("k"), cache.stats().inFlight], [false, 0]);
  equal(await cache.getOrSet("k", () => "fine"), "fine");
});

test("a circle through other keys is found in the same way", async () => {
  const cache = new NearCache({ hardTimeout: 2000 });
  const load = (key) => cache.getOrSet({ a: "b", b: "c", c: "a" }[key], load);
  await rejects(cache.getOrSet("a", load), { code: "ERR_RECURSIVE_LOAD", key: "a" });
  equal([cache.size, cache.stats().inFlight], [0, 0]);
});

test("a circle that closes later ends at the deadline, and its error gives a hint", async () => {
  const cache = new NearCache({ hardTimeout: 40 });
  const get = cache.getOrSet("k", async () => {
    await undefined;
    return cache.getOrSet("k", () => 2);
  });
  await rejects(get, { code: "ERR_TIMEOUT", message: /waits for itself/ });
});

test("a loader may read, set and delete its own key", async () => {
  const cache = new NearCache();
  equal(await cache.getOrSet("k", () => (equal(cache.get("k"), undefined), cache.set("k", "set"), "loaded")), "loaded");
  equal(cache.get("k"), "set");
  cache.delete("k");
  equal(await cache.getOrSet("k", () => (cache.delete("k"), "loaded")), "loaded");
  equal(cache.has("k"), false);
});

test("a loader may ask for its own key after deleting it: that is a new load", async () => {
  const cache = new NearCache();
  equal(await cache.getOrSet("k", () => (cache.delete("k"), cache.getOrSet("k", () => "inner"))), "inner");
  equal(cache.get("k"), "inner");
});

test("a refused get of a key that waits for its asker counts as no get", async () => {
  const cache = new NearCache();
  await rejects(
    cache.getOrSet("a", () => cache.getOrSet("b", () => cache.getOrSet("a", () => 1))),
    { code: "ERR_RECURSIVE_LOAD", key: "a" },
  );
  const { hits, misses, coalesced, loads } = cache.stats();
  equal([hits, misses, coalesced, loads], [0, 2, 0, 2]);
});

test("a batch that asks for a key of its own gets an error that says so", async () => {
  // The symptom: it waited for itself until hardTimeout.
  const cache = new NearCache({
    hardTimeout: 2000,
    batch: { load: (keys) => Promise.all(keys.map((key) => cache.getOrSet(key, () => "x"))) },
  });
  await rejects(cache.getOrSet("a"), { code: "ERR_RECURSIVE_LOAD", key: "a" });
  const other = new NearCache({
    hardTimeout: 2000,
    batch: { load: (keys) => Promise.all(keys.map((key) => other.getOrSet(`${key}'`, () => `${key} by the other`))) },
  });
  equal(await other.getMany(["a", "b"]), ["a by the other", "b by the other"]);
});
