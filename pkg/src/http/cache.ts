import type { Ask, Cache, Glue } from "../../generated/http.js";
import { NearCacheError } from "../options/errors.js";
import { INSPECT } from "../figures/inspect.js";
import { checkBoolean, checkFunction, describe, optionError, rejectUnknown } from "../options/options.js";
import { abortable } from "./abort.js";
import { drive } from "./drive.js";
import { Edge, type EdgeStats } from "./edge.js";
import { flatten } from "./fields.js";
import { byFetch, byHandler, type Fetch } from "./origin.js";
import { nextHop, showsRedirects, sourceOf } from "./redirects.js";
import { type Limits, readLimits, readPurge, writeRules } from "./settings.js";
import { Trips } from "./trip.js";
import type { AskOrigin, HttpCacheOptions, HttpPurge, HttpStats } from "./types.js";
import { host, instantiate, waitUntil } from "./wasm.js";

/** How {@link HttpCache.handle} asks the program's own origin. */
export interface HandleOptions {
  /**
   * Whether the handler can be called after its request has been answered: default `true`. If not, the first to ask for
   * what has just become stale waits for it.
   */
  background?: boolean | undefined;
}

/**
 * A shared HTTP cache in this program's memory, by RFC 9111: what is stored, for how long, for whom, and how it is validated
 * follows from what the origin says, and from rules. However many requests ask for the same at once, the origin is asked once.
 *
 * It answers as a proxy does: where the origin can't be reached or takes too long, and nothing stale will do, with a 502 or 504 that says
 * so. `Cache-Status` (RFC 9211) tells of each answer where it comes from.
 *
 * Each cache has a WebAssembly instance of its own, of some 1.2 MB: have one for the program.
 */
export class HttpCache {
  readonly #limits: Limits;
  readonly #rules: string;
  readonly #fetch: Fetch;
  #cache: Cache;
  #trips = new Trips();
  readonly #edge: Edge | undefined;

  /** Throws a {@link NearCacheError} with the code `ERR_OPTION` that names what is wrong and what is allowed. */
  constructor(options: HttpCacheOptions = {}) {
    this.#limits = readLimits(options);
    this.#rules = writeRules(options);
    // The runtime's as it is when it is called: test tools put others in its place.
    this.#fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
    this.#cache = this.#make();
    const { tiers, purgeLog } = options;
    if (tiers !== undefined || purgeLog !== undefined) {
      this.#edge = new Edge(this.#cache.edge(), { tiers, purgeLog }, waitUntil);
    }
  }

