/** A promise, and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Every promise that more than one request may wait for, or that one request settles for another, is made here.
 *
 * workerd marks a promise with the request that made it. `Promise.withResolvers()` keeps that mark; `new Promise`, `then`
 * and async functions lose it as soon as V8 has compiled the code that calls them, and then whoever waits in another
 * request is answered with a bare 500. docs/workerd-promises.md has the table.
 *
 * Node 20 has no `withResolvers`, and no requests that own promises either.
 */
export const deferred: <T>() => Deferred<T> =
  typeof Promise.withResolvers === "function" ? () => Promise.withResolvers() : byExecutor;

function byExecutor<T>(): Deferred<T> {
  let resolve!: Deferred<T>["resolve"];
  let reject!: Deferred<T>["reject"];
  const promise = new Promise<T>((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}

/** What a promise's end means to who has nothing to do about it. */
export const ignore = (): void => {};

/** A promise that settles once: others than the language's own may settle twice, resolve with one another, or throw. */
export function trusted<T>(value: PromiseLike<T>): Promise<T> {
  return value instanceof Promise && value.then === Promise.prototype.then
    ? value
    : new Promise((resolve) => resolve(value));
}

/** Whether it is a promise, or is taken for one. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && typeof (value as PromiseLike<T>).then === "function";
}
