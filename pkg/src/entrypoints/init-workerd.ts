import { waitUntil } from "cloudflare:workers";
import { host } from "../host.js";

host.requestBound = true;
host.keepAlive = waitUntil;

export * from "../index.js";
export { init, initSync, type WasmSource } from "../start.js";
