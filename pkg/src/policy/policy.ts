// How values are kept and waited for, read from options into numbers that the core takes. What is not said is NaN.

import {
  abortSignal,
  bytes,
  checkBoolean,
  checkFunction,
  count,
  describe,
  type Duration,
  duration,
  factor,
  fraction,
  names,
  optionError,
  rate,
  rejectUnknown,
  size,
} from "../options/options.js";
import type { LoadContext } from "../types/loader.js";
import type {
  DetailedOptions,
  ErrorBackoff,
  GetOrSetOptions,
  LifeOptions,
  NearCacheOptions,
  Retry,
} from "../types/types.js";
import type { ValueLife } from "../types/tiering.js";

/** How many loads may begin, read and checked. */
export interface LoadLimits {
  readonly concurrent: number;
  readonly perSecond: number;
  readonly queued: number;
}

/** How values are kept and waited for on a part of a cache, where calls say nothing. */
export interface CallDefaults<K, V> {
  readonly ttl: number;
  readonly idleTtl: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly negativeTtl: number;
  readonly refreshAhead: number;
  readonly jitter: number;
  readonly softTimeout: number;
  readonly hardTimeout: number;
  /** 1 or 0. */
  readonly keepLoading: number;
  readonly backoffRule: BackoffRule<K> | undefined;
  readonly retryRule: RetryRule<K> | undefined;
  readonly validate: Validate<K> | undefined;
  readonly sizeOf: ((value: V, key: K) => number) | undefined;
}

/** What one speaker says of a policy. */
export interface Numbers {
  readonly ttl: number;
  readonly idleTtl: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly refreshAhead: number;
  readonly jitter: number;
  readonly negativeTtl: number;
  /** NaN as well where a function decides. */
  readonly errorBackoff: number;
  readonly softTimeout: number;
  readonly hardTimeout: number;
  /** How often a load is tried in all; NaN where nothing is said of retries. */
  readonly attempts: number;
  readonly retryDelay: number;
  readonly retryFactor: number;
  readonly retryJitter: number;
  /** Whether values are checked before each use. */
  readonly checked: boolean;
  /** 1 or 0. */
  readonly keepLoading: number;
}

/** For how long the key is not loaded again, by the error. */
export type BackoffRule<K> = (error: unknown, key: K) => Duration | undefined;

/** Whether a load that failed with this error may be tried again. */
export type RetryRule<K> = (error: unknown, key: K) => boolean;

/** Whether a value may be handed out. */
export type Validate<K> = (value: any, key: K) => boolean;

/** What one call says, read and checked. */
export interface CallOptions<K> extends Numbers {
  readonly backoffRule: BackoffRule<K> | undefined;
  readonly retryRule: RetryRule<K> | undefined;
  readonly validate: Validate<K> | undefined;
  readonly bytes: number;
  readonly tags: string[] | undefined;
  readonly lowPriority: boolean;
  readonly forceFresh: boolean;
  readonly signal: AbortSignal | undefined;
  readonly details: boolean;
}

/** The names of the options of `LifeOptions` and of the calls that take them. */
export const LIFE_OPTIONS = [
  "ttl",
  "idleTtl",
  "staleWhileRevalidate",
  "swr",
  "staleIfError",
  "refreshAhead",
  "jitter",
  "negativeTtl",
  "errorBackoff",
];
export const SET_OPTIONS = new Set([...LIFE_OPTIONS, "bytes", "tags"]);
export const UPDATE_OPTIONS = new Set([...SET_OPTIONS, "hardTimeout", "signal"]);
export const GET_OPTIONS = new Set([
  ...UPDATE_OPTIONS,
  "softTimeout",
  "forceFresh",
  "retry",
  "validate",
  "keepLoading",
  "priority",
]);
export const DETAILED_OPTIONS = new Set([...GET_OPTIONS, "details"]);

/** What a cache does that nobody told anything, as the core does. */
export const DEFAULTS = {
  ttl: Infinity,
  staleWhileRevalidate: 0,
  staleIfError: 0,
  negativeTtl: NaN,
  refreshAhead: 0,
  jitter: 0,
  idleTtl: Infinity,
  softTimeout: Infinity,
  hardTimeout: 30_000,
  keepLoading: 0,
};

