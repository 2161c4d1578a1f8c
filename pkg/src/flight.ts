import type { Ctx } from "./context.js";
import { deferred } from "./deferred.js";
import type { Policy } from "./policy.js";
import type { Loader, Status } from "./types.js";
import type { View } from "./view.js";

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
