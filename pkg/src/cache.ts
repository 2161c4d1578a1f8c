import { Batcher } from "./batches/batcher.js";
import { ADVICE, read as readAdvice } from "./figures/advice.js";
import { GivenClock, hostClock, nowFor, SHORT, UNREAD } from "./runtime/clock.js";
import { joined, row } from "./policy/calls.js";
import { isForEver } from "./core/columns.js";
import type { Context } from "./policy/context.js";
import { ALL, type Core, HIT, hasNews, kind, MISS_EXPIRED } from "./core/core.js";
import { newSeed } from "./core/hash.js";
import { type Compute, Computes } from "./writes/computes.js";
import { Driver } from "./loads/driver.js";
import { EntryTable } from "./entries/entries.js";
import { health } from "./figures/figures.js";
import { toError } from "./options/errors.js";
import { CacheHandle, type Defaults, GET_PREPARED, INNER_SCOPE } from "./loads/handle.js";
import { host, keepAlive } from "./runtime/host.js";
import { INSPECT, inspect } from "./figures/inspect.js";
import { INTERNALS, type Insides } from "./internals.js";
import {
  bytes,
  checkBoolean,
  checkFunction,
  count,
  describe,
  iterable,
  name,
  optionError,
  rejectUnknown,
} from "./options/options.js";
import { innerScope, type Namespace, Partition, type ScopeName, userScope } from "./entries/partitions.js";
import { DEFAULT_POLICY } from "./policy/policies.js";
import {
  type CallOptions,
  DETAILED_OPTIONS,
  GET_OPTIONS,
  LIFE_OPTIONS,
  lifeOf,
  or,
  over,
  readCall,
  readLoadLimits,
  readNumbers,
  readPurge,
  readRetryRule,
  readRule,
  SET_OPTIONS,
  UPDATE_OPTIONS,
  DEFAULTS,
} from "./policy/policy.js";
import { type Layer, LAYERS, page, TIER_PAGE } from "./figures/prometheus.js";
import { estimate } from "./options/sizes.js";
import { toStats, type Stats } from "./types/stats.js";
import type { Events, Plugin } from "./hooks/events.js";
import type { LoadContext, Loaded, Loader } from "./types/loader.js";
import type {
  Advice,
  BatchOptions,
  CacheLike,
  ComputeOptions,
  DefaultOptions,
  DetailedOptions,
  Details,
  EntryInfo,
  GetOrSetOptions,
  Health,
  HealthOptions,
  KeepFresh,
  KeepFreshOptions,
  NamespaceOptions,
  NearCacheOptions,
  PeekOptions,
  SetOptions,
  UpdateOptions,
  WalkOptions,
  WarmupEntries,
  WarmupOptions,
  WarmupResult,
  Wrapped,
  WrapOptions,
} from "./types/types.js";
import { Updates } from "./writes/updates.js";
import type { TierPage } from "./types/tiering.js";
import { keepFresh, warmup } from "./warmup.js";
import { wrap } from "./wrap.js";

const HANDLE_OPTIONS = new Set([
  ...LIFE_OPTIONS,
  "softTimeout",
  "hardTimeout",
  "retry",
  "validate",
  "keepLoading",
  "sizeOf",
  "batch",
]);
export const NAMESPACE_OPTIONS: ReadonlySet<string> = new Set([...HANDLE_OPTIONS, "tiers"]);
const CACHE_OPTIONS = new Set([
  "maxEntries",
  "maxBytes",
  "maxEntryBytes",
  "eviction",
  "clone",
  "maxConcurrentLoads",
  "loadsPerSecond",
  "maxQueuedLoads",
  "purgeStaleEvery",
  ...HANDLE_OPTIONS,
  "tiers",
  "plugins",
  "name",
  "clock",
  "random",
]);
const PEEK_OPTIONS = new Set(["allowStale"]);
const WALK_OPTIONS = new Set(["order"]);
/** As the core numbers them. */
const STATES = ["fresh", "stale", "failed", "loading"] as const;
const MAX_ENTRIES = 10_000;

/**
 * A cache in the memory of this isolate or process: bounded, with lifetimes, and with one
 * load per key however many ask at once.
 *
 * Keys are anything a `Map` takes, compared as a `Map` does. Every call is O(1) unless it says otherwise.
 *
 * What decides how a value is kept ({@link LifeOptions}) can be said for the cache, for a call, and by the loader
 * in its {@link LoadContext}: the last of them wins.
 *
 * ```ts
 * const users = new NearCache<string, User>({ maxEntries: 5_000, ttl: "1m", staleWhileRevalidate: "5m" });
 * const user = await users.getOrSet(id, (id, ctx) => fetchUser(id, { signal: ctx.signal }));
 * ```
 */
export class NearCache<K = any, V = any> implements CacheLike<K, V> {
  readonly #entries: EntryTable<K, V>;
  readonly #driver: Driver<K, V>;
  readonly #updates: Updates<K, V>;
  readonly #computes: Computes<K, V>;
  /** A number above 0 and up to 1, as the core takes them. */
  readonly #random: () => number;
  readonly #handle: CacheHandle<K, V>;
  readonly #bounds: string;
  /** What the cache as a whole is called. */
  readonly name: string;

