/// <reference lib="esnext.disposable" preserve="true" />
// The types of the public face, and their docs. What calls do stands at the class, in cache.ts. This file imports
// nothing but types, so that every other may import it.

import type { Events, Plugin } from "../hooks/events.js";
import type { Loaded, LoadContext, Loader } from "./loader.js";
import type { Duration } from "../options/options.js";
import type { Stats } from "./stats.js";
import type { Tiers } from "./tiering.js";

/** How long a value lives, and what happens around its end. */
export interface LifeOptions<K = any> {
  /** How long it is fresh. Default `Infinity`; 0: it is not stored. */
  ttl?: Duration | undefined;
  /**
   * How long it may lie unused: each `get` or `getOrSet` that is answered with it, stale or fresh, begins this time anew;
   * `peek`, `has` and iteration don't. The value is gone when this has passed, or `ttl` and the stale windows, whichever
   * comes first: no window makes it longer. Neither `jitter` nor `negativeTtl` is about it. Default `Infinity`; 0: it is not stored.
   * A hit of such an entry makes a call into the core.
   */
  idleTtl?: Duration | undefined;
  /**
   * How long after `ttl` a `getOrSet` is answered with the stale value at once, while one refresh runs in the
   * background (RFC 5861), held by `waitUntil` in Workers. Default 0.
   */
  staleWhileRevalidate?: Duration | undefined;
  /** The same as `staleWhileRevalidate`. */
  swr?: Duration | undefined;
  /**
   * How long after `ttl` the value stands in for a load that fails (RFC 5861), or that takes longer than
   * `softTimeout`. Default 0.
   */
  staleIfError?: Duration | undefined;
  /**
   * XFetch's beta (Vattani, Chierichetti, Lowenstein, VLDB 2015): from 0, which never refreshes early and is the
   * default; 1 is what the paper finds best. A `getOrSet` before the end of `ttl` refreshes the value in
   * the background with the probability `exp(-left / (beta * loadTime))`.
   */
  refreshAhead?: number | undefined;
  /** The part of `ttl`, from 0 to 1, that chance may take off, so that what came together does not go together. Default 0. */
  jitter?: number | undefined;
  /** `ttl` for the values `undefined` and `null`, unless `set` or the loader itself says another. Default: as for any other. */
  negativeTtl?: Duration | undefined;
  /**
   * For how long after a failed load its key is not loaded again: gets are answered with the last good value, if
   * `staleIfError` allows, else with the same error. A function decides by the error. Default 0.
   */
  errorBackoff?: ErrorBackoff<K> | undefined;
}

/** For how long after a load that failed its key is not loaded again, by the error. */
export type ErrorBackoff<K> = Duration | ((error: unknown, key: K) => Duration | undefined);

/** How a load that fails is tried again: how often in all, or more of it. */
export type Retry<K = any> = number | RetryOptions<K>;

export interface RetryOptions<K = any> {
  /** How often a load is tried in all: a whole number from 1 on, or `Infinity`. */
  attempts: number;
  /** From the end of the first attempt to the second. Default `"100ms"`. */
  delay?: Duration | undefined;
  /** By how much each delay is longer than the one before: from 0 on. Default 2. */
  factor?: number | undefined;
  /** The part of each delay, from 0 to 1, that chance may take off. Default 0.5. */
  jitter?: number | undefined;
  /** Which errors let it be tried again. Default: all but those of wrong use of the cache. What it throws counts as no. */
  when?: ((error: unknown, key: K) => boolean) | undefined;
}

