import { Batcher } from "./batcher.js";
import { atMost, recent, upperBound } from "./clock.js";
import { ALL, Core, DEPARTED, EVICTED, SLOT } from "./core.js";
import { NearCacheError } from "./errors.js";
import type { Call } from "./flight.js";
import { health, mergePages } from "./figures.js";
import { host } from "./host.js";
import { INSPECT, inspect } from "./inspect.js";
import { estimate, keepNext, weigh } from "./keeping.js";
import { Loads } from "./loads.js";
import { abortSignal, bytes, count, flag, fn, known, name, names, refusal, show } from "./options.js";
import { GET_OPTIONS, LIFE_OPTIONS, policy, type Policy, SET_OPTIONS, UPDATE_OPTIONS, USUAL } from "./policy.js";
import { Room, segment } from "./room.js";
import { Shelf } from "./shelf.js";
import { toStats, type Stats } from "./stats.js";
import type {
  BatchOptions,
  CacheLike,
  DefaultOptions,
  DetailedOptions,
  Details,
  Events,
  GetOrSetOptions,
  Health,
  HealthOptions,
  Keeper,
  KeepFreshOptions,
  LoadContext,
  Loaded,
  Loader,
  NearCacheOptions,
  Plugin,
  SetOptions,
  UpdateOptions,
  WarmupEntries,
  WarmupOptions,
  WarmupResult,
  Wrapped,
  WrapOptions,
} from "./types.js";
import { Updates } from "./updates.js";
import { CALL, type Habits, PART, View } from "./view.js";
import { keepFresh, warmup } from "./warmup.js";
import { wrap } from "./wrap.js";

export { DataLoader } from "./dataloader.js";
export { NearCacheError, type NearCacheErrorCode } from "./errors.js";
export type { Stats } from "./stats.js";
export type {
  CachedOptions,
  CacheLike,
  Check,
  DefaultOptions,
  DetailedOptions,
  Details,
  Duration,
  ErrorBackoff,
  Events,
  GetOrSetOptions,
  Health,
  HealthOptions,
  Keeper,
  KeepFreshOptions,
  KeyEvent,
  LifeOptions,
  LoadContext,
  Loaded,
  Loader,
  NearCacheOptions,
  Place,
  Plugin,
  SetOptions,
  Status,
  UpdateOptions,
  WarmupEntries,
  WarmupEntry,
  WarmupOptions,
  WarmupProgress,
  WarmupResult,
  Wrapped,
  WrapOptions,
} from "./types.js";
export { cached } from "./wrap.js";

const DETAILED_OPTIONS = new Set([...GET_OPTIONS, "details"]);
const VIEW_OPTIONS = new Set([...LIFE_OPTIONS, "softTimeout", "hardTimeout", "sizeOf", "batch"]);
const CACHE_OPTIONS = new Set([
  "maxEntries",
  "maxBytes",
  "maxEntryBytes",
  ...VIEW_OPTIONS,
  "plugins",
  "name",
  "clock",
  "random",
]);
const MAX_ENTRIES = 10_000;
const ignore = (): void => {};

