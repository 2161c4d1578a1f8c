// Never run: the types of the other entry points.
import { NearCache, type Stats } from "nearcache/inline";
import { init, initSync, NearCache as Handed, type WasmSource } from "nearcache/init";
import wasm from "nearcache/nearcache.wasm";

const stats: Stats = new NearCache<string, number>({ ttl: "1m" }).stats();
const cache: Handed<string, number> = new Handed();
const source: WasmSource = wasm;
initSync(source);
initSync(new Uint8Array(stats.hits));
init(fetch("/nearcache.wasm")).then(() => cache.get("a"));
