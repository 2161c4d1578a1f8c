import { duration, factor, fn, fraction, refusal } from "./options.js";
import type { Duration, ErrorBackoff, GetOrSetOptions, LifeOptions } from "./types.js";

/** How values are kept and waited for, read and checked: the cache's way, and where a call says more, the call's. */
export interface Policy<K> {
  readonly ttl: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly refreshAhead: number;
  readonly jitter: number;
  /** `undefined`: as `ttl`. */
  readonly negativeTtl: number | undefined;
  readonly errorBackoff: number | ((error: unknown, key: K) => Duration | undefined);
  readonly softTimeout: number;
  readonly hardTimeout: number;
}

/** The names of the options of `LifeOptions` and of the calls that take them. */
export const LIFE_OPTIONS = [
  "ttl",
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
export const GET_OPTIONS = new Set([...UPDATE_OPTIONS, "softTimeout", "forceFresh"]);

const HARD_TIMEOUT = 30_000;

export const USUAL: Policy<unknown> = {
  ttl: Infinity,
  staleWhileRevalidate: 0,
  staleIfError: 0,
  refreshAhead: 0,
  jitter: 0,
  negativeTtl: undefined,
  errorBackoff: 0,
  softTimeout: Infinity,
  hardTimeout: HARD_TIMEOUT,
};

/** The options that `policy` reads; `undefined` says nothing. */
export type Given<K> = { [O in keyof Read<K>]: Read<K>[O] | undefined };
type Read<K> = LifeOptions<K> & Pick<GetOrSetOptions<K>, "softTimeout" | "hardTimeout">;

/** `base`, with what `given` says instead. `prefix` names where it was given in errors. */
export function policy<K>(base: Policy<K>, given: Given<K>, prefix = ""): Policy<K> {
  const { ttl, staleWhileRevalidate, swr, staleIfError, refreshAhead, jitter, negativeTtl, errorBackoff } = given;
  const { softTimeout, hardTimeout } = given;
  if (staleWhileRevalidate !== undefined && swr !== undefined) {
    throw refusal(`${prefix}swr`, "staleWhileRevalidate as well", "one of the two names");
  }
  const [named, window] = swr === undefined ? ["staleWhileRevalidate", staleWhileRevalidate] : ["swr", swr];
  return {
    ttl: ttl === undefined ? base.ttl : duration(`${prefix}ttl`, ttl),
    staleWhileRevalidate: window === undefined ? base.staleWhileRevalidate : duration(prefix + named, window),
    staleIfError: staleIfError === undefined ? base.staleIfError : duration(`${prefix}staleIfError`, staleIfError),
    refreshAhead: refreshAhead === undefined ? base.refreshAhead : factor(`${prefix}refreshAhead`, refreshAhead),
    jitter: jitter === undefined ? base.jitter : fraction(`${prefix}jitter`, jitter),
    negativeTtl: negativeTtl === undefined ? base.negativeTtl : duration(`${prefix}negativeTtl`, negativeTtl),
    errorBackoff: errorBackoff === undefined ? base.errorBackoff : backoff(`${prefix}errorBackoff`, errorBackoff),
    softTimeout: softTimeout === undefined ? base.softTimeout : duration("softTimeout", softTimeout),
    hardTimeout: hardTimeout === undefined ? base.hardTimeout : duration("hardTimeout", hardTimeout),
  };
}

function backoff<K>(option: string, given: ErrorBackoff<K>): Policy<K>["errorBackoff"] {
  return typeof given === "function" ? fn(option, given) : duration(option, given);
}

/** Whether a value kept so has more to it than the moment it expires. */
export function isPlain(policy: Policy<never>): boolean {
  return (
    policy.staleWhileRevalidate === 0 && policy.staleIfError === 0 && policy.refreshAhead === 0 && policy.jitter === 0
  );
}
