// Writing: the source first, then the cache.
import { NearCache } from "nearcache";

const source = new Map([["cart", 1]]);
const cache = new NearCache({ ttl: "1m" });
await cache.getOrSet("cart", (key) => source.get(key));

const write = (value) => async (key) => {
  source.set(key, value);
  return value;
};
await cache.update("cart", write(2));
console.log(cache.get("cart"));

// If the write fails, nobody knows what the source has: the key is not left stale.
await cache
  .update("cart", async () => {
    throw new Error("timeout at the source");
  })
  .catch((error) => console.log(error.message));
console.log(cache.get("cart"));

// The same where something else wrote the key meanwhile.
await Promise.all([cache.update("cart", write(3)), cache.update("cart", write(4))]);
console.log(cache.get("cart"), await cache.getOrSet("cart", (key) => source.get(key)));

// prints:
// 2
// timeout at the source
// undefined
// undefined 4
