// The wasm of the tiers, which an entry point brings.

import * as glue from "../../generated/tiers.js";

let ready = false;

/** Makes the instance, once. */
export function initTiers(module: () => WebAssembly.Module): void {
  if (ready) return;
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
  message_tag: messageTag,
  Read,
  place,
  SnapshotReader,
  SnapshotWriter,
  TierPage,
} = glue;
export type {
  Chain as ChainOf,
  Found,
  Read as ReadOf,
  SnapshotReader as SnapshotReaderOf,
  SnapshotWriter as SnapshotWriterOf,
} from "../../generated/tiers.js";
