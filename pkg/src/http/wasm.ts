// Instances of the HTTP cache's wasm, which an entry point brings.

import { type Glue, makeGlue } from "../../generated/http.js";
import { BODILESS, unflatten } from "./fields.js";

/** What a platform has. */
export interface Platform {
  module: () => WebAssembly.Module;
  /** Keeps what goes on after a request's answer. */
  waitUntil: (promise: Promise<unknown>) => void;
}

let platform: Platform;
let compiled: WebAssembly.Module | undefined;

export function initHttp(given: Platform): void {
  platform ??= given;
}

export const waitUntil = (promise: Promise<unknown>): void => platform.waitUntil(promise);

export function instantiate(): Glue {
  compiled ??= platform.module();
  const glue = makeGlue();
  const { exports } = new WebAssembly.Instance(compiled, {
    "./http_bg.js": glue as unknown as WebAssembly.ModuleImports,
  });
  glue.__wbg_set_wasm(exports);
  (exports as { __wbindgen_start?(): void }).__wbindgen_start?.();
  return glue;
}

/** What the wasm calls to answer. */
export const host = {
  headers: unflatten,
  respond(status: number, headers: Headers, body: BodyInit | null): Response {
    // No runtime makes others, though an origin may send them.
    if (status < 200 || status > 599) return new Response(`the origin answered ${status}\n`, { status: 502 });
    return new Response(BODILESS.has(status) ? null : body, { status, headers });
  },
  decode: (coding: CompressionFormat, body: BodyInit) =>
    new Response(body).body!.pipeThrough(new DecompressionStream(coding)),
  slice: (bytes: Uint8Array, start: number, end: number) => bytes.subarray(start, end),
};
