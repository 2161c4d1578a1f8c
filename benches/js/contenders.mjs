// The caches that are compared, each behind the same four words: get, set, fetch (get or load), with a
// limit of entries and a ttl that never passes during a run. Some have a fifth, wrap: a function with a cache in front.

const TTL = 3_600_000;

export const contenders = {
  map: async () => {
    return { make: () => plain(new Map()) };
  },
  nearcache: async () => {
    const { NearCache } = await import("nearcache");
    return {
      make(max, load) {
        const cache = new NearCache({ maxEntries: max, ttl: TTL });
        return { cache, get: (k) => cache.get(k), set: (k, v) => cache.set(k, v), fetch: (k) => cache.getOrSet(k, load) };
      },
      wrap: (max, fn) => new NearCache({ maxEntries: max, ttl: TTL }).wrap(fn),
    };
  },
  "nearcache, getOrSet": async () => {
    const { make } = await contenders.nearcache();
    return { wrap: (max, fn) => make(max, fn).fetch };
  },
  "lru-cache": () => lruCache({}),
  "lru-cache, exact time": () => lruCache({ ttlResolution: 0 }),
  "quick-lru": async () => {
    const { default: QuickLRU } = await import("quick-lru");
    return { make: (max) => plain(new QuickLRU({ maxSize: max, maxAge: TTL })) };
  },
  "async-cache-dedupe": async () => {
    const { createCache } = await import("async-cache-dedupe");
    return {
      make(max, load) {
        const cache = createCache({ ttl: TTL / 1000, storage: { type: "memory", options: { size: max } } }).define("load", load);
        return { cache, fetch: (k) => cache.load(k) };
      },
      wrap(max, fn) {
        return this.make(max, fn).fetch;
      },
    };
  },
  cachified: async () => {
    const { cachified } = await import("@epic-web/cachified");
    return {
      make(max, load) {
        const cache = new Map();
        return { cache, fetch: (key) => cachified({ key, cache, ttl: TTL, getFreshValue: () => load(key) }) };
      },
    };
  },
};

async function lruCache(options) {
  const { LRUCache } = await import("lru-cache");
  return {
    wrap(max, fn) {
      return this.make(max, fn).fetch;
    },
    make(max, load) {
      const cache = new LRUCache({ max, ttl: TTL, ...options, ...(load && { fetchMethod: load }) });
      return { cache, get: (k) => cache.get(k), set: (k, v) => cache.set(k, v), fetch: (k) => cache.fetch(k) };
    },
  };
}

function plain(cache) {
  return { cache, get: (k) => cache.get(k), set: (k, v) => cache.set(k, v) };
}
