import type { Ctx } from "./context.js";
import { type Core, SKIP } from "./core.js";
import { NearCacheError, showKey } from "./errors.js";
import type { Call } from "./flight.js";
import { bytes, duration, names } from "./options.js";
import { isPlain, policy as readPolicy, type Policy } from "./policy.js";
import type { View } from "./view.js";

/** The ttl and bytes that a value is stored with; the rest the core has been told by `keep_next`. */
export interface Kept {
  readonly ttl: number;
  readonly weight: number;
}

/**
 * Works out how a value that a loader or writer brought is kept: by what it said, what its call said, and what the
 * cache says, in that order. Tells the core what `Kept` has no room for: the next call must be the one that stores it.
 * @throws {NearCacheError} `ERR_OPTION`, `ERR_BYTES`, and what `sizeOf` throws; the core has been told nothing then.
 */
export function keep<K, V>(core: Core, random: () => number, call: Call<K, V>, ctx: Ctx<K, V>, value: V): Kept {
  if (ctx.skipped) return { ttl: SKIP, weight: 0 };
  const said = saysNothing(ctx) ? call.policy : readPolicy(call.policy, ctx, "ctx.");
  const ttl = ctx.ttl === undefined && isAbsent(value) ? (said.negativeTtl ?? said.ttl) : said.ttl;
  const weight =
    ctx.bytes === undefined ? weigh(call.view, call.key, value, call.bytes) : bytes("ctx.bytes", ctx.bytes);
  const tags = ctx.tags === undefined ? call.tags : [...(call.tags ?? []), ...names("ctx.tags", ctx.tags)];
  keepNext(core, random, call.view, said, tags);
  return { ttl, weight };
}

/** Tells the core how the next value is kept, if there is more to it than ttl and bytes. */
export function keepNext<K, V>(
  core: Core,
  random: () => number,
  view: View<K, V>,
  policy: Policy<K>,
  tags: readonly string[] | undefined,
): void {
  if (isPlain(policy) && tags === undefined) return;
  const { staleWhileRevalidate, staleIfError, refreshAhead, jitter } = policy;
  const draw = jitter > 0 ? random() : 0;
  core.keep_next(staleWhileRevalidate, staleIfError, refreshAhead, jitter, draw, tags && view.tags(tags));
}

/** @throws {NearCacheError} `ERR_OPTION`, `ERR_BYTES`, and what `sizeOf` throws. */
export function weigh<K, V>(view: View<K, V>, key: K, value: V, given: number | undefined): number {
  if (given !== undefined) return bytes("bytes", given);
  const { sizeOf } = view.habits;
  return sizeOf === undefined ? 0 : bytes("sizeOf", sizeOf(value, key));
}

/** For how long after this error the key is not loaded again. What a rule of the user's throws counts as no time. */
export function backoff<K, V>(call: Call<K, V>, ctx: Ctx<K, V>, error: unknown): number {
  const { errorBackoff } = call.policy;
  try {
    if (ctx.errorBackoff !== undefined) return duration("ctx.errorBackoff", ctx.errorBackoff);
    if (typeof errorBackoff === "number") return errorBackoff;
    return duration("errorBackoff", errorBackoff(error, call.key) ?? 0);
  } catch {
    return 0;
  }
}

/** `sizeOf` where nobody gave one. */
export function estimate(value: unknown, key: unknown): number {
  if (typeof value === "string") return 2 * value.length;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return 8;
  const advice = "say {bytes} with the value, or ctx.bytes in the loader, or give the cache a sizeOf";
  throw new NearCacheError("ERR_BYTES", `the bytes of the value for ${showKey(key)} are unknown; ${advice}`, key);
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function saysNothing(ctx: Ctx<unknown, unknown>): boolean {
  const { ttl, staleWhileRevalidate, swr, staleIfError, refreshAhead, jitter } = ctx;
  return (
    ttl === undefined &&
    staleWhileRevalidate === undefined &&
    swr === undefined &&
    staleIfError === undefined &&
    refreshAhead === undefined &&
    jitter === undefined
  );
}
