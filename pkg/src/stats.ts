/** What happened since the cache was made, and what it holds. Every get is exactly one of hit, miss, coalesced. */
export interface Stats {
  /** Gets answered from memory. */
  hits: number;
  /** Gets that found nothing: they began a load, or came back empty-handed. */
  misses: number;
  /** Gets that joined a load under way. */
  coalesced: number;
  /** Loads begun. */
  loads: number;
  /** Loads that ended with an error. */
  loadFailures: number;
  /** Loads that nobody waited for any more, or whose request ended under them. */
  loadsAbandoned: number;
  /** Values stored, by `set` or by a load. */
  sets: number;
  /** Values not stored: too large, zero ttl, skipped, or superseded while loading. */
  rejected: number;
  /** Waits that ended at their deadline. */
  timeouts: number;
  /** Values that left, by cause. */
  evictions: { size: number; expired: number; replaced: number; removed: number };
  /** Entries held. */
  entries: number;
  /** Their bytes, as `bytes` and `sizeOf` counted them. */
  bytes: number;
  /** Loads under way. */
  inFlight: number;
  /** Hits per get, from 0 to 1; 0 before the first get. */
  hitRate: number;
}

/** `counters` as `src/js/mod.rs` orders them. */
export function toStats(counters: ArrayLike<number>, entries: number, bytes: number, inFlight: number): Stats {
  const [hits, misses, coalesced, loads, loadFailures, loadsAbandoned, sets, rejected, timeouts, ...left] =
    Array.from(counters) as [number, number, number, number, number, number, number, number, number, ...number[]];
  const [size, expired, replaced, removed] = left as [number, number, number, number];
  const evictions = { size, expired, replaced, removed };
  const hitRate = hits / Math.max(hits + misses + coalesced, 1);
  return {
    hits, misses, coalesced, loads, loadFailures, loadsAbandoned, sets, rejected, timeouts, evictions,
    entries, bytes, inFlight, hitRate,
  };
}
