import { LONGEST } from "../runtime/alarm.js";
import { Batch } from "./batch.js";
import { above, type Core, FULL_BATCH, NEW_BATCH, TIMED_BATCH } from "../core/core.js";
import { deferred, ignore } from "../runtime/deferred.js";
import { batchLost, batchResultError, nobodyWaits } from "../options/errors.js";
import type { Asker } from "./asker.js";
import { host, type Timer } from "../runtime/host.js";
import { checkFunction, describe, duration, optionError, rejectUnknown, size } from "../options/options.js";
import type { BatchOptions } from "../types/types.js";

/** What a batcher belongs to, and what is to know of its batches. None of this may throw, if it does not say so. */
export interface BatchOwner<K, C = unknown> {
  /** Who decides which batch a key joins, and when that goes. */
  readonly entries: { readonly core: Core; safely<T>(operation: (core: Core) => T): T };
  /** The load that asks for a key, as the core calls it. */
  readonly asker: number;
  /** The time in milliseconds. */
  now(): number;
  /** Whether anybody still waits for a key, by what came with it. */
  isWanted(item: C): boolean;
  /** What its call waits for, if for anything; may throw. */
  turn?(batch: Asker, key: K): Promise<void> | undefined;
  /** It takes no more keys: calls `load`, which may ask for keys. */
  run<T>(batch: Asker, call: () => T, keys: readonly K[]): T;
  /** It has ended: the keys of its call, how long that took, and what every key failed with, if so. No keys: no call. */
  ended(keys: readonly K[], millis: number, error: unknown): void;
}

const BATCH_OPTIONS = new Set(["load", "batchWindow", "maxBatchSize"]);

/** What the core calls a batch. */
class BatchNumber {
  constructor(
    private readonly core: Core,
    private readonly number: number,
  ) {}

  /** 0 if that is not the core which knows it. */
  in(core: Core): number {
    return core === this.core ? this.number : 0;
  }
}

class OpenBatch<K, V, C> extends Batch<K, V> implements Asker {
  readonly items: C[] = [];
  timer: Timer | undefined = undefined;
  hasEnded = false;
  /** Sends a batch with a timer before its time. */
  go: (() => void) | undefined = undefined;
  /** What came first with a key that was asked for again, by the key's place. */
  readonly earlier: [number, C][] = [];
  /** Where each key is. */
  readonly places = new Map<K, number>();

  readonly number: BatchNumber;

  constructor(
    private readonly entries: { readonly core: Core },
    number: number,
    /** What keys it takes. */
    readonly part: string,
    /** Until then, in milliseconds; NaN: the microtask window. */
    readonly until: number,
  ) {
    super();
    this.number = new BatchNumber(entries.core, number);
  }

  /** -1 for the present core, if that is not the one which knows it. */
  get node(): number {
    return this.hasEnded ? -1 : -1 - this.number.in(this.entries.core);
  }
}

/**
 * Makes one call of the keys that are asked for within a window. The same key asked for twice is in it once, with the
 * item of the last. Keys of different parts are never in one call, which runs in the context of whoever opened it: one user's
 * answer is not what another's scope should hold.
 *
 * In a Worker a batch belongs to the request that opened it: its timer, its call and its promise are of that
 * request, which stays alive until the batch has ended. A batch with the microtask window has keys of that
 * one request only, because no other's code runs meanwhile. With a window in milliseconds keys of other requests join (we
 * can't tell requests apart, and would not want to: fewer calls are what a window is for). They wait for the opener's promise.
 * If the runtime rejects that because the opener has gone all the same, each asks again, in a batch of a living request.
 */
export class Batcher<K, V, C = undefined> {
  readonly #load: BatchOptions<K, V, C>["load"];
  /** In milliseconds; NaN: the microtask window. */
  readonly #window: number;
  readonly #maxSize: number;
  readonly #owner: BatchOwner<K, C>;
  /** The batches that take keys, by part. */
  readonly #open = new Map<string, OpenBatch<K, V, C>>();
  /** The one that was begun last, gone or not. */
  #begun: BatchNumber | undefined = undefined;

  /** @throws {NearCacheError} `ERR_OPTION` */
  constructor(options: BatchOptions<K, V, C>, owner: BatchOwner<K, C>) {
    if (typeof options !== "object" || options === null) {
      throw optionError("batch", describe(options), "an object like { load: async (keys) => values }");
    }
    rejectUnknown(options, BATCH_OPTIONS, "batch");
    const { load, batchWindow = "microtask", maxBatchSize = Infinity } = options;
    this.#load = checkFunction("batch.load", load);
    this.#window =
      batchWindow === "microtask" ? NaN : Math.min(duration("batchWindow", batchWindow, '"microtask", '), LONGEST);
    this.#maxSize = size("maxBatchSize", maxBatchSize);
    this.#owner = owner;
  }

  /** As a loader of a part of a cache. */
  loader(part: string): { (key: K, item: C): Promise<V>; isBatch: true } {
    return Object.assign((key: K, item: C) => this.load(key, item, part), { isBatch: true } as const);
  }

