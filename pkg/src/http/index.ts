// `nearcache/http`: a shared HTTP cache by RFC 9111 in front of `fetch`, a handler or a Hono app.

import { describe, optionError } from "../options/options.js";
import type { HttpCache } from "./cache.js";

export { NearCacheError, type NearCacheErrorCode } from "../options/errors.js";
export { type HandleOptions, HttpCache } from "./cache.js";
export { hono, type HonoApp, type HonoContext } from "./hono.js";
export type {
  Duration,
  FieldEdits,
  HttpCacheOptions,
  HttpPurge,
  HttpStats,
  Rule,
  RuleKey,
  RuleSettings,
} from "./types.js";

/** `fetch` by way of a cache: see {@link HttpCache.fetch}. Rejects with `ERR_OPTION` where there is none. */
export async function cachedFetch(
  input: string | URL | Request,
  options: Omit<RequestInit, "cache"> & { cache: HttpCache },
): Promise<Response> {
  const { cache, ...init } = Object(options) as typeof options;
  if (typeof cache?.handle !== "function") throw optionError("cache", describe(cache), "an HttpCache");
  return cache.fetch(input, init);
}
