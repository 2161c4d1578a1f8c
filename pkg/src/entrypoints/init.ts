// For whoever has the wasm, or knows better where it is: it is handed in before the first cache is made.

import { useSurroundings } from "../runtime/host.js";

useSurroundings();

export * from "../index.js";
export { init, initSync, type WasmSource } from "../core/start.js";
