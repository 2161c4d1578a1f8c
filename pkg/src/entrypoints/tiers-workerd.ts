import { waitUntil } from "cloudflare:workers";
import module from "../nearcache-tiers.wasm";
import { initTiers } from "../tiers/wasm.js";

initTiers(() => module, waitUntil);

export * from "../tiers/index.js";
