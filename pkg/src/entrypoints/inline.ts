// The wasm in the JS itself: for Node, Deno and Bun, whose bundlers would leave a file behind, and for whatever can't
// wait or fetch. Made at once, with no file, no network and no top-level await.

import text from "../../generated/wasm-text.js";
import { useSurroundings } from "../runtime/host.js";
import { tryInitSync } from "../core/start.js";

useSurroundings();
tryInitSync(
  bytes,
  "where wasm may not be compiled from bytes, import nearcache.wasm as a module (of this package, too) and hand it to " +
    "initSync of \"nearcache/init\"; where a policy forbids it, allow 'wasm-unsafe-eval'",
);

/** By what is quickest: in Node `atob` takes ten times as long as all the rest of the start. */
function bytes(): Uint8Array<ArrayBuffer> {
  // By way of globalThis, lest a bundler brings a Buffer for it.
  const { Buffer } = globalThis as Partial<typeof globalThis>;
  if (Buffer !== undefined) return Buffer.from(text, "base64");
  const native = (Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> }).fromBase64;
  return native?.call(Uint8Array, text) ?? Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

export * from "../index.js";
