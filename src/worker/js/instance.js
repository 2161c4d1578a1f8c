// The isolate's instance of the wasm, and its proxy. A trap ends an instance, not the isolate: the next request gets another, empty one.

import module from "./index_bg.wasm";
import { makeGlue } from "nearcache-glue";
import { Trips } from "../../../pkg/src/http/trip.ts";
import { useEdge } from "./edge.js";
import { broken, host } from "./responses.js";

let proxy;

/** Trips under way. Those of an instance that has failed are nobody's to join. */
export let trips = new Trips();

/** The isolate's proxy, or what is wrong with the variables, which can't change while the isolate lives. */
export function proxyOf(env) {
  if (proxy !== undefined) return proxy;
  const glue = makeGlue();
  const imports = { "./nearcache_bg.js": glue };
  const { exports } = new WebAssembly.Instance(module, imports);
  glue.__wbg_set_wasm(exports);
  exports.__wbindgen_start?.();
  const variables = Object.entries(env).map(([name, value]) => [name, toText(name, value)]);
  const texts = variables.filter(([, text]) => text !== undefined);
  const others = variables.filter(([, text]) => text === undefined).map(([name]) => name);
  try {
    proxy = new glue.Proxy(texts.flat(), others, host);
    useEdge(proxy, env);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    proxy = error instanceof Error ? error.message : String(error);
  }
  return proxy;
}

/** A variable as text: in `wrangler.toml` it may be a number, a list, or (`RULES`) a table too. Nothing of a binding. */
function toText(name, value) {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || Array.isArray(value)) return JSON.stringify(value);
  return name === "RULES" ? JSON.stringify(value) : undefined;
}

/** Runs what calls the wasm. */
export function reviving(run) {
  try {
    return run();
  } catch (error) {
    return failed(error);
  }
}

/** After an error that nobody expected: one of the wasm's own means that nothing may be expected of its instance any more. */
export function failed(error) {
  console.error("nearcache:", error);
  if (error instanceof WebAssembly.RuntimeError) {
    proxy = undefined;
    trips = new Trips();
  }
  return broken();
}
