import type { BodyStats, TierStats } from "../types/stats.js";
import type { PurgeLog, PurgeLogStats } from "../tiers/purge-log.js";
import type { TierChain } from "../tiers/types.js";

/** Milliseconds, or a string like "250ms", "30s", "5m", "2h", "1d". */
export type Duration = number | string;

/** What the origin is asked. */
export interface OriginRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  /** Aborted when the origin has taken too long, and when nobody wants the rest of its answer. */
  readonly signal: AbortSignal;
}

/** What the cache takes of a `Response`. */
export type OriginResponse = Pick<Response, "status" | "headers" | "body">;

/** Asks the origin. */
export type AskOrigin = (request: OriginRequest) => Promise<OriginResponse>;

/**
 * What goes for all requests, or in a rule for some. docs/http.md says of each setting what it does, its default, and which RFC it
 * follows.
 */
export interface RuleSettings {
  /**
   * For how long answers are fresh, whatever the origin says, of errors only 404 and 410; `null`: as it says, though an earlier rule
   * had a `ttl`.
   */
  ttl?: Duration | null | undefined;
  /** The same by status, as `{ "404": "10s", "500-599": 0 }`. */
  statusTtl?: Readonly<Record<string, Duration>> | undefined;
  /** Freshness where the origin says nothing (RFC 9111 §4.2.2); `false`: none. */
  heuristic?: false | { percent?: number | undefined; max?: Duration | undefined } | undefined;
  /** Answers in this time after their freshness are given at once, and loaded anew behind the client's back (RFC 5861 §3). */
  staleWhileRevalidate?: Duration | undefined;
  /** Answers in this time after their freshness are given where the origin fails (RFC 5861 §4). */
  staleIfError?: Duration | undefined;
  /** The same where the origin can't be reached. */
  staleIfUnreachable?: Duration | undefined;
  /** How long what is no longer fresh stays, to be validated. */
  keep?: Duration | undefined;
  /** How long it is remembered that a target's answers are not to be shared, so that requests don't wait for each other. */
  uncacheableTtl?: Duration | undefined;
  /** After a failure the origin is left alone for this long. */
  errorBackoff?: Duration | undefined;
  /** At most this of the origin's `Retry-After` is heeded. */
  maxBackoff?: Duration | undefined;
  /** Past the cache. */
  bypass?: boolean | undefined;
  /** What makes two requests ask for the same. */
  key?: RuleKey | undefined;
  /** Fields of requests that are dropped first: default `X-Forwarded-*` and others that poison pages. */
  dropFields?: readonly string[] | undefined;
  /** Fields on the way to the origin. */
  request?: FieldEdits | undefined;
  /** Fields on the way to clients. */
  response?: FieldEdits | undefined;
  /** Requests with cookies: default "bypass". */
  cookies?: "drop" | "forward" | "bypass" | undefined;
  /** Answers that set cookies: default "refuse". */
  setCookie?: "refuse" | "drop" | "keep" | undefined;
  /** What a client's `Cache-Control: no-cache` may do: default "once-per-second". */
  reload?: "once-per-second" | "ignore" | undefined;
  /** Tags for purges, beside `Cache-Tag` and `Surrogate-Key`. */
  tags?: readonly string[] | undefined;
  /** What a successful write takes out besides its target: tags, and paths, with `*` at the end for all that begin so. */
  purges?: { tags?: readonly string[] | undefined; paths?: readonly string[] | undefined } | undefined;
  /** What is asked of the origin when a range is wanted that is not there: default "part". "pass": it is not stored. */
  ranges?: "part" | "whole" | "pass" | undefined;
  /** Default "origin": as the origin encodes it. "none": it is never asked for encoded content. */
  compression?: "origin" | "none" | undefined;
  /** The longest body that is stored: default 2 MiB. */
  maxBodyBytes?: number | undefined;
  /** How many variants of a URL are stored: default 32. */
  maxVariants?: number | undefined;
  /** Scheme, host and path prefix of another origin. */
  origin?: string | undefined;
}

