// The wasm handed in, as bytes; and what is said before, and of what is not the wasm.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { init, initSync, NearCache, NearCacheError } from "nearcache/init";
import { exercise } from "./exercise-init.mjs";

const refusals = [];
const refused = async (body) => {
  try {
    await body();
    refusals.push("not refused");
  } catch (error) {
    refusals.push(error instanceof NearCacheError ? `${error.code}: ${error.message}` : String(error));
  }
};
await refused(() => new NearCache({ maxEntries: 1 }));
await refused(() => new NearCache());
await refused(() => new NearCache({ ttl: "1m" }));
await refused(() => initSync(undefined));
await refused(() => initSync(new Uint8Array(8)));
await refused(() => init("nearcache.wasm"));
await refused(() => init(new Response("", { status: 404 })));
const bytes = readFileSync(fileURLToPath(import.meta.resolve("nearcache/nearcache.wasm")));
// The first is used, the second does nothing.
if (process.argv[2] === "sync") initSync(new WebAssembly.Module(bytes));
await init(bytes);
initSync(bytes);
console.log(JSON.stringify({ refusals, result: await exercise() }));
