// As a page's script, a service worker, or code in a place with neither console nor module loader.
import { exercise } from "./exercise-inline.mjs";
globalThis.result = exercise().catch(String);
globalThis.addEventListener?.("message", async ({ source }) => source?.postMessage(await globalThis.result));