  #make(): Cache {
    const glue: Glue = instantiate();
    const limits = new glue.Limits();
    for (const [name, value] of this.#limits) limits.set(name, value);
    try {
      return new glue.Cache(limits, this.#rules, host as never);
    } catch (error) {
      throw typeof error === "string" ? new NearCacheError("ERR_OPTION", error) : error;
    }
  }

  /**
   * As the global `fetch`, from the cache where it may be. Follows redirects, each of which is stored by itself. Does not reject where the
   * origin fails: see above. When the request's signal is aborted, it rejects with the signal's reason, and so does a body that has not all
   * come yet, unless it is from memory; others who wait for the same are not concerned.
   *
   * Bodies come without their coding, as from `fetch`. A request with cookies goes past the cache, unless a rule's `cookies`
   * says otherwise.
   */
  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    let request = new Request(input, init);
    const { signal = input instanceof Request ? input.signal : undefined } = init ?? {};
    let source = sourceOf(request, init);
    for (let hops = 0; ; hops++) {
      // What a write redirects to has changed with it, so that the cache is to see the redirect.
      const shows = request.redirect === "manual" || showsRedirects(request.method);
      const origin = byFetch(this.#fetch, shows ? "manual" : request.redirect);
      const response = await this.#answer(request, origin, true, signal);
      const follows = request.redirect !== "manual";
      const next = follows ? nextHop(request, response, hops, source) : undefined;
      if (next === undefined) {
        // The Fetch standard's `url` of a response has no fragment.
        Object.defineProperty(response, "url", { value: request.url.split("#")[0], configurable: true });
        if (hops > 0) Object.defineProperty(response, "redirected", { value: true, configurable: true });
        return response;
      }
      if (next.body === null) source = null;
      request = next;
    }
  }

  /**
   * Answers a request from the cache, or by asking a handler of this program: an app, a router, a function. The handler gets the
   * request that the cache makes of it (without `Accept-Encoding`, and conditional only where the cache has something to
   * validate) and may be shared by all who ask for the same, so that it must go by that request alone.
   *
   * Rejects with a {@link NearCacheError} with the code `ERR_OPTION` where an argument is wrong.
   */
  handle(
    request: Request,
    handler: (request: Request) => Response | Promise<Response>,
    options: HandleOptions = {},
  ): Promise<Response> {
    try {
      if (typeof request?.url !== "string" || typeof request.method !== "string") {
        throw optionError("request", describe(request), "a Request");
      }
      checkFunction("handler", handler);
      rejectUnknown(options, HANDLE_OPTIONS);
      const { background = true } = options;
      return this.#answer(request, byHandler(handler), checkBoolean("background", background));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `ends`: ends the body as well, beyond its request's signal. */
  async #answer(request: Request, origin: AskOrigin, background = true, ends?: AbortSignal | null): Promise<Response> {
    const { signal } = request;
    const behind = this.#edge?.catchUp();
    if (behind !== undefined) await behind;
    signal?.throwIfAborted();
    const answer = this.#ask(request, origin, background);
    if (answer instanceof Response || signal === null || signal === undefined) return answer;
    let leave: () => void;
    const left = new Promise<never>((_, reject) => {
      leave = () => {
        reject(signal.reason);
        void answer.then(({ body }) => body?.cancel()).catch(() => {});
      };
      signal.addEventListener("abort", leave);
    });
    const response = await Promise.race([answer, left]).finally(() => signal.removeEventListener("abort", leave));
    return ends ? abortable(response, ends) : response;
  }

  #ask(request: Request, origin: AskOrigin, background: boolean, asked = false): Response | Promise<Response> {
    const trips = this.#trips;
    const cache = this.#cache;
    try {
      const headers = new Headers(request.headers);
      // One variant for all, since bodies have no coding here. One that has goes by.
      headers.set("accept-encoding", CODINGS);
      const answer = cache.ask(request.method, request.url, flatten(headers)) as Response | Ask;
      if (answer instanceof Response) return answer;
      return drive(answer, {
        trips,
        edge: this.#edge,
        origin,
        body: request.body,
        waitUntil,
        failed: (error) => this.#failed(error, cache),
        afterRefresh: background ? undefined : asked ? "stale" : () => this.#ask(request, origin, false, true),
      });
    } catch (error) {
      return this.#failed(error, cache);
    }
  }

  /** After an error that nobody expected: one of the wasm's own means that its instance is of no use any more. */
  #failed(error: unknown, cache: Cache): Response {
    console.error("nearcache:", error);
    if (error instanceof WebAssembly.RuntimeError && cache === this.#cache) {
      this.#trips = new Trips();
      this.#cache = this.#make();
      this.#edge?.use(this.#cache.edge());
    }
    return new Response("nearcache: the cache has failed and begins anew\n", {
      status: 500,
      headers: { "cache-control": "no-store", "cache-status": "nearcache; detail=restarted" },
    });
  }

  /**
   * Takes out what is stored, or makes it stale; how many URLs that concerned. It beats what is under way: what was asked for before
   * is not stored. O(entries). Tiers and other isolates are told behind it ({@link told}). Throws a {@link NearCacheError} with the code `ERR_OPTION`.
   */
  purge(purge: HttpPurge): number {
    const { kind, names } = readPurge(purge);
    const soft = purge.soft === true;
    let hit = kind === "everything" ? this.#cache.purge_everything(soft) : 0;
    for (const name of names) {
      if (kind === "url") hit += this.#cache.purge_url(name, soft);
      else if (kind === "prefix") hit += this.#cache.purge_prefix(name, soft);
      else hit += this.#cache.purge_tag(name, soft);
    }
    this.#telling = this.#edge?.tell();
    if (this.#telling !== undefined) waitUntil(this.#telling.catch(() => {}));
    return hit;
  }

  #telling: Promise<void> | undefined = undefined;

  /**
   * Resolves when the last purge has been told: tiers have it on its way, the log has it. Rejects if the log can't be reached: it is told
   * again with later requests. For the request that has purged.
   */
  async told(): Promise<void> {
    await this.#telling;
  }

  stats(): HttpStats {
    const figures = this.#cache.stats();
    const stats = Object.fromEntries(FIGURES.map((name, index) => [name, figures[index]])) as unknown as HttpStats;
    return { ...stats, ...this.#edge?.stats() };
  }

  /** As `console.log` shows it in Node, Deno and Bun. @internal */
  [INSPECT](): string {
    const { entries, bytes, hits, misses, coalesced } = this.stats();
    return `HttpCache { entries: ${entries}, bytes: ${bytes}, hits: ${hits}, misses: ${misses}, coalesced: ${coalesced} }`;
  }

  /** The figures as a page for Prometheus. */
  prometheus(): string {
    return this.#cache.prometheus() + (this.#edge?.metrics() ?? "");
  }
}

const HANDLE_OPTIONS = new Set(["background"]);

const CODINGS = "gzip, deflate, br, zstd";

// As in `lib.rs`.
const FIGURES: readonly Exclude<keyof HttpStats, keyof EdgeStats>[] = [
  "hits",
  "staleHits",
  "misses",
  "coalesced",
  "loads",
  "refreshes",
  "loadFailures",
  "softTimeouts",
  "evictedSize",
  "evictedExpired",
  "entries",
  "bytes",
  "loadsInFlight",
];
