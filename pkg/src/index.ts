import { atMost, recent, upperBound } from "./clock.js";
import { Core, DEFAULT, DEPARTED, EVICTED, SLOT } from "./core.js";
import { NearCacheError, showKey } from "./errors.js";
import type { Loader } from "./flight.js";
import { host } from "./host.js";
import { type Call, Loads } from "./loads.js";
import { abortSignal, bytes, count, duration, flag, fn, GET_OPTIONS, known, SET_OPTIONS, type Duration } from "./options.js";
import { Shelf } from "./shelf.js";
import { toStats, type Stats } from "./stats.js";
import {
  keepFresh, warmup, type Keeper, type KeepFreshOptions, type WarmupEntries, type WarmupOptions, type WarmupResult,
} from "./warmup.js";
import { wrap, type Wrapped, type WrapOptions } from "./wrap.js";

export { NearCacheError, type NearCacheErrorCode } from "./errors.js";
export type { LoadContext, Loader } from "./flight.js";
export type { Duration } from "./options.js";
export type { Stats } from "./stats.js";
export type {
  Keeper, KeepFreshOptions, WarmupEntries, WarmupEntry, WarmupOptions, WarmupProgress, WarmupResult,
} from "./warmup.js";
export { cached, type CachedOptions, type Source, type Wrapped, type WrapOptions } from "./wrap.js";

/** How a cache is made. Everything may be left out. */
export interface NearCacheOptions<K, V> {
  /** At most so many entries: a whole number from 0 to 16777215. Default 10000. */
  maxEntries?: number;
  /** At most so many bytes in all entries together, as `bytes` and `sizeOf` count them. Default: no bound. */
  maxBytes?: number;
  /** A larger entry is handed out and not stored. Default: `maxBytes`; 4294967294 at the most. */
  maxEntryBytes?: number;
  /**
   * Bytes of a value, asked where a call says nothing and a byte bound is set. Default: strings as two bytes
   * a character, binary data by its length, numbers and the like as 8; anything else is an error.
   * May call the cache.
   */
  sizeOf?: (value: V, key: K) => number;
  /** How long an entry may be handed out. Default `Infinity`; 0 stores nothing. */
  ttl?: Duration;
  /** How long a `getOrSet` may wait. Default `"30s"`. */
  hardTimeout?: Duration;
  /** The time in milliseconds, for tests. Default `Date.now`. Timers stay real. */
  clock?: () => number;
}

/** What an entry is stored with, where it differs from the cache's options. */
export interface SetOptions {
  /** How long it may be handed out. 0: not at all. */
  ttl?: Duration;
  /** What it counts against `maxBytes`. */
  bytes?: number;
}

/** How one `getOrSet` differs from the cache's options. */
export interface GetOrSetOptions extends SetOptions {
  /** How long this call may wait. */
  hardTimeout?: Duration;
  /**
   * Load even if a value is there. The old one stays until the new one comes, and if the load fails.
   * A load already under way will do.
   */
  forceFresh?: boolean;
  /** Takes this caller out, with the signal's reason. The load goes on while anyone else waits. */
  signal?: AbortSignal;
}

const CACHE_OPTIONS = new Set(["maxEntries", "maxBytes", "maxEntryBytes", "sizeOf", "ttl", "hardTimeout", "clock"]);
const MAX_ENTRIES = 10_000;
const HARD_TIMEOUT = 30_000;

/**
 * A cache in the memory of this isolate or process: bounded, in LRU order, with lifetimes, and with one
 * load per key however many ask at once.
 *
 * Keys are anything a `Map` takes, compared as a `Map` does. Every call is O(1) unless it says otherwise.
 *
 * ```ts
 * const users = new NearCache<string, User>({ maxEntries: 5_000, ttl: "1m" });
 * const user = await users.getOrSet(id, (id, ctx) => fetchUser(id, { signal: ctx.signal }));
 * ```
 */
export class NearCache<K = unknown, V = unknown> {
  readonly #core: Core;
  readonly #shelf: Shelf<K, V>;
  readonly #loads: Loads<K, V>;
  readonly #clock: (() => number) | undefined;
  readonly #sizeOf: ((value: V, key: K) => number) | undefined;
  readonly #ttl: number;
  readonly #hardTimeout: number;

