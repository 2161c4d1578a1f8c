import type { Clock } from "../runtime/clock.js";
import { Columns, type ColumnsOwner } from "../core/columns.js";
import { CAUSES, Core, EVICTED, hasNews, instance, KEY_REMOVED, kind, renew, SLOT } from "../core/core.js";
import { uncloneable } from "../options/errors.js";
import { Hooks } from "../hooks/hooks.js";
import { Namespace, NOTHING, Partition } from "./partitions.js";
import { Policies } from "../policy/policies.js";
import { Purger } from "./purger.js";
import type { LoadLimits } from "../policy/policy.js";
import type { AttachedTiers, ChangeListener } from "../types/tiering.js";

/** Lies in the place of a value where a load failed a moment ago. */
export class FailureCached {
  constructor(readonly error: unknown) {}
}

/** Lies in the place of a value where there is none. */
export const NONE = Symbol("none");

/** A wasm that can't take so many bytes is of no use any more. */
const MUCH = 1 << 20;

type Stored<V> = V | FailureCached | typeof NONE;

/** What a core is made with. */
export interface CoreOptions {
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly maxEntryBytes: number;
  readonly usualTtl: number;
  readonly sharedTimer: boolean;
  readonly lru: boolean;
  /** There if loads are limited. */
  readonly loads: LoadLimits | undefined;
  /** In milliseconds; infinity: entries leave when they are met. */
  readonly purgeStaleEvery: number;
}

/** What a core is yet to be told. */
export interface Untold {
  tell(core: Core): void;
}

/** Keys and values by slot, beside the core that knows the slots by number. */
export class EntryTable<K, V> implements ColumnsOwner {
  readonly hooks = new Hooks<K, V>();
  /** The core, which may have yet to be told of something. */
  present: Core;
  /** What the core is told before anything else. */
  untold: Untold | undefined = undefined;
  /** The core was told of what is not in its place here, as where the stack was full in between: then it is replaced. */
  private isTorn = false;
  columns: Columns;
  keys: (K | undefined)[] = [undefined];
  values: Stored<V>[] = [NONE];
  readonly namespaces: Namespace<K>[] = [new Namespace<K>(0, 0, [])];
  readonly root = new Partition<K>(this.namespaces[0]!, []);
  /** What lies below. */
  tiers: AttachedTiers | undefined = undefined;
  /** The tiers, if there are any; while a snapshot is loaded, that before them. */
  changes: ChangeListener | undefined = undefined;
  /** Called with each flight that the core has ended by itself. */
  onFlightEnded: ((flight: number) => void) | undefined = undefined;
  /** Called where loads are limited and one of those that wait may begin. */
  onStirred: (() => void) | undefined = undefined;
  /** Called when the core was replaced, with nothing in it. */
  readonly onRenewed: (() => void)[] = [];
  /** There if entries leave in time. */
  private readonly purger: Purger | undefined;
  /** Whose key lies in a slot. There only once there are others than the cache's own. */
  private partitions: Partition<K>[] | undefined = undefined;
  private seed: number | undefined;
  readonly policies = new Policies(() => this.core);

  constructor(
    readonly options: CoreOptions,
    readonly clock: Clock,
    /** 32 random bits to hash keys by; `undefined` where there are none. */
    private readonly newSeed: () => number | undefined,
    /** Whether values are copied on their way in and out. */
    readonly copies = false,
  ) {
    this.present = this.makeCore();
    this.columns = new Columns(this);
    this.hooks.onChange = () => {
      this.tellAll();
      this.columns.look();
    };
    this.purger = options.purgeStaleEvery < Infinity ? new Purger(this) : undefined;
  }

  /** The present core: for one call, or several between which no code of the user's runs. */
  get core(): Core {
    if (this.isTorn) this.replace(new RangeError("the stack was full"));
    if (this.untold !== undefined) this.tell(this.untold);
    return this.present;
  }

  private tell(untold: Untold): void {
    this.untold = undefined;
    try {
      untold.tell(this.present);
    } catch (error) {
      // Unless there is another core by then, it is to be told all the same.
      this.untold = untold;
      throw error;
    }
  }

