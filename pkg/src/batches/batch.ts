import { deferred } from "../runtime/deferred.js";
import { host } from "../runtime/host.js";

/**
 * Keys that become one call, and what came of it. All who wait do so for the one promise, `ended`, and pick their
 * result then. That costs less than functions to resolve and reject for each key; and in a Worker, where a
 * request may wait for another's promise but not for one of its own that another resolves, it is the only way.
 */
export class Batch<K, V> {
  readonly keys: K[] = [];
  /** Resolved when the call has come to an end, well or not. Only a runtime rejects it: with the request it belongs to. */
  readonly ended: Promise<void>;
  private readonly end: () => void;
  private over = false;
  private values: ArrayLike<V | Error> = [];
  private failed = false;
  private error: unknown = undefined;
  private picked = 0;

  constructor() {
    ({ promise: this.ended, resolve: this.end } = deferred<void>());
  }

  /** Adds a key and promises its value; `lost` brings it if the batch's request goes before the batch has ended. */
  add(key: K, lost?: () => Promise<V>): Promise<V> {
    // A promise calls back in the order in which it was asked to, so one function will do for all keys,
    // except where they may be in several requests.
    const promise = host.requestBound ? this.again(this.keys.length, lost) : this.ended.then(this.pickNext);
    // Last: where the stack has no room for it all, the key is not in the batch.
    this.keys.push(key);
    return promise;
  }

  /** Promises the value of a key that it has already, by its index. Whoever comes first is told first. */
  again(index: number, lost?: () => Promise<V>): Promise<V> {
    if (!host.requestBound) return this.ended.then(() => this.pick(index));
    // Whoever is given the promise may hand it to several requests, as a DataLoader does.
    const { promise, resolve } = deferred<V>();
    resolve(
      this.ended.then(
        () => this.pick(index),
        (error) => {
          if (this.over) return this.pick(index);
          if (lost === undefined) throw error;
          return lost();
        },
      ),
    );
    return promise;
  }

  /** What was asked for before, when this batch has ended. */
  after(promise: Promise<V>): Promise<V> {
    return this.ended.then(() => promise);
  }

  /** The call has brought a value or an Error for each key. */
  settle(values: ArrayLike<V | Error>): void {
    this.values = values;
    this.over = true;
    this.end();
  }

  /** The call as a whole has failed, and every key with it. */
  fail(error: unknown): void {
    this.failed = true;
    this.error = error;
    this.over = true;
    this.end();
  }

  private readonly pickNext = (): V => this.pick(this.picked++);

  private pick(index: number): V {
    if (this.failed) throw this.error;
    const value = this.values[index] as V | Error;
    if (value instanceof Error) throw value;
    return value;
  }
}
