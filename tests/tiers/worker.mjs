// The Worker of the tiers' tests: each request runs one of them, inside the runtime.

import { DurableObject } from "cloudflare:workers";
import { NearCache } from "nearcache";
import { cacheApiTier, kvTier, memoryTier, objectTier, r2Tier, storeObject, tiers } from "nearcache/tiers";
import { testTier } from "nearcache/tiers/conformance";

export class StoreObject extends storeObject(DurableObject) {}

const makers = {
  memory: () => memoryTier(),
  kv: (env) => kvTier(env.KV),
  "cache-api": () => cacheApiTier(caches.default),
  r2: (env) => r2Tier(env.R2),
  object: (env) => objectTier(env.STORE),
  "three objects": (env) => objectTier(env.STORE, { prefix: "three:", shards: 3 }),
};
/** What each can keep to. The Cache API counts in seconds; KV keeps everything for a minute. */
const SHORTEST = { memory: 50, "cache-api": 1_000, r2: 50, object: 50, "three objects": 50 };

/** Caches over each store, as two isolates have them: they share nothing but the store. */
const isolates = {};
function isolate(kind, number, env) {
  return (isolates[`${kind} ${number}`] ??= (() => {
    const lines = [];
    const chain = tiers([makers[kind](env)], { clockSkew: 0, lateWrites: 0, log: (line) => lines.push(line) });
    return { cache: new NearCache({ ttl: "5m", tiers: chain }), chain, lines };
  })());
}

let loads = 0;

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const kind = searchParams.get("kind");
    if (pathname === "/conformance") {
      const results = await testTier({ make: () => makers[kind](env), shortestTtl: SHORTEST[kind] });
      return Response.json(results.map(({ title, error }) => ({ title, error: error?.message })));
    }
    const { cache, chain, lines } = isolate(kind, searchParams.get("isolate"), env);
    const key = searchParams.get("key");
    if (pathname === "/get") {
      const load = async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return `load ${++loads}`;
      };
      return new Response(await cache.getOrSet(key, load, { tags: ["tag"] }));
    }
    if (pathname === "/purge") {
      cache.deleteByTag("tag");
      await chain.flush();
      return new Response("purged");
    }
    return Response.json({ stats: chain.stats(), loads, lines });
  },
};
