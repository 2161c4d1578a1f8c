// The wasm of the tiers, which an entry point brings.

import * as glue from "../../generated/tiers.js";

let ready = false;

/** Keeps what goes on after a request's answer, where there are requests that end. */
export let keepAlive: (promise: Promise<unknown>) => void = () => {};

/** Makes the instance, once. */
export function initTiers(module: () => WebAssembly.Module, waitUntil = keepAlive): void {
  if (ready) return;
  keepAlive = waitUntil;
  const { exports } = new WebAssembly.Instance(module(), {
    "./tiers_bg.js": glue as unknown as WebAssembly.ModuleImports,
  });
  glue.__wbg_set_wasm(exports);
  (exports as { __wbindgen_start(): void }).__wbindgen_start();
  ready = true;
}

export const {
  Chain,
  Follower,
  Gate,
  Leases,
  LogFollower,
  message_purges: messagePurges,
  PurgeLog,
  Read,
  place,
  SnapshotReader,
  SnapshotWriter,
  TierPage,
} = glue;
export type {
  Chain as ChainOf,
  Found,
  LogFollower as LogFollowerOf,
  PurgeLog as PurgeLogOf,
  Read as ReadOf,
  SnapshotReader as SnapshotReaderOf,
  SnapshotWriter as SnapshotWriterOf,
} from "../../generated/tiers.js";
