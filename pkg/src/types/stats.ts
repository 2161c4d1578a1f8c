/**
 * What happened since the cache was made, and what it holds. Every get is exactly one of hit, stale hit, miss,
 * coalesced. Rates are from 0 to 1, and 0 before there is anything to divide.
 */
export interface Stats {
  /** Gets answered from memory with a fresh value, or with the error of a load that failed a moment ago. */
  hits: number;
  /** Gets answered from memory with a stale value, while it was refreshed or could not be. */
  staleHits: number;
  /** Gets that found nothing: they began a load, or came back empty-handed. */
  misses: number;
  /** Gets that joined a load under way. */
  coalesced: number;
  /** Loads begun. */
  loads: number;
  /** Those of them that were begun in the background, for a value that was handed out. */
  refreshes: number;
  /** Loads that ended with an error. */
  loadFailures: number;
  /** Attempts of loads after the first, which had failed: see the option `retry`. */
  retries: number;
  /** Loads that failed, of which those who waited were answered with the last good value. */
  rescues: number;
  /** Loads that nobody waited for any more, or whose request ended under them. */
  loadsAbandoned: number;
  /** Loads that were not begun, since too many waited for their turn: see the option `maxQueuedLoads`. */
  refused: number;
  /** Waits that ended at `softTimeout`, with the last good value. */
  softTimeouts: number;
  /** Waits that ended at `hardTimeout`, with an error. */
  timeouts: number;
  /** Values stored, by `set`, `update` or a load. */
  inserts: number;
  /** Values not stored: too large, zero ttl, skipped, or superseded while loading. */
  rejected: number;
  /** Values that left, by cause. */
  evictions: { size: number; expired: number; replaced: number; removed: number };
  /**
   * How long loads took that ended, in milliseconds. Quantiles are within 6.25 % of the truth.
   */
  loadLatency: { count: number; mean: number; p50: number; p90: number; p99: number; max: number };
  /** How long loads waited for their turn that had to, and then began: see the option `maxConcurrentLoads`. */
  queueLatency: { count: number; mean: number; p50: number; p90: number; p99: number; max: number };
  /** Calls for several keys at once, and how many keys they had. */
  batches: { count: number; meanSize: number; maxSize: number };
  /** Entries held, memories of failed loads included. */
  entries: number;
  /** Their bytes, as `bytes` and `sizeOf` counted them. */
  bytes: number;
  /** Loads under way in the whole cache. */
  inFlight: number;
  /** Loads, and calls of batches, that wait for their turn in the whole cache. */
  queued: number;
  /** Bytes that the whole cache takes to know whom to evict, memories of keys that are gone included. */
  evictionBytes: number;
  /** Hits and stale hits per get. */
  hitRate: number;
  /** Failed loads per load that ended. */
  errorRate: number;
  /** What happened at the tiers below, from above; only there where the cache has tiers. */
  tiers?: readonly TierStats[];
}

/**
 * What happened at a tier. `hits + stale + misses + purged + refusals + lost` is `asked`, but for reads under way.
 * In a namespace's `stats()` they are those of the namespace, without what lies within; writes and purges are told of a tier as a whole
 * alone, and 0 there.
 */
