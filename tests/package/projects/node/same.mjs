// All entry points are one package: one class, one error, one instance of the wasm.
import * as main from "nearcache";
import * as inline from "nearcache/inline";
import * as init from "nearcache/init";
const cache = new init.NearCache({ maxEntries: 1 }).set("a", 1);
console.log(
  JSON.stringify([
    cache instanceof main.NearCache,
    cache instanceof inline.NearCache,
    main.NearCacheError === init.NearCacheError,
    cache.get("a"),
  ]),
);