  /** Sees to a core that has been told all, and is whole. */
  tellAll(): void {
    if (this.untold !== undefined || this.isTorn) this.safely(nothing);
  }

  /** After an error between what the core was told and what is noted of it here. */
  tear(error: unknown): void {
    if (error instanceof RangeError) this.isTorn = true;
  }

  /** The slot of a key, by all that the core is to be told; 0 if it has none. */
  slotOf(partition: Partition<K>, key: K): number {
    this.tellAll();
    return partition.slotOf(key);
  }

  get mustAsk(): boolean {
    return this.hooks.hit !== undefined || this.copies;
  }

  /** The value as it is stored or handed out: itself, or a copy. @throws {NearCacheError} `ERR_CLONE` */
  copy<T>(value: T, key: unknown): T {
    const type = typeof value;
    if (!this.copies || value === null || !(type === "object" || type === "function" || type === "symbol"))
      return value;
    try {
      return structuredClone(value);
    } catch (error) {
      throw uncloneable(key, error);
    }
  }

  noteHit(slot: number): void {
    this.safely((core) => core.note_hit(slot));
  }

  /** Whether the value is fresh, without counting a get. */
  isFresh(slot: number, now: number): boolean {
    return now < this.columns.freshUntil[slot]! || this.safely((core) => core.is_fresh(slot, now));
  }

  /** A new key's hash; 0 where there is none, or nobody wants to know. */
  hash(key: K, partition: Partition<K>): number {
    if (this.options.lru) return 0;
    this.seed ??= this.newSeed();
    return this.seed === undefined ? 0 : partition.hash(key, this.seed);
  }

  /** The core, which knows of all hits. */
  counted(): Core {
    for (const namespace of this.namespaces) {
      if (namespace.hits > 0) this.core.count_hits(namespace.id, namespace.hits);
      namespace.hits = 0;
    }
    return this.core;
  }

  /** The namespace of this name in another; `undefined` if there is none left. */
  namespace(parent: Namespace<K>, name: string): Namespace<K> | undefined {
    const id = this.core.namespace(parent.id, name);
    if (id < 0) return undefined;
    let known = this.namespaces[id];
    if (known === undefined) {
      known = this.namespaces[id] = new Namespace<K>(id, parent.id, [...parent.path, name]);
      known.number = this.core.open(id, "");
    }
    return known;
  }

  /** Gives a new key its slot, with nothing in it. */
  place(slot: number, key: K, partition: Partition<K>, number: number): void {
    this.placeKey(slot, key, partition, number);
    this.values[slot] = NONE;
  }

  /** Gives a new key its slot. What lies there is to be written. */
  private placeKey(slot: number, key: K, partition: Partition<K>, number: number): void {
    this.columns.follow(slot);
    if (slot >= this.keys.length) this.grow(slot);
    // Of a key that has gone, if a full stack kept that from being noted.
    const left = this.keys[slot];
    if (left !== undefined && this.partitionOf(slot).slotOf(left) === slot) this.forgetKey(slot);
    this.keys[slot] = unsigned(key);
    if (partition !== this.root) this.partitions ??= [];
    if (this.partitions !== undefined) this.partitions[slot] = partition;
    // Last: no key is ever found in a slot that has another.
    partition.set(key, slot, number);
  }

  /** The value in a slot as it is stored, fresh or not; `undefined` if there is none. */
  storedAt(slot: number): V | undefined {
    const value = this.values[slot];
    return value === NONE || value instanceof FailureCached ? undefined : (value as V);
  }

  /** The same to be handed out. */
  valueAt(slot: number): V | undefined {
    return this.copy(this.storedAt(slot), this.keys[slot]);
  }

  /** Writes a value to its slot. */
  put(slot: number, value: V | FailureCached): void {
    if (this.hooks.evict !== undefined) this.notifyRemoval(slot, "replaced");
    this.values[slot] = value;
    if (this.hooks.insert !== undefined && !(value instanceof FailureCached)) this.notifyInsert(slot);
  }

  private notifyInsert(slot: number): void {
    this.hooks.notify("insert", { key: this.keys[slot] as K, place: this.partitionOf(slot).place });
  }