/** How a cache, or a namespace in it, keeps values and waits for them, where a call says nothing else. */
export interface DefaultOptions<K = any, V = any> extends LifeOptions<K> {
  /**
   * How long a `getOrSet` may wait if there is a stale value within `staleIfError` (or, for `forceFresh`, any): then
   * it is answered with that, and the load goes on. Default `Infinity`.
   */
  softTimeout?: Duration | undefined;
  /** How long a `getOrSet` or `update` may wait: then it is `ERR_TIMEOUT`. Default `"30s"`. */
  hardTimeout?: Duration | undefined;
  /**
   * Whether a load goes on though everybody has left by their signals, until the `hardTimeout` of the one who began it: then its
   * value is there for the next who asks. Default `false`: it is told to stop by `ctx.signal`.
   */
  keepLoading?: boolean | undefined;
  /**
   * How a load that fails is tried again, while somebody waits whose deadline comes later than the next attempt. Those who
   * wait go on waiting, and who asks meanwhile joins them. When the key is deleted or set, or everybody has left, it is not
   * tried any more. `errorBackoff`, and what stands in by `staleIfError`, come after the last attempt; a `softTimeout` does
   * not wait for it. Only the last error counts as a failed load, and is told to hooks. Default `1`.
   */
  retry?: Retry<K> | undefined;
  /**
   * Whether a value may be handed out: anything but `true` refuses it, and so does an error. A `get` or `getOrSet` that
   * finds such a value, fresh or stale, removes it, and it is loaded anew (`miss` tells the cause `invalid`); a load that
   * brings one has failed with `ERR_INVALID`, and nothing is stored. What is set, peeked at or iterated over is not checked.
   * Each hit then makes calls into the core. May call the cache.
   */
  validate?: ((value: V, key: K) => boolean) | undefined;
  /**
   * Bytes of a value, asked where a call says nothing and a byte bound is set. Default: strings as two bytes
   * a character, binary data by its length, numbers and the like as 8; anything else is an error.
   * May call the cache.
   */
  sizeOf?: ((value: V, key: K) => number) | undefined;
  /**
   * Loads keys together. `getOrSet` without a loader and `getMany` use it. Its keys are shared, retried, kept and
   * counted as any others; each is in a batch once. Keys of two namespaces or scopes are never in one. `contexts[i]` is the {@link LoadContext} of `keys[i]`: ttl, tags and so on are said there.
   * An `Error` among the values fails its key alone.
   *
   * In Workers a batch in the microtask window has the keys of one request only. With a window in milliseconds, others
   * join it; the call is the first one's, who is kept alive for it, and should it be lost, they ask again.
   */
  batch?: BatchOptions<K, V, LoadContext<K, V>> | undefined;
}

/** How a cache is made. Everything may be left out. */
export interface NearCacheOptions<K = any, V = any> extends DefaultOptions<K, V> {
  /** The most entries: a whole number from 0 to 16777215. Default 10000. */
  maxEntries?: number | undefined;
  /** The most bytes in all entries together, as `bytes` and `sizeOf` count them. Default: no bound. */
  maxBytes?: number | undefined;
  /** A larger entry is handed out and not stored. Default: `maxBytes`; 4294967294 at the most. */
  maxEntryBytes?: number | undefined;
  /**
   * Who goes when room is needed. Default `"adaptive"`: what reuse so far speaks least for, by a policy that adapts to
   * what is asked, and withstands scans and loops larger than the cache. `"lru"`: the least recently used, exactly; it alone
   * promises an order of iteration.
   */
  eviction?: "adaptive" | "lru" | undefined;
  /**
   * `"structured"`: values are copied by `structuredClone` when they are stored and whenever they are handed out, so that
   * nobody's change of a value reaches anyone else. A copy costs time by a value's size, each hit a call into the core besides, and a
   * prototype is lost. What can't be cloned is `ERR_CLONE`, and not stored. Hooks and `sizeOf` get the value itself. Default: all share one value.
   */
  clone?: "structured" | undefined;
  /**
   * The most loads under way at once: a whole number from 1 on. The others wait for their turn, first come first
   * served: what somebody waits for before refreshes in the background and what has a low `priority`. Deadlines and signals
   * count meanwhile, and a load that everybody has left is not begun. A purge or a newer value before a load begins does not
   * concern it. A batch's call counts as one load. What a loader asks for before its first `await` needs no place, since
   * the two would wait for each other; what it asks for later waits like any other. A load that was told to stop has left its
   * place. Default `Infinity`.
   */
  maxConcurrentLoads?: number | undefined;
  /**
   * The most loads that begin in any second, for an origin that wants no more: a number above 0, and 0.5 is one in two
   * seconds. The others wait as with `maxConcurrentLoads`. Each attempt of a load that is tried again counts, but only the first
   * waits. Default `Infinity`.
   */
  loadsPerSecond?: number | undefined;
  /**
   * The most loads that wait for their turn, and as many again of those that nobody waits for: a whole number from 0 to
   * 16777215. What exceeds it gets a stale value, if there is one that may still be handed out, else `ERR_QUEUE_FULL`; a
   * refresh is not begun. Default 1000.
   */
  maxQueuedLoads?: number | undefined;
  /**
   * Whether entries leave in time by themselves, and how often the cache looks: a value is gone at most this long after the last
   * moment at which it may be handed out (the end of its `ttl`, its stale windows or its idle time), and `evict` and `expire`
   * are told then. 1 ms or more; default `Infinity`: entries are met bit by bit while the cache is used.
   *
   * Costs one timer, which is set for the next end, and a look at every entry then, at most once in each interval: 6 ms for a
   * million, 12 with stale windows, in steps of 0.1 to 0.2 ms; and 0.6 ms for each thousand that go. It holds no process, and
   * ends with the cache, or when the cache is empty. In Workers a timer ends with its request, and the next `set` or load of
   * another begins one anew, so that entries may stay for longer; in a Durable Object it keeps the object from hibernating.
   */
  purgeStaleEvery?: Duration | undefined;
  /**
   * Stores below memory, which loads ask before their loader: `tiers([…])` of `nearcache/tiers`. `delete`, `expire`, `clear` and
   * purges by tag reach them too.
   */
  tiers?: Tiers | undefined;
  /** Hooks: see `NearCache.on`. */
  plugins?: readonly Plugin<K, V>[] | undefined;
  /** What the cache is called in its figures. Default `"default"`. */
  name?: string | undefined;
  /**
   * The time in milliseconds since 1970, for tests; read at every call, which throws `ERR_OPTION` if that is no number. Timers stay real. Default `Date.now`, of which one reading may
   * serve a few calls of one synchronous run of code. Beyond it nothing is handed out after its end (but in promise jobs and ticks that
   * were queued before that run, if they block for five seconds), and a `Date` that a test has replaced is read every time.
   */
  clock?: (() => number) | undefined;
  /**
   * A random number from 0 (included) to 1 (not included), for `jitter` and `refreshAhead`. For tests: the first also chooses how keys are
   * hashed, so that the same calls evict the same entries. Default `Math.random`, and `crypto.getRandomValues` for hashes.
   */
  random?: (() => number) | undefined;
}

