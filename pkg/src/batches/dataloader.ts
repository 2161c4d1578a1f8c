import { Batch } from "./batch.js";
import { host } from "../runtime/host.js";

/**
 * Loads keys in batches and remembers each key's promise: graphql/dataloader 2.2.3 by its public face, so
 * that changing the import is enough. What is asked for in one tick, including the promise jobs that
 * follow from it, is one call of the batch function (in Workers, up to 64 turns of promise jobs after the
 * last new key).
 *
 * It remembers without bound or lifetime until told to forget: make one for each request.
 *
 * ```ts
 * const users = new DataLoader<string, User>(async (ids) => usersById(ids));
 * const [ada, bob] = await Promise.all([users.load("ada"), users.load("bob")]);
 * ```
 */
export class DataLoader<K, V, C = K> {
  /** As given to the constructor, else `null`. */
  name: string | null;
  readonly #batchLoadFn: DataLoader.BatchLoadFn<K, V>;
  readonly #maxBatchSize: number;
  readonly #batchScheduleFn: ((callback: () => void) => void) | undefined;
  readonly #cacheKeyFn: ((key: K) => C) | undefined;
  readonly #cacheMap: DataLoader.CacheMap<C, Promise<V>> | null;
  #open: Batch<K, V> | undefined = undefined;
  /** Those that were to go while they were scheduled, and go with the key that opened them. */
  readonly #due = new Set<Batch<K, V>>();

  /**
   * `batchLoadFn` gets the keys and promises as many values in their order, an Error instance where a key
   * has failed. It is called with the loader as `this`.
   *
   * @throws {TypeError} if it is not a function, or an option is none that can be used.
   */
  constructor(batchLoadFn: DataLoader.BatchLoadFn<K, V>, options?: DataLoader.Options<K, V, C>) {
    if (typeof batchLoadFn !== "function") throw new TypeError(`${EXPECTED}, but got: ${batchLoadFn}.`);
    const { batch, maxBatchSize, batchScheduleFn, cache, cacheKeyFn, cacheMap, name } = options ?? {};
    this.#batchLoadFn = batchLoadFn;
    this.#maxBatchSize = batch === false ? 1 : validSize(maxBatchSize);
    this.#batchScheduleFn = validFunction("batchScheduleFn", batchScheduleFn);
    this.#cacheKeyFn = validFunction("cacheKeyFn", cacheKeyFn);
    this.#cacheMap = cache === false ? null : validMap(cacheMap);
    this.name = name || null;
  }

  /**
   * A promise for the key's value: a new one, or one for what the key's first load brings or brought. Either
   * settles together with the batch that the call fell into. A key whose batch function gave an Error
   * stays failed until it is cleared; if the whole batch failed, its keys are forgotten.
   *
   * @throws {TypeError} if the key is `null` or `undefined`.
   */
  load(key: K): Promise<V> {
    if (key === null || key === undefined) {
      throw new TypeError(`The loader.load() function must be called with a value, but got: ${String(key)}.`);
    }
    const cacheMap = this.#cacheMap;
    const cacheKey = cacheMap === null ? undefined : this.#cacheKey(key);
    const cached = cacheMap?.get(cacheKey as C);
    const open = this.#open;
    const joins = open !== undefined && open.keys.length < this.#maxBatchSize;
    // Scheduled before anything is in it: a key is never remembered by a batch that nobody sends.
    const batch = joins ? open : this.#schedule();
    try {
      if (cached) return batch.after(cached);
      const promise = batch.add(key);
      cacheMap?.set(cacheKey as C, promise);
      return promise;
    } finally {
      if (!joins && this.#due.delete(batch)) this.#send(batch);
    }
  }

  /**
   * Loads each of the keys. Never rejects: where a key fails, its error takes the value's place.
   *
   * @throws {TypeError} if `keys` is not like an array, or one of them is `null` or `undefined`.
   */
  loadMany(keys: ArrayLike<K>): Promise<Array<V | Error>> {
    if (!isArrayLike(keys)) {
      throw new TypeError(`The loader.loadMany() function must be called with Array<key> but got: ${keys as any}.`);
    }
    const loads: Promise<V | Error>[] = [];
    for (let i = 0; i < keys.length; i++) loads.push(this.load(keys[i]!).catch(itself));
    return Promise.all(loads);
  }

  /** Forgets the key. Who waits for it goes on waiting. */
  clear(key: K): this {
    this.#cacheMap?.delete(this.#cacheKey(key));
    return this;
  }

  /** Forgets all keys. */
  clearAll(): this {
    this.#cacheMap?.clear();
    return this;
  }

  /** Remembers a value, or a promise of one, unless the key is known already. An Error makes the key's loads fail. */
  prime(key: K, value: V | PromiseLike<V> | Error): this {
    const cacheMap = this.#cacheMap;
    if (cacheMap === null) return this;
    const cacheKey = this.#cacheKey(key);
    if (cacheMap.get(cacheKey) === undefined) {
      const promise = value instanceof Error ? Promise.reject(value) : Promise.resolve(value);
      // An error that nobody has asked for yet is not an unhandled one.
      if (value instanceof Error) promise.catch(itself);
      cacheMap.set(cacheKey, promise);
    }
    return this;
  }

  #cacheKey(key: K): C {
    return this.#cacheKeyFn === undefined ? (key as unknown as C) : this.#cacheKeyFn(key);
  }

