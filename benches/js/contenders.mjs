// The caches that are compared, each behind the same four words: get, set, fetch (get or load), with a
// limit of entries and a ttl that never passes during a run. Some have a fifth, wrap: a function with a cache in front.

const TTL = 3_600_000;

export const contenders = {
  map: async () => {
    return { make: () => plain(new Map()) };
  },
  "the least": async () => ({ make: least }),
  nearcache: () => nearcache({}),
  "nearcache, lru": () => nearcache({ eviction: "lru" }),
  "nearcache, no ttl": () => nearcache({ ttl: Infinity }),
  "nearcache, told of misses": () => nearcache({ plugins: [{ miss: () => {} }] }),
  "nearcache, told of hits": () => nearcache({ plugins: [{ hit: () => {} }] }),
  "nearcache, stale windows": () =>
    nearcache({ staleWhileRevalidate: TTL, staleIfError: TTL, refreshAhead: 1, jitter: 0.1 }),
  "nearcache, getOrSet": async () => {
    const { make } = await nearcache({});
    return { wrap: (max, fn) => make(max, fn).fetch };
  },
  "lru-cache": () => lruCache({}),
  "lru-cache, exact time": () => lruCache({ ttlResolution: 0 }),
  "quick-lru": async () => {
    const { default: QuickLRU } = await import("quick-lru");
    return { make: (max) => plain(new QuickLRU({ maxSize: max, maxAge: TTL })) };
  },
  // Holds up to twice as many, in two generations.
  "flru, no ttl": async () => {
    const { default: flru } = await import("flru");
    return { make: (max) => plain(flru(max)) };
  },
  "mnemonist's LRUMap, no ttl": async () => {
    const { LRUMap } = await import("mnemonist");
    return { make: (max) => plain(new LRUMap(max)) };
  },
  "async-cache-dedupe": async () => {
    const { createCache } = await import("async-cache-dedupe");
    return {
      make(max, load) {
        const cache = createCache({ ttl: TTL / 1000, storage: { type: "memory", options: { size: max } } }).define(
          "load",
          load,
        );
        return { cache, fetch: (k) => cache.load(k) };
      },
      wrap(max, fn) {
        return this.make(max, fn).fetch;
      },
    };
  },
  dataloader: async () => batched((await import("dataloader")).default),
  "nearcache's DataLoader": async () => batched((await import("nearcache")).DataLoader),
  "nearcache's batch": async () => {
    const { NearCache } = await import("nearcache");
    // Loaders are made anew all the time; a cache is emptied.
    let cache;
    return {
      make(max, load) {
        cache ??= new NearCache({ maxEntries: max, ttl: TTL, batch: { load } });
        cache.clear();
        return { fetchAll: (keys) => cache.getMany(keys) };
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

async function nearcache(options) {
  const { NearCache } = await import("nearcache");
  return {
    make(max, load) {
      const cache = new NearCache({ maxEntries: max, ttl: TTL, ...options });
      return { cache, get: (k) => cache.get(k), set: (k, v) => cache.set(k, v), fetch: (k) => cache.getOrSet(k, load) };
    },
    wrap: (max, fn) => new NearCache({ maxEntries: max, ttl: TTL, ...options }).wrap(fn),
  };
}

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

function batched(DataLoader) {
  return { make: (_, load) => ({ fetchAll: loadAll(new DataLoader(load)) }) };
}

const loadAll = (loader) => (keys) => {
  const loads = new Array(keys.length);
  for (let i = 0; i < keys.length; i++) loads[i] = loader.load(keys[i]);
  return Promise.all(loads);
};

/**
 * What is left of a cache of this design where all is left out that can be: a Map, and columns of ends, hits and values. Whoever
 * has been there longest leaves, nothing is loaded twice, and of a clock there is what an honest answer needs: one reading a
 * run, which for what is awaited is one each time.
 */
function least(max, load) {
  const slots = new Map();
  const [ends, hits] = [new Float64Array(max), new Uint8Array(max)];
  const [keys, values, promises] = [[], [], []];
  let next = 0;
  const find = (key, now) => {
    const slot = slots.get(key);
    if (slot === undefined || !(now < ends[slot])) return undefined;
    if (hits[slot] < 3) hits[slot]++;
    return slot;
  };
  const set = (key, value) => {
    let slot = slots.get(key);
    if (slot === undefined) {
      slot = next;
      next = (next + 1) % max;
      if (slots.size === max) slots.delete(keys[slot]);
      slots.set(key, slot);
      keys[slot] = key;
    }
    ends[slot] = now + TTL;
    hits[slot] = 0;
    values[slot] = value;
    return slot;
  };
  const now = Date.now();
  return {
    cache: slots,
    get: (key) => values[find(key, now)],
    set,
    fetch(key) {
      const slot = find(key, Date.now());
      if (slot !== undefined) return promises[slot];
      const promise = load(key).then((value) => {
        promises[set(key, value)] = promise;
        return value;
      });
      return promise;
    },
  };
}

function plain(cache) {
  return { cache, get: (k) => cache.get(k), set: (k, v) => cache.set(k, v) };
}
