// For tests, and not published: a program puts its own clock, timers and requests in the host's place before it makes a
// cache, and hands in the wasm.

export { host } from "../runtime/host.js";
export * from "../index.js";
export { initSync } from "../core/start.js";
