// In a Worker whose bundler gives wasm as modules.
import { initSync } from "nearcache/init";
import wasm from "nearcache/nearcache.wasm";
import { exercise } from "./exercise-init.mjs";

initSync(wasm);
export default {
  async fetch() {
    return Response.json(await exercise());
  },
};
