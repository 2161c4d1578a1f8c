const { NearCache } = require("nearcache");
const { memoryTier, tiers } = require("nearcache/tiers");
const { testTier } = require("nearcache/tiers/conformance");

(async () => {
  const tier = memoryTier();
  const [a, b] = [1, 2].map(() => {
    const chain = tiers([tier]);
    return { chain, cache: new NearCache({ tiers: chain }) };
  });
  const first = await a.cache.getOrSet("key", () => "loaded");
  await a.chain.flush();
  const second = await b.cache.getOrSet("key", () => "loaded again");
  const results = await testTier({ make: () => memoryTier() });
  const failed = results.filter(({ error }) => error !== undefined).map(({ title }) => title);
  console.log(JSON.stringify({ first, second, hits: b.chain.stats()[0].hits, checks: results.length, failed }));
})();
