// `nearcache/http`: a shared HTTP cache by RFC 9111 in front of `fetch`, a handler or a Hono app.

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

/** `fetch` by way of a cache: see {@link HttpCache.fetch}. */
export function cachedFetch(
  input: string | URL | Request,
  { cache, ...init }: Omit<RequestInit, "cache"> & { cache: HttpCache },
): Promise<Response> {
  return cache.fetch(input, init);
}
