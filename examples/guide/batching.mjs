// Keys that are asked for together become one call.
import { NearCache } from "nearcache";

const users = new NearCache({
  ttl: "1m",
  batch: {
    async load(ids, contexts) {
      console.log("load", ids);
      return ids.map((id, at) => {
        if (id < 0) return new Error(`no user ${id}`); // fails this key alone
        if (id === 1) contexts[at].ttl = "1h"; // a key's own lifetime, tags and so on
        return { id };
      });
    },
    maxBatchSize: 100,
    batchWindow: "microtask", // or milliseconds
  },
});

console.log(await Promise.all([users.getOrSet(1), users.getOrSet(2), users.getOrSet(1)]));
const many = await users.getMany([2, 3, -4]); // one call for what is missing
console.log(many.map((one) => (one instanceof Error ? one.message : one)));
console.log(users.remainingTtl(1) > 3_500_000, users.stats().batches);

// A getMany may bring a loader of its own.
const plain = new NearCache();
console.log(await plain.getMany(["a", "b"], async (keys) => keys.map((key) => key.toUpperCase())));

// prints:
// load [ 1, 2 ]
// [ { id: 1 }, { id: 2 }, { id: 1 } ]
// load [ 3, -4 ]
// [ { id: 2 }, { id: 3 }, 'no user -4' ]
// true { count: 2, meanSize: 2, maxSize: 2 }
// [ 'A', 'B' ]
