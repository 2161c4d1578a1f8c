// The wasm of the HTTP cache lies in the JS.
import bytes from "../../generated/http-text.js";
import { initHttp } from "../http/wasm.js";

initHttp({
  module: () => new WebAssembly.Module(Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0))),
  waitUntil: () => {},
});

export * from "../http/index.js";
