// The wasm side, and the bits in which it answers. `src/js/mod.rs` has the same names.

export { Core, read_bytes, read_count, read_duration } from "../generated/nearcache_bg.js";

/** The low bits of an answer: a slot, or 0 for none. */
export const SLOT = (1 << 27) - 1;
/** Answers from here on say that there are departures to fetch. */
export const DEPARTED = 2 ** 31;
/** Of `ask`: join the flight in the low bits. */
export const JOIN = 1 << 30;
/** Of `departure`: the key goes too. */
export const VACATED = 1 << 30;
/** Of `insert`: the key that lies in the slot has made way. */
export const EVICTED = 1 << 30;
/** Of `ask`: lead a new flight. */
export const LEAD = 1 << 29;
/** The flight has ended. */
export const OVER = 1 << 28;
/** Of `ask`: no number is left. */
export const FULL = 1 << 27;
/** For a ttl or timeout: the default. */
export const DEFAULT = NaN;
/** For a ttl: don't store. */
export const SKIP = -1;