  /** @throws {NearCacheError} `ERR_OPTION`, naming the option, what it got and what it wants. */
  constructor(options?: NearCacheOptions<K, V>);
  /** @internal */
  constructor(inner: HandleInit<K, V>);
  constructor(options: NearCacheOptions<K, V> | HandleInit<K, V> = {}) {
    if (options instanceof HandleInit) {
      const { whole, handle } = options;
      this.#entries = whole.#entries;
      this.#driver = whole.#driver;
      this.#updates = whole.#updates;
      this.#computes = whole.#computes;
      this.#random = whole.#random;
      this.#handle = handle;
      this.#bounds = whole.#bounds;
      this.name = whole.name;
      return;
    }
    rejectUnknown(options, CACHE_OPTIONS);
    const { maxEntries = MAX_ENTRIES, maxBytes = Infinity, plugins = [] } = options;
    const { maxEntryBytes = maxBytes, clock, random = Math.random, name: called = "default" } = options;
    const { eviction = "adaptive" } = options;
    if (eviction !== "adaptive" && eviction !== "lru")
      throw optionError("eviction", describe(eviction), '"adaptive" or "lru"');
    const { clone } = options;
    if (clone !== undefined && clone !== "structured") throw optionError("clone", describe(clone), '"structured"');
    this.name = name("name", called);
    const given = checkFunction("random", random);
    this.#random = () => 1 - given();
    const weighs = bytes("maxBytes", maxBytes) < Infinity || bytes("maxEntryBytes", maxEntryBytes) < Infinity;
    const numbers = readNumbers(options);
    const usualTtl = or(numbers.ttl, DEFAULTS.ttl);
    this.#bounds = `maxEntries: ${count("maxEntries", maxEntries)}, maxBytes: ${maxBytes}`;
    this.#entries = new EntryTable<K, V>(
      {
        maxEntries,
        maxBytes,
        maxEntryBytes,
        usualTtl,
        sharedTimer: !host.requestBound,
        lru: eviction === "lru",
        loads: readLoadLimits(options),
        purgeStaleEvery: readPurge(options),
      },
      clock === undefined ? hostClock : new GivenClock(checkFunction("clock", clock)),
      options.random === undefined ? newSeed : () => given() * 2 ** 32,
      clone !== undefined,
    );
    this.#driver = new Driver(this.#entries, this.#random);
    this.#updates = new Updates(this.#entries, this.#random);
    this.#computes = new Computes(this.#entries, this.#updates);
    const outer = {
      ...DEFAULTS,
      policy: DEFAULT_POLICY,
      backoffRule: undefined,
      retryRule: undefined,
      validate: undefined,
      batcher: undefined,
    };
    const { root } = this.#entries;
    this.#handle = new CacheHandle(
      root,
      this.#defaults({ ...outer, sizeOf: weighs ? estimate : undefined }, options, () => root.namespace),
    );
    if (options.tiers !== undefined) {
      if (typeof options.tiers?.attach !== "function") {
        throw optionError("tiers", describe(options.tiers), 'what tiers([…]) of "nearcache/tiers" makes');
      }
      this.#entries.changes = this.#entries.tiers = options.tiers.attach({
        ...host,
        now: () => this.#entries.clock.readOrLast(),
        random: this.#random,
        keepAlive,
      });
    }
    if (!Array.isArray(plugins)) throw optionError("plugins", describe(plugins), "an array of plugins");
    for (const plugin of plugins) this.use(plugin);
  }

  /** The value, if it is there and fresh. Counts as a use of it. */
  get(key: K): V | undefined {
    const entries = this.#entries;
    const handle = this.#handle;
    const now = entries.clock.now();
    const slot = handle.unchecked.get(key);
    const { columns } = entries;
    if (slot === undefined) return this.#getUnseen(key, now);
    if (!(now + SHORT < columns.freshUntil[slot]!)) return this.#getEnding(key, slot, now);
    const value = entries.values[slot] as V;
    handle.namespace.hits++;
    columns.use(slot);
    return value;
  }

  /**
   * As `get`, but counts nothing, and is no use of the value. With `allowStale` a value past its `ttl` will do that may still
   * be handed out in one of its stale windows.
   */
  peek(key: K, options?: PeekOptions): V | undefined {
    if (options !== undefined) rejectUnknown(options, PEEK_OPTIONS);
    const allowStale = checkBoolean("allowStale", options?.allowStale ?? false);
    const entries = this.#entries;
    if (!allowStale) {
      const slot = this.#freshSlot(key);
      return slot === 0 ? undefined : entries.valueAt(slot);
    }
    const now = entries.clock.read();
    const slot = this.#handle.slots.get(key);
    return slot !== undefined && entries.safely((core) => core.is_usable(slot, now))
      ? entries.valueAt(slot)
      : undefined;
  }

  /**
   * What there is to know of a key: fresh, stale or failed, how old, how heavy, by what it can be purged, and whether it is
   * being loaded. `undefined` if a get would find nothing and wait for nothing. Counts nothing, and is no use of the value.
   * O(its tags).
   */
  info(key: K): EntryInfo | undefined {
    const now = this.#entries.clock.read();
    const slot = this.#entries.slotOf(this.#handle.partition, key);
    if (slot === 0) return undefined;
    return this.#entries.safely((core) => {
      const [state, loading, age, ttl, bytes] = core.info(slot, now) as unknown as [
        number,
        number,
        number,
        number,
        number,
      ];
      if (state === undefined) return undefined;
      const tags = core.tags_of(slot);
      return {
        state: STATES[state]!,
        loading: loading === 1,
        age,
        ttl,
        bytes,
        tags: tags === "" ? [] : tags.split("\0"),
      };
    });
  }

  /** Whether there is a fresh value. Counts nothing. */
  has(key: K): boolean {
    return this.#freshSlot(key) !== 0;
  }

  /** Milliseconds that the value stays fresh; `undefined` if there is none that is. */
  remainingTtl(key: K): number | undefined {
    const now = this.#entries.clock.read();
    const slot = this.#handle.slots.get(key);
    const left = slot === undefined ? 0 : this.#entries.safely((core) => core.remaining(slot, now));
    return left > 0 ? left : undefined;
  }

  /**
   * Stores a value. A load under way for the key goes on for those who wait for it, but what it brings is
   * not stored. A value heavier than `maxEntryBytes` or with a ttl of 0 is not stored, and the old one goes.
   *
   * @throws {NearCacheError} `ERR_OPTION`; `ERR_BYTES` where a byte bound is set and the value's size is unknown.
   */
  set(key: K, value: V, options?: SetOptions<K>): this {
    const entries = this.#entries;
    const handle = this.#handle;
    const { partition, defaults } = handle;
    let said: CallOptions<K> | undefined;
    if (options !== undefined) {
      rejectUnknown(options, SET_OPTIONS);
      said = readCall(options);
    }
    // What is the user's comes first, since it may use the cache: then the slot is looked up.
    const weight = said === undefined || Number.isNaN(said.bytes) ? handle.weigh(key, value) : said.bytes;
    const stored = entries.copy(value, key);
    entries.changes?.set(handle.place, key, stored, lifeOf(defaults, said, undefined, value));
    const mayJitter = defaults.jitter > 0 || (said !== undefined && said.jitter > 0);
    const random = mayJitter ? this.#random() : 0;
    const now = nowFor(entries.clock, said === undefined ? defaults.ttl : or(said.ttl, defaults.ttl));
    const slot = entries.slotOf(partition, key);
    const hash = slot === 0 ? entries.hash(key, partition) : 0;
    const absent = value === undefined || value === null;
    const given = said === undefined ? undefined : row(said);
    const tags = said === undefined ? undefined : joined(said.tags);
    try {
      const { core } = entries;
      const number = partition.number(core);
      const policy = entries.policies.number(defaults.policy);
      const code =
        given === undefined
          ? core.insert(slot, number, hash, now, policy, weight, absent, random)
          : core.insert_with(slot, number, hash, now, policy, weight, absent, random, given, tags);
      entries.inserted(code, slot, key, stored, partition, number);
    } catch (error) {
      entries.tear(error);
      if (!entries.recover(error)) throw error;
    }
    entries.flush();
    return this;
  }

  /**
   * Removes a key; `true` if there was a fresh value. It wins over a load under way: what that
   * load brings goes to those who already waited, is not stored, and nobody joins it any more.
   */
  delete(key: K): boolean {
    const entries = this.#entries;
    entries.changes?.purge(this.#handle.place, "key", key);
    const now = entries.clock.now();
    const slot = entries.slotOf(this.#handle.partition, key);
    if (slot === 0) return false;
    const held = entries.safely((core) => {
      const held = core.is_fresh(slot, now);
      if (hasNews(core.remove(slot))) entries.drain();
      return held;
    });
    entries.flush();
    return held;
  }

  /** `delete`, and the value that was there, if it was fresh. */
  pop(key: K): V | undefined {
    const value = this.peek(key);
    this.delete(key);
    return value;
  }

  /** The values of those keys that are there and fresh. Each key counts as one `get`, and nothing is loaded. O(keys). */
  getAllPresent(keys: Iterable<K>): Map<K, V> {
    const present = new Map<K, V>();
    for (const key of iterable("keys", keys)) {
      const value = this.get(key);
      if (value !== undefined || this.has(key)) present.set(key, value as V);
    }
    return present;
  }

  /** The first value of `entries` that `predicate` picks. It may call the cache. O(n of the cache). */
  find(predicate: (value: V, key: K) => boolean): V | undefined {
    checkFunction("predicate", predicate);
    for (const [key, value] of this.entries()) if (predicate(value, key) === true) return value;
    return undefined;
  }

  /** `delete` of many keys: how many of them had a fresh value. O(keys). */
  deleteMany(keys: Iterable<K>): number {
    let deleted = 0;
    for (const key of iterable("keys", keys)) deleted += Number(this.delete(key));
    return deleted;
  }

  /** `set` of many keys, with the same options. O(entries). */
  setMany(entries: Iterable<readonly [K, V]>, options?: SetOptions<K>): this {
    for (const entry of iterable("entries", entries)) {
      const [key, value] = iterable("entry", entry) as readonly [K, V];
      this.set(key, value, options);
    }
    return this;
  }

  /**
   * Deletes what this part of the cache would find, fresh or stale, and `predicate` picks; returns how many there were. It may
   * call the cache. O(n of the cache): what is purged often had better bear a tag.
   */
  deleteWhere(predicate: (value: V, key: K) => boolean): number {
    checkFunction("predicate", predicate);
    let deleted = 0;
    for (const [key, value] of this.#walk(true)) {
      if (predicate(value, key) !== true) continue;
      this.delete(key);
      deleted++;
    }
    return deleted;
  }

  /**
   * Deletes everything in the whole cache that may not be handed out any more: values whose `ttl`, stale windows or idle time
   * are over, and failures that need not be remembered; returns how many there were. Hooks are told. The cache does as much
   * bit by bit while it is used, and by a timer with the option `purgeStaleEvery`. O(n).
   */
  purgeStale(): number {
    const now = this.#entries.clock.now();
    return this.#purge((core) => core.remove_all_expired(now));
  }

  /**
   * Ends a value's freshness: its stale windows begin now, or, if it has none, it goes. Wins over a load under way, as
   * `delete` does. `true` if there was a fresh value.
   */
  expire(key: K): boolean {
    const entries = this.#entries;
    entries.changes?.purge(this.#handle.place, "key", key);
    const now = entries.clock.now();
    const slot = entries.slotOf(this.#handle.partition, key);
    if (slot === 0) return false;
    return (this.#purge((core) => core.expire(slot, now)) & 1) !== 0;
  }

  /**
   * Deletes every entry that bears the tag, and returns how many there were. O(entries that bear it).
   *
   * Loads under way may turn out to bear it. What such a load brings is not stored, and goes to those who asked before;
   * whoever joined it since asks again.
   */
  deleteByTag(tag: string): number {
    return this.#purgeTag(tag, (core, namespace, scope) => core.remove_tag(namespace, scope, tag));
  }

  /** As `deleteByTag`, but as `expire` does: what has stale windows stays for them. Returns how many were fresh. */
  expireByTag(tag: string): number {
    const now = this.#entries.clock.now();
    return this.#purgeTag(tag, (core, namespace, scope) => core.expire_tag(namespace, scope, tag, now));
  }

  #purgeTag(tag: string, purge: (core: Core, namespace: number, scope: string) => number): number {
    name("tag", tag);
    this.#entries.changes?.purge(this.#handle.place, "tag", tag);
    const { namespace, scope } = this.#handle.partition;
    return this.#purge((core) => purge(core, namespace.id, scope));
  }

  /** What `operation` brings, by which entries may have left. */
  #purge<T>(operation: (core: Core) => T): T {
    const entries = this.#entries;
    const brought = entries.safely((core) => {
      const brought = operation(core);
      entries.drain();
      return brought;
    });
    entries.flush();
    return brought;
  }

  /** Removes everything, as `delete` does; on a namespace or scope, everything within. O(n of the cache). */
  clear(): void {
    const entries = this.#entries;
    const { partition } = this.#handle;
    entries.changes?.purge(this.#handle.place, "all");
    this.#purge((core) => {
      if (partition === entries.root) entries.clear();
      else core.remove_within(partition.namespace.id, partition.scope);
    });
  }

  /**
   * Entries held in the cache, namespace or scope and within it: dead ones that no call has met yet, and memories of
   * failed loads, included. O(namespaces and scopes with keys), for the cache itself O(1).
   */
  get size(): number {
    const { namespace, scope } = this.#handle.partition;
    return this.#entries.safely((core) => core.len(namespace.id, scope));
  }

  /**
   * The value, or what `loader` brings, which is then stored. However many ask meanwhile, the loader is
   * called once; if it throws, all who wait get its error, and the next call loads anew
   * (but see `staleIfError` and `errorBackoff`). Without a loader the cache's `batch` loads.
   *
   * In Workers calls share loads across requests: the load outlives the request that began it by
   * `waitUntil`, and if it is lost nevertheless, one of those who wait begins it again.
   *
   * Rejects with the loader's error, the signal's reason, or a {@link NearCacheError}: `ERR_TIMEOUT`
   * after `hardTimeout`, `ERR_RECURSIVE_LOAD` in a loader that asks for its own key, `ERR_QUEUE_FULL`, `ERR_TOO_MANY_LOADS`,
   * `ERR_LOAD_LOST`, `ERR_OPTION`, `ERR_BYTES`, `ERR_INVALID`, `ERR_CLONE`, `ERR_BATCH`.
   */
  getOrSet<T extends V = V>(
    key: K,
    loader?: Loader<K, V, T>,
    options?: GetOrSetOptions<K> & { details?: false | undefined },
  ): Promise<Loaded<V, T>>;
  /** As `getOrSet` without the option `details`, and with how the value came to be. */
  getOrSet<T extends V = V>(
    key: K,
    loader: Loader<K, V, T> | undefined,
    options: DetailedOptions<K>,
  ): Promise<Details<Loaded<V, T>>>;
  /** As the two above, by the option `details`. */
  getOrSet<T extends V = V>(
    key: K,
    loader: Loader<K, V, T> | undefined,
    options: GetOrSetOptions<K> & { details?: boolean | undefined },
  ): Promise<Loaded<V, T> | Details<Loaded<V, T>>>;
  getOrSet(
    key: K,
    loader?: Loader<K, V>,
    options?: GetOrSetOptions<K> & { details?: boolean | undefined },
  ): Promise<unknown> {
    const hit = options === undefined ? this.#plainHit(key) : undefined;
    return hit ?? this.#ask(key, loader, options);
  }

  /** @internal `getOrSet` with options that say nothing of a plain hit, and have been read before. */
  [GET_PREPARED](key: K, loader: Loader<K, V>, options: GetOrSetOptions<K>): Promise<V> {
    return this.#plainHit(key) ?? (this.#ask(key, loader, options) as Promise<V>);
  }

  /**
   * `getOrSet` of many keys: one call of `load`, or of the cache's `batch`, for all that are missing and not under way.
   * The values are in the order of the keys, with an `Error` for each key that failed. O(keys).
   *
   * Rejects only if the options or the loader are wrong, or with what `keys` throws.
   */
  async getMany<T extends V = V>(
    keys: Iterable<K>,
    load?: BatchOptions<K, T, LoadContext<K, V>>["load"],
    options?: GetOrSetOptions<K>,
  ): Promise<(Loaded<V, T> | Error)[]> {
    const { namespace } = this.#handle.partition;
    const loader = load === undefined ? this.#batchLoader() : this.#batched({ load }, () => namespace).loader("");
    if (options !== undefined) {
      rejectUnknown(options, GET_OPTIONS);
      // What is wrong for all is no key's error.
      readCall(options);
    }
    // All of them first: what a list throws halfway leaves no load that nobody waits for.
    const asked = Array.from(iterable("keys", keys)).map((key) => this.getOrSet(key, loader, options));
    const settled = await Promise.allSettled(asked);
    return settled.map((one) => (one.status === "fulfilled" ? (one.value as Loaded<V, T>) : toError(one.reason)));
  }

  /**
   * Writes through: `writer` writes to the source and returns what the source now has, which is then stored.
   *
   * If it throws, the key is deleted, since nobody knows what the source has; as well if the key is set, deleted or
   * updated meanwhile, or the caller does not wait for the end. What loads bring that ran meanwhile is not stored.
   * Until the end gets find the old value; in Workers, where a request may die under its writer, they find none. A writer
   * that goes on after its deadline may yet reach the source: until half a minute after it, or after a quarter of an hour and
   * half a minute at the latest, no load of the key is stored that could have read before it.
   *
   * Rejects with the writer's error, the signal's reason, or a {@link NearCacheError}: `ERR_TIMEOUT`, `ERR_OPTION`,
   * `ERR_BYTES`.
   */
  update<T extends V = V>(key: K, writer: Loader<K, V, T>, options: UpdateOptions<K> = {}): Promise<Loaded<V, T>> {
    try {
      checkFunction("writer", writer);
      rejectUnknown(options, UPDATE_OPTIONS);
      const call = readCall(options);
      call.signal?.throwIfAborted();
      return this.#updates.run(this.#handle, key, writer, call) as Promise<unknown> as Promise<Loaded<V, T>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The next value of a key from the present one: `compute` gets what `peek` would find, and returns (or promises) what is
   * stored in its stead, or `undefined` to delete the key. Who computes the same key comes one after the other, in the order of
   * the calls, and each gets what the last one stored; other keys go at the same time.
   *
   * If `compute` throws, what was there stays, and only this caller hears of it. What is set, deleted, cleared or purged
   * meanwhile wins: what `compute` brings is then returned, and not stored; what loads bring that ran meanwhile is not stored.
   * A caller that does not wait for the end (`hardTimeout`, of which the wait for its turn is a part; `signal`) gives its
   * computation up: nothing of it is stored, and the next begins. One that computes its own key waits for itself, until its
   * deadline. At most 1,000 wait for one key.
   *
   * ```ts
   * await cache.compute("ann", (visits = 0) => visits + 1);
   * ```
   *
   * Rejects with the function's error, the signal's reason, or a {@link NearCacheError}: `ERR_TIMEOUT`, `ERR_QUEUE_FULL`,
   * `ERR_OPTION`, `ERR_BYTES`.
   */
  compute(key: K, compute: Compute<V>, options: ComputeOptions<K> = {}): Promise<V | undefined> {
    try {
      checkFunction("compute", compute);
      rejectUnknown(options, UPDATE_OPTIONS);
      const call = readCall(options);
      call.signal?.throwIfAborted();
      return this.#computes.run(this.#handle, key, compute, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * A part of this cache with defaults and figures of its own. It shares the bounds, and nothing else: its keys and
   * tags are not met from outside, but for `clear`, `deleteByTag` and `expireByTag`, which reach within.
   * Called again with the same name it is the same part. There may be 255 of them.
   *
   * @throws {NearCacheError} `ERR_OPTION`
   */
  namespace<L = K, W = V>(within: string, options: NamespaceOptions<L, W> = {}): NearCache<L, W> {
    rejectUnknown(options, NAMESPACE_OPTIONS);
    name("namespace", within);
    const entries = this.#entries;
    const { tiers } = options;
    if (tiers !== undefined) {
      const there = entries.tiers?.names ?? [];
      const isList = Array.isArray(tiers) && tiers.every((tier) => there.includes(tier));
      if (!isList)
        throw optionError("tiers", describe(tiers), `a list of the cache's tiers: ${there.join(", ") || "none"}`);
    }
    const { partition, defaults } = this.#handle;
    let inner = partition.namespace;
    const own = this.#defaults(defaults, options as unknown as DefaultOptions<K, V>, () => inner);
    const made = entries.safely(() => entries.namespace(partition.namespace, within));
    if (made === undefined) throw optionError("namespace", "one too many", "at most 255 of them in a cache");
    inner = made;
    const handle = new CacheHandle(new Partition(inner, partition.scopes), own);
    if (tiers !== undefined) entries.tiers?.restrict(handle.place, tiers);
    return new NearCache(new HandleInit(this, handle)) as unknown as NearCache<L, W>;
  }

  /**
   * The keys of one tenant or user, say `cache.scope("user:42")`: nobody meets them without naming the scope. Costs
   * nothing while it holds nothing, so there may be one for each user; figures are those of the namespace.
   *
   * @throws {NearCacheError} `ERR_OPTION`
   */
  scope(within: string): NearCache<K, V> {
    return this.#scope(userScope(name("scope", within)));
  }

  /** @internal */
  [INNER_SCOPE](within: string, shown = within): NearCache<K, V> {
    return this.#scope(innerScope(within, shown));
  }

  #scope(within: ScopeName): NearCache<K, V> {
    const handle = this.#handle;
    const partition = new Partition(handle.partition.namespace, handle.scopesTo(within));
    return new NearCache(new HandleInit(this, new CacheHandle(partition, handle.defaults)));
  }

  /**
   * Calls `hook` for every such event from now on, in this part of the cache and within; returns the way to end that.
   * Hooks are told when the operation is over and may use the cache. What they throw is ignored.
   *
   * @throws {NearCacheError} `ERR_OPTION`
   */
  on<E extends keyof Events<K, V>>(event: E, hook: (event: Events<K, V>[E]) => unknown): () => void {
    // As a string: a symbol would be passed over, and its hook with it.
    return this.use({ [String(event)]: checkFunction("hook", hook) } as Plugin<K, V>);
  }

  /** Adds a plugin: an object of hooks. As `on`. */
  use(plugin: Plugin<K, V>): () => void {
    return this.#entries.hooks.add(plugin, this.#handle.place);
  }

  /**
   * The function with this cache in front: `getOrSet` with a key made of its arguments. It gets no `this`; for
   * methods there is {@link cached}. A hit costs little with one string or number for argument, and time and
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
  wrap<F extends (this: void, ...args: any[]) => V | PromiseLike<V>>(
    fn: F,
    options?: WrapOptions<Parameters<F>>,
  ): Wrapped<F> {
    return wrap<V, F>(this, fn, options);
  }

  /**
   * Loads many keys, `concurrency` at a time, by `getOrSet`: what is there already is not loaded again. A key that
   * fails is reported and stops nothing. Takes from the list only what it is about to load.
   *
   * Rejects with the signal's reason, the list's own error, or `ERR_OPTION`; the loads under way then go on.
   */
  warmup(entries: WarmupEntries<K, V>, options?: WarmupOptions<K, V>): Promise<WarmupResult<K>> {
    return warmup(this, entries, options);
  }

  /**
   * Loads these keys anew every so often, the first time after `every`: a `warmup` before is for the start. Rounds begin
   * `every` apart, and never overlap: one that takes longer puts the next off until its end. Ten keys are loaded at a time,
   * unless `concurrency` says otherwise, and `onError` is told of each that fails; it is tried again in the next round.
   * Old values stay until the new ones come, so give them a `ttl` longer than `every`. What was evicted meanwhile is loaded
   * again. Holds no process, and goes on until it is stopped.
   *
   * ```ts
   * const keeper = cache.keepFresh([{ key: "rates", loader: fetchRates }], { every: "1m" });
   * ```
   *
   * @throws {NearCacheError} `ERR_OPTION`.
   */
  keepFresh(entries: WarmupEntries<K, V> | (() => WarmupEntries<K, V>), options: KeepFreshOptions<K, V>): KeepFresh<K> {
    return keepFresh(this, entries, options);
  }

  /**
   * The fresh entries; those of namespaces and scopes are theirs. With `eviction: "lru"` the most recently used come first,
   * else they have no order that is promised. O(n of the cache).
   *
   * @throws {NearCacheError} `ERR_OPTION`
   */
  entries(options: WalkOptions = {}): IterableIterator<[K, V]> {
    rejectUnknown(options, WALK_OPTIONS);
    const { order = "newest" } = options;
    if (order !== "newest" && order !== "oldest") throw optionError("order", describe(order), '"newest" or "oldest"');
    return this.#walk(false, order === "oldest");
  }

  *#walk(stale: boolean, oldestFirst = false): IterableIterator<[K, V]> {
    const entries = this.#entries;
    const start = entries.clock.now();
    // The order is taken at the start, so that the loop's body may use the cache.
    const slots = entries.safely((core) => core.newest_first(start, stale));
    if (oldestFirst) slots.reverse();
    for (const slot of slots) {
      const now = entries.clock.against(entries.columns.freshUntil[slot]!);
      const key = entries.keys[slot] as K;
      const willDo = stale ? entries.safely((core) => core.is_usable(slot, now)) : entries.isFresh(slot, now);
      const held = willDo && this.#handle.slots.get(key) === slot;
      if (held) yield [key, entries.copy(entries.values[slot] as V, key)];
    }
  }

  /** The keys of `entries`. */
  keys(options?: WalkOptions): IterableIterator<K> {
    return pick(this.entries(options), 0) as IterableIterator<K>;
  }

  /** The values of `entries`. */
  values(options?: WalkOptions): IterableIterator<V> {
    return pick(this.entries(options), 1) as IterableIterator<V>;
  }

  /** As `entries`. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /** Calls `callback` for each of `entries`. */
  forEach(callback: (value: V, key: K, cache: this) => void): void {
    checkFunction("callback", callback);
    for (const [key, value] of this.entries()) callback(value, key, this);
  }

  /** What happened so far: in the whole cache, or in a namespace. */
  stats(): Stats {
    const { namespace } = this.#handle.partition;
    const which = this.#figures;
    const tiers = this.#entries.tiers?.stats(namespace.id === 0 ? undefined : this.#handle.place);
    const stats = this.#entries.safely(() => {
      const core = this.#entries.counted();
      return toStats(core.counters(which), core.len(namespace.id, ""), core.weight(namespace.id, ""));
    });
    return tiers === undefined ? stats : { ...stats, tiers };
  }

  /** @internal The tiers' part of a page for Prometheus. */
  [TIER_PAGE](page: TierPage | undefined): TierPage | undefined {
    return this.#entries.tiers?.page(this.name, page) ?? page;
  }

  /** @internal What a page for Prometheus tells, by namespace. */
  [LAYERS](): Layer[] {
    const { namespaces, options } = this.#entries;
    return this.#entries.safely(() => {
      const core = this.#entries.counted();
      return namespaces.map(({ id, path }) => {
        const [entries, bytes, ...spread] = core.layer(id) as unknown as [number, number, ...number[]];
        const stats = toStats(core.counters(id), entries, bytes);
        const { maxEntries, maxBytes } = options;
        const whole = id === 0 ? { maxEntries, maxBytes, inFlight: stats.inFlight, queued: stats.queued } : undefined;
        const [millis, ...loads] = spread.splice(0, LOAD_BOUNDS + 2) as [number, ...number[]];
        const [waitMillis, ...waits] = spread.splice(0, LOAD_BOUNDS + 2) as [number, ...number[]];
        const [keys, ...batches] = spread as [number, ...number[]];
        const times = { millis, loads, waitMillis, waits };
        return { cache: this.name, namespace: path.join("/"), stats, ...times, keys, batches, whole };
      });
    });
  }

  /**
   * Whether all is well lately, by the thresholds that are given: in the whole cache, or in a namespace.
   *
   * ```ts
   * const { ok, checks } = cache.health({ minHitRate: 0.5, maxErrorRate: 0.05, maxLatency: "2s" });
   * ```
   * Tiers have thresholds of their own: `tiers: { redis: { minHitRate: 0.8, maxLatency: 10 } }`.
   *
   * @throws {NearCacheError} `ERR_OPTION`
   */
  health(thresholds: HealthOptions = {}): Health {
    const now = this.#entries.clock.now();
    const entries = this.#entries;
    return entries.safely(() => health(entries.counted(), this.#figures, now, thresholds, entries.tiers));
  }

  /** @internal */
  [ADVICE](): Float64Array {
    const entries = this.#entries;
    return entries.safely(() => entries.counted().advice(entries.policies.number(this.#handle.defaults.policy)));
  }

  /** @internal For snapshots. */
  [INTERNALS](): Insides<K, V> {
    return { entries: this.#entries, handle: this.#handle };
  }

  /** @internal What `console.log` shows. */
  [INSPECT](): string {
    return inspect(this.name, this.#handle.place, this.#bounds, this.stats());
  }

  /** Whose figures are the part's: all namespaces' for the cache itself and its scopes. */
  get #figures(): number {
    const { id } = this.#handle.partition.namespace;
    return id === 0 ? ALL : id;
  }

  /** The slot of a key whose value is fresh; 0 if there is none. Counts nothing. */
  #freshSlot(key: K): number {
    const entries = this.#entries;
    const { clock, columns } = entries;
    let now = clock === hostClock ? UNREAD : clock.now();
    const slot = this.#handle.slots.get(key);
    if (slot === undefined) return 0;
    const until = columns.freshUntil[slot]!;
    if (isForEver(until)) return slot;
    if (now === UNREAD) now = hostClock.against(until);
    return entries.isFresh(slot, now) ? slot : 0;
  }

  /** A hit of what is certainly fresh. As `get`, and that `ask` decides the rest. */
  #plainHit(key: K): Promise<V> | undefined {
    try {
      const entries = this.#entries;
      const handle = this.#handle;
      const { clock, columns } = entries;
      let now = clock === hostClock ? UNREAD : clock.now();
      const slot = handle.unchecked.get(key);
      // What is not there needs no time.
      if (slot === undefined) {
        handle.noteMissing(key);
        return undefined;
      }
      const until = columns.freshUntil[slot]!;
      if (!isForEver(until)) {
        // What is on its way, and what needs a look, needs no time here either.
        if (Number.isNaN(until)) return undefined;
        if (now === UNREAD) now = hostClock.against(until);
        if (!(now < until)) return until === undefined ? this.#hiddenHit(key, slot, now) : undefined;
      }
      const value = entries.values[slot] as V;
      handle.namespace.hits++;
      columns.use(slot);
      return Promise.resolve(value);
    } catch (error) {
      // Of a clock of the user's, or of what can't be copied.
      return Promise.reject(error);
    }
  }

  /** As `plainHit`, where the columns can't be seen. */
  #hiddenHit(key: K, slot: number, now: number): Promise<V> | undefined {
    const entries = this.#entries;
    const { hooks } = entries;
    const handle = this.#handle;
    if (!entries.safely(() => entries.columns.isFresh(slot, now))) return undefined;
    const value = entries.copy(entries.values[slot] as V, key);
    handle.namespace.hits++;
    entries.columns.use(slot);
    if (hooks.hit !== undefined) hooks.notify("hit", { key, place: handle.place });
    entries.flush();
    return Promise.resolve(value);
  }

  /** A `get` of what ends soon, or has ended, or can't be seen: by the clock itself. */
  #getEnding(key: K, slot: number, now: number): V | undefined {
    const { clock, columns, values } = this.#entries;
    if (clock === hostClock) now = clock.read();
    if (!(now < columns.freshUntil[slot]!)) return this.#getSlow(key, slot, now);
    this.#handle.namespace.hits++;
    columns.use(slot);
    return values[slot] as V;
  }

  /** A `get` of a key that has no slot, or whose value the rule has to see first. */
  #getUnseen(key: K, now: number): V | undefined {
    const { slots, unchecked } = this.#handle;
    const { clock } = this.#entries;
    const slot = unchecked === slots ? undefined : slots.get(key);
    if (slot === undefined) return this.#getAbsent(key, now);
    return this.#getSlow(key, slot, clock === hostClock ? clock.read() : now);
  }

  /** A `get` of a key that has no slot. */
  #getAbsent(key: K, now: number, cause: "absent" | "invalid" = "absent"): undefined {
    const entries = this.#entries;
    const handle = this.#handle;
    const { hooks } = entries;
    handle.noteMissing(key);
    try {
      if (hasNews(entries.core.miss(handle.namespace.id, now))) entries.drain();
    } catch (error) {
      if (!entries.recover(error)) throw error;
      return undefined;
    }
    if (hooks.miss !== undefined) hooks.notify("miss", { key, place: handle.place, cause });
    entries.flush();
    return undefined;
  }

  /** A `get` that was no plain hit, of a key that has a slot. */
  #getSlow(key: K, held: number, now: number): V | undefined {
    const entries = this.#entries;
    const { hooks } = entries;
    const { place, defaults } = this.#handle;
    const { validate } = defaults;
    const isInvalid = validate !== undefined && this.#driver.finds(this.#handle, key, validate);
    // The rule is the user's, and may have used the cache; and what the core has yet to be told may take the slot.
    const isHeld = validate === undefined && entries.untold === undefined;
    const slot = isHeld ? held : entries.slotOf(this.#handle.partition, key);
    if (slot === 0) return this.#getAbsent(key, now, isInvalid ? "invalid" : "absent");
    let code: number;
    try {
      // It may be here for nothing but that the memory has grown.
      entries.columns.follow(0);
      code = isInvalid ? entries.core.touch_invalid(slot) : entries.core.touch(slot, now);
    } catch (error) {
      if (!entries.recover(error)) throw error;
      return undefined;
    }
    const isHit = !isInvalid && kind(code) === HIT;
    const value = isHit ? entries.copy(entries.values[slot] as V, key) : undefined;
    if (hasNews(code)) entries.drain();
    if (isHit) {
      if (hooks.hit !== undefined) hooks.notify("hit", { key, place });
    } else if (hooks.miss !== undefined) {
      hooks.notify("miss", {
        key,
        place,
        cause: isInvalid ? "invalid" : kind(code) === MISS_EXPIRED ? "expired" : "absent",
      });
    }
    entries.flush();
    return value;
  }

  /** The cold side of `getOrSet`. Never throws. */
  #ask(
    key: K,
    loader: Loader<K, V> | undefined,
    options: GetOrSetOptions<K> | DetailedOptions<K, boolean> | undefined,
  ): Promise<V | Details<V>> {
    try {
      if (loader === undefined) loader = this.#batchLoader();
      else checkFunction("loader", loader);
      if (options === undefined) return this.#copied(key, this.#driver.ask(this.#handle, key, loader, undefined));
      rejectUnknown(options, DETAILED_OPTIONS);
      const call = readCall(options);
      call.signal?.throwIfAborted();
      if (!call.details) return this.#copied(key, this.#driver.ask(this.#handle, key, loader, call));
      const detailed = this.#driver.askDetailed(this.#handle, key, loader, call);
      const entries = this.#entries;
      if (!entries.copies) return detailed;
      return detailed.then((details) => ({ ...details, value: entries.copy(details.value, key) }));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Of those who share a load each gets a copy, where values are copied. */
  #copied(key: K, shared: Promise<V>): Promise<V> {
    const entries = this.#entries;
    return entries.copies ? shared.then((value) => entries.copy(value, key)) : shared;
  }

  #batchLoader(): Loader<K, V> {
    const handle = this.#handle;
    if (handle.batchLoader !== undefined) return handle.batchLoader;
    const { batcher } = handle.defaults;
    if (batcher === undefined)
      throw optionError("loader", "undefined", "a function, or a cache that was made with `batch`");
    const { namespace, scope } = handle.partition;
    return (handle.batchLoader = batcher.loader(`${namespace.id} ${scope}`));
  }

  #batched(
    options: BatchOptions<K, V, LoadContext<K, V>>,
    where: () => Namespace<K>,
  ): Batcher<K, V, LoadContext<K, V>> {
    const entries = this.#entries;
    const driver = this.#driver;
    return new Batcher(options, {
      entries,
      get asker() {
        // Which load it is the core may have yet to be told.
        entries.tellAll();
        return driver.loads.asker?.node ?? -1;
      },
      now: () => entries.clock.readOrLast(),
      isWanted: (ctx) => !(ctx as Context<K, V>).isAborted,
      turn: (batch, key) => driver.loads.queue?.call(batch.node, key),
      run: (batch, call, keys) => {
        entries.safely((core) => core.count_batch(where().id, keys.length));
        return driver.loads.runAs(batch, call);
      },
      ended: (keys, duration, error) => {
        const { path } = where();
        const { hooks } = entries;
        if (hooks.batch === undefined || keys.length === 0) return;
        const place = { namespaces: path, scope: undefined, scopes: [] };
        hooks.notify("batch", { keys, place, duration, error });
        entries.flush();
      },
    });
  }

  /** What a part takes for granted: what is said here, or what the one around it does. */
  #defaults(outer: Defaults<K, V>, given: DefaultOptions<K, V>, where: () => Namespace<K>): Defaults<K, V> {
    const said = readNumbers(given);
    const { errorBackoff, retry, validate, sizeOf, batch } = given;
    return {
      ...over(outer, said),
      policy: this.#entries.safely(() => this.#entries.policies.of(outer.policy, said)),
      backoffRule: errorBackoff === undefined ? outer.backoffRule : readRule(errorBackoff),
      retryRule: retry === undefined ? outer.retryRule : readRetryRule(retry),
      validate: validate === undefined ? outer.validate : checkFunction("validate", validate),
      sizeOf: sizeOf === undefined ? outer.sizeOf : checkFunction("sizeOf", sizeOf),
      batcher: batch === undefined ? outer.batcher : this.#batched(batch, where),
    };
  }
}

