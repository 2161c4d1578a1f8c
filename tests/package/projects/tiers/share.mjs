// Two caches over one tier, and the suite for tiers.
import { NearCache } from "nearcache";
import { memoryTier, tiers } from "nearcache/tiers";
import { testTier } from "nearcache/tiers/conformance";

export async function share() {
  const tier = memoryTier();
  const [a, b] = [1, 2].map(() => {
    const chain = tiers([tier], { secrets: ["a secret of sixteen bytes"] });
    return { chain, cache: new NearCache({ tiers: chain, ttl: "1m" }) };
  });
  const first = await a.cache.getOrSet("key", () => "loaded");
  await a.chain.flush();
  const second = await b.cache.getOrSet("key", () => "loaded again");
  const results = await testTier({ make: () => memoryTier() });
  const failed = results.filter(({ error }) => error !== undefined).map(({ title }) => title);
  return { first, second, hits: b.chain.stats()[0].hits, checks: results.length, failed };
}
