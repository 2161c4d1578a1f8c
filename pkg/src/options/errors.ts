/** What can go wrong in the cache itself. A loader's own error is passed on as it is. */
export type NearCacheErrorCode =
  | "ERR_OPTION"
  | "ERR_TIMEOUT"
  | "ERR_RECURSIVE_LOAD"
  | "ERR_TOO_MANY_LOADS"
  | "ERR_QUEUE_FULL"
  | "ERR_LOAD_LOST"
  | "ERR_BYTES"
  | "ERR_INVALID"
  | "ERR_CLONE"
  | "ERR_BATCH"
  | "ERR_KEY"
  | "ERR_SNAPSHOT"
  | "ERR_WASM";

/** An error of the cache's own. `code` stays the same across versions; `message` is for people. */
export class NearCacheError extends Error {
  override readonly name = "NearCacheError";

  /** Every entry point has a class of its own, and so has a second copy of the package: what each makes is an instance of all. */
  static override [Symbol.hasInstance](given: unknown): boolean {
    return given instanceof Error && given.name === "NearCacheError";
  }

  constructor(
    readonly code: NearCacheErrorCode,
    message: string,
    /** The key it happened for, where there is one. */
    readonly key?: unknown,
  ) {
    super(message);
  }
}

const MISUSES: ReadonlySet<NearCacheErrorCode> = new Set([
  "ERR_OPTION",
  "ERR_RECURSIVE_LOAD",
  "ERR_BYTES",
  "ERR_BATCH",
  "ERR_KEY",
  "ERR_CLONE",
]);

/** Whether the error is about how the cache was used, so that the same again would bring the same. */
export function isMisuse(error: unknown): boolean {
  return error instanceof NearCacheError && MISUSES.has(error.code);
}

/** A key as an error shows it: short, whatever it is. */
export function showKey(key: unknown): string {
  const text = typeof key === "string" ? JSON.stringify(key) : toText(key);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** What was thrown as an Error, whatever it is. */
export function toError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return thrown;
  } catch {
    // A proxy, whose trap throws.
  }
  return new Error(toText(thrown), { cause: thrown });
}

function toText(value: unknown): string {
  try {
    return String(value);
  } catch {
    return typeof value;
  }
}

export function timedOut(key: unknown, hardTimeout: number): NearCacheError {
  const hint = "the load is slow, or never ends, or waits for itself";
  return new NearCacheError(
    "ERR_TIMEOUT",
    `no value for ${showKey(key)} within ${hardTimeout} ms (hardTimeout); ${hint}`,
    key,
  );
}

export function recursive(key: unknown): NearCacheError {
  const advice = "load it directly, or under another key";
  return new NearCacheError(
    "ERR_RECURSIVE_LOAD",
    `the loader of ${showKey(key)} asked the cache for that very key, which it is loading; ${advice}`,
    key,
  );
}

export function tooManyLoads(key: unknown): NearCacheError {
  return new NearCacheError("ERR_TOO_MANY_LOADS", "too many loads are under way: at most 2097152 at once", key);
}

export function queueFull(key: unknown, most: number): NearCacheError {
  const why = `${most} loads wait for their turn already (maxQueuedLoads)`;
  return new NearCacheError("ERR_QUEUE_FULL", `${showKey(key)} is not loaded: ${why}`, key);
}

export function computeQueueFull(key: unknown, most: number): NearCacheError {
  const why = `${most} computations of it wait for their turn already`;
  return new NearCacheError("ERR_QUEUE_FULL", `${showKey(key)} is not computed: ${why}`, key);
}

export function invalidValue(key: unknown): NearCacheError {
  return new NearCacheError("ERR_INVALID", `the loader of ${showKey(key)} brought a value that validate refuses`, key);
}

export function uncloneable(key: unknown, error: unknown): NearCacheError {
  const why = error instanceof Error ? error.message : String(error);
  return new NearCacheError(
    "ERR_CLONE",
    `the value of ${showKey(key)} can't be cloned (clone: "structured"): ${why}`,
    key,
  );
}

export function nobodyWaits(key: unknown): NearCacheError {
  return new NearCacheError("ERR_TIMEOUT", `nobody waits for ${showKey(key)} any more`, key);
}

export function batchLost(key: unknown, tries: number): NearCacheError {
  const why = `each of the ${tries} batches that it was in was lost with its request`;
  return new NearCacheError("ERR_LOAD_LOST", `no value for ${showKey(key)}: ${why}`, key);
}

export function batchResultError(values: unknown, keys: number): NearCacheError {
  const got = Array.isArray(values) ? `${values.length} values` : showKey(values);
  return new NearCacheError(
    "ERR_BATCH",
    `batch.load was asked for ${keys} key${keys === 1 ? "" : "s"} and brought ${got}; it wants an array with a value or an Error for each`,
  );
}
