import type { EntryTable } from "./entries/entries.js";
import type { CacheHandle } from "./loads/handle.js";

/** Names the method of a cache by which "nearcache/tiers", which shares no module with it, gets at its entries. */
export const INTERNALS = Symbol.for("nearcache.internals");

/** What a cache is made of. */
export interface Insides<K, V> {
  readonly entries: EntryTable<K, V>;
  readonly handle: CacheHandle<K, V>;
}
