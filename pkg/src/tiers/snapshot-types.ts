// What snapshots are told and tell: types, and their docs.

import type { Duration } from "../options/options.js";
import type { Payloads } from "./codec.js";
import type { Codec } from "./types.js";

/** How a snapshot is written and read: the same for both. */
export interface SnapshotOptions {
  /**
   * What you call the meaning of keys and values: another name when it changes, and older snapshots are refused. Default "".
   */
  schema?: string | undefined;
  /** How values are written. Default: as in tiers, JSON, but for `Uint8Array`s, which are kept as they are. */
  codec?: Codec | undefined;
  /** Whether chunks are compressed (deflate). Each snapshot says so itself. Default false. */
  compress?: boolean | undefined;
  /** As in `tiers`: the first one signs, all of them verify. 16 bytes at least. Default: not signed. */
  secrets?: readonly (Uint8Array | string)[] | undefined;
}

/** How a snapshot is loaded. */
export interface LoadSnapshotOptions extends SnapshotOptions {
  /** One that is older is refused. Default `Infinity`: what is in it has lifetimes of its own. */
  maxAge?: Duration | undefined;
}

/** What was saved. */
export interface SavedSnapshot {
  readonly entries: number;
  readonly bytes: number;
  /** The moment it is of: when its end was written. */
  readonly takenAt: number;
  /**
   * What is not in it: keys that mean nothing in another process, values that the codec refuses, and such as are above 32 MiB, or that
   * the target has no room for in one piece.
   */
  readonly skipped: { readonly keys: number; readonly values: number; readonly tooLarge: number };
}

/** What was loaded. */
export interface LoadedSnapshot {
  /** How many entries are in the cache now that were not. */
  readonly entries: number;
  readonly bytes: number;
  /** When it was begun. */
  readonly takenAt: number;
  /**
   * What was not loaded: keys that the cache had already; what had expired; what the bounds have no room for; what was removed, purged
   * or set since the load began; what was removed while the snapshot was saved; keys and values that can't be read.
   */
  readonly skipped: {
    readonly present: number;
    readonly expired: number;
    readonly noRoom: number;
    readonly purged: number;
    readonly dropped: number;
    readonly keys: number;
    readonly values: number;
  };
}

/** A `NearCache`, whatever its keys and values are; not a namespace or scope of one. */
export interface WholeCache {
  readonly size: number;
  clear(): void;
}

/** Options that were checked. */
export interface Settings {
  readonly schema: string;
  readonly codec: number;
  readonly payloads: Payloads;
  readonly compress: boolean;
  readonly secrets: Uint8Array[];
}