/** How keys become batches. */
export interface BatchOptions<K, V, C> {
  /**
   * Brings as many values as there are keys, in their order, or an Error instance where a key has failed.
   * `contexts[i]` belongs to `keys[i]`. If it throws or brings anything else, every key of the batch fails.
   */
  load: (keys: readonly K[], contexts: readonly C[]) => readonly (V | Error)[] | PromiseLike<readonly (V | Error)[]>;
  /**
   * How long a batch takes keys after its first one. Default `"microtask"`: as long as promise jobs are pending (in
   * Workers, until 64 turns of them have brought no key), which costs no time.
   */
  batchWindow?: "microtask" | Duration | undefined;
  /** The most keys in a batch: a whole number from 1 on. A full one does not wait for its window. Default `Infinity`. */
  maxBatchSize?: number | undefined;
}

/** How a `peek` looks. */
export interface PeekOptions {
  /** Whether a stale value will do. Default `false`. */
  allowStale?: boolean | undefined;
}

/** How entries are walked. */
export interface WalkOptions {
  /** With `eviction: "lru"`: the most recently used first (`"newest"`), or last. Default `"newest"`. */
  order?: "newest" | "oldest" | undefined;
}

/** What there is to know of a key. */
export interface EntryInfo {
  /**
   * What there is of it: a `fresh` value, a `stale` one that may still be handed out, the memory of a load that `failed` a
   * moment ago, or nothing yet (`loading`).
   */
  readonly state: "fresh" | "stale" | "failed" | "loading";
  /** Whether a load is under way: its first, or one for a newer value. */
  readonly loading: boolean;
  /** Milliseconds since it was stored; 0 where there is no value. */
  readonly age: number;
  /** Milliseconds that it stays fresh, or that a failure is remembered; 0 for a stale value, and where there is neither. */
  readonly ttl: number;
  /** What it counts against `maxBytes`. */
  readonly bytes: number;
  /** By what it can be purged, in no order that is promised. */
  readonly tags: readonly string[];
}

