// What a loader is told and may say: types, and their docs.

import type { Duration } from "../options/options.js";

/**
 * What a loader is told, and may say, about the value it brings. What it says wins over the call and the cache.
 * To assign any other name throws `ERR_OPTION`.
 */
export interface LoadContext<K, V = any> {
  /** The key to load. */
  readonly key: K;
  /**
   * The last good value, if there is one that may still be used: stale, or to be replaced by `forceFresh`. For
   * conditional requests: return it again if it turns out to be good still.
   */
  readonly stale: V | undefined;
  /** The number of this attempt, from 1 on: greater if the load has failed before and is tried again (`retry`). */
  readonly attempt: number;
  /** Whether nobody waited for the load when it began, since it refreshes a value that was handed out. */
  readonly background: boolean;
  /** How long the value is fresh. 0: it is not stored. */
  ttl: Duration | undefined;
  /** How long it may lie unused. 0: it is not stored. */
  idleTtl: Duration | undefined;
  /** How long after that it may be handed out while it is refreshed. */
  staleWhileRevalidate: Duration | undefined;
  /** The same as `staleWhileRevalidate`. */
  swr: Duration | undefined;
  /** How long after that it may stand in for a load that fails or is slow. */
  staleIfError: Duration | undefined;
  /** XFetch's beta for this value: from 0 on. */
  refreshAhead: number | undefined;
  /** The part of `ttl`, from 0 to 1, that chance may take off. */
  jitter: number | undefined;
  /**
   * How long the value has been stored elsewhere already: its lifetimes count from then, here and in tiers. If that is more than
   * its ttl it is stored for its stale windows. Default 0. What `update` writes is new, whatever this says.
   */
  age: Duration | undefined;
  /** If this load fails: for how long the key is not loaded again. */
  errorBackoff: Duration | undefined;
  /** What the value can be purged by, besides the tags of the call. */
  tags: readonly string[] | undefined;
  /** What the value counts against `maxBytes`. */
  bytes: number | undefined;
  /** Aborts when nobody waits for the load any more. Hand it to `fetch`. */
  readonly signal: AbortSignal;
  /** Give the value to those who wait, and don't store it. */
  skip(): void;
}

/**
 * Brings the value of a key, or throws. May use the cache. If it asks for its own key before its first `await`,
 * that is `ERR_RECURSIVE_LOAD` at once; after it JS can't tell who asks, and the wait ends at its deadline.
 *
 * `T` is what this loader brings to a cache of `V`.
 */
export type Loader<K, V, T = V> = (key: K, ctx: LoadContext<K, V>) => T | PromiseLike<T>;

/** What a call gives: the cache's values, or where their type was not stated, what its own loader brings. */
export type Loaded<V, T> = unknown extends V ? T : V;
