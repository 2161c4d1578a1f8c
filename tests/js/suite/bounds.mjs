import { NearCache } from "nearcache";
import { equal, handClock, rejects, test, throws } from "../runner.mjs";

test("with lru the least recently used goes first", () => {
  const cache = new NearCache({ maxEntries: 3, eviction: "lru" }).set("a", 1).set("b", 2).set("c", 3);
  cache.get("a");
  cache.set("d", 4);
  equal([...cache.keys()], ["d", "a", "c"]);
  cache.set("c", 5);
  cache.set("e", 6);
  equal([...cache.keys()], ["e", "c", "d"]);
});

test("peek, has and remainingTtl are no use", () => {
  const cache = new NearCache({ maxEntries: 2, eviction: "lru" }).set("a", 1).set("b", 2);
  cache.peek("a");
  cache.has("a");
  cache.remainingTtl("a");
  cache.set("c", 3);
  equal([...cache.keys()], ["c", "b"]);
});

test("a hit of getOrSet is a use", async () => {
  const cache = new NearCache({ maxEntries: 2, eviction: "lru" }).set("a", 1).set("b", 2);
  await cache.getOrSet("a", () => 0);
  cache.set("c", 3);
  equal([...cache.keys()], ["c", "a"]);
});

test("a cache of nothing stores nothing and still shares loads", async () => {
  const cache = new NearCache({ maxEntries: 0 });
  equal([cache.set("a", 1).size, cache.get("a")], [0, undefined]);
  let calls = 0;
  const load = async () => ++calls;
  equal(await Promise.all([cache.getOrSet("a", load), cache.getOrSet("a", load)]), [1, 1]);
  equal([cache.size, await cache.getOrSet("a", load)], [0, 2]);
});

test("a cache of one entry holds the last", () => {
  const cache = new NearCache({ maxEntries: 1 });
  for (let i = 0; i < 100; i++) equal([cache.set(i, i).get(i), cache.size, cache.get(i - 1)], [i, 1, undefined]);
});

test("the byte bound holds after every set", () => {
  const cache = new NearCache({ maxBytes: 100 });
  for (let i = 0; i < 50; i++) {
    cache.set(i, i, { bytes: (i * 37) % 90 });
    equal(cache.stats().bytes <= 100, true);
    equal(cache.has(i), true, `entry ${i}`);
  }
});

test("several leave when one large one comes", () => {
  const cache = new NearCache({ maxBytes: 10, eviction: "lru" });
  for (let i = 0; i < 10; i++) cache.set(i, i, { bytes: 1 });
  cache.set("large", 1, { bytes: 8 });
  equal([...cache.keys()], ["large", 9, 8]);
  equal(cache.stats().bytes, 10);
});

test("what is too large is handed out and not stored, and an old value goes", async () => {
  const cache = new NearCache({ maxBytes: 100, maxEntryBytes: 10 }).set("a", 1, { bytes: 10 });
  cache.set("a", 2, { bytes: 11 });
  equal([cache.has("a"), cache.stats().bytes], [false, 0]);
  equal(await cache.getOrSet("a", () => 3, { bytes: 11 }), 3);
  equal([cache.size, cache.stats().rejected], [0, 2]);
  equal(new NearCache({ maxBytes: 10 }).set("a", 1, { bytes: 11 }).size, 0, "maxEntryBytes is maxBytes at first");
});

test("bytes come from the loader, else the call, else sizeOf", async () => {
  const cache = new NearCache({ maxBytes: 1000, sizeOf: () => 7 });
  const bytesOf = async (options, loader) => {
    cache.clear();
    await cache.getOrSet("a", loader, options);
    return cache.stats().bytes;
  };
  equal(await bytesOf({ bytes: 5 }, (_, ctx) => ((ctx.bytes = 3), 1)), 3);
  equal(await bytesOf({ bytes: 5 }, () => 1), 5);
  equal(await bytesOf({}, () => 1), 7);
});

test("sizeOf is given value and key, and may call the cache", () => {
  const seen = [];
  const cache = new NearCache({
    maxBytes: 100,
    sizeOf(value, key) {
      seen.push([value, key]);
      if (key === "a") cache.set("b", 2, { bytes: 1 }).delete("c");
      return 1;
    },
  });
  cache.set("c", 3, { bytes: 1 });
  cache.set("a", 1);
  equal(seen, [[1, "a"]]);
  equal([cache.get("a"), cache.get("b"), cache.has("c")], [1, 2, false]);
});

