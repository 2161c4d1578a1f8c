import module from "../nearcache-tiers.wasm";
import { initTiers } from "../tiers/wasm.js";

initTiers(() => module);

export * from "../tiers/index.js";