export interface TierStats {
  readonly name: string;
  /** Keys for which it was asked. */
  readonly asked: number;
  /** Keys for which it was not asked, because it fails. */
  readonly skipped: number;
  /** Keys for which it had a fresh value, a stale one that may be of use, or nothing of use. */
  readonly hits: number;
  readonly stale: number;
  readonly misses: number;
  /** Keys whose value had been purged. */
  readonly purged: number;
  /** Keys whose bytes were broken, or not to be believed; and by the reason. */
  readonly refusals: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Keys that were asked for in reads that failed or took too long. */
  readonly lost: number;
  readonly readErrors: number;
  readonly readTimeouts: number;
  /** Values that were stored, that were not for a failure, and that were not tried for one before or for want of room. */
  readonly writes: number;
  readonly writeErrors: number;
  readonly writesSkipped: number;
  /** Values that were larger than the tier takes. */
  readonly tooLarge: number;
  /** Values that came from a tier below. */
  readonly promotions: number;
  /** Purges that it was told, and whether it has yet to be told of some, or to delete what it could not be given a newer value of. */
  readonly purges: number;
  readonly owesPurges: boolean;
  /** Fresh and stale values per key asked for; failed reads per read. From 0 to 1, and 0 before there is anything to divide. */
  readonly hitRate: number;
  readonly errorRate: number;
  /** How long reads took, in milliseconds. */
  readonly readMillis: {
    readonly count: number;
    readonly sum: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  };
  /** The circuit breakers for reading and for writing. */
  readonly reads: BreakerState;
  readonly writing: BreakerState;
}

/**
 * What happened at a chain's store of large `bodies`. `hits + misses + readErrors + readTimeouts` is `asked`, but for reads under way.
 */
export interface BodyStats {
  readonly name: string;
  /** Bodies that it was asked for, and that it was not, because it fails. */
  readonly asked: number;
  readonly skipped: number;
  /** Bodies that it had, or had not. */
  readonly hits: number;
  readonly misses: number;
  /** Of those that it had: what was cut or not what was stored, and those whose stream failed or fell silent. */
  readonly refused: number;
  readonly lost: number;
  /** Bodies that it did not give, for a failure, or in time. */
  readonly readErrors: number;
  readonly readTimeouts: number;
  /** Bodies that were stored, and their bytes; that were not for a failure; and that were not tried for one before. */
  readonly writes: number;
  readonly bytesWritten: number;
  readonly writeErrors: number;
  readonly writesSkipped: number;
  /** Bodies that were given up on their way: the origin cut them, or they took too long. */
  readonly abandoned: number;
  /** The circuit breakers for reading and for writing. */
  readonly reads: BreakerState;
  readonly writing: BreakerState;
}

/** Everything is let through, nothing, or one call to see how it goes. */
export type BreakerState = "closed" | "open" | "half-open";

/** `counters` as `src/js/figures.rs` orders them. */
export function toStats(counters: Float64Array, entries: number, bytes: number): Stats {
  let at = 0;
  const next = (): number => counters[at++]!;
  const [hits, staleHits, misses, , coalesced] = [next(), next(), next(), next(), next()];
  const [loads, loadFailures, retries, loadsAbandoned] = [next(), next(), next(), next()];
  const [refreshes, rescues, refused] = [next(), next(), next()];
  const [softTimeouts, timeouts, inserts, rejected] = [next(), next(), next(), next()];
  next();
  const evictions = { size: next(), expired: next(), replaced: next(), removed: next() };
  const latency = () => {
    const [count, sum] = [next(), next()];
    return { count, mean: ratio(sum, count), p50: next(), p90: next(), p99: next(), max: next() };
  };
  const loadLatency = latency();
  const { count: batches, mean: meanSize, max: maxSize } = latency();
  const queueLatency = latency();
  const [inFlight, queued, evictionBytes] = [next(), next(), next()];
  return {
    hits,
    staleHits,
    misses,
    coalesced,
    loads,
    refreshes,
    loadFailures,
    retries,
    rescues,
    loadsAbandoned,
    refused,
    softTimeouts,
    timeouts,
    inserts,
    rejected,
    evictions,
    loadLatency,
    queueLatency,
    batches: { count: batches, meanSize, maxSize },
    entries,
    bytes,
    inFlight,
    queued,
    evictionBytes,
    hitRate: ratio(hits + staleHits, hits + staleHits + misses + coalesced),
    errorRate: ratio(loadFailures, loadLatency.count),
  };
}

function ratio(part: number, whole: number): number {
  return part / Math.max(whole, 1);
}
