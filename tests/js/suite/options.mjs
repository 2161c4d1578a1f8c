import { NearCache, NearCacheError } from "nearcache";
import { equal, ok, rejects, test, throws } from "../runner.mjs";
import {
  BYTES,
  CACHE_OPTIONS,
  notBytes,
  notFunctions,
  wrongForCache,
  wrongForSet,
  wrongForGet,
  wrongByCall,
} from "./wrong-options.mjs";

for (const [call, [make, cases]] of Object.entries(wrongByCall)) {
  test(`every wrong option of ${call} is an error that names it`, async () => {
    for (const [options, message] of cases) {
      await rejects(async () => make(options), { code: "ERR_OPTION", message });
    }
  });
}

test("an unknown option is told by the name it may be a slip or another library's word for", () => {
  const meant = {
    maxSize: "did you mean maxEntries or maxBytes?",
    maxAge: "did you mean ttl?",
    ttlMs: "did you mean ttl?",
    stdTTL: "did you mean ttl?",
    max_entries: "did you mean maxEntries?",
    maxEntrys: "did you mean maxEntries?",
    sizeCalculation: "did you mean sizeOf?",
    stale: "did you mean staleWhileRevalidate?",
    timeout: "did you mean hardTimeout?",
    ramdom: "did you mean random?",
    useClones: "did you mean clone?",
    checkperiod: "did you mean purgeStaleEvery?",
    updateAgeOnGet: "use idleTtl, beside ttl.",
    dispose: 'use on("evict") and on("expire").',
    fetchMethod: "give getOrSet the loader.",
  };
  for (const [name, hint] of Object.entries(meant)) {
    const message = `${name}: unknown option, ${hint} Known are ${CACHE_OPTIONS}`;
    throws(() => new NearCache({ [name]: 1 }), { code: "ERR_OPTION", message });
  }
  throws(() => new NearCache().namespace("n", { maxEntries: 5 }), {
    code: "ERR_OPTION",
    message: /^maxEntries: unknown option, the whole cache has it\. Known are ttl, /,
  });
  for (const name of ["x", "", "anything", "__proto__x", "toString"]) {
    const message = `${name}: unknown option. Known are ${CACHE_OPTIONS}`;
    throws(() => new NearCache({ [name]: 1 }), { code: "ERR_OPTION", message });
  }
});

test("the ends of what a life may be are allowed, as numbers and strings", async () => {
  const least = {
    ttl: 0,
    staleWhileRevalidate: 0,
    staleIfError: 0,
    refreshAhead: 0,
    jitter: 0,
    negativeTtl: 0,
    errorBackoff: 0,
  };
  const most = {
    ttl: Infinity,
    staleWhileRevalidate: Infinity,
    staleIfError: Infinity,
    refreshAhead: 1e300,
    jitter: 1,
    negativeTtl: Infinity,
    errorBackoff: Infinity,
  };
  const texts = {
    ttl: "1d",
    staleWhileRevalidate: "1h",
    staleIfError: "1.5m",
    refreshAhead: 1,
    jitter: 0.5,
    negativeTtl: "1s",
    errorBackoff: "1ms",
  };
  for (const life of [least, most, texts]) {
    const cache = new NearCache({ ...life, softTimeout: Infinity });
    cache.namespace("n", { ...life, softTimeout: 0 }).set("k", 1, { ...life, tags: [], bytes: 0 });
    equal(
      await cache.getOrSet("k", (_, ctx) => (Object.assign(ctx, { ...life, negativeTtl: undefined, tags: [] }), 1), {
        ...life,
        softTimeout: "1h",
      }),
      1,
    );
    equal(await cache.update("k", () => 1, life), 1);
    equal(await cache.getMany([1], (keys) => keys, life), [1]);
  }
});

test("a wrong option of a cache is an error that names it, what it got and what it wants", () => {
  for (const [options, message] of wrongForCache) {
    const error = throws(() => new NearCache(options), { name: "NearCacheError", code: "ERR_OPTION", message });
    ok(error instanceof NearCacheError && error instanceof Error);
  }
});

test("a wrong option of set is an error, and nothing changes", () => {
  const cache = new NearCache().set("k", "old");
  for (const [options, message] of wrongForSet)
    throws(() => cache.set("k", "new", options), { code: "ERR_OPTION", message });
  equal([cache.get("k"), cache.size], ["old", 1]);
});