  /** What `insert` answered: the key has this slot, or none, and others may have left. */
  inserted(code: number, slot: number, key: K, value: V, partition: Partition<K>, number: number): void {
    const at = code & SLOT;
    const { hooks, root, keys } = this;
    const hasEvicted = (code & EVICTED) !== 0;
    if (hasEvicted && hooks.evict !== undefined) this.notifyRemoval(at, "size");
    if (hasEvicted && !hasNews(code) && partition === root && this.partitions === undefined) {
      // The commonest, in one place: what it calls is more than V8 compiles into one. And nothing of ours is called between the
      // first of it and the last, where the stack might be full: the slot would be of one key and the value of the other.
      const { namespace } = root;
      const own = unsigned(key);
      namespace.missed = NOTHING;
      namespace.slots.delete(keys[at] as K);
      namespace.slots.set(key, at);
      keys[at] = own;
      this.values[at] = value;
      if (hooks.insert !== undefined) this.notifyInsert(at);
      return;
    }
    // What lies in the slot is written over below.
    if (hasEvicted) this.forgetKey(at);
    if (hasNews(code)) this.drain();
    if (at === 0) return;
    if (slot === 0) {
      this.placeKey(at, key, partition, number);
      this.values[at] = value;
      if (hooks.insert !== undefined) this.notifyInsert(at);
    } else {
      this.put(at, value);
    }
  }

  /** Lets go of what the core let go of. */
  drain(): void {
    const { core, hooks } = this;
    // First, since it may end others.
    this.onStirred?.();
    for (let code = core.removal(), slot = code & SLOT; slot !== 0; slot = code & SLOT) {
      if (hooks.evict !== undefined || hooks.expire !== undefined) this.notifyRemoval(slot, CAUSES[kind(code) & 7]);
      this.values[slot] = NONE;
      if ((code & KEY_REMOVED) !== 0) this.forgetKey(slot);
      code = hasNews(code) ? core.removal() : 0;
    }
    if (this.purger !== undefined) this.purger.isDue = true;
    if (this.onFlightEnded === undefined) return;
    for (let flight = core.ended(); flight >= 0; flight = core.ended()) this.onFlightEnded(flight);
  }

  /** The entry made room for others. */
  evicted(slot: number): void {
    if (this.hooks.evict !== undefined) this.notifyRemoval(slot, "size");
    this.forgetKey(slot);
  }

  /** Tells the hooks what happened. Comes last in every operation that may have caused something. */
  flush(): void {
    // The clock may be the user's, and use the cache.
    if (this.purger?.isDue === true) this.purger.set(this);
    if (this.hooks.isWaiting) this.hooks.flush();
  }

  /** Removes everything. */
  clear(): void {
    const slots = this.core.clear();
    this.columns.look();
    // By the same call with hooks and without, so that it comes to the same.
    if (this.hooks.evict !== undefined) for (const slot of slots) this.notifyRemoval(slot, "removed");
    this.empty();
    if (this.purger !== undefined) this.purger.isDue = true;
  }

  /**
   * After an error that came out of a call to the core: whether the core is broken, as it is after a trap in the wasm.
   * Then there is another now, with the same options and nothing in it.
   */
  recover(error: unknown): boolean {
    const { isTorn } = this;
    // Nothing is replaced while this looks.
    this.isTorn = false;
    try {
      // Any call that changes something does: what is left in the middle of such a call refuses all that follow.
      this.core.next_deadline();
      // What had no memory for its arguments has begun no call: whether there is any left tells a call that wants some.
      if (error instanceof WebAssembly.RuntimeError) this.core.len(0, "x".repeat(MUCH));
      this.isTorn = isTorn;
      return false;
    } catch (broken) {
      // Of a stack that is full nothing can be told: whoever calls next will see.
      this.isTorn = isTorn;
      if (broken instanceof RangeError) return false;
    }
    this.replace(error);
    return true;
  }