type EntryPolicyPatch = Pick<
  LifeOptions,
  "ttl" | "idleTtl" | "staleWhileRevalidate" | "swr" | "staleIfError" | "refreshAhead" | "jitter"
>;
type ReadOptions<K> = { [O in keyof Read<K>]: Read<K>[O] | undefined };
type Read<K> = LifeOptions<K> &
  Pick<GetOrSetOptions<K>, "softTimeout" | "hardTimeout" | "retry" | "validate" | "keepLoading">;

/** How often what is over leaves by a timer, in milliseconds. @throws {NearCacheError} `ERR_OPTION` */
export function readPurge({ purgeStaleEvery = Infinity }: NearCacheOptions<any, any>): number {
  const every = duration("purgeStaleEvery", purgeStaleEvery);
  if (every === 0) throw optionError("purgeStaleEvery", describe(purgeStaleEvery), "1 ms or more");
  return every;
}

/** @throws {NearCacheError} `ERR_OPTION` */
export function readLoadLimits<K, V>(given: NearCacheOptions<K, V>): LoadLimits | undefined {
  const { maxConcurrentLoads = Infinity, loadsPerSecond = Infinity, maxQueuedLoads = 1_000 } = given;
  const limits = {
    concurrent: size("maxConcurrentLoads", maxConcurrentLoads),
    perSecond: rate("loadsPerSecond", loadsPerSecond),
    queued: count("maxQueuedLoads", maxQueuedLoads),
  };
  return limits.concurrent < Infinity || limits.perSecond < Infinity ? limits : undefined;
}

/** @throws {NearCacheError} `ERR_OPTION` */
export function readNumbers<K>(given: ReadOptions<K>): Numbers {
  const { negativeTtl, errorBackoff, softTimeout, hardTimeout, retry, validate, keepLoading } = given;
  return {
    ...readLife(given, ""),
    negativeTtl: read("negativeTtl", negativeTtl, duration),
    errorBackoff: typeof errorBackoff === "function" ? NaN : read("errorBackoff", errorBackoff, duration),
    softTimeout: read("softTimeout", softTimeout, duration),
    hardTimeout: read("hardTimeout", hardTimeout, duration),
    ...(retry === undefined ? NO_RETRY : readRetry(retry)),
    checked: validate !== undefined,
    keepLoading: keepLoading === undefined ? NaN : Number(checkBoolean("keepLoading", keepLoading)),
  };
}

/** What the cache, a call and a loader may say alike. An error calls an option as its speaker does, with `prefix`. */
function readLife(given: EntryPolicyPatch, prefix: string) {
  const { ttl, idleTtl, staleIfError, refreshAhead, jitter } = given;
  return {
    ttl: read("ttl", ttl, duration, prefix),
    idleTtl: read("idleTtl", idleTtl, duration, prefix),
    staleWhileRevalidate: readWindow(given, prefix),
    staleIfError: read("staleIfError", staleIfError, duration, prefix),
    refreshAhead: read("refreshAhead", refreshAhead, factor, prefix),
    jitter: read("jitter", jitter, fraction, prefix),
  };
}

/** NaN for what is not said. */
function read(option: string, given: unknown, as: (option: string, given: unknown) => number, prefix = ""): number {
  return given === undefined ? NaN : as(prefix + option, given);
}

/** @throws {NearCacheError} `ERR_OPTION` */
export function readCall<K>(given: GetOrSetOptions<K> & Partial<DetailedOptions<K, boolean>>): CallOptions<K> {
  const { bytes: weight, tags, priority = "high", forceFresh, signal, details } = given;
  if (priority !== "high" && priority !== "low") throw optionError("priority", describe(priority), '"high" or "low"');
  return {
    ...readNumbers(given as ReadOptions<K>),
    backoffRule: readRule(given.errorBackoff),
    retryRule: readRetryRule(given.retry),
    validate: given.validate === undefined ? undefined : checkFunction("validate", given.validate),
    bytes: read("bytes", weight, bytes),
    tags: tags === undefined ? undefined : names("tags", tags),
    lowPriority: priority === "low",
    forceFresh: forceFresh === undefined ? false : checkBoolean("forceFresh", forceFresh),
    signal: signal === undefined ? undefined : abortSignal("signal", signal),
    details: details === undefined ? false : checkBoolean("details", details),
  };
}

