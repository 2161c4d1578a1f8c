import { waitUntil } from "cloudflare:workers";
import { host } from "../runtime/host.js";

host.requestBound = true;
host.keepAlive = waitUntil;

export * from "../index.js";
export { init, initSync, type WasmSource } from "../core/start.js";
