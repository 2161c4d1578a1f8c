// What every project does with the installed package, wherever it runs: no init step, one import.
import { NearCache, NearCacheError } from "nearcache";

export async function exercise() {
  const cache = new NearCache({ maxEntries: 2, ttl: "1m", eviction: "lru" });
  let loads = 0;
  const load = async (key) => {
    loads++;
    // By the runtime's own timer, which a package in a new place must get along with.
    await new Promise((resolve) => setTimeout(resolve, 20));
    return key.toUpperCase();
  };
  const values = await Promise.all(Array.from({ length: 100 }, () => cache.getOrSet("a", load)));
  cache.set("b", "B").set("c", "C");
  let refused;
  try {
    new NearCache({ maxEntries: -1 });
  } catch (error) {
    refused = error instanceof NearCacheError ? error.code : String(error);
  }
  const { coalesced } = cache.stats();
  return {
    values: [...new Set(values)],
    loads,
    coalesced,
    keys: [...cache.keys()],
    evicted: cache.get("a") ?? null,
    refused,
  };
}
