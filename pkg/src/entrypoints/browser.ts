import * as glue from "../../generated/nearcache_bg.js";
import { host } from "../host.js";

const imports = { "./nearcache_bg.js": glue };
const response = await fetch(new URL("../../generated/nearcache_bg.wasm", import.meta.url));
if (!response.ok) throw new Error(`nearcache: ${response.url} answered ${response.status}, wanted the wasm`);
// Streaming wants the content type application/wasm, which not every static server sends.
const streams = response.headers.get("content-type")?.startsWith("application/wasm");
const { instance } = streams
  ? await WebAssembly.instantiateStreaming(response, imports)
  : await WebAssembly.instantiate(await response.arrayBuffer(), imports);
glue.__wbg_set_wasm(instance.exports);

// Timers of hidden pages are held back; messages are not.
const channel = new MessageChannel();
const callbacks: (() => void)[] = [];
channel.port1.onmessage = () => callbacks.splice(0).forEach((callback) => callback());
host.nextTask = (callback) => {
  callbacks.push(callback);
  channel.port2.postMessage(undefined);
};
host.afterPromiseJobs = (callback) => host.nextTask(callback);

export * from "../index.js";
