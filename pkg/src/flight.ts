import type { Duration } from "./options.js";

/** What a loader is told, and may say, about the value it brings. */
export interface LoadContext<K> {
  /** The key to load. */
  readonly key: K;
  /** How long the value may be handed out, if the loader knows better than caller and cache. 0: not at all. */
  ttl: Duration | undefined;
  /** What the value counts against `maxBytes`, if the loader knows. */
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
export type Loader<K, V> = (key: K, ctx: LoadContext<K>) => V | PromiseLike<V>;

export class Ctx<K> implements LoadContext<K> {
  ttl: Duration | undefined = undefined;
  bytes: number | undefined = undefined;
  skipped = false;
  #controller: AbortController | undefined = undefined;
  #reason: unknown = undefined;

  constructor(readonly key: K) {}

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

/** Callers who wait for one flight until the same moment, and share a promise. */
export class Wait<V> {
  callers = 1;
  resolve!: (value: V | PromiseLike<V>) => void;
  reject!: (error: unknown) => void;
  readonly promise: Promise<V>;

  constructor(
    readonly deadline: number,
    /** The `hardTimeout` that the deadline came from, for its error. */
    readonly timeout: number,
  ) {
    this.promise = new Promise<V>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** A load under way, and who waits for it. */
export class Flight<K, V> {
  /** Settled, or nobody waits any more. Set before anybody is told. */
  over = false;
  /** Whether its load failed. Any other rejection says nothing about what the loader did. */
  failed = false;
  /** Whether its loader is on the stack. */
  starting = true;
  /** Tells the leader's request, in a Worker, that the load has ended, or (with a reason) should. */
  home: ((reason?: unknown) => void) | undefined = undefined;
  readonly ctx: Ctx<K>;
  /** Waits with other deadlines than the leader's. */
  others: Wait<V>[] | undefined = undefined;

  constructor(
    readonly key: K,
    readonly id: number,
    /** The leader's; in a Worker the load's own, which nothing but the load settles while anyone waits. */
    readonly first: Wait<V>,
    /** The `ttl` of the leader's call. */
    readonly ttl: number,
    readonly bytes: number | undefined,
  ) {
    this.ctx = new Ctx(key);
  }

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