export function readRule<K>(given: ErrorBackoff<K> | undefined): BackoffRule<K> | undefined {
  return typeof given === "function" ? given : undefined;
}

function readRetry<K>(given: Retry<K>) {
  if (typeof given === "number") given = { attempts: given };
  if (typeof given !== "object" || given === null) {
    throw optionError("retry", describe(given), 'attempts in all, or an object like { attempts: 3, delay: "100ms" }');
  }
  rejectUnknown(given, RETRY_OPTIONS, "retry");
  const { attempts, delay, factor: factors, jitter, when } = given;
  if (when !== undefined) checkFunction("retry.when", when);
  return {
    attempts: size("retry.attempts", attempts),
    retryDelay: read("retry.delay", delay, duration),
    retryFactor: read("retry.factor", factors, factor),
    retryJitter: read("retry.jitter", jitter, fraction),
  };
}

export function readRetryRule<K>(given: Retry<K> | undefined): RetryRule<K> | undefined {
  return typeof given === "object" ? given.when : undefined;
}

const RETRY_OPTIONS = new Set(["attempts", "delay", "factor", "jitter", "when"]);
const NO_RETRY = { attempts: NaN, retryDelay: NaN, retryFactor: NaN, retryJitter: NaN };
const UNSAID = readNumbers({} as ReadOptions<unknown>);

/** What a loader or writer says of what it brings. @throws {NearCacheError} `ERR_OPTION` */
export function readContext<K, V>(ctx: LoadContext<K, V>): Numbers {
  return { ...UNSAID, ...readLife(ctx, "ctx.") };
}

/** How a value is kept: as the loader says, else as its call does, else as the cache does. @throws {NearCacheError} `ERR_OPTION` */
export function lifeOf<K, V>(
  defaults: CallDefaults<K, V>,
  call: CallOptions<K> | undefined,
  ctx: LoadContext<K, V> | undefined,
  value: unknown,
): ValueLife {
  const said = ctx === undefined ? UNSAID : readContext(ctx);
  const life = over(over(defaults, call ?? UNSAID), said);
  const isAbsent = (value === undefined || value === null) && Number.isNaN(said.ttl);
  const tags = ctx?.tags === undefined ? [] : names("ctx.tags", ctx.tags);
  return {
    ...life,
    ttl: isAbsent ? or(life.negativeTtl, life.ttl) : life.ttl,
    age: ageOf(ctx),
    tags: [...new Set([...(call?.tags ?? []), ...tags])],
    bytes: ctx?.bytes ?? call?.bytes ?? NaN,
  };
}

/** How long a value has lived already, by its loader. */
export function ageOf(ctx: LoadContext<unknown> | undefined): number {
  return ctx?.age === undefined ? 0 : duration("ctx.age", ctx.age);
}

/** What `base` says, but for the numbers that are said by another. */
export function over<T extends object>(base: T, by: Numbers): T {
  const said = { ...base } as Record<string, unknown>;
  for (const name of Object.keys(base)) {
    const value = by[name as keyof Numbers];
    if (typeof value === "number" && !Number.isNaN(value)) said[name] = value;
  }
  return said as T;
}

/** Whether a rule refuses a value. What it throws counts as so. */
export function refuses<K>(validate: Validate<K>, value: unknown, key: K): boolean {
  try {
    return validate(value, key) !== true;
  } catch {
    return true;
  }
}

/** What was said, or else what holds without it. */
export function or(said: number, otherwise: number): number {
  return Number.isNaN(said) ? otherwise : said;
}

function readWindow({ staleWhileRevalidate, swr }: EntryPolicyPatch, prefix: string): number {
  if (swr === undefined) return read("staleWhileRevalidate", staleWhileRevalidate, duration, prefix);
  if (staleWhileRevalidate === undefined) return duration(`${prefix}swr`, swr);
  throw optionError(`${prefix}swr`, "staleWhileRevalidate as well", "one of the two names");
}
