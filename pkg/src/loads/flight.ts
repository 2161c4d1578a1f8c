// A load under way, those who wait for it, and what is known of each.

import type { Asker } from "../batches/asker.js";
import type { Context } from "../policy/context.js";
import { type Deferred, deferred } from "../runtime/deferred.js";
import type { CacheHandle } from "./handle.js";
import { timedOut } from "../options/errors.js";
import { type CallOptions, or } from "../policy/policy.js";
import type { Loader } from "../types/loader.js";
import type { Status } from "../types/types.js";

/** A get, with what it takes to ask once more. */
export interface Ask<K, V> {
  readonly handle: CacheHandle<K, V>;
  readonly key: K;
  readonly loader: Loader<K, V>;
  readonly options: CallOptions<K> | undefined;
  /** When it asked first, which its deadlines count from. */
  readonly askedAt: number;
}

export function hardTimeoutOf<K, V>({ handle, options }: Ask<K, V>): number {
  const { hardTimeout } = handle.defaults;
  return options === undefined ? hardTimeout : or(options.hardTimeout, hardTimeout);
}

export function softTimeoutOf<K, V>({ handle, options }: Ask<K, V>): number {
  const { softTimeout } = handle.defaults;
  return options === undefined ? softTimeout : or(options.softTimeout, softTimeout);
}

/** How a value came to be, as `details` tells it, and of a get that asks again what was before. */
export class Provenance<K, V> {
  status: Status = "miss";
  /** Milliseconds since it was stored, and how long it stays fresh. */
  age = 0;
  ttl = 0;
  /** The wait that brought it. */
  wait: Wait<K, V> | undefined = undefined;
  /** How many had come to it before. */
  place = 0;

  constructor(
    /** As what it was counted when it asked first, `MISSED` or `JOINED`; 0 if that is now. */
    public counted = 0,
    /** When that was. */
    readonly askedAt = NaN,
  ) {}
}

/** Callers who share a promise: those of one group or, in a Worker, one of them. */
export class Wait<K, V> {
  readonly promise: Promise<V>;
  readonly resolve: (value: V | PromiseLike<V>) => void;
  readonly reject: (error: unknown) => void;
  /** They wait no more. */
  over = false;
  /** They got a stale value at their soft deadline. */
  softened: { readonly age: number; readonly ttl: number } | undefined = undefined;
  /** How many they are. */
  callers = 0;
  /** They asked again, and this came of it. */
  again: Provenance<K, V> | undefined = undefined;
  /** The loads that wait here, which now and then is one. */
  askers: Asker[] | undefined = undefined;

  constructor(
    readonly flight: Flight<K, V>,
    /** The core's number for the group. */
    readonly group: number,
    /** The first who came. */
    readonly ask: Ask<K, V>,
  ) {
    ({ promise: this.promise, resolve: this.resolve, reject: this.reject } = deferred<V>());
  }

  /** They get an error. Nobody could handle one who found the stack full before there was a promise to have. */
  fail(error: unknown): void {
    if (this.callers > 0) this.reject(error);
  }

  /** Their deadline has passed. */
  timeOut(): void {
    this.over = true;
    this.fail(timedOut(this.ask.key, hardTimeoutOf(this.ask)));
  }

  /** Where they wait now: this, or what they came to by asking again. */
  get present(): Wait<K, V> {
    return this.again?.wait?.present ?? this;
  }
}

/** A load under way, with the get that began it. (Derived from a class, it would take twice as long to make.) */
export class Flight<K, V> implements Ask<K, V>, Asker {
  /** Its loader was called, or waits for its turn. */
  hasBegun = false;
  /** It has ended, or nobody waits any more. */
  over = false;
  /** Its load brought a value. */
  loaded = false;
  value: V | undefined = undefined;
  /** Whether anybody who waits wants to know how old the value is, and for how long it stays fresh. */
  isDetailed = false;
  /** That, of the value that was stored or stands in, when the load ended. */
  dated: { readonly age: number; readonly ttl: number } | undefined = undefined;
  /** Its load failed, and `error` is what those who wait get. */
  failed = false;
  error: unknown = undefined;
  /** Its load failed, and those who wait get the last good value. */
  rescued = false;
  /** The group of which was last told that it got a stale value at its soft deadline. */
  told: number | undefined = undefined;
  /** The core that knew it was replaced: those who wait get what comes, and nothing is stored. */
  orphaned = false;
  /** The groups that may not have the value and ask again. */
  again: Set<number> | undefined = undefined;
  /** In a Worker: resolved when it has ended. Only a runtime rejects it, with the request that it belongs to. */
  readonly ended: Deferred<void> | undefined;
  /** In a Worker: tells the leader's request that it has ended, or (with a reason) that its load should. */
  home: ((reason?: unknown) => void) | undefined = undefined;
  private first: Wait<K, V> | undefined = undefined;
  private others: (Wait<K, V> | undefined)[] | undefined = undefined;

  constructor(
    readonly handle: CacheHandle<K, V>,
    readonly key: K,
    readonly loader: Loader<K, V>,
    readonly options: CallOptions<K> | undefined,
    readonly askedAt: number,
    /** The core's number; below 0: the core has yet to be told of it. */
    public index: number,
    /** The key's, for as long as it may be stored. */
    public slot: number,
    /** The present attempt's. */
    public ctx: Context<K, V>,
    /** Nobody but the cache itself waited when it began: it refreshes what was handed out. */
    readonly background: boolean,
    requestBound: boolean,
  ) {
    this.ended = requestBound ? deferred<void>() : undefined;
  }

  /** Whether it goes on though everybody has left. */
  get keeps(): boolean {
    return or(this.options?.keepLoading ?? NaN, this.handle.defaults.keepLoading) === 1;
  }

  get node(): number {
    return this.over || this.orphaned ? -1 : this.index;
  }

  /** Those who wait in a group, if any do by a promise. */
  wait(group: number): Wait<K, V> | undefined {
    return group === 0 ? this.first : this.others?.[group];
  }

  /** Whoever comes to its group waits by this, too. */
  share(wait: Wait<K, V>): void {
    if (wait.group === 0) this.first = wait;
    else (this.others ??= [])[wait.group] = wait;
  }

  /** All groups' promises that are still waited for. */
  waits(): Wait<K, V>[] {
    return [this.first, ...(this.others ?? [])].filter((wait) => wait !== undefined && !wait.over) as Wait<K, V>[];
  }

  /** Gives its end to those who wait. Who may not have the value does what `askAgain` says. */
  settle(askAgain: (wait: Wait<K, V>) => Promise<V>): void {
    this.home?.();
    this.ended?.resolve();
    if (this.others !== undefined) for (const wait of this.waits()) this.give(wait, askAgain);
    else if (this.first !== undefined) this.give(this.first, askAgain);
  }

  /** Gives its end, if it has come to one, to a group. */
  give(wait: Wait<K, V>, askAgain: (wait: Wait<K, V>) => Promise<V>): void {
    if (wait.over || !(this.loaded || this.failed)) return;
    const asksAgain = this.again?.has(wait.group) === true;
    // Whoever has no promise yet gets it with that, or found the stack full before.
    if (this.failed && !asksAgain && wait.callers === 0) return;
    wait.over = true;
    if (asksAgain) wait.resolve(askAgain(wait));
    else if (this.failed) wait.reject(this.error);
    else wait.resolve(this.value as V);
  }
}
