import { deferred } from "./deferred.js";
import type { Duration } from "./options.js";
import type { Policy } from "./policy.js";
import type { View } from "./view.js";

/** What a loader is told, and may say, about the value it brings. What it says wins over the call and the cache. */
export interface LoadContext<K, V = unknown> {
  /** The key to load. */
  readonly key: K;
  /**
   * The last good value, if there is one that may still be used: stale, or to be replaced by `forceFresh`. For
   * conditional requests: return it again if it turns out to be good still.
   */
  readonly stale: V | undefined;
  /** How long the value is fresh. 0: it is not stored. */
  ttl: Duration | undefined;
  /** How long after that it may be handed out while it is refreshed. */
  staleWhileRevalidate: Duration | undefined;
  /** How long after that it may stand in for a load that fails or is slow. */
  staleIfError: Duration | undefined;
  /** XFetch's beta for this value: from 0 on. */
  refreshAhead: number | undefined;
  /** The part of `ttl`, from 0 to 1, that chance may take off. */
  jitter: number | undefined;
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
 */
export type Loader<K, V> = (key: K, ctx: LoadContext<K, V>) => V | PromiseLike<V>;

export class Ctx<K, V> implements LoadContext<K, V> {
  ttl: Duration | undefined = undefined;
  staleWhileRevalidate: Duration | undefined = undefined;
  staleIfError: Duration | undefined = undefined;
  refreshAhead: number | undefined = undefined;
  jitter: number | undefined = undefined;
  errorBackoff: Duration | undefined = undefined;
  tags: readonly string[] | undefined = undefined;
  bytes: number | undefined = undefined;
  skipped = false;
  #controller: AbortController | undefined = undefined;
  #reason: unknown = undefined;

  constructor(
    readonly key: K,
    readonly stale: V | undefined,
  ) {}

  get signal(): AbortSignal {
    // Most loaders never look, and a controller is dear.
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  skip(): void {
    this.skipped = true;
  }

  abort(reason: unknown): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

/** A get, or a refresh of the cache's own, on its way to a value. */
export interface Call<K, V> {
  readonly view: View<K, V>;
  readonly key: K;
  readonly loader: Loader<K, V>;
  readonly policy: Policy<K>;
  readonly tags: readonly string[] | undefined;
  readonly bytes: number | undefined;
  readonly fresh: boolean;
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  /** Nobody waits: it refreshes what was handed out. */
  readonly background: boolean;
  /** Whether the caller wants to know how the value came to be: then the next three are right. */
  readonly detailed: boolean;
  status: Status;
  /** Of the value that was handed out: milliseconds since it was stored, and how long it stays fresh. */
  age: number;
  ttl: number;
  /** The load it waits for. */
  flight: Flight<K, V> | undefined;
}

/**
 * How a value came to be: from memory (`hit`), by a load (`miss`), by a load that was under way (`coalesced`); or
 * stale: while it is refreshed, or may not be loaded after a failure (`stale`), because its load has just failed
 * (`stale-if-error`), or is slow (`stale-on-timeout`).
 */
export type Status = "hit" | "miss" | "coalesced" | "stale" | "stale-if-error" | "stale-on-timeout";

/** A value, and how it came to be. */
export interface Details<V> {
  readonly value: V;
  readonly status: Status;
  /** Milliseconds since it was stored; 0 for one that was not. */
  readonly age: number;
  /** Milliseconds that it stays fresh: 0 for one that is stale or was not stored. */
  readonly ttl: number;
}

/** Callers who wait for one flight until the same moment, and share a promise. */
export class Wait<V> {
  callers = 1;
  readonly promise: Promise<V>;
  readonly resolve: (value: V | PromiseLike<V>) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    readonly deadline: number,
    /** The `hardTimeout` that the deadline came from, for its error. */
    readonly timeout: number,
  ) {
    ({ promise: this.promise, resolve: this.resolve, reject: this.reject } = deferred<V>());
  }
}

/** A load under way, and who waits for it. */
export class Flight<K, V> {
  /** Settled, or nobody waits any more. Set before anybody is told. */
  over = false;
  /** Whether its load failed. Any other rejection says nothing about what the loader did. */
  failed = false;
  /** Whether its load failed, and the last good value took the place of the error. */
  rescued = false;
  /** Whether its loader is on the stack. */
  starting = true;
  /** Tells the leader's request, in a Worker, that the load has ended, or (with a reason) should. */
  home: ((reason?: unknown) => void) | undefined = undefined;
  /** Waits with other deadlines than the leader's. */
  others: Wait<V>[] | undefined = undefined;

  constructor(
    readonly id: number,
    /** The leader's: it says how what is brought is kept. */
    readonly call: Call<K, V>,
    /** When, if there is a hook that wants to know. */
    readonly began: number,
    readonly ctx: Ctx<K, V>,
    /** The leader's; in a Worker the load's own, which nothing but the load settles while anyone waits. */
    readonly first: Wait<V>,
  ) {}

  /** The wait until this moment, joined or new. */
  join(deadline: number, timeout: number): Wait<V> {
    const { first, others } = this;
    const last = others?.at(-1) ?? first;
    if (last.deadline === deadline) {
      last.callers++;
      return last;
    }
    const wait = new Wait<V>(deadline, timeout);
    if (others === undefined) this.others = [wait];
    else others.push(wait);
    return wait;
  }

  resolve(value: V): void {
    this.over = true;
    this.home?.();
    this.first.resolve(value);
    if (this.others !== undefined) for (const wait of this.others) wait.resolve(value);
  }

  reject(error: unknown): void {
    this.over = true;
    this.failed = true;
    this.home?.();
    this.first.reject(error);
    if (this.others !== undefined) for (const wait of this.others) wait.reject(error);
  }
}
