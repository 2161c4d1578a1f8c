// The wasm side, and the bits in which it answers. `src/js/mod.rs` has the same names.

export { Core, read_bytes, read_count, read_duration, read_factor, read_fraction } from "../generated/nearcache_bg.js";

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
