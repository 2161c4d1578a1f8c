/**
 * Keys that become one call, and what came of it. Everyone who waits does so for the one promise, `ended`, and
 * picks a result then: that costs less than a promise with functions of its own for each key, and in a
 * Worker it is what lets another request wait (runtimes don't let a request wait for what it would have to resolve itself).
 */
export class Batch<K, V> {
  readonly keys: K[] = [];
  /** Takes no more keys. */
  closed = false;
  /** Its call has ended, or it needed none. Unless it has, a rejection of `ended` is the runtime's. */
  over = false;
  readonly ended: Promise<void>;
  private end!: () => void;
  private values: ArrayLike<V | Error> = [];
  private failed = false;
  private error: unknown = undefined;

  constructor() {
    this.ended = new Promise((resolve) => (this.end = resolve));
  }

  /** Adds a key. The promise is for its value. */
  add(key: K): Promise<V> {
    const index = this.keys.push(key) - 1;
    return this.ended.then(() => this.result(index));
  }

  /** What came of a key, when the batch is over: its value, or the error it failed with, thrown. */
  result(index: number): V {
    if (this.failed) throw this.error;
    const value = this.values[index] as V | Error;
    if (value instanceof Error) throw value;
    return value;
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
}

/** Anything with a length and a last element. */
export function isArrayLike(given: unknown): given is ArrayLike<unknown> {
  if (typeof given !== "object" || given === null) return false;
  const { length } = given as ArrayLike<unknown>;
  return typeof length === "number" && (length === 0 || (length > 0 && Object.hasOwn(given, length - 1)));
}
