// Where wasm is compiled ahead: by the default entry a cache does not work, until the module is handed in.
import { NearCache } from "nearcache";
import { initSync } from "nearcache/init";
import { exercise } from "./exercise.mjs";

try {
  new NearCache();
} catch (error) {
  globalThis.refused = `${error.code}: ${error.message}`;
}
globalThis.handIn = (module) => initSync(module);
globalThis.exercise = exercise;
