import { refusal, show } from "../options.js";
import type { HttpCache } from "./cache.js";

/** What is used of Hono's `Context`. */
export interface HonoContext {
  req: { raw: Request };
  res: Response | undefined;
}

/**
 * A middleware for Hono that caches what the app answers: `app.use(hono(http))`. The handlers behind it get the cache's request: see
 * {@link HttpCache.handle}. A handler can't run after its request has been answered, so that the first to ask for what has just become
 * stale waits for the app. Have `compress()` before it, not behind.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function hono(http: HttpCache) {
  if (typeof http?.handle !== "function") throw refusal("http", show(http), "an HttpCache");
  return async (c: HonoContext, next: () => Promise<void>): Promise<void> => {
    const client = c.req.raw;
    let ran = false;
    const handler = async (request: Request): Promise<Response> => {
      if (ran) throw new Error("the app can be asked only once for a request");
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
