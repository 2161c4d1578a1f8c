import { waitUntil } from "cloudflare:workers";
import module from "../nearcache-http.wasm";
import { initHttp } from "../http/wasm.js";

initHttp({ module: () => module, waitUntil });

export * from "../http/index.js";