test("without a sizeOf strings, binary data and small values are weighed", () => {
  const cache = new NearCache({ maxBytes: 1e6 });
  const weigh = (value) => {
    cache.clear();
    return cache.set("k", value).stats().bytes;
  };
  equal(
    [weigh("abc"), weigh(new Uint8Array(10)), weigh(new ArrayBuffer(11)), weigh(new DataView(new ArrayBuffer(5)))],
    [6, 10, 11, 5],
  );
  equal([weigh(1), weigh(null), weigh(undefined), weigh(true), weigh(1n), weigh(Symbol())], [8, 8, 8, 8, 8, 8]);
});

test("a value of unknown size is an error that says what to do, and changes nothing", async () => {
  const cache = new NearCache({ maxBytes: 100 }).set("k", "old");
  const error = throws(() => cache.set("k", {}), { name: "NearCacheError", code: "ERR_BYTES", key: "k" });
  equal(
    error.message,
    'the bytes of the value for "k" are unknown; say {bytes} with the value, or ctx.bytes in the loader, or give the cache a sizeOf',
  );
  equal(cache.get("k"), "old");
  await rejects(
    cache.getOrSet("j", () => ({})),
    { code: "ERR_BYTES" },
  );
  equal([cache.has("j"), cache.stats().inFlight], [false, 0]);
  equal(await cache.getOrSet("j", (_, ctx) => ((ctx.bytes = 5), {})), {});
});

test("without byte bounds nothing is weighed, but what is said counts", () => {
  const cache = new NearCache().set("a", {}).set("b", {}, { bytes: 12 });
  equal(cache.stats().bytes, 12);
  cache.delete("b");
  equal(cache.stats().bytes, 0);
});

test("parts of a byte are counted as a whole one", () => {
  const cache = new NearCache({ maxBytes: 10 }).set("a", 1, { bytes: 0.1 });
  equal(cache.stats().bytes, 1);
});

test("bounds hold with many loads under way", async () => {
  const cache = new NearCache({ maxEntries: 5, eviction: "lru", clock: handClock() });
  const gates = [];
  const loads = Array.from({ length: 50 }, (_, i) =>
    cache.getOrSet(i, () => new Promise((resolve) => gates.push(() => resolve(i)))),
  );
  equal([cache.size, cache.stats().inFlight], [0, 50]);
  for (const open of gates) open();
  equal(
    await Promise.all(loads),
    Array.from({ length: 50 }, (_, i) => i),
  );
  equal([...cache.keys()], [49, 48, 47, 46, 45]);
});

test("a key that a get has just missed is stored once, whatever is stored meanwhile", async () => {
  const happens = {
    nothing: () => {},
    itself: (cache) => cache.set("k", "other's", { bytes: 1 }),
    "in a namespace": (cache) => cache.namespace("n").set("k", "elsewhere", { bytes: 1 }),
    "in a scope": (cache) => cache.scope("s").set("k", "elsewhere", { bytes: 1 }),
    another: (cache) => cache.set("other", 1, { bytes: 1 }).delete("other"),
    everything: (cache) => cache.clear(),
  };
  for (const [what, happen] of Object.entries(happens)) {
    // Between the get and the set, and from within the set.
    for (const within of [false, true]) {
      const cache = new NearCache({ maxEntries: 10, maxBytes: 100, sizeOf: () => (within && happen(cache), 1) });
      for (const get of [(key) => cache.get(key), (key) => cache.scope("s").get(key)]) {
        equal(get("k") === "own", false, what);
        if (!within) happen(cache);
        cache.set("k", "own");
        equal([cache.get("k"), [...cache.keys()]], ["own", ["k"]], what);
        cache.delete("k");
      }
      equal(cache.get("k"), undefined, what);
      if (!within) happen(cache);
      await cache.getOrSet("k", () => "loaded", { bytes: 1 });
      equal([...cache.keys()], ["k"], what);
    }
  }
});

test("a key that a get has missed while it is being loaded is stored once", async () => {
  const cache = new NearCache({ maxEntries: 10 });
  const first = cache.getOrSet("k", async () => "first");
  equal(cache.get("k"), undefined);
  equal(cache.set("k", "set").get("k"), "set");
  equal(await first, "first");
  equal([...cache.entries()], [["k", "set"]]);
});
