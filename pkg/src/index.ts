import { Alarm, LONGEST } from "./alarm.js";
import { atMost, now, recent, upperBound } from "./clock.js";
import { Core, DEFAULT, DEPARTED, FULL, JOIN, LEAD, OVER, SKIP, SLOT, VACATED } from "./core.js";
import { NearCacheError, recursive, showKey, timedOut } from "./errors.js";
import { Flight, Wait, type LoadContext } from "./flight.js";
import { host } from "./host.js";
import { abortSignal, bytes, count, duration, flag, fn, known, type Duration } from "./options.js";
import { toStats, type Stats } from "./stats.js";

export { NearCacheError, type NearCacheErrorCode } from "./errors.js";
export type { LoadContext } from "./flight.js";
export type { Duration } from "./options.js";
export type { Stats } from "./stats.js";

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

/** Brings the value of a key, or throws. May use the cache, but for its own key that is an error. */
export type Loader<K, V> = (key: K, ctx: LoadContext<K>) => V | PromiseLike<V>;

const CACHE_OPTIONS = new Set(["maxEntries", "maxBytes", "maxEntryBytes", "sizeOf", "ttl", "hardTimeout", "clock"]);
const SET_OPTIONS = new Set(["ttl", "bytes"]);
const GET_OPTIONS = new Set([...SET_OPTIONS, "hardTimeout", "forceFresh", "signal"]);
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
  /** Of keys with a value and of keys whose load is under way. */
  readonly #slots = new Map<K, number>();
  #keys: (K | undefined)[] = [undefined];
  #values: (V | undefined)[] = [undefined];
  readonly #flights: (Flight<K, V> | undefined)[] = [];
  readonly #clock: (() => number) | undefined;
  readonly #sizeOf: ((value: V, key: K) => number) | undefined;
  readonly #maxEntries: number;
  readonly #ttl: number;
  readonly #hardTimeout: number;
  readonly #alarm: Alarm;

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
    this.#maxEntries = count("maxEntries", maxEntries);
    this.#core = new Core(
      this.#maxEntries,
      maxBytes,
      maxEntryBytes,
      this.#ttl,
      this.#hardTimeout,
      !host.requestBound,
    );
    this.#alarm = new Alarm(() => this.#core.in_flight() > 0, (at) => this.#ring(at));
  }

  /** The value, if it is there and its time has not passed. Makes it the most recently used. */
  get(key: K): V | undefined {
    const slot = this.#slots.get(key);
    if (slot !== undefined && this.#core.hit(slot, this.#clock === undefined ? upperBound() : this.#clock())) {
      return this.#values[slot];
    }
    return this.#getSlow(slot);
  }

  /** As `get`, but counts nothing and leaves the order of use as it is. */
  peek(key: K): V | undefined {
    const slot = this.#slots.get(key);
    return slot !== undefined && this.#core.is_ready(slot, this.#now()) ? this.#values[slot] : undefined;
  }

  /** Whether there is a value that may be handed out. Counts nothing. */
  has(key: K): boolean {
    const slot = this.#slots.get(key);
    return slot !== undefined && this.#core.is_ready(slot, this.#now());
  }

  /** Milliseconds that the value may still be handed out; `undefined` if there is none that may. */
  remainingTtl(key: K): number | undefined {
    const slot = this.#slots.get(key);
    const left = slot === undefined ? -1 : this.#core.remaining(slot, this.#now());
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
    const known_ = this.#slots.get(key);
    const now = this.#clock === undefined ? atMost(ttl) : this.#clock();
    const code = this.#core.insert(known_ === undefined ? 0 : known_, now, ttl, weight);
    if (code >= DEPARTED) this.#drain();
    const slot = code & SLOT;
    if (slot !== 0) {
      if (known_ === undefined) this.#place(slot, key);
      this.#values[slot] = value;
    }
    return this;
  }

  /**
   * Removes a key; `true` if there was a value that might have been handed out. It wins over a load under way: what that
   * load brings goes to those who already waited, is not stored, and nobody joins it any more.
   */
  delete(key: K): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    const held = this.#core.is_ready(slot, this.#now());
    this.#core.remove(slot);
    this.#drain();
    return held;
  }

  /** Removes everything, as `delete` does. */
  clear(): void {
    this.#core.clear();
    this.#slots.clear();
    this.#keys = [undefined];
    this.#values = [undefined];
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
    const slot = this.#slots.get(key);
    if (slot !== undefined && options === undefined) {
      if (this.#core.hit(slot, this.#clock === undefined ? upperBound() : this.#clock())) {
        return Promise.resolve(this.#values[slot] as V);
      }
    }
    return this.#ask(key, slot, loader, options);
  }

  /** The entries that may be handed out, the most recently used first. O(n). */
  *entries(): IterableIterator<[K, V]> {
    // The order is taken at the start, so that the loop's body may use the cache.
    for (const slot of this.#core.newest_first(this.#now())) {
      const key = this.#keys[slot] as K;
      if (this.#slots.get(key) === slot && this.#core.is_ready(slot, this.#now())) yield [key, this.#values[slot] as V];
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

  #now(): number {
    return this.#clock === undefined ? now() : this.#clock();
  }

  /** A `get` that was no hit, as far as an upper bound of the time tells. */
  #getSlow(slot: number | undefined): V | undefined {
    if (slot === undefined) {
      if (this.#core.miss(this.#clock === undefined ? recent() : this.#clock()) !== 0) this.#drain();
      return undefined;
    }
    const code = this.#core.touch(slot, this.#now());
    if (code === 1) return this.#values[slot];
    if (code !== 0) this.#drain();
    return undefined;
  }

  /** The cold side of `getOrSet`. Never throws. */
  #ask(
    key: K,
    slot: number | undefined,
    loader: Loader<K, V>,
    options: GetOrSetOptions | undefined,
  ): Promise<V> {
    const now = this.#now();
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
    const call: Call<K, V> = { key, loader, ttl, weight, fresh, timeout, deadline: Math.floor(now) + timeout, signal };
    return this.#begin(call, slot, now, timeout);
  }

  /** Asks the core, and does as it says. `left` is the time until the call's deadline. */
  #begin(call: Call<K, V>, slot: number | undefined, now: number, left: number): Promise<V> {
    const code = this.#core.ask(slot === undefined ? 0 : slot, now, call.fresh, left);
    if (code >= DEPARTED) this.#drain();
    if ((code & LEAD) !== 0) return this.#lead(call, slot, code & SLOT, now);
    if ((code & JOIN) !== 0) return this.#join(call, this.#flights[code & SLOT]!, now);
    if ((code & FULL) !== 0) {
      return Promise.reject(
        new NearCacheError("ERR_TOO_MANY_LOADS", "too many loads are under way: at most 2097152 at once", call.key),
      );
    }
    return Promise.resolve(this.#values[code & SLOT] as V);
  }

  #lead(call: Call<K, V>, known: number | undefined, slot: number, now: number): Promise<V> {
    const { key, deadline, timeout } = call;
    if (known === undefined) this.#place(slot, key);
    const id = this.#core.flight();
    const wait = new Wait<V>(deadline, timeout);
    const flight = new Flight<K, V>(key, id, wait, call.ttl, call.weight);
    this.#flights[id % FLIGHT_INDEX] = flight;
    if (host.requestBound) this.#bind(flight);
    else if (deadline < Infinity) this.#alarm.set(deadline, now);

    try {
      const loaded = call.loader(key, flight.ctx);
      flight.starting = false;
      if (isThenable(loaded)) {
        // Others than promises may resolve with one another, or throw.
        const promise = loaded instanceof Promise ? loaded : Promise.resolve(loaded);
        promise.then(
          (value) => this.#loaded(flight, value),
          (error) => this.#failed(flight, error),
        );
      } else {
        this.#loaded(flight, loaded);
      }
    } catch (error) {
      flight.starting = false;
      this.#failed(flight, error);
    }
    return this.#wait(call, flight, wait, now);
  }

  /** In a Worker the load outlives the request's answer, and is told to stop in its own request. */
  #bind(flight: Flight<K, V>): void {
    const home = new Promise<unknown>((resolve) => (flight.home = resolve)).then((reason) => {
      if (reason !== undefined) flight.ctx.abort(reason);
    });
    try {
      host.keepAlive(home.then(ignore, ignore));
    } catch {
      // Outside a request there is nothing to keep alive; a loader there can do no I/O either.
    }
  }

  #join(call: Call<K, V>, flight: Flight<K, V>, now: number): Promise<V> {
    if (flight.starting) {
      this.#left(flight, this.#core.leave(flight.id, 1));
      return Promise.reject(recursive(call.key));
    }
    if (host.requestBound) {
      flight.first.callers++;
      return this.#follow(call, flight, now);
    }
    const wait = flight.join(call.deadline, call.timeout);
    if (call.deadline < Infinity) this.#alarm.set(call.deadline, now);
    return this.#wait(call, flight, wait, now);
  }

  #wait(call: Call<K, V>, flight: Flight<K, V>, wait: Wait<V>, now: number): Promise<V> {
    if (flight.over) return wait.promise;
    if (host.requestBound) return this.#follow(call, flight, now);
    return call.signal === undefined ? wait.promise : this.#heed(call.signal, flight, wait);
  }

  /**
   * Waits, in a Worker, for a load that may be another request's, and begins it again if it is lost with that
   * request. The flight's own promise says nothing of deadlines and signals: each caller, the leader
   * too, sees to its own, so that nobody's end is taken for the load's.
   */
  #follow(call: Call<K, V>, flight: Flight<K, V>, now: number): Promise<V> {
    return new Promise<V>((resolve, reject) => {
      const { signal, deadline } = call;
      let waits = true;
      const leave = (): boolean => {
        if (!waits) return false;
        waits = false;
        flight.first.callers--;
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        return true;
      };
      const abort = (): void => {
        if (!leave()) return;
        reject(signal!.reason);
        this.#left(flight, this.#core.leave(flight.id, 1));
      };
      const late = (): void => {
        if (!leave()) return;
        reject(timedOut(call.key, call.timeout));
        this.#left(flight, this.#core.time_out(flight.id, 1));
      };
      const timer = deadline < Infinity ? startTimer(late, deadline - now) : undefined;
      signal?.addEventListener("abort", abort, { once: true });
      flight.first.promise.then(
        (value) => {
          if (leave()) resolve(value);
        },
        (error) => {
          const now = this.#now();
          if (waits && !flight.failed && now >= deadline) late();
          if (!leave()) return;
          if (flight.failed) reject(error);
          else {
            // The load has not failed, so the rejection is the runtime's: the leader's request has ended.
            this.#lost(flight);
            resolve(this.#begin(call, this.#slots.get(call.key), now, deadline - now));
          }
        },
      );
      if (signal?.aborted) abort();
    });
  }

  /** A wait that a signal can end. */
  #heed(signal: AbortSignal, flight: Flight<K, V>, wait: Wait<V>): Promise<V> {
    return new Promise<V>((resolve, reject) => {
      const abort = (): void => {
        // A wait that its deadline has ended counts nobody any more.
        if (flight.over || wait.callers === 0) return;
        wait.callers--;
        reject(signal.reason);
        this.#left(flight, this.#core.leave(flight.id, 1));
      };
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
      const heard = (): void => signal.removeEventListener("abort", abort);
      wait.promise.then(resolve, reject);
      wait.promise.then(heard, heard);
    });
  }

  #loaded(flight: Flight<K, V>, value: V): void {
    if (flight.over) return;
    const { ctx, key } = flight;
    let ttl: number;
    let weight = 0;
    try {
      ttl = ctx.skipped ? SKIP : ctx.ttl === undefined ? flight.ttl : duration("ctx.ttl", ctx.ttl);
      const given = ctx.bytes === undefined ? flight.bytes : ctx.bytes;
      if (given !== undefined) weight = bytes("ctx.bytes", given);
      else if (this.#sizeOf !== undefined && ttl !== SKIP) weight = bytes("sizeOf", this.#sizeOf(value, key));
    } catch (error) {
      this.#failed(flight, error);
      return;
    }
    const code = this.#core.settle(flight.id, this.#now(), ttl, weight);
    this.#ended(flight, code);
    const slot = code & SLOT;
    if (slot !== 0) this.#values[slot] = value;
    flight.resolve(value);
  }

  #failed(flight: Flight<K, V>, error: unknown): void {
    if (flight.over) return;
    this.#ended(flight, this.#core.fail(flight.id, this.#now()));
    flight.reject(error);
  }

  /** Some of the flights' waits may have reached their deadline: it is `at`, whatever a test's clock says. */
  #ring(at: number): void {
    const now = Math.max(this.#now(), at);
    for (let index = this.#core.due(now); index >= 0; index = this.#core.due(now)) {
      const flight = this.#flights[index];
      if (flight === undefined) continue;
      const others = flight.others;
      if (flight.first.deadline <= now) this.#expire(flight, flight.first);
      if (others === undefined) continue;
      flight.others = others.filter((wait) => wait.deadline > now);
      for (const wait of others) if (wait.deadline <= now) this.#expire(flight, wait);
    }
    const next = this.#core.next_deadline();
    if (next < Infinity) this.#alarm.set(next, now);
  }

  #expire(flight: Flight<K, V>, wait: Wait<V>): void {
    if (flight.over || wait.callers === 0) return;
    const error = timedOut(flight.key, wait.timeout);
    this.#left(flight, this.#core.time_out(flight.id, wait.callers));
    wait.callers = 0;
    wait.reject(error);
  }

  /** Some have left; when they were the last, the load is told to stop. */
  #left(flight: Flight<K, V>, code: number): void {
    // In a Worker the core forgets a load when the last deadline has passed, which may be before the timers ring.
    const last = (code & OVER) !== 0 || (host.requestBound && flight.first.callers === 0);
    if (flight.over || !last) {
      if (code >= DEPARTED) this.#drain();
      return;
    }
    flight.over = true;
    this.#ended(flight, code);
    const reason = new NearCacheError("ERR_TIMEOUT", `nobody waits for ${showKey(flight.key)} any more`, flight.key);
    if (flight.home === undefined) flight.ctx.abort(reason);
    else flight.home(reason);
  }

  /** The load is gone with its request, so that there is nobody to tell. */
  #lost(flight: Flight<K, V>): void {
    flight.over = true;
    this.#ended(flight, this.#core.lost(flight.id));
  }

  #ended(flight: Flight<K, V>, code: number): void {
    const index = flight.id % FLIGHT_INDEX;
    if (this.#flights[index] === flight) this.#flights[index] = undefined;
    if (code >= DEPARTED) this.#drain();
  }

  #place(slot: number, key: K): void {
    if (slot >= this.#keys.length) this.#grow(slot);
    this.#slots.set(key, slot);
    // As a Map's, a key is never -0.
    this.#keys[slot] = key === 0 ? (0 as K) : key;
  }

  /** Doubling by hand, because arrays that grow by themselves keep up to half as much again in reserve. */
  #grow(slot: number): void {
    const held = this.#keys.length;
    const full = this.#maxEntries + 2;
    const length = slot < full ? Math.min(Math.max(2 * held, 16), full) : 2 * held;
    this.#keys = copy(this.#keys, length);
    this.#values = copy(this.#values, length);
  }

  /** Lets go of what the core let go of. */
  #drain(): void {
    let code: number;
    do {
      code = this.#core.departure();
      const slot = code & SLOT;
      if (slot === 0) return;
      this.#values[slot] = undefined;
      if ((code & VACATED) !== 0) {
        this.#slots.delete(this.#keys[slot] as K);
        this.#keys[slot] = undefined;
      }
    } while (code >= DEPARTED);
  }
}

