// For pages, and bundlers that make pages: the wasm is a file of its own, which is fetched.

import { wasmError } from "../core.js";
import { useSurroundings } from "../host.js";
import { init } from "../start.js";

useSurroundings();
const url = new URL("../nearcache.wasm", import.meta.url);

/*! Where there is no top-level await (iife, CommonJS, es2020, service workers), import "nearcache/inline". */
await fetch(url)
  .then(init)
  .catch((cause: unknown) => {
    throw wasmError(
      `${(cause as Error).message} (${url}). The file belongs beside the JS: copy it there, or import "nearcache/inline", which ` +
        'has it embedded, or hand it to init of "nearcache/init"',
      cause,
    );
  });

export * from "../index.js";
