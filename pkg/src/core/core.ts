// The wasm side, and the bits in which it answers. `src/js/codes.rs` has the same names.

import { makeGlue } from "../../generated/glue.js";
import { NearCacheError } from "../options/errors.js";

type Glue = ReturnType<typeof makeGlue>;

export type Core = InstanceType<Glue["Core"]>;
// They belong to one instance of the wasm and change with it. Before there is one, they say what is missing.
export let Core = class {
  constructor() {
    refuse();
  }
} as unknown as Glue["Core"];

/**
 * Whether a core was begun in the present instance and did not come to be: the stack was full or the memory, or it has trapped.
 * What that leaves behind grows with each one more.
 */
export const instance = { hasFailed: false };

let compiled: WebAssembly.Module | undefined;
let memory: WebAssembly.Memory;
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

/** The memory of the present instance. */
export function presentMemory(): WebAssembly.Memory {
  return memory;
}

function use(module: WebAssembly.Module, glue: Glue, { exports }: WebAssembly.Instance): void {
  glue.__wbg_set_wasm(exports);
  (exports as { __wbindgen_start(): void }).__wbindgen_start();
  ({ Core } = glue);
  memory = exports.memory as WebAssembly.Memory;
  compiled = module;
  instance.hasFailed = false;
}

/** The low bits of an answer: a slot or a group of waiters, or 0 for none. */
export const SLOT = (1 << 27) - 1;

/** Whether there are removals or ended flights to fetch. */
export function hasNews(answer: number): boolean {
  return (answer | 0) < 0;
}

/** What an answer is about. */
export function kind(code: number): number {
  return (code >>> 27) & 15;
}

/** The second number of an answer: a flight's, a write's, or milliseconds. */
export function above(answer: number): number {
  return Math.floor(answer / 4_294_967_296);
}

/** Of `ask` and `touch`. */
export const HIT = 0;
/** Of `ask`. */
export const JOIN = 1;
export const LEAD_ABSENT = 2;
export const LEAD_EXPIRED = 3;
export const LEAD_FORCED = 4;
export const STALE_REVALIDATE = 5;
export const STALE_ERROR = 6;
export const REFRESH_AHEAD = 7;
export const REFRESH_STALE = 8;
export const FAILED = 9;
export const RECURSIVE = 10;
export const TIMED_OUT = 11;
export const FULL = 12;
export const LEAD_INVALID = 13;
/** Too many loads wait; in the place of a slot why it is a miss, as the kind of a lead. */
export const REFUSED = 14;
/** Of `touch`; what is absent has the kind before. */
export const MISS_EXPIRED = 3;
/** Of `brought` and `failed`, beside `ASK_AGAIN`; of `STORED` the slot is that of the entry that made room, if one did. */
export const STORED = 1;
export const SERVED_STALE = 2;
export const FAILURE_CACHED = 3;
/** Of `failed`: it is to be tried again. */
export const RETRY = 5;
/** Of `brought`: some who waited may not have the value. */
export const ASK_AGAIN = 1 << 30;
/** Of `timeout`; what is not soft has timed out. */
export const SOFT = 1;
/** Of `timeout`, `leave` and `time_out`: the flight has ended. */
export const LAST = 1 << 29;
/** Of `removal`: the key goes too. */
export const KEY_REMOVED = 1 << 30;
/** Of `insert`: the key that lies in the slot has made way. */
export const EVICTED = 1 << 27;
/** Of `join_batch`, above: the batch begins with this key; it takes no more; its window is one of time. */
export const NEW_BATCH = 1;
export const FULL_BATCH = 2;
export const TIMED_BATCH = 4;

/** Of `removal`: why a value left; without a kind, there was none. */
export const CAUSES = [undefined, "size", "expired", "replaced", "removed"] as const;

/** For figures: of all namespaces. */
export const ALL = -1;