/**
 * The figures of a cache, or of several, whose names should differ, as a page for Prometheus (text format 0.0.4): each
 * namespace apart, with the labels `cache`, `layer` (`memory`, or a tier's name) and `entity` (the namespace). Serve it as
 * `text/plain; version=0.0.4`. O(namespaces, and scopes with keys).
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function prometheus(caches: NearCache | Iterable<NearCache>): string {
  // A cache can be walked too, but what it has in it are entries.
  const all: Iterable<unknown> = isCache(caches) ? [caches] : caches;
  if (typeof all?.[Symbol.iterator] !== "function") throw optionError("caches", describe(all), CACHES);
  let below: TierPage | undefined;
  const layers = Array.from(all, (cache) => {
    if (!isCache(cache)) throw optionError("caches", describe(cache), CACHES);
    below = cache[TIER_PAGE](below);
    return cache[LAYERS]();
  });
  return page(layers.flat()) + (below?.text() ?? "");
}

/**
 * What to change about a cache, by what happened in it so far, and why: nothing where its figures don't speak for it.
 * Begins with the first call to estimate what more room would bring (with `eviction: "adaptive"`), and says nothing of that
 * until some thousand gets later: so call it now and then. It is about the whole cache and the cache's own options.
 *
 * ```ts
 * for (const { option, suggested, why } of advise(cache)) console.log(`${option}: ${suggested}, since ${why}`);
 * ```
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function advise(cache: NearCache): Advice[] {
  if (!isCache(cache)) throw optionError("cache", describe(cache), "a NearCache");
  return readAdvice(cache[ADVICE]());
}

/** Bounds of the buckets of load times: 1 ms to 65 s in doublings. */
const LOAD_BOUNDS = 17;
const CACHES = "a NearCache, or a list of them";

function isCache(given: unknown): given is NearCache {
  return typeof (given as Partial<NearCache> | null | undefined)?.[LAYERS] === "function";
}

/** In the place of options: a part of a cache that is there already. */
class HandleInit<K, V> {
  constructor(
    readonly whole: NearCache<K, V>,
    readonly handle: CacheHandle<K, V>,
  ) {}
}

/** Of each pair its key or its value. */
function* pick(pairs: Iterable<readonly unknown[]>, at: number): IterableIterator<unknown> {
  for (const pair of pairs) yield pair[at];
}
