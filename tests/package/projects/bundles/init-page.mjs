// The wasm from where the page knows it to be.
import { init, NearCache } from "nearcache/init";
import { exercise } from "./exercise-init.mjs";

const code = (body) =>
  Promise.resolve()
    .then(body)
    .then(String, ({ code, message }) => `${code}: ${message}`);
globalThis.result = (async () => [
  await code(() => new NearCache()),
  await code(() => init(fetch("/missing.wasm"))),
  await code(() => init(new Uint8Array(8))),
  (await init(fetch("/nearcache.wasm"))) ?? (await exercise()),
])();