/** What is in the key besides the URL, or of it. */
export interface RuleKey {
  /** Parameters of the query: sorted, only these, or without these (`*` at the end). The origin gets the same query. */
  query?:
    | {
        sort?: boolean | undefined;
        keep?: readonly string[] | undefined;
        drop?: readonly string[] | undefined;
      }
    | undefined;
  /** Fields of the request, by name. */
  fields?: readonly string[] | undefined;
  /** Cookies, by name. */
  cookies?: readonly string[] | undefined;
  /** `mobile`, `tablet` or `desktop`, by `User-Agent`; the origin gets it as `X-Device`. */
  device?: boolean | undefined;
  /** The host is not in the key. */
  anyHost?: boolean | undefined;
}

/** Fields to take off, and to set. */
export interface FieldEdits {
  remove?: readonly string[] | undefined;
  set?: Readonly<Record<string, string>> | undefined;
}

/** Settings for the hosts and paths that match. */
export interface Rule extends RuleSettings {
  host?: string | readonly string[] | undefined;
  path?: string | readonly string[] | undefined;
}

export interface HttpCacheOptions {
  /** What the cache may hold, with the cost of its entries: default 64 MiB, at most 96 MiB. */
  maxBytes?: number | undefined;
  /** How many URLs it may hold: default 100,000, at most 1,000,000. */
  maxEntries?: number | undefined;
  /** How many requests to origins may be under way: default 1,000. Beyond, what is stale is given, or a 503 with `Retry-After`. */
  maxLoads?: number | undefined;
  /**
   * Bytes of bodies that are being read for the cache, and of what turned out too long for it, until its client has them: default 16 MiB.
   * Beyond, bodies go by. With `maxBytes` at most 96 MiB.
   */
  maxFillingBytes?: number | undefined;
  /** How long a request waits where something stale would do: default, for ever. */
  softTimeout?: Duration | undefined;
  /** How long the head of an answer may take: default "30s", at most "1d". */
  hardTimeout?: Duration | undefined;
  /** How long a body may be silent, and a client of one that is kept for it: default "30s", at most "1d". */
  idleTimeout?: Duration | undefined;
  /** How long a body may take in all: default "5m", at most "1d". */
  totalTimeout?: Duration | undefined;
  /** Settings for all requests. */
  defaults?: RuleSettings | undefined;
  /** Settings for some, the later ones laid over the earlier. */
  rules?: readonly Rule[] | undefined;
  /**
   * Stores below the memory, of `nearcache/tiers`: what is not in memory is looked for there before the origin is asked, and whatever may
   * answer anybody is stored there. The chain belongs to this cache.
   */
  tiers?: TierChain | undefined;
  /**
   * A log of purges, of `nearcache/tiers`, that all isolates follow: each purge reaches all memories and, as far as it concerns what lies
   * in tiers, all who read them.
   */
  purgeLog?: PurgeLog | undefined;
  /** What asks the origin: default, the runtime's `fetch`. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
}

/** What to take out: one of the first four. */
export interface HttpPurge {
  /** URLs, or paths with their queries on every host. */
  url?: string | readonly string[] | undefined;
  /** What URLs, or paths on every host, begin with. */
  prefix?: string | readonly string[] | undefined;
  /** Tags, which origins name in `Cache-Tag` or `Surrogate-Key`, and rules in `tags`. */
  tag?: string | readonly string[] | undefined;
  everything?: true | undefined;
  /** Make it stale only: it still helps where the origin fails, or to be validated. */
  soft?: boolean | undefined;
}

/** Counts since the cache was made, and what there is now. Each request is one of the first four, or was not for the cache. */
export interface HttpStats {
  hits: number;
  staleHits: number;
  misses: number;
  coalesced: number;
  loads: number;
  refreshes: number;
  loadFailures: number;
  softTimeouts: number;
  evictedSize: number;
  evictedExpired: number;
  entries: number;
  bytes: number;
  loadsInFlight: number;
  /** With `tiers`: what happened at each, from above. */
  tiers?: readonly TierStats[];
  /** With a store of large `bodies` beside them: what happened there. */
  bodies?: BodyStats;
  /** With a `purgeLog`: how far behind it the memory may be, and what its looks came to. */
  log?: PurgeLogStats;
}
