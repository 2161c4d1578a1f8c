import { describe, optionError } from "../options/options.js";
import type { HttpCache } from "./cache.js";

/** What is used of Hono's `Context`. */
export interface HonoContext {
  req: { raw: Request };
  res: Response | undefined;
  readonly env: unknown;
  readonly executionCtx: unknown;
}

/** What is used of a Hono app. */
export interface HonoApp {
  // Hono's own types of the two differ by app.
  fetch(request: Request, env?: any, executionCtx?: any): Response | Promise<Response>;
}

/** What goes by the cache, since the cache asks for it. */
const asked = new WeakSet<Request>();

/**
 * A middleware for Hono that caches what the app answers: `app.use(hono(http, app))`. The handlers behind it get the cache's request: see
 * {@link HttpCache.handle}. A handler can't run after its request has been answered, so that the first to ask for what has just become
 * stale waits for the app. Have `compress()` before it, not behind.
 *
 * `app` is the one that is served, also where a part of it has the middleware. Where a request has to be asked a second time (what
 * was asked for all without cookies turns out to be its visitor's own), it goes through that app anew, by the middleware before the cache too.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function hono(http: HttpCache, app: HonoApp) {
  if (typeof http?.handle !== "function") throw optionError("http", describe(http), "an HttpCache");
  if (typeof app?.fetch !== "function") throw optionError("app", describe(app), "the Hono app that is served");
  return async (c: HonoContext, next: () => Promise<void>): Promise<void> => {
    const client = c.req.raw;
    if (asked.has(client)) return next();
    let ran = false;
    const handler = async (request: Request): Promise<Response> => {
      // A context runs its handlers once.
      if (ran) {
        asked.add(request);
        return app.fetch(request, c.env, executionCtx(c));
      }
      ran = true;
      c.req.raw = request;
      await next();
      return c.res!;
    };
    const response = await http.handle(client, handler, { background: false });
    c.req.raw = client;
    // Or Hono would put the fields of the app's answer upon it.
    if (ran) c.res = undefined;
    c.res = response;
  };
}

/** Where there is none, as in Node, Hono throws. */
function executionCtx(c: HonoContext): unknown {
  try {
    return c.executionCtx;
  } catch {
    return undefined;
  }
}
