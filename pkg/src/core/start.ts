// How the package comes by its wasm, which an entry point brings or its user hands in.

import { explain, instantiate, instantiateLater, started, wasmError } from "./core.js";
import type { NearCacheError } from "../options/errors.js";

/** `nearcache.wasm`, compiled or as bytes. */
export type WasmSource = WebAssembly.Module | BufferSource;

/**
 * Starts the package with its wasm, at once. Before that, making a cache throws a `NearCacheError` with the code
 * `ERR_WASM`, as this does for what is not this version's `nearcache.wasm`. When it has started already, as it has where
 * another entry point was imported too, it does nothing.
 */
export function initSync(wasm: WasmSource): void {
  if (started()) return;
  try {
    instantiate(isModule(wasm) ? wasm : new WebAssembly.Module(wasm));
  } catch (error) {
    throw unusable(wasm, error);
  }
}

/** As `initSync`, where compiling may take its time; also of a `fetch`: `await init(fetch(url))`. */
export async function init(wasm: WasmSource | Response | PromiseLike<WasmSource | Response>): Promise<void> {
  const source = await wasm;
  if (started()) return;
  try {
    await instantiateLater(isModule(source) ? source : await compile(source));
  } catch (error) {
    throw unusable(source, error);
  }
}

/** As `initSync`, but what goes wrong is told by the first use, so that a program may still hand in what works. */
export function tryInitSync(source: () => BufferSource, advice: string): void {
  if (started()) return;
  try {
    initSync(source());
  } catch (error) {
    const { message, cause } = error as NearCacheError;
    explain(wasmError(`${message}; ${advice}`, cause));
  }
}

// Not by instanceof, which knows the modules of one realm only; test runners have several.
function isModule(source: unknown): source is WebAssembly.Module {
  return Object.prototype.toString.call(source) === "[object WebAssembly.Module]";
}

async function compile(source: BufferSource | Response): Promise<WebAssembly.Module> {
  if (!isResponse(source)) return WebAssembly.compile(source);
  if (!source.ok) throw new Error(`${source.url} answered ${source.status}`);
  // Streaming wants the content type application/wasm, which not every static server sends.
  const streams = source.headers.get("content-type")?.startsWith("application/wasm");
  if (streams) return WebAssembly.compileStreaming(source);
  // Not awaited within the call: Next's dev server for the edge puts that into a function of its own, which is not async.
  const bytes = await source.arrayBuffer();
  return WebAssembly.compile(bytes);
}

function isResponse(source: BufferSource | Response): source is Response {
  return typeof (source as Response)?.arrayBuffer === "function";
}

function unusable(source: unknown, error: unknown): NearCacheError {
  const given = Object.prototype.toString.call(source).slice(8, -1);
  const wanted = "a WebAssembly.Module, its bytes, or for init a Response with them";
  return wasmError(
    `${given} could not be used as this version's nearcache.wasm (${wanted}): ${(error as Error).message}`,
    error,
  );
}
