// What a cache and the tiers below it know of each other. Only types: the tiers' code comes with "nearcache/tiers".

import type { Place } from "../hooks/events.js";
import type { LoadContext } from "./loader.js";
import type { BodyStats, TierStats } from "./stats.js";

/** Tiers for a cache: `tiers()` of `nearcache/tiers` makes them. They belong to one cache. */
export interface Tiers {
  /** What happened at each tier, in the order of the tiers. */
  stats(): TierStats[];
  /** @internal `marks`: purges are told by marks in the tiers, not by a log that all follow who read them. */
  attach(host: TierHost, marks?: boolean): AttachedBytes;
}

/** What tiers need of the cache and its surroundings. */
export interface TierHost {
  /** Whether what is on its way may be lost with the request that began it. */
  requestBound: boolean;
  now(): number;
  /** Above 0 and up to 1. */
  random(): number;
  keepAlive(promise: Promise<unknown>): void;
  afterPromiseJobs(callback: () => void, gathered: ArrayLike<unknown>): void;
  setTimer(callback: () => void, millis: number): unknown;
  clearTimer(timer: unknown): void;
}

/** How long a value lives, what it can be purged by, and what it weighs. Milliseconds; NaN bytes: nobody said. */
export interface ValueLife {
  readonly ttl: number;
  readonly idleTtl?: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  /** The part of `ttl` that chance may take off. */
  readonly jitter?: number;
  /** How long it has lived already. */
  readonly age: number;
  readonly tags: readonly string[];
  readonly bytes: number;
}

/** A load that goes by the tiers. */
export interface TierLoad {
  readonly key: unknown;
  readonly place: Place;
  readonly ctx: LoadContext<unknown>;
  /** A fresh value is wanted: only the loader has one. */
  readonly forced: boolean | undefined;
  /** For how long memory has had the value that the context shows. */
  age(): number;
  /** Calls the loader. */
  load(): unknown;
  /** How the loader's value is kept. Throws for one that the cache does not take: that load has failed. */
  accept(value: unknown): ValueLife;
  /** Whether the user's rule refuses a value: one from below is then not there. */
  refuses(value: unknown): boolean;
}

/** Who is told of what the user sets and purges. None of these throws. */
export interface ChangeListener {
  /** A value was set. */
  set(place: Place, key: unknown, value: unknown, life: ValueLife): void;
  /** A key, what bears a tag, or all in a part of the cache was purged. */
  purge(place: Place, what: "key" | "tag" | "all", of?: unknown): void;
}

/** Tiers at work. None of these throws, and `load` rejects with the loader's error only. */
export interface AttachedTiers extends ChangeListener {
  /** The value by the tiers, or by the load. */
  load(load: TierLoad): Promise<unknown>;
  /** The tiers' names, from above. */
  readonly names: readonly string[];
  /** Keys of the place's namespace, and of those within it, use these tiers only. */
  restrict(place: Place, names: readonly string[]): void;
  /** What happened at each tier, or there in a namespace. */
  stats(place?: Place): TierStats[];
  /** As the core's: what became of thresholds on what happened lately at a tier. */
  health(name: string, window: number, thresholds: Float64Array): Float64Array;
  /** Adds their figures to a page for Prometheus, or begins one. */
  page(cache: string, page: TierPage | undefined): TierPage;
}

/** Tiers at work for a cache that holds bytes and has loads of its own. */
export interface AttachedBytes extends AttachedTiers {
  /** A store of large bodies beside the tiers. */
  readonly bodies?: AttachedBodies | undefined;
  /** What lies under a key, the best there is of use at all. Never rejects. */
  read(place: Place, key: string): Promise<FoundBytes | undefined>;
  /**
   * Stores bytes whose load began at `began`; resolves when those tiers that write through have them, or, with `all`, all. Never rejects.
   */
  write(place: Place, key: string, bytes: Uint8Array, began: number, life: ValueLife, all: boolean): Promise<void>;
  /** Asks for a key's lease, where there are leases: "after" another had it, and has done. Never rejects. */
  turn(place: Place, key: string): Promise<LeaseTurn | undefined>;
}

/** A store of large bodies at work. Nothing of it rejects. */
export interface AttachedBodies {
  /** How long one may be. */
  readonly most: number;
  /** The bytes from `start` to `end` of what lies under a name; nothing where they are not, or can't be had in time. */
  open(name: string, start: number, end: number): Promise<ReadableStream<Uint8Array> | undefined>;
  /** Begins to store one of so many bytes; nothing where the store is left alone. */
  begin(name: string, length: number): BodyWriter | undefined;
  remove(name: string): Promise<void>;
  /** Removes one of which a part is not what was stored. */
  refuse(name: string): Promise<void>;
  /** The stream of one that was opened has failed, or fell silent. */
  lose(): void;
  /** All that was wanted of one that was opened has come. */
  had(): void;
  stats(): BodyStats;
}

/** A large body on its way into a store, where nothing of it is before its end. */
export interface BodyWriter {
  /** Resolves when there is room for more: whether it goes on. */
  write(part: Uint8Array): Promise<boolean>;
  /** Whether the store has all of it. */
  end(): Promise<boolean>;
  /** It is not to be stored, for a reason that is not the store's. */
  abandon(reason: unknown): void;
}

/** A page for Prometheus of the tiers of some caches. It can be read once. */
export interface TierPage {
  text(): string;
}

/** Bytes that were found in a tier. */
export interface FoundBytes {
  /** The tier's name. */
  readonly layer: string;
  /** When their load began. */
  readonly began: number;
  readonly bytes: Uint8Array;
}

/** What came of asking: the lease, to be given back; that another had it, and has done; or neither. */
export type LeaseTurn =
  | { readonly kind: "holder"; release(): Promise<void> }
  | { readonly kind: "after"; readonly released: boolean }
  | { readonly kind: "alone" };
