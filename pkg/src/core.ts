// The wasm side, and the bits in which it answers. `src/js/mod.rs` has the same names.

import { makeGlue } from "../generated/glue.js";
import { NearCacheError } from "./errors.js";

type Glue = ReturnType<typeof makeGlue>;

export type Core = InstanceType<Glue["Core"]>;
// They belong to one instance of the wasm and change with it. Before there is one, they say what is missing.
export let Core = class {
  constructor() {
    refuse();
  }
} as unknown as Glue["Core"];
export let read_bytes: Glue["read_bytes"] = refuse;
export let read_count: Glue["read_count"] = refuse;
export let read_duration: Glue["read_duration"] = refuse;
export let read_factor: Glue["read_factor"] = refuse;
export let read_fraction: Glue["read_fraction"] = refuse;

let compiled: WebAssembly.Module | undefined;
let missing =
  'the cache was used before its wasm was there: call initSync(module) or await init(source) of "nearcache/init" first, ' +
  "in a module that is imported before any that makes a cache";
let cause: unknown;

function refuse(): never {
  throw wasmError(missing, cause);
}

/** Why there is no instance, for whoever uses the cache all the same. */
export function explain(why: NearCacheError): void {
  missing = why.message;
  cause = why.cause;
}

/** An error of a wasm that is missing, or not to be had here. */
export function wasmError(message: string, cause?: unknown): NearCacheError {
  const error = new NearCacheError("ERR_WASM", message);
  if (cause !== undefined) error.cause = cause;
  return error;
}

/** Whether there is an instance: the caches that are made from now on work. */
export function started(): boolean {
  return compiled !== undefined;
}

/** Makes an instance of the module, and caches of it from now on. */
export function instantiate(module: WebAssembly.Module): void {
  const glue = makeGlue();
  use(module, glue, new WebAssembly.Instance(module, importsOf(glue)));
}

/** As `instantiate`, at the engine's leisure. Whoever comes first is used. */
export async function instantiateLater(module: WebAssembly.Module): Promise<void> {
  const glue = makeGlue();
  const instance = await WebAssembly.instantiate(module, importsOf(glue));
  if (!started()) use(module, glue, instance);
}

/**
 * After a trap nothing may be expected of an instance any more. This makes another of the same module, with a memory
 * of its own. A `Core` belongs to the instance it was made in: `core instanceof Core` tells whether that is the present
 * one. An old one goes on calling its own instance, and takes that with it when nobody holds it any more.
 */
export function renew(): void {
  if (compiled === undefined) refuse();
  instantiate(compiled);
}

function importsOf(glue: Glue): WebAssembly.Imports {
  return { "./nearcache_bg.js": glue as unknown as WebAssembly.ModuleImports };
}

function use(module: WebAssembly.Module, glue: Glue, { exports }: WebAssembly.Instance): void {
  glue.__wbg_set_wasm(exports);
  (exports as { __wbindgen_start(): void }).__wbindgen_start();
  ({ Core, read_bytes, read_count, read_duration, read_factor, read_fraction } = glue);
  compiled = module;
}

/** The low bits of an answer: a slot or an index, or 0 for none. */
export const SLOT = (1 << 27) - 1;
/** Answers from here on say that there are departures to fetch. */
export const DEPARTED = 2 ** 31;
/** Of `departure`: the key goes too. */
export const VACATED = 1 << 30;
/** Of `insert`: the key that lies in the slot has made way. */
export const EVICTED = 1 << 30;
/** The flight has ended. */
export const OVER = 1 << 30;

/** What an answer is about, between slot and flags. */
export function kind(code: number): number {
  return (code >>> 27) & 7;
}
/** Of `ask`: without a kind, a hit. */
export const JOIN = 1;
export const LEAD = 2;
export const FULL = 3;
export const STALE = 4;
export const REFRESH_AHEAD = 5;
export const REFRESH_STALE = 6;
export const FAILED = 7;
/** Of `fail`. */
export const RESCUED = 1;
export const REMEMBERED = 2;
/** Of `departure`: why the value left; without a kind, there was none. */
export const CAUSES = [undefined, "size", "expired", "replaced", "removed"] as const;

/** For a ttl: don't store. */
export const SKIP = -1;
/** For figures: of all spaces. */
export const ALL = -1;