/** A `getOrSet` that found nothing. */
interface Call<K, V> {
  readonly key: K;
  readonly loader: Loader<K, V>;
  readonly ttl: number;
  readonly weight: number | undefined;
  readonly fresh: boolean;
  readonly timeout: number;
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** Flights' indexes are the low 21 bits of their ids. */
const FLIGHT_INDEX = 2 ** 21;

const ignore = (): void => {};

/** A timer, where there may be one: outside a request, a Worker has none. */
function startTimer(callback: () => void, millis: number): ReturnType<typeof setTimeout> | undefined {
  try {
    return setTimeout(callback, Math.min(millis, LONGEST));
  } catch {
    return undefined;
  }
}

function copy<T>(from: T[], length: number): T[] {
  const to = new Array<T>(length);
  for (let i = 0; i < from.length; i++) to[i] = from[i]!;
  return to;
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return value instanceof Promise || (typeof value === "object" && value !== null && typeof (value as PromiseLike<T>).then === "function");
}

function estimate(value: unknown, key: unknown): number {
  if (typeof value === "string") return 2 * value.length;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return 8;
  const advice = "say {bytes} with the value, or ctx.bytes in the loader, or give the cache a sizeOf";
  throw new NearCacheError("ERR_BYTES", `the bytes of the value for ${showKey(key)} are unknown; ${advice}`, key);
}
