import { LONGEST } from "./alarm.js";
import { Batch } from "./batch.js";
import { deferred } from "./deferred.js";
import { batchLost, batchResultError, recursive } from "./errors.js";
import { host, type Timer } from "./host.js";
import { duration, fn, known, size } from "./options.js";
import type { BatchOptions } from "./types.js";

/** What a batch belongs to, and what is to know of it. None of this may throw. */
export interface BatchObserver<K, C = unknown> {
  /** The time in milliseconds. */
  now(): number;
  /** A key takes a place. `false` if what asks for it would wait for itself. */
  joined(batch: BatchId): boolean;
  /** Whether anybody still waits for a key, by what came with it. */
  isWanted(item: C): boolean;
  /** It is full, or its window has passed: calls `load`, which may ask for keys. */
  run<T>(batch: BatchId, call: () => T, keys: readonly K[]): T;
  /** It has ended: the keys of its call, how long that took, and what every key failed with, if so. No keys: no call. */
  ended(batch: BatchId, keys: readonly K[], millis: number, error: unknown): void;
}

/** A batch, for those who know it by a number of their own. */
export interface BatchId {
  node: number;
}

const BATCH_OPTIONS = new Set(["load", "batchWindow", "maxBatchSize"]);

/** In so many batches a key is tried that are lost with their requests. */
const MOST_TRIES = 10;

class OpenBatch<K, V, C> extends Batch<K, V> implements BatchId {
  node = -1;
  readonly items: C[] = [];
  timer: Timer | undefined = undefined;
  /** Sends a batch with a timer before its time. */
  go: (() => void) | undefined = undefined;
  /** What came first with a key that was asked for again, by the key's place. */
  earlier: [number, C][] | undefined = undefined;
  /** Where each key is. */
  readonly places = new Map<K, number>();
}

/**
 * Makes one call of the keys that are asked for within a window. The same key asked for twice is in it once, with the
 * item of the last.
 *
 * In a Worker a batch belongs to the request that opened it: its timer, its call and its promise are of that
 * request, which stays alive until the batch has ended. A batch with the microtask window has keys of that
 * one request only, because no other's code runs meanwhile. With a window in milliseconds keys of other requests join (we
 * can't tell requests apart, and would not want to: fewer calls are what a window is for). They wait for the opener's promise.
 * If the runtime rejects that because the opener has gone all the same, each asks again, in a batch of a living request.
 */
export class Batcher<K, V, C = undefined> {
  readonly #load: BatchOptions<K, V, C>["load"];
  /** In milliseconds; `undefined`: the microtask window. */
  readonly #window: number | undefined;
  readonly #maxSize: number;
  readonly #observer: BatchObserver<K, C>;
  #open: OpenBatch<K, V, C> | undefined = undefined;

  /** @throws {NearCacheError} `ERR_OPTION` */
  constructor(options: BatchOptions<K, V, C>, observer: BatchObserver<K, C>) {
    known(options, BATCH_OPTIONS, "batch");
    const { load, batchWindow = "microtask", maxBatchSize = Infinity } = options;
    this.#load = fn("batch.load", load);
    this.#window = batchWindow === "microtask" ? undefined : Math.min(duration("batchWindow", batchWindow), LONGEST);
    this.#maxSize = size("maxBatchSize", maxBatchSize);
    this.#observer = observer;
  }

  /** The key's value, by the batch that is open or a new one. `item` goes to `load` beside it. */
  load(key: K, item: C, tries = 1): Promise<V> {
    const open = this.#open;
    const batch = open === undefined || open.closed ? this.#begin() : open;
    if (!this.#observer.joined(batch)) return Promise.reject(recursive(key));
    const lost = !host.requestBound
      ? undefined
      : (): Promise<V> => {
          batch.closed = true;
          return tries < MOST_TRIES ? this.load(key, item, tries + 1) : Promise.reject(batchLost(key, tries));
        };
    const known = batch.places.get(key);
    if (known !== undefined) {
      (batch.earlier ??= []).push([known, batch.items[known]!]);
      batch.items[known] = item;
      return batch.again(known, lost);
    }
    batch.places.set(key, batch.items.push(item) - 1);
    const promise = batch.add(key, lost);
    if (batch.keys.length >= this.#maxSize) {
      batch.closed = true;
      batch.go?.();
    }
    return promise;
  }

  #begin(): OpenBatch<K, V, C> {
    const batch = new OpenBatch<K, V, C>();
    this.#open = batch;
    if (this.#window !== undefined && this.#wait(batch, this.#window)) return batch;
    host.afterPromiseJobs(() => void this.#send(batch), batch.keys);
    return batch;
  }

  /** Sends the batch when its window has passed or it is full. There are no timers outside a request. */
  #wait(batch: OpenBatch<K, V, C>, window: number): boolean {
    // Another request may fill the batch; it is sent by a promise job of this one.
    const { promise: go, resolve } = deferred<void>();
    batch.go = resolve;
    try {
      batch.timer = host.setTimer(resolve, window);
      host.keepAlive(batch.ended);
    } catch {
      if (batch.timer === undefined) return false;
    }
    void go.then(() => this.#send(batch));
    return true;
  }

  async #send(batch: OpenBatch<K, V, C>): Promise<void> {
    batch.closed = true;
    if (batch.timer !== undefined) host.clearTimer(batch.timer);
    const observer = this.#observer;
    const places = this.#wanted(batch);
    const all = places.length === batch.keys.length;
    const keys = all ? batch.keys : places.map((place) => batch.keys[place]!);
    const items = all ? batch.items : places.map((place) => batch.items[place]!);
    const count = keys.length;
    const start = observer.now();
    let failure: unknown;
    try {
      const values = count === 0 ? [] : await observer.run(batch, () => this.#load(keys, items), keys);
      if (!Array.isArray(values) || values.length !== count) throw batchResultError(values, count);
      batch.settle(all ? values : spread(values, places));
    } catch (error) {
      failure = error;
      batch.fail(error);
    }
    observer.ended(batch, keys, Math.max(observer.now() - start, 0), failure);
  }

  /** The places of the keys that somebody still waits for: others may have left while the batch was open. */
  #wanted({ keys, items, earlier = [] }: OpenBatch<K, V, C>): number[] {
    const isWanted = (place: number): boolean =>
      this.#observer.isWanted(items[place]!) ||
      earlier.some(([known, item]) => known === place && this.#observer.isWanted(item));
    return Array.from(keys, (_, place) => place).filter(isWanted);
  }
}

/** Values for the keys in these places; there is none for the others, which nobody waits for. */
function spread<V>(values: readonly (V | Error)[], places: readonly number[]): (V | Error)[] {
  const all: (V | Error)[] = [];
  places.forEach((place, at) => (all[place] = values[at]!));
  return all;
}