/** How a namespace keeps values, where its cache would do otherwise. */
export interface NamespaceOptions<K = any, V = any> extends DefaultOptions<K, V> {
  /**
   * The names of those of the cache's tiers that its keys, and those of namespaces within, use: none for memory alone. Default: as
   * around it, and in the end all. Purges reach all tiers.
   */
  tiers?: readonly string[] | undefined;
}

/** What an entry is stored with, where it differs from the cache's options. */
export interface SetOptions<K = any> extends LifeOptions<K> {
  /** What it counts against `maxBytes`. */
  bytes?: number | undefined;
  /** By what it can be purged together with others: see `NearCache.deleteByTag`. */
  tags?: readonly string[] | undefined;
}

/** How one `update` differs from the cache's options. */
export interface UpdateOptions<K = any> extends SetOptions<K> {
  /** How long this call may wait. */
  hardTimeout?: Duration | undefined;
  /** Takes the caller out, with the signal's reason, and tells the writer's own signal. */
  signal?: AbortSignal | undefined;
}

/** How one `compute` differs from the cache's options. */
export interface ComputeOptions<K = any> extends SetOptions<K> {
  /** How long this call may wait for its turn and run. */
  hardTimeout?: Duration | undefined;
  /** Takes the caller out, with the signal's reason, and tells the function's own signal. */
  signal?: AbortSignal | undefined;
}

/** How one `getOrSet` differs from the cache's options. */
export interface GetOrSetOptions<K = any> extends SetOptions<K> {
  /** How long this call may wait if there is a stale value that will do. */
  softTimeout?: Duration | undefined;
  /** How long this call may wait. */
  hardTimeout?: Duration | undefined;
  /** How the load that this call begins is tried again if it fails. */
  retry?: Retry<K> | undefined;
  /** Whether a value may be handed out to this call, instead of the cache's own rule; and whether what it loads may be. */
  validate?: ((value: any, key: K) => boolean) | undefined;
  /**
   * Load even if a value is there. The old one stays until the new one comes, and if the load fails.
   * A load already under way will do.
   */
  forceFresh?: boolean | undefined;
  /** Whether the load that this call begins goes on though everybody has left. */
  keepLoading?: boolean | undefined;
  /**
   * `"low"`: where loads are limited, the load that this call begins waits until no other does, as refreshes in the background, `warmup`
   * and `keepFresh` do. Default `"high"`.
   */
  priority?: "high" | "low" | undefined;
  /** Takes this caller out, with the signal's reason. The load goes on while anyone else waits. */
  signal?: AbortSignal | undefined;
}

/** Asks for the {@link Details} of a value. */
export interface DetailedOptions<K = any, D extends boolean | undefined = true> extends GetOrSetOptions<K> {
  details: D;
}

/**
 * How a value came to be: from memory (`hit`), by a load (`miss`), by a load that was under way (`coalesced`); or
 * stale: while it is refreshed, or may not be loaded after a failure (`stale`), because its load has just failed
 * (`stale-if-error`), or is slow (`stale-on-timeout`).
 */
export type Status = "hit" | "miss" | "coalesced" | "stale" | "stale-if-error" | "stale-on-timeout";

/** A value, and how it came to be. */
export interface Details<V> {
  readonly value: V;
  readonly status: Status;
  /** Milliseconds since it was stored; 0 for one that was not. */
  readonly age: number;
  /** Milliseconds that it stays fresh: 0 for one that is stale or was not stored. */
  readonly ttl: number;
}

/** Something to change about a cache. */
export interface Advice {
  readonly option:
    | "maxEntries"
    | "ttl"
    | "staleWhileRevalidate"
    | "staleIfError"
    | "refreshAhead"
    | "maxBytes"
    | "batchWindow"
    | "maxBatchSize";
  /** What it is now: entries, bytes, milliseconds (of `batchWindow` 0: `"microtask"`), keys, or a factor. */
  readonly present: number;
  readonly suggested: number;
  /** What speaks for it, from 0 to 1: the hit rate now, or the share of gets, loads or batches that it is about. */
  readonly rate: number;
  /**
   * What is to be expected: of `maxEntries` and `maxBytes` the hit rate, of `batchWindow` and `maxBatchSize` how many keys a batch
   * would have on average.
   */
  readonly expected: number | undefined;
  /** The same for people. */
  readonly why: string;
}

