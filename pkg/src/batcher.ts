import { LONGEST } from "./alarm.js";
import { Batch } from "./batch.js";
import { deferred } from "./deferred.js";
import { misshapen } from "./errors.js";
import { host } from "./host.js";
import { duration, fn, known, size } from "./options.js";
import type { BatchOptions } from "./types.js";

/** Told when a batch has ended: its keys, how long its call took in milliseconds, and what every key failed with, if so. */
export type BatchEnded<K> = (keys: readonly K[], millis: number, error: unknown) => void;

const BATCH_OPTIONS = new Set(["load", "batchWindow", "maxBatchSize"]);

class Gathering<K, V, C> extends Batch<K, V> {
  readonly items: C[] = [];
  timer: ReturnType<typeof setTimeout> | undefined = undefined;
  /** Sends a batch with a timer before its time. */
  go: (() => void) | undefined = undefined;
}

/**
 * Makes one call of the keys that are asked for within a window. The same key asked for twice is in it twice.
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
  readonly #ended: BatchEnded<K> | undefined;
  #open: Gathering<K, V, C> | undefined = undefined;

  /**
   * `ended` must not throw.
   * @throws {NearCacheError} `ERR_OPTION`
   */
  constructor(options: BatchOptions<K, V, C>, ended?: BatchEnded<K>) {
    known(options, BATCH_OPTIONS, "batch");
    const { load, batchWindow = "microtask", maxBatchSize = Infinity } = options;
    this.#load = fn("batch.load", load);
    this.#window = batchWindow === "microtask" ? undefined : Math.min(duration("batchWindow", batchWindow), LONGEST);
    this.#maxSize = size("maxBatchSize", maxBatchSize);
    this.#ended = ended;
  }

  /** The key's value, by the batch that is open or a new one. `item` goes to `load` beside it. */
  load(key: K, item: C): Promise<V> {
    const open = this.#open;
    const batch = open === undefined || open.closed ? this.#begin() : open;
    batch.items.push(item);
    const lost = (): Promise<V> => {
      batch.closed = true;
      return this.load(key, item);
    };
    const promise = batch.add(key, host.requestBound ? lost : undefined);
    if (batch.keys.length >= this.#maxSize) {
      batch.closed = true;
      batch.go?.();
    }
    return promise;
  }

  #begin(): Gathering<K, V, C> {
    const batch = new Gathering<K, V, C>();
    this.#open = batch;
    if (this.#window !== undefined && this.#wait(batch, this.#window)) return batch;
    host.afterPromiseJobs(() => void this.#send(batch), batch.keys);
    return batch;
  }

  /** Sends the batch when its window has passed or it is full. There are no timers outside a request. */
  #wait(batch: Gathering<K, V, C>, window: number): boolean {
    // Another request may fill the batch; it is sent by a promise job of this one.
    const { promise: go, resolve } = deferred<void>();
    batch.go = resolve;
    try {
      batch.timer = setTimeout(resolve, window);
      host.keepAlive(batch.ended);
    } catch {
      if (batch.timer === undefined) return false;
    }
    void go.then(() => this.#send(batch));
    return true;
  }

  async #send(batch: Gathering<K, V, C>): Promise<void> {
    batch.closed = true;
    clearTimeout(batch.timer);
    const count = batch.keys.length;
    const start = performance.now();
    let failure: unknown;
    try {
      const values = await this.#load(batch.keys, batch.items);
      if (!Array.isArray(values) || values.length !== count) throw misshapen(values, count);
      batch.settle(values);
    } catch (error) {
      failure = error;
      batch.fail(error);
    }
    this.#ended?.(batch.keys, performance.now() - start, failure);
  }
}