test("a wrong option of getOrSet rejects, does not throw, and no load begins", async () => {
  const cache = new NearCache().set("there", 1);
  let calls = 0;
  for (const [options, message] of wrongForGet) {
    for (const key of ["k", "there"]) {
      const promise = cache.getOrSet(key, () => ++calls, options);
      await rejects(promise, { code: "ERR_OPTION", message });
    }
  }
  const { misses, hits, inFlight } = cache.stats();
  equal([calls, misses, hits, inFlight], [0, 0, 0, 0]);
});

test("a loader that is no function rejects", async () => {
  const cache = new NearCache();
  for (const [loader, shown] of [[undefined, "undefined"], ...notFunctions]) {
    await rejects(cache.getOrSet("k", loader), {
      code: "ERR_OPTION",
      message: `loader: got ${shown}, wants a function${loader === undefined ? ", or a cache that was made with `batch`" : ""}`,
    });
  }
});

test("what sizeOf returns is checked too", async () => {
  for (const [size, shown] of [...notBytes, [undefined, "a undefined"]].slice(0, -1)) {
    const cache = new NearCache({ maxBytes: 10, sizeOf: () => size });
    throws(() => cache.set("k", 1), { code: "ERR_OPTION", message: `sizeOf: got ${shown}, wants ${BYTES}` });
    await rejects(
      cache.getOrSet("k", () => 1),
      { code: "ERR_OPTION", message: `sizeOf: got ${shown}, wants ${BYTES}` },
    );
    equal([cache.size, cache.stats().inFlight], [0, 0]);
  }
});

test("an error of sizeOf is passed on as it is", async () => {
  const error = new Error("no scales");
  const cache = new NearCache({
    maxBytes: 10,
    sizeOf() {
      throw error;
    },
  });
  equal(
    throws(() => cache.set("k", 1)),
    error,
  );
  equal(await rejects(cache.getOrSet("k", () => 1)), error);
  equal([cache.size, cache.stats().inFlight], [0, 0]);
});

test("undefined means that an option is left out", async () => {
  const cache = new NearCache({
    maxEntries: undefined,
    maxBytes: undefined,
    maxEntryBytes: undefined,
    sizeOf: undefined,
    ttl: undefined,
    hardTimeout: undefined,
    clock: undefined,
  });
  cache.set("k", 1, { ttl: undefined, bytes: undefined }).set("j", 1, undefined);
  const options = {
    ttl: undefined,
    bytes: undefined,
    hardTimeout: undefined,
    forceFresh: undefined,
    signal: undefined,
  };
  equal(
    [await cache.getOrSet("k", () => 2, options), await cache.getOrSet("l", () => 2, options), cache.remainingTtl("l")],
    [1, 2, Infinity],
  );
});

test("the ends of what is allowed are allowed", () => {
  new NearCache({ maxEntries: 0, maxBytes: 0, maxEntryBytes: 0, ttl: 0, hardTimeout: 0 });
  new NearCache({
    maxEntries: 16777215,
    maxBytes: Infinity,
    maxEntryBytes: Infinity,
    ttl: Infinity,
    hardTimeout: Infinity,
  });
  new NearCache({ maxEntryBytes: 5 }).set("k", "a");
});

test("an error shows keys of every kind, and short", async () => {
  const shown = async (key) => {
    const cache = new NearCache();
    return (await rejects(cache.getOrSet(key, () => cache.getOrSet(key, () => 1)))).message;
  };
  ok((await shown(Symbol("s"))).startsWith("the loader of Symbol(s) asked"));
  ok((await shown({})).startsWith("the loader of [object Object] asked"));
  ok((await shown(Object.create(null))).startsWith("the loader of object asked"));
  ok((await shown("x".repeat(1000))).length < 250);
  ok((await shown(undefined)).startsWith("the loader of undefined asked"));
});

test("what is wrong is told at once, by every method", () => {
  const cache = new NearCache();
  for (const call of [
    () => cache.peek("k", { allowStale: "yes" }),
    () => cache.keys({ ordr: "newest" }),
    () => cache.values({ order: "old" }),
    () => cache.forEach(undefined),
    () => cache.set("k", 1, { tags: [, "a"] }),
    () => new NearCache({ constructor: 1 }),
  ]) {
    throws(call, { code: "ERR_OPTION" });
  }
  throws(() => new NearCache({ constructor: 1 }), { message: /constructor[^{]*$/ });
});
