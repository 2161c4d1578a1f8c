// Taking back together what belongs together, and keeping apart what does not.
import { NearCache } from "nearcache";

const cache = new NearCache({ maxEntries: 1_000, ttl: "1h" });

// Tags come from the caller or the loader.
await cache.getOrSet("/post/1", (key, ctx) => ((ctx.tags = ["author:ann"]), "a post"), { tags: ["posts"] });
cache.set("/post/2", "another", { tags: ["posts", "author:bob"] });
console.log(cache.deleteByTag("author:ann"), cache.has("/post/1"), cache.has("/post/2"));
cache.set("/post/3", "a third", { tags: ["posts"], staleWhileRevalidate: "1m" });
console.log(cache.expireByTag("posts"), cache.has("/post/3")); // soft: what has a stale window may still be handed out

// A namespace has its own keys, defaults, figures and clear, and shares the bounds.
const users = cache.namespace("users", { ttl: "5m" });
users.set("/post/2", "not a post");
console.log(cache.get("/post/2"), users.get("/post/2"), users.stats().hits, cache.stats().hits);
users.clear();

// A scope keeps one user's entries from all others.
const ann = cache.scope("user:ann");
const bob = cache.scope("user:bob");
ann.set("cart", ["tea"]);
console.log(ann.get("cart"), bob.get("cart"), cache.get("cart"));

// prints:
// 1 false true
// 2 false
// undefined not a post 1 1
// [ 'tea' ] undefined undefined
