// For pages, and bundlers that make pages: the wasm is a file of its own, which is fetched.

import { wasmError } from "../core/core.js";
import { useSurroundings } from "../runtime/host.js";
import { init } from "../core/start.js";

useSurroundings();
// The advice stands in this line because it is the line that bundlers show where there can't be a top-level await.
await load('import "nearcache/inline" where there is no top-level await, or no file beside the JS');

async function load(advice: string): Promise<void> {
  const url = new URL("../nearcache.wasm", import.meta.url);
  try {
    await init(fetch(url));
  } catch (cause) {
    const more = 'copy nearcache.wasm there, or hand it to init of "nearcache/init"';
    throw wasmError(`${(cause as Error).message} (${url}); ${advice}, or ${more}`, cause);
  }
}

export * from "../index.js";