  #schedule(): Batch<K, V> {
    const batch = new Batch<K, V>();
    let isScheduled = false;
    const send = () => {
      if (isScheduled) this.#send(batch);
      else this.#due.add(batch);
    };
    // Who schedules may load keys, or throw.
    this.#open = batch;
    try {
      if (this.#batchScheduleFn === undefined) host.afterPromiseJobs(send, batch.keys);
      else this.#batchScheduleFn(send);
    } catch (error) {
      this.#open = undefined;
      throw error;
    }
    isScheduled = true;
    return batch;
  }

  #send(batch: Batch<K, V>): void {
    if (this.#open === batch) this.#open = undefined;
    const { keys } = batch;
    if (keys.length === 0) return batch.settle(keys as never[]);
    let loaded: PromiseLike<ArrayLike<V | Error>>;
    try {
      loaded = this.#batchLoadFn(keys);
    } catch (error) {
      return this.#fail(batch, new TypeError(`${EXPECTED}, but the function errored synchronously: ${String(error)}.`));
    }
    if (typeof loaded?.then !== "function") {
      return this.#fail(
        batch,
        new TypeError(`${EXPECTED}, but the function did not return a Promise: ${String(loaded)}.`),
      );
    }
    Promise.resolve(loaded)
      .then((values) => {
        check(keys, values);
        batch.settle(values);
      })
      .catch((error) => this.#fail(batch, error));
  }

  #fail(batch: Batch<K, V>, error: unknown): void {
    try {
      for (const key of batch.keys) this.clear(key);
    } finally {
      batch.fail(error);
    }
  }
}

export declare namespace DataLoader {
  /** Where promises are remembered: a `Map`, or anything with these four of its methods. */
  export type CacheMap<K, V> = {
    get(key: K): V | void;
    set(key: K, value: V): any;
    delete(key: K): any;
    clear(): any;
  };

  /** Gets keys; promises, in their order, as many values or Errors. */
  export type BatchLoadFn<K, V> = (keys: ReadonlyArray<K>) => PromiseLike<ArrayLike<V | Error>>;

  export type Options<K, V, C = K> = {
    /** `false`: each key is a batch of its own, as with a `maxBatchSize` of 1. Default `true`. */
    batch?: boolean;
    /** The most keys in a batch: a number from 1 on. Default `Infinity`. */
    maxBatchSize?: number;
    /** Gets the function that sends a batch, and calls it when the batch should go. Default: after the tick's promise jobs. */
    batchScheduleFn?: (callback: () => void) => void;
    /** `false`: nothing is remembered and the same key may be several times in a batch. Default `true`. */
    cache?: boolean;
    /** What a key is remembered by. Default: the key itself. */
    cacheKeyFn?: (key: K) => C;
    /** Where promises are remembered. `null`: nowhere. Default: a new `Map`. */
    cacheMap?: CacheMap<C, Promise<V>> | null;
    /** A name for the loader, for tools that watch it. Default `null`. */
    name?: string | null;
  };
}

// Texts and checks are dataloader's, because programs and their tests look at them.
const EXPECTED =
  "DataLoader must be constructed with a function which accepts Array<key> and returns Promise<Array<value>>";

const itself = (error: unknown): any => error;

/** Anything with a length and a last element. */
function isArrayLike(given: unknown): given is ArrayLike<unknown> {
  if (typeof given !== "object" || given === null) return false;
  const { length } = given as ArrayLike<unknown>;
  return typeof length === "number" && (length === 0 || (length > 0 && Object.hasOwn(given, length - 1)));
}

function check(keys: readonly unknown[], values: unknown): void {
  if (!isArrayLike(values)) {
    throw new TypeError(`${EXPECTED}, but the function did not return a Promise of an Array: ${String(values)}.`);
  }
  if (values.length !== keys.length) {
    throw new TypeError(
      `${EXPECTED}, but the function did not return a Promise of an Array of the same length as the Array of keys.` +
        `\n\nKeys:\n${String(keys)}\n\nValues:\n${String(values)}`,
    );
  }
}

function validSize(given: number | undefined): number {
  if (given === undefined) return Infinity;
  if (typeof given !== "number" || given < 1)
    throw new TypeError(`maxBatchSize must be a positive number: ${given as any}`);
  return given;
}

function validFunction<F>(option: string, given: F | undefined): F | undefined {
  if (given !== undefined && typeof given !== "function")
    throw new TypeError(`${option} must be a function: ${given as any}`);
  return given;
}

function validMap<C, V>(given: DataLoader.CacheMap<C, V> | null | undefined): DataLoader.CacheMap<C, V> | null {
  if (given === undefined) return new Map<C, V>();
  if (!given) return null;
  const missing = (["get", "set", "delete", "clear"] as const).filter((name) => typeof given[name] !== "function");
  if (missing.length > 0) throw new TypeError(`Custom cacheMap missing methods: ${missing.join(", ")}`);
  return given;
}