/**
 * A cache in the memory of this isolate or process: bounded, in LRU order, with lifetimes, and with one
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
  readonly #core: Core;
  readonly #shelf: Shelf<K, V>;
  readonly #loads: Loads<K, V>;
  readonly #updates: Updates<K, V>;
  readonly #clock: (() => number) | undefined;
  readonly #random: () => number;
  readonly #view: View<K, V>;
  readonly #bounds: string;
  /** What the cache as a whole is called. */
  readonly name: string;

  /** @throws {NearCacheError} `ERR_OPTION`, naming the option, what it got and what it wants. */
  constructor(options?: NearCacheOptions<K, V>);
  /** @internal */
  constructor(part: Part<K, V>);
  constructor(options: NearCacheOptions<K, V> | Part<K, V> = {}) {
    if (options instanceof Part) {
      const { whole, view } = options;
      this.#core = whole.#core;
      this.#shelf = whole.#shelf;
      this.#loads = whole.#loads;
      this.#updates = whole.#updates;
      this.#clock = whole.#clock;
      this.#random = whole.#random;
      this.#view = view;
      this.#bounds = whole.#bounds;
      this.name = whole.name;
      return;
    }
    known(options, CACHE_OPTIONS);
    const { maxEntries = MAX_ENTRIES, maxBytes = Infinity, plugins = [] } = options;
    const { maxEntryBytes = maxBytes, clock, random = Math.random, name: called = "default" } = options;
    this.name = name("name", called);
    this.#clock = clock === undefined ? undefined : fn("clock", clock);
    this.#random = fn("random", random);
    const weighs = bytes("maxBytes", maxBytes) < Infinity || bytes("maxEntryBytes", maxEntryBytes) < Infinity;
    const room = new Room<K>(0, []);
    const habits = { policy: USUAL, sizeOf: weighs ? estimate : undefined, batcher: undefined };
    this.#view = new View(
      room,
      undefined,
      this.#habits(habits, options, () => room),
    );
    const most = count("maxEntries", maxEntries);
    this.#bounds = `maxEntries: ${most}, maxBytes: ${maxBytes}`;
    const { ttl } = this.#view.habits.policy;
    this.#core = new Core(most, maxBytes, maxEntryBytes, ttl, !host.requestBound);
    this.#shelf = new Shelf(this.#core, most, this.#clock, this.#view);
    this.#loads = new Loads(this.#shelf, this.#random);
    this.#updates = new Updates(this.#shelf, this.#random);
    if (!Array.isArray(plugins)) throw refusal("plugins", show(plugins), "an array of plugins");
    for (const plugin of plugins) this.use(plugin);
  }

  /** The value, if it is there and fresh. Makes it the most recently used. */
  get(key: K): V | undefined {
    const slot = this.#view.slots.get(key);
    if (slot !== undefined && this.#core.hit(slot, this.#clock === undefined ? upperBound() : this.#clock())) {
      const value = this.#shelf.values[slot] as V;
      if (this.#shelf.hooks.hit !== undefined) this.#tellHit(key);
      return value;
    }
    return this.#getSlow(key, slot);
  }

  /** As `get`, but counts nothing and leaves the order of use as it is. */
  peek(key: K): V | undefined {
    const slot = this.#view.slots.get(key);
    return slot !== undefined && this.#core.is_fresh(slot, this.#shelf.now())
      ? (this.#shelf.values[slot] as V)
      : undefined;
  }

  /** Whether there is a fresh value. Counts nothing. */
  has(key: K): boolean {
    const slot = this.#view.slots.get(key);
    return slot !== undefined && this.#core.is_fresh(slot, this.#shelf.now());
  }

  /** Milliseconds that the value stays fresh; `undefined` if there is none that is. */
  remainingTtl(key: K): number | undefined {
    const slot = this.#view.slots.get(key);
    const left = slot === undefined ? 0 : this.#core.remaining(slot, this.#shelf.now());
    return left > 0 ? left : undefined;
  }

  /**
   * Stores a value. A load under way for the key goes on for those who wait for it, but what it brings is
   * not stored. A value heavier than `maxEntryBytes` or with a ttl of 0 is not stored, and the old one goes.
   *
   * @throws {NearCacheError} `ERR_OPTION`; `ERR_BYTES` where a byte bound is set and the value's size is unknown.
   */
  set(key: K, value: V, options?: SetOptions<K>): this {
    const view = this.#view;
    let said = view.habits.policy;
    let tags: readonly string[] | undefined;
    let given: number | undefined;
    if (options !== undefined) {
      known(options, SET_OPTIONS);
      said = policy(said, options);
      given = options.bytes;
      if (options.tags !== undefined) tags = names("tags", options.tags);
    }
    const weight = weigh(view, key, value, given);
    const negative = (value === undefined || value === null) && options?.ttl === undefined;
    const ttl = negative ? (said.negativeTtl ?? said.ttl) : said.ttl;
    const slot = view.slots.get(key);
    const now = this.#clock === undefined ? atMost(ttl) : this.#clock();
    keepNext(this.#core, this.#random, view, said, tags);
    const code = this.#core.insert(slot === undefined ? 0 : slot, view.room.space, now, ttl, weight);
    const at = code & SLOT;
    if ((code & EVICTED) !== 0) this.#shelf.evicted(at);
    if (code >= DEPARTED) this.#shelf.drain();
    if (at !== 0) {
      if (slot === undefined) this.#shelf.place(at, key, view);
      this.#shelf.put(at, value);
    }
    this.#shelf.flush();
    return this;
  }

  /**
   * Removes a key; `true` if there was a fresh value. It wins over a load under way: what that
   * load brings goes to those who already waited, is not stored, and nobody joins it any more.
   */
  delete(key: K): boolean {
    const slot = this.#view.slots.get(key);
    if (slot === undefined) return false;
    const held = this.#core.is_fresh(slot, this.#shelf.now());
    if (this.#core.remove(slot) >= DEPARTED) this.#shelf.drain();
    this.#shelf.flush();
    return held;
  }

  /**
   * Ends a value's freshness: its stale windows begin now, or, if it has none, it goes. Wins over a load under way, as
   * `delete` does. `true` if there was a fresh value.
   */
  expire(key: K): boolean {
    const slot = this.#view.slots.get(key);
    if (slot === undefined) return false;
    const code = this.#core.expire(slot, this.#shelf.now());
    if (code >= DEPARTED) this.#shelf.drain();
    this.#shelf.flush();
    return (code & 1) !== 0;
  }

  /**
   * Deletes every entry that bears the tag, and returns how many there were. O(entries that bear it).
   *
   * Loads under way may turn out to bear it: nobody joins those any more, and if one does, it is not stored.
   */
  deleteByTag(tag: string): number {
    const hit = this.#core.remove_tag(this.#view.tag(name("tag", tag)));
    this.#shelf.drain();
    this.#shelf.flush();
    return hit;
  }

  /** As `deleteByTag`, but as `expire` does: what has stale windows stays for them. Returns how many were fresh. */
  expireByTag(tag: string): number {
    const hit = this.#core.expire_tag(this.#view.tag(name("tag", tag)), this.#shelf.now());
    this.#shelf.drain();
    this.#shelf.flush();
    return hit;
  }

  /**
   * Removes everything, as `delete` does; on a namespace or scope, everything within. O(entries there, and on a scope
   * the scopes beside it).
   */
  clear(): void {
    const { room, place } = this.#view;
    if (room.space === 0 && place.scope === undefined) {
      this.#shelf.clear();
    } else {
      for (const slot of [...room.everySlot(place.scope)]) this.#core.remove(slot);
      this.#shelf.drain();
    }
    this.#shelf.flush();
  }

  /**
   * Entries held in the cache or namespace (not in those within it, and a scope's are its namespace's): dead ones
   * that no call has met yet, and memories of failed loads, included. For the cache itself, all there are.
   */
  get size(): number {
    return this.#core.len(this.#space);
  }

  /** As `getOrSet` without the option `details`, and with how the value came to be. */
  getOrSet<T extends V = V>(
    key: K,
    loader: Loader<K, V, T> | undefined,
    options: DetailedOptions<K>,
  ): Promise<Details<Loaded<V, T>>>;
  /**
   * The value, or what `loader` brings, which is then stored. However many ask meanwhile, the loader is
   * called once; if it throws, all who wait get its error, and the next call loads anew
   * (but see `staleIfError` and `errorBackoff`). Without a loader the cache's `batch` loads.
   *
   * In Workers calls share loads across requests: the load outlives the request that began it by
   * `waitUntil`, and if it is lost nevertheless, one of those who wait begins it again.
   *
   * Rejects with the loader's error, the signal's reason, or a {@link NearCacheError}: `ERR_TIMEOUT`
   * after `hardTimeout`, `ERR_RECURSIVE_LOAD` in a loader that asks for its own key, `ERR_OPTION`, `ERR_BYTES`, `ERR_BATCH`.
   */
  getOrSet<T extends V = V>(
    key: K,
    loader?: Loader<K, V, T>,
    options?: GetOrSetOptions<K> | DetailedOptions<K, false | undefined>,
  ): Promise<Loaded<V, T>>;
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
    const slot = this.#view.slots.get(key);
    const hit = slot === undefined || options !== undefined ? undefined : this.#plainHit(key, slot);
    return hit ?? this.#ask(key, slot, loader, options);
  }

  /** @internal `getOrSet` with options that say nothing of a plain hit, and have been read before. */
  [CALL](key: K, loader: Loader<K, V>, options: GetOrSetOptions<K>): Promise<V> {
    const slot = this.#view.slots.get(key);
    const hit = slot === undefined ? undefined : this.#plainHit(key, slot);
    return hit ?? (this.#ask(key, slot, loader, options) as Promise<V>);
  }

  /**
   * `getOrSet` of many keys: one call of `load`, or of the cache's `batch`, for all that are missing and not under way.
   * The values are in the order of the keys, with an `Error` for each key that failed. O(keys).
   *
   * Rejects only if the options or the loader are wrong.
   */
  async getMany<T extends V = V>(
    keys: Iterable<K>,
    load?: BatchOptions<K, T, LoadContext<K, V>>["load"],
    options?: GetOrSetOptions<K>,
  ): Promise<(Loaded<V, T> | Error)[]> {
    const batcher = load === undefined ? this.#batcher() : this.#batched({ load }, () => this.#view.room);
    if (options !== undefined) {
      known(options, GET_OPTIONS);
      // What is wrong for all is no key's error.
      this.#call(undefined as K, ignore as unknown as Loader<K, V>, options, 0);
    }
    const loader: Loader<K, V> = (key, ctx) => batcher.load(key, ctx);
    const asked: Promise<V>[] = [];
    for (const key of keys) asked.push(this.getOrSet(key, loader, options));
    const settled = await Promise.allSettled(asked);
    return settled.map((one) => {
      if (one.status === "fulfilled") return one.value as Loaded<V, T>;
      return one.reason instanceof Error ? one.reason : new Error(String(one.reason), { cause: one.reason });
    });
  }

  /**
   * Writes through: `writer` writes to the source and returns what the source now has, which is then stored.
   *
   * If it throws, the key is deleted, since nobody knows what the source has; as well if the key is set, deleted or
   * updated meanwhile, or the caller does not wait for the end. What loads bring that ran meanwhile is not stored.
   * Until the end gets find the old value; in Workers, where a request may die under its writer, they find none.
   *
   * Rejects with the writer's error, the signal's reason, or a {@link NearCacheError}: `ERR_TIMEOUT`, `ERR_OPTION`,
   * `ERR_BYTES`.
   */
  update<T extends V = V>(key: K, writer: Loader<K, V, T>, options: UpdateOptions<K> = {}): Promise<Loaded<V, T>> {
    try {
      fn("writer", writer);
      known(options, UPDATE_OPTIONS);
      const call = this.#call(key, writer, options, this.#shelf.now());
      call.signal?.throwIfAborted();
      return this.#updates.run(call) as Promise<unknown> as Promise<Loaded<V, T>>;
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
  namespace<L = K, W = V>(within: string, options: DefaultOptions<L, W> = {}): NearCache<L, W> {
    known(options, VIEW_OPTIONS);
    name("namespace", within);
    const { room, habits, place } = this.#view;
    let inner = room.namespaces.get(within);
    const own = this.#habits(habits, options as unknown as DefaultOptions<K, V>, () => inner ?? room);
    if (inner === undefined) {
      const space = this.#core.add_space();
      if (space < 0) throw refusal("namespace", "one too many", "at most 255 of them in a cache");
      inner = new Room(space, [...room.path, within]);
      room.namespaces.set(within, inner);
    }
    return new NearCache(new Part(this, new View(inner, place.scope, own))) as unknown as NearCache<L, W>;
  }

  /**
   * The keys of one tenant or user, say `cache.scope("user:42")`: nobody meets them without naming the scope. Costs
   * nothing while it holds nothing, so there may be one for each user; figures are those of the namespace.
   *
   * @throws {NearCacheError} `ERR_OPTION`
   */
  scope(within: string): NearCache<K, V> {
    return this[PART](segment(name("scope", within)));
  }

  /** @internal */
  [PART](within: string): NearCache<K, V> {
    const { room, habits, place } = this.#view;
    const scope = place.scope === undefined ? within : `${place.scope}/${within}`;
    return new NearCache(new Part(this, new View(room, scope, habits)));
  }

  /**
   * Calls `hook` for every such event from now on, in this part of the cache and within; returns the way to end that.
   * Hooks are told when the operation is over and may use the cache. What they throw is ignored.
   *
   * @throws {NearCacheError} `ERR_OPTION`
   */
  on<E extends keyof Events<K, V>>(event: E, hook: (event: Events<K, V>[E]) => unknown): () => void {
    return this.use({ [event]: fn("hook", hook) } as Plugin<K, V>);
  }

  /** Adds a plugin: an object of hooks. As `on`. */
  use(plugin: Plugin<K, V>): () => void {
    return this.#shelf.hooks.add(plugin, this.#view.place);
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
  wrap<F extends (this: void, ...args: any[]) => V | PromiseLike<V>>(
    fn: F,
    options?: WrapOptions<Parameters<F>>,
  ): Wrapped<F> {
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
  keepFresh(entries: WarmupEntries<K, V> | (() => WarmupEntries<K, V>), options: KeepFreshOptions<K, V>): Keeper<K> {
    return keepFresh(this, entries, options);
  }

  /** The fresh entries, the most recently used first; those of namespaces and scopes are theirs. O(n of the cache). */
  *entries(): IterableIterator<[K, V]> {
    // The order is taken at the start, so that the loop's body may use the cache.
    for (const slot of this.#core.newest_first(this.#shelf.now())) {
      const key = this.#shelf.keys[slot] as K;
      const held = this.#view.slots.get(key) === slot && this.#core.is_fresh(slot, this.#shelf.now());
      if (held) yield [key, this.#shelf.values[slot] as V];
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

  /** What happened so far: in the whole cache, or in a namespace. */
  stats(): Stats {
    const space = this.#space;
    return toStats(this.#core.counters(space), this.#core.len(space), this.#core.weight(space), this.#core.in_flight());
  }

  /**
   * The figures as a page for Prometheus (text format 0.0.4): of the whole cache, each namespace apart, with the labels
   * `cache`, `layer` and `namespace`. Serve it as `text/plain; version=0.0.4`. O(namespaces).
   */
  prometheus(): string {
    return this.#core.prometheus(this.name, this.#shelf.namespaces());
  }

  /**
   * Whether all is well lately, by the thresholds that are given: in the whole cache, or in a namespace.
   *
   * ```ts
   * const { ok, checks } = cache.health({ minHitRate: 0.5, maxErrorRate: 0.05, maxLatency: "2s" });
   * ```
   * @throws {NearCacheError} `ERR_OPTION`
   */
  health(thresholds: HealthOptions = {}): Health {
    return health(this.#core, this.#space, this.#shelf.now(), thresholds);
  }

  /** @internal What `console.log` shows. */
  [INSPECT](): string {
    return inspect(this.name, this.#view.place, this.#bounds, this.stats());
  }

  get #space(): number {
    const { room } = this.#view;
    return room.space === 0 ? ALL : room.space;
  }

  #plainHit(key: K, slot: number): Promise<V> | undefined {
    if (!this.#core.hit(slot, this.#clock === undefined ? upperBound() : this.#clock())) return undefined;
    const value = this.#shelf.values[slot] as V;
    if (this.#shelf.hooks.hit !== undefined) this.#tellHit(key);
    return Promise.resolve(value);
  }

  /** A `get` that was no hit, as far as an upper bound of the time tells. */
  #getSlow(key: K, slot: number | undefined): V | undefined {
    let value: V | undefined;
    let code = 0;
    const held = this.#shelf.holds(slot);
    if (slot === undefined)
      code = this.#core.miss(this.#view.room.space, this.#clock === undefined ? recent() : this.#clock());
    else {
      code = this.#core.touch(slot, this.#shelf.now());
      if (code === 1) value = this.#shelf.values[slot] as V;
    }
    if (code >= DEPARTED) this.#shelf.drain();
    const { hooks } = this.#shelf;
    if (code === 1) {
      if (hooks.hit !== undefined) this.#tellHit(key);
    } else if (hooks.miss !== undefined) {
      hooks.put("miss", { key, place: this.#view.place, cause: held ? "expired" : "absent" });
    }
    this.#shelf.flush();
    return value;
  }

  #tellHit(key: K): void {
    this.#shelf.hooks.put("hit", { key, place: this.#view.place });
    this.#shelf.flush();
  }

  /** The cold side of `getOrSet`. Never throws. */
  #ask(
    key: K,
    slot: number | undefined,
    loader: Loader<K, V> | undefined,
    options: GetOrSetOptions<K> | DetailedOptions<K> | undefined,
  ): Promise<V | Details<V>> {
    let call: Call<K, V>;
    let now: number;
    try {
      if (loader === undefined) {
        const batcher = this.#batcher();
        loader = (key, ctx) => batcher.load(key, ctx);
      } else fn("loader", loader);
      if (options !== undefined) known(options, DETAILED_OPTIONS);
      const { hardTimeout } = this.#view.habits.policy;
      // Where there is no value, nothing can be handed out too late, and a recent moment will do for the cache's deadline.
      const empty = this.#clock === undefined && (slot === undefined || !this.#core.is_usable(slot, 0));
      now = empty && options?.hardTimeout === undefined ? atMost(hardTimeout) : this.#shelf.now();
      call = this.#call(key, loader, options, now);
      call.signal?.throwIfAborted();
    } catch (error) {
      return Promise.reject(error);
    }
    return call.detailed ? this.#loads.beginDetailed(call, slot, now) : this.#loads.begin(call, slot, now);
  }

  /** @throws {NearCacheError} `ERR_OPTION` */
  #call(key: K, loader: Loader<K, V>, options: GetOrSetOptions<K> | undefined, now: number): Call<K, V> {
    const view = this.#view;
    let said: Policy<K> = view.habits.policy;
    let tags: readonly string[] | undefined;
    let weight: number | undefined;
    let fresh = false;
    let detailed = false;
    let signal: AbortSignal | undefined;
    if (options !== undefined) {
      said = policy(said, options);
      if (options.tags !== undefined) tags = names("tags", options.tags);
      if (options.bytes !== undefined) weight = bytes("bytes", options.bytes);
      if (options.forceFresh !== undefined) fresh = flag("forceFresh", options.forceFresh);
      if (options.signal !== undefined) signal = abortSignal("signal", options.signal);
      const { details } = options as Partial<DetailedOptions>;
      if (details !== undefined) detailed = flag("details", details);
    }
    const deadline = Math.floor(now) + said.hardTimeout;
    return {
      view,
      key,
      loader,
      policy: said,
      tags,
      bytes: weight,
      fresh,
      deadline,
      signal,
      background: false,
      detailed,
      status: "miss",
      age: 0,
      ttl: 0,
      flight: undefined,
    };
  }

  #batcher(): Batcher<K, V, LoadContext<K, V>> {
    const { batcher } = this.#view.habits;
    if (batcher !== undefined) return batcher;
    throw refusal("loader", "undefined", "a function, or a cache that was made with `batch`");
  }

  /** A room's scopes share its batches. */
  #batched(options: BatchOptions<K, V, LoadContext<K, V>>, where: () => Room<K>): Batcher<K, V, LoadContext<K, V>> {
    return new Batcher(options, (keys, duration, error) => {
      const { space, path } = where();
      this.#core.count_batch(space, keys.length);
      if (this.#shelf.hooks.batch === undefined) return;
      this.#shelf.hooks.put("batch", { keys, place: { namespaces: path, scope: undefined }, duration, error });
      this.#shelf.flush();
    });
  }

  /** What a view takes for granted: what is said here, or what the one around it does. */
  #habits(outer: Habits<K, V>, given: DefaultOptions<K, V>, where: () => Room<K>): Habits<K, V> {
    return {
      policy: policy(outer.policy, given),
      sizeOf: given.sizeOf === undefined ? outer.sizeOf : fn("sizeOf", given.sizeOf),
      batcher: given.batch === undefined ? outer.batcher : this.#batched(given.batch, where),
    };
  }
}

/**
 * One page for Prometheus of a cache, or of several, whose names should differ. See {@link NearCache.prometheus}.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function prometheus(caches: NearCache | Iterable<NearCache>): string {
  // A cache can be walked too, but what it has in it are entries.
  const all: Iterable<unknown> = isCache(caches) ? [caches] : caches;
  if (typeof all?.[Symbol.iterator] !== "function") throw refusal("caches", show(all), CACHES);
  const pages = Array.from(all, (cache) => {
    if (isCache(cache)) return cache.prometheus();
    throw refusal("caches", show(cache), CACHES);
  });
  return mergePages(pages);
}

const CACHES = "a NearCache, or a list of them";

/** Not `instanceof`: a program may hold two copies of this package. */
function isCache(given: unknown): given is NearCache {
  return typeof (given as Partial<NearCache> | null | undefined)?.prometheus === "function";
}

/** In the place of options: a part of a cache that is there already. */
class Part<K, V> {
  constructor(
    readonly whole: NearCache<K, V>,
    readonly view: View<K, V>,
  ) {}
}