  /** @throws {NearCacheError} `ERR_OPTION`, naming the option, what it got and what it wants. */
  constructor(options: NearCacheOptions<K, V> = {}) {
    known(options, CACHE_OPTIONS);
    const { maxEntries = MAX_ENTRIES, maxBytes = Infinity, ttl = Infinity, hardTimeout = HARD_TIMEOUT } = options;
    const { maxEntryBytes = maxBytes, sizeOf, clock } = options;
    this.#hardTimeout = duration("hardTimeout", hardTimeout);
    this.#ttl = duration("ttl", ttl);
    this.#clock = clock === undefined ? undefined : fn("clock", clock);
    const weighs = bytes("maxBytes", maxBytes) < Infinity || bytes("maxEntryBytes", maxEntryBytes) < Infinity;
    this.#sizeOf = sizeOf === undefined ? (weighs ? estimate : undefined) : fn("sizeOf", sizeOf);
    const most = count("maxEntries", maxEntries);
    this.#core = new Core(
      most,
      maxBytes,
      maxEntryBytes,
      this.#ttl,
      this.#hardTimeout,
      !host.requestBound,
    );
    this.#shelf = new Shelf(this.#core, most, this.#clock);
    this.#loads = new Loads(this.#shelf, this.#sizeOf);
  }

  /** The value, if it is there and its time has not passed. Makes it the most recently used. */
  get(key: K): V | undefined {
    const slot = this.#shelf.slots.get(key);
    if (slot !== undefined && this.#core.hit(slot, this.#clock === undefined ? upperBound() : this.#clock())) {
      return this.#shelf.values[slot];
    }
    return this.#getSlow(slot);
  }

  /** As `get`, but counts nothing and leaves the order of use as it is. */
  peek(key: K): V | undefined {
    const slot = this.#shelf.slots.get(key);
    return slot !== undefined && this.#core.is_ready(slot, this.#shelf.now()) ? this.#shelf.values[slot] : undefined;
  }

  /** Whether there is a value that may be handed out. Counts nothing. */
  has(key: K): boolean {
    const slot = this.#shelf.slots.get(key);
    return slot !== undefined && this.#core.is_ready(slot, this.#shelf.now());
  }

  /** Milliseconds that the value may still be handed out; `undefined` if there is none that may. */
  remainingTtl(key: K): number | undefined {
    const slot = this.#shelf.slots.get(key);
    const left = slot === undefined ? -1 : this.#core.remaining(slot, this.#shelf.now());
    return left < 0 ? undefined : left;
  }

  /**
   * Stores a value. A load under way for the key goes on for those who wait for it, but what it brings is
   * not stored. A value heavier than `maxEntryBytes` or with a ttl of 0 is not stored, and the old one goes.
   *
   * @throws {NearCacheError} `ERR_OPTION`; `ERR_BYTES` where a byte bound is set and the value's size is unknown.
   */
  set(key: K, value: V, options?: SetOptions): this {
    let ttl = this.#ttl;
    let weight: number | undefined;
    if (options !== undefined) {
      known(options, SET_OPTIONS);
      if (options.ttl !== undefined) ttl = duration("ttl", options.ttl);
      if (options.bytes !== undefined) weight = bytes("bytes", options.bytes);
    }
    if (weight === undefined) weight = this.#sizeOf === undefined ? 0 : bytes("sizeOf", this.#sizeOf(value, key));
    const known_ = this.#shelf.slots.get(key);
    const now = this.#clock === undefined ? atMost(ttl) : this.#clock();
    const code = this.#core.insert(known_ === undefined ? 0 : known_, now, ttl, weight);
    const slot = code & SLOT;
    if ((code & EVICTED) !== 0) this.#shelf.slots.delete(this.#shelf.keys[slot] as K);
    if (code >= DEPARTED) this.#shelf.drain();
    if (slot !== 0) {
      if (known_ === undefined) this.#shelf.place(slot, key);
      this.#shelf.values[slot] = value;
    }
    return this;
  }

  /**
   * Removes a key; `true` if there was a value that might have been handed out. It wins over a load under way: what that
   * load brings goes to those who already waited, is not stored, and nobody joins it any more.
   */
  delete(key: K): boolean {
    const slot = this.#shelf.slots.get(key);
    if (slot === undefined) return false;
    const held = this.#core.is_ready(slot, this.#shelf.now());
    this.#core.remove(slot);
    this.#shelf.drain();
    return held;
  }

  /** Removes everything, as `delete` does. */
  clear(): void {
    this.#shelf.clear();
  }

  /** Entries held, dead ones that no call has met yet included. */
  get size(): number {
    return this.#core.len();
  }

  /**
   * The value, or what `loader` brings, which is then stored. However many ask meanwhile, the loader is
   * called once; if it throws, all who wait get its error, nothing is stored, and the next call loads anew.
   *
   * In Workers calls share loads across requests: the load outlives the request that began it by
   * `waitUntil`, and if it is lost nevertheless, one of those who wait begins it again.
   *
   * Rejects with the loader's error, the signal's reason, or a {@link NearCacheError}: `ERR_TIMEOUT`
   * after `hardTimeout`, `ERR_RECURSIVE_LOAD` in a loader that asks for its own key, `ERR_OPTION`, `ERR_BYTES`.
   */
  getOrSet(key: K, loader: Loader<K, V>, options?: GetOrSetOptions): Promise<V> {
    const slot = this.#shelf.slots.get(key);
    if (slot !== undefined && options === undefined) {
      if (this.#core.hit(slot, this.#clock === undefined ? upperBound() : this.#clock())) {
        return Promise.resolve(this.#shelf.values[slot] as V);
      }
    }
    return this.#ask(key, slot, loader, options);
  }

  /**
   * The function with this cache in front: `getOrSet` with a key made of its arguments. It gets no `this`; for
   * methods there is {@link cached}. A hit costs little with one text or number for argument, and time and
   * memory as the arguments' content otherwise.
   *
   * ```ts
   * const user = cache.wrap((id: string) => fetchUser(id), { ttl: "1m" });
   * await user("ann");
   * user.invalidate("ann");
   * ```
   *
   * @throws {NearCacheError} `ERR_OPTION`. Wrong values of `getOrSet`'s own options make calls reject.
   */
  wrap<F extends (this: void, ...args: any[]) => V | PromiseLike<V>>(fn: F, options?: WrapOptions<Parameters<F>>): Wrapped<F> {
    return wrap<V, F>(this, fn, options);
  }

  /**
   * Loads many keys, so many at a time, by `getOrSet`: what is there already is not loaded again. A key that
   * fails is reported and stops nothing. Takes from the list only what it is about to load.
   *
   * Rejects with the signal's reason, the list's own error, or `ERR_OPTION`; the loads under way then go on.
   */
  warmup(entries: WarmupEntries<K, V>, options?: WarmupOptions<K, V>): Promise<WarmupResult<K>> {
    return warmup(this, entries, options);
  }

  /**
   * Loads these keys anew every so often, the first time after `every`: a `warmup` before is for the start. Old values
   * stay until the new ones come, so give them a `ttl` longer than `every`. What was evicted meanwhile is loaded again. Holds no
   * process, and goes on until it is stopped.
   *
   * ```ts
   * const keeper = cache.keepFresh([{ key: "rates", loader: fetchRates }], { every: "1m" });
   * ```
   *
   * @throws {NearCacheError} `ERR_OPTION`.
   */
  keepFresh(entries: WarmupEntries<K, V> | (() => WarmupEntries<K, V>), options: KeepFreshOptions<K, V>): Keeper<K> {
    return keepFresh(this, entries, options);
  }

  /** The entries that may be handed out, the most recently used first. O(n). */
  *entries(): IterableIterator<[K, V]> {
    // The order is taken at the start, so that the loop's body may use the cache.
    for (const slot of this.#core.newest_first(this.#shelf.now())) {
      const key = this.#shelf.keys[slot] as K;
      if (this.#shelf.slots.get(key) === slot && this.#core.is_ready(slot, this.#shelf.now())) yield [key, this.#shelf.values[slot] as V];
    }
  }

  /** The keys of `entries`. */
  *keys(): IterableIterator<K> {
    for (const [key] of this.entries()) yield key;
  }

  /** The values of `entries`. */
  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /** As `entries`. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /** Calls `callback` for each of `entries`. */
  forEach(callback: (value: V, key: K, cache: this) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }

  /** What happened so far. */
  stats(): Stats {
    return toStats(this.#core.counters(), this.#core.len(), this.#core.weight(), this.#core.in_flight());
  }

  /** A `get` that was no hit, as far as an upper bound of the time tells. */
  #getSlow(slot: number | undefined): V | undefined {
    if (slot === undefined) {
      if (this.#core.miss(this.#clock === undefined ? recent() : this.#clock()) !== 0) this.#shelf.drain();
      return undefined;
    }
    const code = this.#core.touch(slot, this.#shelf.now());
    if (code === 1) return this.#shelf.values[slot];
    if (code !== 0) this.#shelf.drain();
    return undefined;
  }

  /** The cold side of `getOrSet`. Never throws. */
  #ask(
    key: K,
    slot: number | undefined,
    loader: Loader<K, V>,
    options: GetOrSetOptions | undefined,
  ): Promise<V> {
    let timeout = this.#hardTimeout;
    let ttl = DEFAULT;
    let weight: number | undefined;
    let fresh = false;
    let signal: AbortSignal | undefined;
    try {
      fn("loader", loader);
      if (options !== undefined) {
        known(options, GET_OPTIONS);
        if (options.hardTimeout !== undefined) timeout = duration("hardTimeout", options.hardTimeout);
        if (options.ttl !== undefined) ttl = duration("ttl", options.ttl);
        if (options.bytes !== undefined) weight = bytes("bytes", options.bytes);
        if (options.forceFresh !== undefined) fresh = flag("forceFresh", options.forceFresh);
        if (options.signal !== undefined) signal = abortSignal("signal", options.signal);
        signal?.throwIfAborted();
      }
    } catch (error) {
      return Promise.reject(error);
    }
    // Where there is no value, nothing can be handed out too late, and a recent moment will do for the deadline.
    const empty = slot === undefined || !this.#core.is_ready(slot, 0);
    const now = empty && this.#clock === undefined ? atMost(timeout) : this.#shelf.now();
    const call: Call<K, V> = { key, loader, ttl, weight, fresh, timeout, deadline: Math.floor(now) + timeout, signal };
    return this.#loads.begin(call, slot, now, timeout);
  }
}

function estimate(value: unknown, key: unknown): number {
  if (typeof value === "string") return 2 * value.length;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return 8;
  const advice = "say {bytes} with the value, or ctx.bytes in the loader, or give the cache a sizeOf";
  throw new NearCacheError("ERR_BYTES", `the bytes of the value for ${showKey(key)} are unknown; ${advice}`, key);
}
