// CommonJS gets the same module as `import` does.
const { NearCache } = require("nearcache");
import("nearcache").then((imported) => {
  const cache = new NearCache({ maxEntries: 1 });
  cache.set("a", 1);
  console.log(JSON.stringify({ a: cache.get("a"), same: imported.NearCache === NearCache }));
});
