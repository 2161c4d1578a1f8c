// Cloudflare's own purge of a zone's cache, by its API.

import {
  checkFunction,
  describe,
  type Duration,
  duration,
  optionError,
  rejectUnknown,
  size,
} from "../options/options.js";

/** How a zone is purged. */
export interface ZonePurgeOptions {
  /** The zone's id: 32 hexadecimal digits. */
  zone: string;
  /** An API token with the permission Zone / Cache Purge: a secret. */
  token: string;
  /** How many URLs, tags, hosts or prefixes go into one call: 30, which every plan takes. Cloudflare now says 100, and 500 URLs on Enterprise. */
  maxPerCall?: number | undefined;
  /** How often a call is made again that was not let through, or not answered. Default 2. */
  retries?: number | undefined;
  /** How long one call may take. Default 10 s. */
  timeout?: Duration | undefined;
  /** How long to wait before a retry, at most: a longer `Retry-After` fails at once. Default 10 s. */
  maxDelay?: Duration | undefined;
  /** Default "https://api.cloudflare.com/client/v4". */
  api?: string | undefined;
  /** Default the runtime's `fetch`. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
}

/** What to purge of a zone: any of the lists, or everything. */
export interface ZonePurge {
  /** Absolute URLs. */
  urls?: readonly string[] | undefined;
  /** Tags that responses have named in `Cache-Tag`. */
  tags?: readonly string[] | undefined;
  hosts?: readonly string[] | undefined;
  /** Host and path, without a scheme: "example.com/images". */
  prefixes?: readonly string[] | undefined;
  everything?: boolean | undefined;
}

/**
 * Why a purge failed: the token was refused (`ERR_PURGE_TOKEN`), or the request (`ERR_PURGE_REFUSED`); there were too many calls
 * (`ERR_PURGE_RATE`); or the API gave no answer (`ERR_PURGE_UNREACHABLE`). The last two are worth trying again later.
 */
export type ZonePurgeCode = "ERR_PURGE_TOKEN" | "ERR_PURGE_REFUSED" | "ERR_PURGE_RATE" | "ERR_PURGE_UNREACHABLE";

/** A purge failed. What of it had been purged before stays so; purging it again does no harm. */
export class ZonePurgeError extends Error {
  override readonly name = "ZonePurgeError";