  private replace(error: unknown): void {
    const { present } = this;
    if (present instanceof Core) renew();
    // Before anything is in the new one, which would have the slots of what was in the old one.
    this.empty();
    this.untold = undefined;
    this.present = this.makeCore();
    this.isTorn = false;
    try {
      this.columns = new Columns(this);
      this.policies.retell();
      for (const namespace of this.namespaces) namespace.hits = 0;
      for (const namespace of this.namespaces.slice(1)) {
        this.core.namespace(namespace.parent, namespace.path.at(-1)!);
        namespace.number = this.core.open(namespace.id, "");
      }
      for (const listener of this.onRenewed) listener();
    } catch (error) {
      // Where the stack was too full for that, whoever comes next finds the old one, and does it all again.
      this.present = present;
      this.isTorn = true;
      throw error;
    }
    // Last, since whoever prints it may use the cache.
    try {
      console.error("nearcache: the cache's wasm failed and was replaced; what it held is gone", error);
    } catch {}
  }

  /** How old the value in a slot is, and how long it stays fresh. */
  dated(slot: number, now: number): { age: number; ttl: number } {
    return this.safely((core) => {
      const [, , age = 0, ttl = 0] = core.info(slot, now);
      return { age, ttl };
    });
  }

  /** What an operation on the core brings, or what it brings on the next if that one fails under it. */
  safely<T>(operation: (core: Core) => T): T {
    try {
      return operation(this.core);
    } catch (error) {
      if (!this.recover(error)) throw error;
      return operation(this.core);
    }
  }

  private makeCore(): Core {
    const { maxEntries, maxBytes, maxEntryBytes, usualTtl, sharedTimer, lru, loads, purgeStaleEvery } = this.options;
    const { concurrent, perSecond, queued } = loads ?? BOUNDLESS;
    const seed = (this.seed ??= this.newSeed()) ?? 0;
    if (instance.hasFailed) renew();
    instance.hasFailed = true;
    const core = new Core(
      maxEntries,
      maxBytes,
      maxEntryBytes,
      usualTtl,
      sharedTimer,
      lru,
      seed,
      concurrent,
      perSecond,
      queued,
      purgeStaleEvery,
    );
    instance.hasFailed = false;
    return core;
  }

  private empty(): void {
    for (const namespace of this.namespaces) namespace.empty();
    this.keys = [undefined];
    this.values = [NONE];
    this.partitions = undefined;
  }

  private forgetKey(slot: number): void {
    const key = this.keys[slot] as K;
    const partition = this.partitionOf(slot);
    // A slot whose key was never noted seems to be that of `undefined`.
    if (key !== undefined || partition.slotOf(key) === slot) partition.delete(key);
    this.keys[slot] = undefined;
    this.values[slot] = NONE;
  }

  /** Whose key lies in a slot. */
  partitionOf(slot: number): Partition<K> {
    return this.partitions?.[slot] ?? this.root;
  }

  /** Will tell, once the operation is over, of the value that leaves a slot. */
  private notifyRemoval(slot: number, cause: (typeof CAUSES)[number]): void {
    const value = this.values[slot];
    // A key whose first load is under way has no value yet, and the memory of a failed load is none.
    if (cause === undefined || value === NONE || value instanceof FailureCached) return;
    const { hooks } = this;
    const event = { key: this.keys[slot] as K, place: this.partitionOf(slot).place, value: value as V };
    if (hooks.evict !== undefined) hooks.notify("evict", { ...event, cause });
    if (cause === "expired" && hooks.expire !== undefined) hooks.notify("expire", event);
  }

  /** Doubling by hand, because arrays that grow by themselves keep up to half as much again in reserve. */
  private grow(slot: number): void {
    const held = this.keys.length;
    const full = this.options.maxEntries + 2;
    const length = slot < full ? Math.min(Math.max(2 * held, 16), full) : 2 * held;
    this.keys = copy(this.keys, length);
    this.values = copy(this.values, length);
  }
}

/** The key as a Map has it, never -0. */
function unsigned<K>(key: K): K {
  return typeof key === "number" ? ((key + 0) as K) : key;
}

const nothing = (): void => {};

const BOUNDLESS: LoadLimits = { concurrent: Infinity, perSecond: Infinity, queued: 0 };

function copy<T>(from: T[], length: number): T[] {
  const to = new Array<T>(length);
  for (let i = 0; i < from.length; i++) to[i] = from[i]!;
  return to;
}
