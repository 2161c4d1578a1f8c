// CommonJS gets the same module as `import` does, from Node 20.19 on; before, one of its own.
const { NearCache } = require("nearcache");
import("nearcache").then((imported) => {
  const cache = new NearCache({ maxEntries: 1 });
  cache.set("a", 1);
  const takes = process.features.require_module === true;
  console.log(JSON.stringify({ a: cache.get("a"), takes, same: imported.NearCache === NearCache }));
});
