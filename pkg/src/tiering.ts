// What a cache and the tiers below it know of each other. Only types: the tiers' code comes with "nearcache/tiers".

import type { LoadContext, Place } from "./types.js";

/** Tiers for a cache: `tiers()` of `nearcache/tiers` makes them. They belong to one cache. */
export interface Tiers {
  /** @internal */
  attach(host: TierHost): AttachedTiers;
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
  /** A key, what bears a tag, or all in a part of the cache was purged. */
  purge(place: Place, what: "key" | "tag" | "all", of?: unknown): void;
}
