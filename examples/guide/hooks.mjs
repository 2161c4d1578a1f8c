// Being told of what happens. Without hooks nothing of this costs anything.
import { NearCache } from "nearcache";

let now = 0;

/** A plugin is an object of hooks. This one warns of slow loads. */
const slowLoads = (limit) => ({
  load: ({ key, duration }) => duration > limit && console.log(`slow: ${key} took ${duration} ms`),
  error: ({ key, duration, error }) => console.log(`failed: ${key} after ${duration} ms: ${error.message}`),
});

const cache = new NearCache({ maxEntries: 1, ttl: 1_000, plugins: [slowLoads(100)], clock: () => now });
cache.on("miss", ({ key, cause }) => console.log(`miss: ${key}, ${cause}`)); // why was it no hit?
cache.on("evict", ({ key, value, cause }) => console.log(`evict: ${key} = ${value}, ${cause}`));
const off = cache.on("hit", () => {
  throw new Error("a hook that throws harms nothing");
});

const load = (ms) => async () => ((now += ms), "v");
await cache.getOrSet("a", load(50));
await cache.getOrSet("a", load(50));
off();
now += 2_000;
await cache.getOrSet("a", load(500));
await cache.getOrSet("b", load(10));
await cache
  .getOrSet("c", async () => {
    throw new Error("down");
  })
  .catch(() => {});

// prints:
// miss: a, absent
// evict: a = v, expired
// miss: a, expired
// slow: a took 500 ms
// miss: b, absent
// evict: a = v, size
// miss: c, absent
// failed: c after 0 ms: down