  constructor(
    readonly code: ZonePurgeCode,
    message: string,
    /** The API's status; nothing if it gave no answer. */
    readonly status: number | undefined,
    /** How many of the purge's calls had gone well. */
    readonly done: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const OPTIONS = new Set(["zone", "token", "maxPerCall", "retries", "timeout", "maxDelay", "api", "fetch"]);
const LISTS = { urls: "files", tags: "tags", hosts: "hosts", prefixes: "prefixes" } as const;

/**
 * Purges a zone's cache, the one that is in front of Workers and behind their `fetch`: nothing of ours lies there, but it may hold the
 * same answers. Resolves to the number of calls that it took. A call that is not let through (429) is made again when the API says so, one that is not
 * answered (no connection, 5xx, too late) after half a second, then a second, and so on.
 *
 * ```ts
 * const purge = zonePurge({ zone: env.ZONE_ID, token: env.PURGE_TOKEN });
 * await purge({ tags: ["news"], urls: ["https://example.com/"] });
 * ```
 *
 * @throws {NearCacheError} `ERR_OPTION`; the function rejects with that or a {@link ZonePurgeError}
 */
export function zonePurge(options: ZonePurgeOptions): (purge: ZonePurge) => Promise<number> {
  rejectUnknown(options, OPTIONS);
  const { zone, token, maxPerCall = 30, retries = 2, timeout = 10_000, maxDelay = 10_000 } = options;
  if (typeof zone !== "string" || !/^[0-9a-f]{32}$/.test(zone))
    throw optionError("zone", describe(zone), "32 hexadecimal digits");
  // A secret is not shown.
  if (typeof token !== "string" || !/^[!-~]+$/.test(token))
    throw optionError("token", "something else", "an API token");
  if (!(size("maxPerCall", maxPerCall) <= 500)) throw optionError("maxPerCall", describe(maxPerCall), "1 to 500");
  if (!(Number.isInteger(retries) && retries >= 0 && retries <= 10))
    throw optionError("retries", describe(retries), "0 to 10");
  const caller = new Caller(
    `${options.api ?? "https://api.cloudflare.com/client/v4"}/zones/${zone}/purge_cache`,
    token,
    retries,
    duration("timeout", timeout),
    duration("maxDelay", maxDelay),
    options.fetch === undefined ? (url, init) => fetch(url, init) : checkFunction("fetch", options.fetch),
  );
  return async (purge) => {
    const bodies = bodiesOf(purge, maxPerCall);
    for (const [done, body] of bodies.entries()) await caller.call(body, done);
    return bodies.length;
  };
}

/** One for each call. */
function bodiesOf(purge: ZonePurge, maxPerCall: number): object[] {
  rejectUnknown(purge, new Set([...Object.keys(LISTS), "everything"]), "purge");
  if (purge.everything === true) return [{ purge_everything: true }];
  const bodies: object[] = [];
  for (const [name, field] of Object.entries(LISTS) as [keyof typeof LISTS, string][]) {
    const list: unknown = purge[name] ?? [];
    if (!Array.isArray(list) || !list.every((item) => typeof item === "string" && item !== "")) {
      throw optionError(name, describe(list), "a list of strings that are not empty");
    }
    for (let at = 0; at < list.length; at += maxPerCall) bodies.push({ [field]: list.slice(at, at + maxPerCall) });
  }
  if (bodies.length === 0) throw optionError("purge", "nothing", "urls, tags, hosts, prefixes or everything: true");
  return bodies;
}

class Caller {
  constructor(
    private readonly url: string,
    private readonly token: string,
    private readonly retries: number,
    private readonly timeout: number,
    private readonly maxDelay: number,
    private readonly fetch: (url: string, init: RequestInit) => Promise<Response>,
  ) {}

  async call(body: object, done: number): Promise<void> {
    for (let retry = 0; ; retry++) {
      const failed = await this.#once(body, done);
      if (failed === undefined) return;
      const { error, delay = 500 * 2 ** retry } = failed;
      const isOver = error.code === "ERR_PURGE_TOKEN" || error.code === "ERR_PURGE_REFUSED" || retry >= this.retries;
      if (isOver || delay > this.maxDelay) throw error;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }

  async #once(body: object, done: number): Promise<{ error: ZonePurgeError; delay?: number } | undefined> {
    let response: Response;
    let answer: { success?: unknown; errors?: { code?: unknown; message?: unknown }[] } | undefined;
    try {
      response = await this.fetch(this.url, {
        method: "POST",
        headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(this.timeout),
      });
      answer = await response.json().catch(() => undefined);
    } catch (cause) {
      return {
        error: new ZonePurgeError("ERR_PURGE_UNREACHABLE", "the API gave no answer", undefined, done, { cause }),
      };
    }
    const { status } = response;
    if (response.ok && answer?.success === true) return undefined;
    const told = Array.isArray(answer?.errors) ? answer.errors : [];
    const said = told.map(({ code, message }) => `${code}: ${message}`).join("; ") || "no reason";
    const fail = (code: ZonePurgeCode, what: string) =>
      new ZonePurgeError(code, `${what} (${status}; ${said})`, status, done);
    if (status === 429) {
      const after = Number(response.headers.get("retry-after") ?? NaN);
      return { error: fail("ERR_PURGE_RATE", "too many calls"), ...(after >= 0 && { delay: after * 1_000 }) };
    }
    if (status >= 500) return { error: fail("ERR_PURGE_UNREACHABLE", "the API failed") };
    if (status === 401 || status === 403) return { error: fail("ERR_PURGE_TOKEN", "the API refused the token") };
    return { error: fail("ERR_PURGE_REFUSED", "the API refused the purge") };
  }
}
