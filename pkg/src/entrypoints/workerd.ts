import { waitUntil } from "cloudflare:workers";
import module from "../nearcache.wasm";
import { host } from "../runtime/host.js";
import { initSync } from "../core/start.js";

host.requestBound = true;
host.keepAlive = waitUntil;
initSync(module);

export * from "../index.js";