/** What counts as well. A check that is left out is not made. */
export interface Thresholds {
  /** At least this share of gets are hits, stale ones included: from 0 to 1. */
  minHitRate?: number | undefined;
  /** At most this share of loads fail, those answered with the last good value included; of a tier, of reads: from 0 to 1. */
  maxErrorRate?: number | undefined;
  /**
   * At most this share of gets that wait for a load time out; of a tier, of its reads. The only check that sees an origin that never
   * answers.
   */
  maxTimeoutRate?: number | undefined;
  /** The longest that 99 of a hundred loads, or reads of a tier, may take (the 0.99 quantile). */
  maxLatency?: Duration | undefined;
}

/** Thresholds, of what, and since when. */
export interface HealthOptions extends Thresholds {
  /** A check of fewer gets, loads or reads than this is passed: a cold cache is not a sick one. Default 20. */
  minSamples?: number | undefined;
  /**
   * The window. Figures cover at least `window` and at most 2 × `window` plus the time between two calls, and all that
   * happened until it has passed since the first call with this window. Default `"1m"`.
   */
  window?: Duration | undefined;
  /** Thresholds of the tiers below, by their names: of each as a whole. */
  tiers?: Readonly<Record<string, Thresholds>> | undefined;
}

/** A verdict, and what it rests on. */
export interface Health {
  /** Whether every check is passed. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/** One figure and its threshold. */
export interface Check {
  /** `memory`, or the name of a tier. */
  readonly layer: string;
  readonly name: "hitRate" | "errorRate" | "timeoutRate" | "latency";
  /** A share from 0 to 1, or milliseconds (the 0.99 quantile). */
  readonly value: number;
  readonly threshold: number;
  /** Of how many gets or loads it was made. */
  readonly samples: number;
  readonly ok: boolean;
}

/**
 * What a `NearCache` does with keys and values, by the names and with the docs of the class. Types beside the class
 * name a cache by this interface, and what only needs a cache can be tested with another.
 */
export interface CacheLike<K, V> {
  readonly name: string;
  readonly size: number;
  get(key: K): V | undefined;
  peek(key: K, options?: PeekOptions): V | undefined;
  has(key: K): boolean;
  remainingTtl(key: K): number | undefined;
  set(key: K, value: V, options?: SetOptions<K>): unknown;
  delete(key: K): boolean;
  expire(key: K): boolean;
  deleteByTag(tag: string): number;
  expireByTag(tag: string): number;
  clear(): void;
  getOrSet<T extends V = V>(
    key: K,
    loader?: Loader<K, V, T>,
    options?: GetOrSetOptions<K> & { details?: false | undefined },
  ): Promise<Loaded<V, T>>;
  getOrSet<T extends V = V>(
    key: K,
    loader: Loader<K, V, T> | undefined,
    options: DetailedOptions<K>,
  ): Promise<Details<Loaded<V, T>>>;
  update<T extends V = V>(key: K, writer: Loader<K, V, T>, options?: UpdateOptions<K>): Promise<Loaded<V, T>>;
  on<E extends keyof Events<K, V>>(event: E, hook: (event: Events<K, V>[E]) => unknown): () => void;
  entries(): IterableIterator<[K, V]>;
  keys(): IterableIterator<K>;
  values(): IterableIterator<V>;
  [Symbol.iterator](): IterableIterator<[K, V]>;
  stats(): Stats;
}

/** A key to load, and how. */
export interface WarmupEntry<K, V> {
  key: K;
  /** Default: the `loader` of the whole. */
  loader?: Loader<K, V> | undefined;
  options?: GetOrSetOptions | undefined;
}

/** Keys to load: a Map from each to its loader, or a list, which may come bit by bit. */
export type WarmupEntries<K, V> =
  ReadonlyMap<K, Loader<K, V>> | Iterable<WarmupEntry<K, V>> | AsyncIterable<WarmupEntry<K, V>>;

/** How far a warm-up is. */
export interface WarmupProgress<K> {
  /** Keys that are through, loaded or failed. */
  done: number;
  /** How many keys there are in all, if the entries have a `size` or `length`. */
  total: number | undefined;
  /** The last of them. */
  key: K;
  /** Its error, if it failed. */
  error?: unknown;
}

export interface WarmupOptions<K, V> {
  /** The most loads at once: a whole number from 1 on. Default 10. */
  concurrency?: number | undefined;
  /** The loader of entries that bring none. */
  loader?: Loader<K, V> | undefined;
  /** Told of every key. What it throws is ignored. */
  onProgress?: ((progress: WarmupProgress<K>) => void) | undefined;
  /** Ends it with the signal's reason, and takes it out of the loads under way. */
  signal?: AbortSignal | undefined;
}

export interface WarmupResult<K> {
  /** Keys that now have a value, or had one. */
  loaded: number;
  failed: { key: K; error: unknown }[];
}

export interface KeepFreshOptions<K, V> {
  /** The time from the beginning of one round to that of the next, which waits for the end of the one before. */
  every: Duration;
  /** The most loads at once. Default 10. */
  concurrency?: number | undefined;
  /** The loader of entries that bring none. */
  loader?: Loader<K, V> | undefined;
  /** Called for each key that fails in a timed round; called without a key when `entries()` itself fails. */
  onError?: ((error: unknown, key?: K) => void) | undefined;
  /**
   * Whether a timer begins the rounds. Default: yes, but not in Workers, whose timers end with the request; there a Durable
   * Object may say `true`, and others call `run`.
   */
  timers?: boolean | undefined;
}

/** Loads chosen keys again and again, before anyone has to wait for them. */
export interface KeepFresh<K> extends Disposable {
  /**
   * One round, now. For a Worker's `scheduled`: `ctx.waitUntil(keeper.run())`. Outside of Workers it is the round under way,
   * if there is one. Rejects only if `entries()` itself fails.
   */
  run(): Promise<WarmupResult<K>>;
  /** No timer begins a round any more. One under way goes on. */
  stop(): void;
}

/** How a function is wrapped: with what every `getOrSet` is called, and how a key is made of arguments. */
export interface WrapOptions<Args extends readonly unknown[] = any[]> extends GetOrSetOptions {
  /**
   * The key for these arguments: anything that `wrap` takes as an argument. Default: all of them. For methods, `this` is
   * the instance.
   */
  getKey?: ((this: any, ...args: Args) => unknown) | undefined;
  /** Arguments that are not part of the key, by index from 0: one, or a list. Not together with `getKey`. */
  skipArgs?: number | readonly number[] | undefined;
  /**
   * Functions of one name share their entries, in one cache. Default: each has its own, even if wrapped twice, and none in tiers
   * or snapshots; nor are those in tiers whose name begins with `#`.
   */
  name?: string | undefined;
}

/** How a method is wrapped. */
export interface CachedOptions<V = any> extends WrapOptions {
  /** Where the entries lie. */
  cache: CacheLike<any, V>;
  /**
   * Whether each instance has entries of its own. Default `true`. With `false` instances share what has the same key:
   * for classes made anew in each request, with a `getKey` that names all that an answer depends on.
   */
  perInstance?: boolean | undefined;
}

export type AnyFunction = (this: any, ...args: any[]) => any;

/** The function as it is if it returns a promise (generics and overloads stay), else with a promise of what it returns. */
export type Promised<F extends AnyFunction> = [ReturnType<F>, Promise<Awaited<ReturnType<F>>>] extends [
  Promise<Awaited<ReturnType<F>>>,
  ReturnType<F>,
]
  ? F
  : (this: ThisParameterType<F>, ...args: Parameters<F>) => Promise<Awaited<ReturnType<F>>>;

/**
 * A function with a cache in front. Arguments are compared by content. What no key can be made of (functions,
 * instances of classes, a `Request`) makes a call reject with `ERR_KEY`, and wants `getKey` or `skipArgs`.
 */
export type Wrapped<F extends AnyFunction> = Promised<F> & {
  /** Calls the function even if its value is there, as `forceFresh` does. */
  readonly refresh: Promised<F>;
  /** Removes what is held for these arguments, as `delete` does. Throws `ERR_KEY`. */
  readonly invalidate: (...args: Parameters<F>) => boolean;
  /** The function itself. Nothing is looked up, stored or shared. */
  readonly bypass: F;
  /** The part of the cache that holds this function's entries: `wrapped.cache.peek(wrapped.key(…))`. */
  readonly cache: CacheLike<unknown, Awaited<ReturnType<F>>>;
  /** The key there for these arguments. Throws `ERR_KEY`. */
  readonly key: (...args: Parameters<F>) => unknown;
};
