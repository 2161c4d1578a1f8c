// What a cache and the tiers below it know of each other. Only types: the tiers' code comes with "nearcache/tiers".

import type { LoadContext, Place } from "./types.js";

/** Tiers for a cache: `tiers()` of `nearcache/tiers` makes them. They belong to one cache. */
export interface Tiers {
  /** @internal `marks`: purges are told by marks in the tiers, not by a log that all follow who read them. */
  attach(host: TierHost, marks?: boolean): AttachedTiers;
}

/** What tiers need of the cache and its surroundings. */
export interface TierHost {
  now(): number;
  keepAlive(promise: Promise<unknown>): void;
  afterPromiseJobs(callback: () => void, gathered: ArrayLike<unknown>): void;
  setTimer(callback: () => void, millis: number): unknown;
  clearTimer(timer: unknown): void;
}

/** How long a value lives, what it can be purged by, and what it weighs. Milliseconds; NaN bytes: nobody said. */
export interface ValueLife {
  readonly ttl: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly tags: readonly string[];
  readonly bytes: number;
}

/** A load that goes by the tiers. */
export interface TierLoad {
  readonly key: unknown;
  readonly place: Place;
  readonly ctx: LoadContext<unknown>;
  /** A fresh value is wanted, or what is there is to be refreshed: only the loader has one. */
  readonly forced: boolean;
  /** Calls the loader. */
  load(): unknown;
  /** How the loader's value is kept. */
  life(value: unknown): ValueLife;
}

/** Tiers at work. None of these throws, and `load` rejects with the loader's error only. */
export interface AttachedTiers {
  /** The value by the tiers, or by the load. */
  load(load: TierLoad): Promise<unknown>;
  /** A value was set. */
  set(place: Place, key: unknown, value: unknown, life: ValueLife): void;
  /** For a cache that holds bytes and has loads of its own: what lies under a key, the best there is of use at all. Never rejects. */
  read(place: Place, key: string): Promise<FoundBytes | undefined>;
  /**
   * Stores bytes whose load began at `began`; resolves when those tiers that write through have them, or, with `all`, all. Never rejects.
   */
  write(place: Place, key: string, bytes: Uint8Array, began: number, life: ValueLife, all: boolean): Promise<void>;
  /** Asks for a key's lease, where there are leases: "after" another had it, and has done. Never rejects. */
  turn(place: Place, key: string): Promise<LeaseTurn | undefined>;
  /** A key, what bears a tag, or all in a part of the cache was purged. */
  purge(place: Place, what: "key" | "tag" | "all", of?: unknown): void;
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
export type LeaseTurn = { readonly kind: "holder"; release(): Promise<void> } | { readonly kind: "after" | "alone" };
