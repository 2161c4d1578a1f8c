// Never run: CommonJS finds types of its own.
import { NearCache } from "nearcache";
import inline = require("nearcache/inline");
import { initSync } from "nearcache/init";

initSync(new Uint8Array());
const cache: NearCache<string, number> = new inline.NearCache<string, number>();
// @ts-expect-error a value of another type
cache.set("a", "b");