  /** The key's value, by the batch that is open or a new one. `item` goes to `load` beside it. */
  load(key: K, item: C, part = "", tries = 1): Promise<V> {
    // Of a batch that takes keys until the end of the turn the core knows when it began. A clock of the user's may use the
    // cache, and so is read before anything is looked at.
    const now = this.#open.has(part) && Number.isNaN(this.#window) ? 0 : this.#owner.now();
    const { entries, asker } = this.#owner;
    const last = this.#open.get(part);
    // After one that is gone it is the next; another part's that is open it must not join.
    const before = last?.number ?? (this.#open.size === 0 ? this.#begun : undefined);
    const has = last?.places.has(key) ?? false;
    const answer = entries.safely((core) =>
      core.join_batch(before?.in(core) ?? 0, has, asker, this.#window, this.#maxSize, now),
    );
    const said = above(answer);
    const isNew = (said & NEW_BATCH) !== 0;
    const batch = isNew ? this.#begin(answer | 0, part, (said & TIMED_BATCH) !== 0, now) : last!;
    const lost = host.requestBound ? () => this.#again(batch, key, item, tries) : undefined;
    let promise: Promise<V>;
    if (has && !isNew) {
      const place = batch.places.get(key)!;
      batch.earlier.push([place, batch.items[place]!]);
      batch.items[place] = item;
      promise = batch.again(place, lost);
    } else {
      promise = batch.add(key, lost);
      batch.places.set(key, batch.items.push(item) - 1);
    }
    if ((said & FULL_BATCH) !== 0) batch.go?.();
    return promise;
  }

  /** The key's batch is gone with its request. */
  #again(batch: OpenBatch<K, V, C>, key: K, item: C, tries: number): Promise<V> {
    const again = this.#owner.entries.safely((core) => core.batch_lost(batch.number.in(core), tries));
    return again ? this.load(key, item, batch.part, tries + 1) : Promise.reject(batchLost(key, tries));
  }

  #begin(number: number, part: string, isTimed: boolean, now: number): OpenBatch<K, V, C> {
    // Of another part that nobody may ask for again, if the request that would have sent it has died. The first was begun first.
    for (const batch of this.#open.values()) {
      if (!(batch.until <= now)) break;
      this.#close(batch);
    }
    const batch = new OpenBatch<K, V, C>(this.#owner.entries, number, part, now + this.#window);
    if (!isTimed || !this.#wait(batch)) host.afterPromiseJobs(() => this.#send(batch), batch.keys);
    // Last: nobody joins one that a full stack kept from being sent.
    this.#begun = batch.number;
    this.#open.set(part, batch);
    return batch;
  }

  /** Sends the batch when its window has passed or it is full. There are no timers outside a request. */
  #wait(batch: OpenBatch<K, V, C>): boolean {
    // Another request may fill the batch; it is sent by a promise job of this one.
    const { promise: go, resolve } = deferred<void>();
    batch.go = resolve;
    try {
      batch.timer = host.setTimer(resolve, this.#window);
      host.keepAlive(batch.ended);
    } catch {
      if (batch.timer === undefined) return false;
    }
    void go.then(() => this.#send(batch));
    return true;
  }

  /** It takes no more keys. */
  #close(batch: OpenBatch<K, V, C>): void {
    this.#owner.entries.safely((core) => core.close_batch(batch.number.in(core)));
    if (this.#open.get(batch.part) === batch) this.#open.delete(batch.part);
  }

  #send(batch: OpenBatch<K, V, C>): void {
    const owner = this.#owner;
    this.#close(batch);
    if (batch.timer !== undefined) host.clearTimer(batch.timer);
    let turn: Promise<void> | undefined;
    try {
      turn = owner.turn?.(batch, batch.keys[0]!);
    } catch (error) {
      batch.fail(error);
      this.#ended(batch);
      return;
    }
    if (turn === undefined) void this.#call(batch);
    else turn.then(() => void this.#call(batch), ignore);
  }

  #ended(batch: OpenBatch<K, V, C>): void {
    this.#owner.entries.safely((core) => core.batch_ended(batch.number.in(core)));
    batch.hasEnded = true;
  }

  async #call(batch: OpenBatch<K, V, C>): Promise<void> {
    const owner = this.#owner;
    const places = this.#wanted(batch);
    const all = places.length === batch.keys.length;
    const keys = all ? batch.keys : places.map((place) => batch.keys[place]!);
    const items = all ? batch.items : places.map((place) => batch.items[place]!);
    const count = keys.length;
    const start = owner.now();
    let failure: unknown;
    try {
      const values = count === 0 ? [] : await owner.run(batch, () => this.#load(keys, items), keys);
      if (!Array.isArray(values) || values.length !== count) throw batchResultError(values, count);
      batch.settle(all ? values : spread(values, places, batch.keys));
    } catch (error) {
      failure = error;
      batch.fail(error);
    }
    this.#ended(batch);
    owner.ended(keys, Math.max(owner.now() - start, 0), failure);
  }

  /** The places of the keys that somebody still waits for: others may have left while the batch was open. */
  #wanted({ items, earlier }: OpenBatch<K, V, C>): number[] {
    const owner = this.#owner;
    const known = new Set<number>();
    for (const [place, item] of earlier) if (owner.isWanted(item)) known.add(place);
    const places: number[] = [];
    items.forEach((item, place) => {
      if (owner.isWanted(item) || known.has(place)) places.push(place);
    });
    return places;
  }
}

/**
 * Values for the keys in these places, and an error for the others, which nobody waits for: what has no value is not to be taken for
 * nothing, which tiers would keep.
 */
function spread<K, V>(values: readonly V[], places: readonly number[], keys: readonly K[]): (V | Error)[] {
  let at = 0;
  return keys.map((key, place) => (places[at] === place ? values[at++]! : nobodyWaits(key)));
}
