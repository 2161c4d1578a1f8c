// The types of `nearcache/tiers`, and their docs. Imports nothing but types.

import type { Tiers } from "../types/tiering.js";
import type { Duration } from "../options/options.js";

/** Bytes to be kept under a name. */
export interface TierEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** In milliseconds. After that the store may drop it; it may keep it longer, and should not drop it earlier. */
  readonly ttl: number;
}

/** A stream to be kept under a name. */
export interface StreamEntry {
  readonly name: string;
  readonly length: number;
  /** As of a {@link TierEntry}. */
  readonly ttl: number;
  readonly stream: ReadableStream<Uint8Array>;
}

/** A tier that keeps streams as well: `r2Tier`, `fileTier`. */
export type BodyStore = Tier & Required<Pick<Tier, "getStream" | "setStream">>;

/**
 * A store of bytes by name. Names are up to about 500 bytes of UTF-8. Whatever it throws counts as a failure, whatever takes
 * longer than `timeout` as well; neither reaches who asked the cache.
 *
 * `testTier` of `nearcache/tiers/conformance` tells whether a tier of your own does what is wanted.
 */
export interface Tier {
  /** What it is called in figures and logs. */
  readonly name: string;
  /** The bytes as they were stored; `undefined` if there are none. */
  get(name: string): PromiseLike<Uint8Array | undefined>;
  set(entry: TierEntry): PromiseLike<unknown>;
  /** Of what is not there as well. */
  delete(name: string): PromiseLike<unknown>;
  /** As many answers as names, in their order. Without it, `get` is called for each. */
  getMany?(names: readonly string[]): PromiseLike<readonly (Uint8Array | undefined)[]>;
  /** Without it, `set` is called for each. */
  setMany?(entries: readonly TierEntry[]): PromiseLike<unknown>;
  /** Without it, `delete` is called for each. */
  deleteMany?(names: readonly string[]): PromiseLike<unknown>;
  /** The bytes from `start` to `end` of what `setStream` has stored, as they come; `undefined` if there are none. */
  getStream?(name: string, start: number, end: number): PromiseLike<ReadableStream<Uint8Array> | undefined>;
  /** Stores a stream of exactly `length` bytes. Rejects and keeps nothing where the stream fails, or has another length. */
  setStream?(entry: StreamEntry): PromiseLike<unknown>;
  /** Removes all that the tier has stored. Never called by a cache: `cache.clear()` marks what is there as purged. */
  clear?(): PromiseLike<unknown>;
  /**
   * The same store for the calls of one read, or of one turn's writes, which are all of one request: what can't be shared by requests,
   * as a socket in Workers, is opened for them here. Its `close` is called after the last, also where one took too long. Without it
   * the tier itself is called.
   */
  session?(): Tier;
  /** Lets go of what it holds open. Called by `close()` of the chain. */
  close?(): PromiseLike<unknown>;
  /** What is said of it in its chain. */
  readonly options?: TierOptions | undefined;
}

/** How a chain treats a tier. */
export interface TierOptions {
  /** The longest time that a value stays. Default: `maxLifetime` of the chain. */
  ttl?: Duration | undefined;
  /** How long one read or write may take: what a broken tier can cost. Default 250 ms. */
  timeout?: Duration | undefined;
  /** The number of failures in a row after which the tier is left alone. Default 5. */
  failures?: number | undefined;
  /** For how long; twice as long each time that the trial after it fails, up to 16 times. Default 5 s. */
  cooldown?: Duration | undefined;
  /** Whether a load waits until its value is stored ("through", for `timeout` at the most), or not ("behind"). Default "behind". */
  write?: "behind" | "through" | undefined;
  /** So many bytes may be on their way to it; more is not written. Default 16 MiB. */
  maxPendingBytes?: number | undefined;
  /**
   * Values that are larger as they are stored are kept from this tier, and count as `tooLarge`, not as failures. Default: what the store
   * takes. What `maxPendingBytes` has no room for is not written either.
   */
  maxValueBytes?: number | undefined;
  /** Longer streams are not stored. Default 512 MiB. */
  maxStreamBytes?: number | undefined;
}

/** How values become bytes and back. */
export interface Codec {
  /** From 16 to 255, so that what another codec wrote is told from it. */
  readonly id: number;
  encode(value: unknown): Uint8Array | PromiseLike<Uint8Array>;
  /** What it throws makes a miss. */
  decode(bytes: Uint8Array): unknown;
}

/** Leases for a chain: see {@link objectLease}. */
export interface LeaseSource {
  /** @internal */
  readonly settings: LeaseSettings;
  /** @internal */
  stub(name: string): LeaseStub;
}

/** How leases are asked for, in milliseconds. */
interface LeaseSettings {
  readonly ttl: number;
  readonly wait: number;
  readonly timeout: number;
}

/** What a {@link leaseObject} offers by RPC. */
export interface LeaseStub {
  /** A token; 0: load without one; below 0: another holds it. */
  acquire(name: string, ttl: number): Promise<number>;
  /** Resolves when the lease was given back (true), or has ended, or after so long. */
  wait(name: string, millis: number): Promise<boolean>;
  renew(name: string, token: number, ttl: number): Promise<boolean>;
  release(name: string, token: number): Promise<boolean>;
}

/** How a chain of tiers is made. */
export interface TiersOptions {
  /**
   * Whatever lies in a tier ends so long after its load began, stale windows included; and so long a purge is remembered. Default
   * a day.
   */
  maxLifetime?: Duration | undefined;
  /** By how much the clocks of those who share the tiers may differ. Default 500 ms. */
  clockSkew?: Duration | undefined;
  /** How long a write may be on its way to a store, also one that was given up. Default 1 s. */
  lateWrites?: Duration | undefined;
  /**
   * How values are written. Default: JSON, but for `Uint8Array`s, which are kept as they are. What JSON does not keep (dates,
   * maps, `undefined` in objects) wants a codec of one's own.
   */
  codec?: Codec | undefined;
  /** The size in bytes from which on payloads are compressed (deflate), where that makes them smaller. Default `Infinity`. */
  compressFrom?: number | undefined;
  /**
   * Envelopes are signed by HMAC-SHA-256 with the first of these secrets and believed with any, so that who can write to a
   * store can't make the cache believe it. 16 bytes at least. Default: not signed.
   */
  secrets?: readonly (Uint8Array | string)[] | undefined;
  /** Of the isolates that lack a key one loads it, and the others wait for that: `objectLease(env.LEASE)`. Default: each loads. */
  lease?: LeaseSource | undefined;
  /**
   * A store for bodies of HTTP responses that are too long for memory: they go into it and out of it as streams, of up to its
   * `maxStreamBytes`. What is said of them lies in the tiers. Default: they come from the origin each time.
   */
  bodies?: BodyStore | undefined;
  /** Told once when a tier begins to fail, when it works again, and once a minute at most of bytes that are refused. Default `console.warn`. */
  log?: ((line: string) => void) | undefined;
}

/** A chain of tiers for one cache. */
export interface TierChain extends Tiers {
  /**
   * Calls `purge`, and what it purges of the cache before it returns is not told to the tiers, since somebody else has: what
   * {@link invalidation} does with others' messages. `at`: when it was purged, in ms since 1970, by a log that all follow who read the
   * tiers: what was loaded later is believed. Default: now.
   */
  hereOnly<T>(purge: () => T, at?: number): T;
  /** Resolves when what was to be written and purged has been, or has failed: it never rejects. */
  flush(): Promise<void>;
  /** After a `flush`, closes the tiers. */
  close(): Promise<void>;
}
