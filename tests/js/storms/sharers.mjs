// Ways to share a load between requests, each as `get(key, load, options)`: ours, the other libraries' as their
// documentation has it, a bare Map, and none at all. They are made with the first request's loader, which is as good as any.

import { cachified } from "@epic-web/cachified";
import { createCache } from "async-cache-dedupe";
import { LRUCache } from "lru-cache";
import { NearCache } from "nearcache";
import { defineCachedFunction } from "ocache";

const TTL = 100;
const MAX = 1000;

export const sharers = {
  nearcache() {
    const cache = new NearCache({ maxEntries: MAX, ttl: TTL, hardTimeout: 1500 });
    return { get: (key, load, options) => cache.getOrSet(key, load, options), inFlight: () => cache.stats().inFlight };
  },
  /** Batches that mix the keys of several requests. */
  "nearcache, batched"(loadOne) {
    const failure = (error) => error;
    const load = (keys) => Promise.all(keys.map((key) => loadOne(key).catch(failure)));
    const batch = { load, batchWindow: 5, maxBatchSize: 25 };
    const cache = new NearCache({ maxEntries: MAX, ttl: TTL, hardTimeout: 1500, batch });
    return {
      get: (key, _, options) => cache.getOrSet(key, undefined, options),
      inFlight: () => cache.stats().inFlight,
    };
  },
  /** All that can meet: loads that wait for their turn and go on alone, are tried again or stood in for, beside computations and writes. */
  "nearcache, limited"() {
    const limits = { maxConcurrentLoads: 20, keepLoading: true, retry: { attempts: 2, delay: 5 } };
    const windows = {
      staleWhileRevalidate: TTL,
      staleIfError: TTL,
      refreshAhead: 1,
      softTimeout: 40,
      errorBackoff: 10,
    };
    const cache = new NearCache({ maxEntries: MAX, ttl: TTL, hardTimeout: 1500, ...limits, ...windows });
    const nothing = () => {};
    const beside = cache.namespace("beside", { hardTimeout: 200 });
    return {
      get(key, load, options) {
        beside.compute(key, async (count = 0) => count + 1, options).catch(nothing);
        beside.update("written", async () => key, options).catch(nothing);
        beside.getMany([key, "common"], async (keys) => keys).catch(nothing);
        return cache.getOrSet(key, load, options);
      },
      inFlight: () => cache.stats().inFlight + beside.stats().inFlight,
    };
  },
  "lru-cache"() {
    const cache = new LRUCache({ max: MAX, ttl: TTL, fetchMethod: (key, _, { context }) => context(key) });
    return { get: (key, load) => cache.fetch(key, { context: load }) };
  },
  ocache() {
    // Its functions are keyed by their arguments; the loader is of the one who asks first.
    const cached = defineCachedFunction((key, load) => load(key), {
      maxAge: TTL / 1000,
      swr: false,
      getKey: (key) => key,
    });
    return { get: (key, load) => cached(key, load) };
  },
  cachified() {
    const cache = new LRUCache({ max: MAX });
    return { get: (key, load) => cachified({ key, cache, ttl: TTL, getFreshValue: () => load(key) }) };
  },
  "async-cache-dedupe"() {
    // Whole seconds only.
    const cache = createCache({ ttl: 1, storage: { type: "memory", options: { size: MAX } } }).define(
      "load",
      { serialize: ({ key }) => key },
      ({ key, load }) => load(key),
    );
    return { get: (key, load) => cache.load({ key, load }) };
  },
  "Map of promises"() {
    const pending = new Map();
    return {
      get(key, load) {
        let promise = pending.get(key);
        if (promise === undefined) {
          promise = load(key);
          pending.set(key, promise);
          const gone = () => pending.delete(key);
          promise.then(gone, gone);
        }
        return promise;
      },
    };
  },
  "no sharing"() {
    return { get: (key, load) => load(key) };
  },
};
