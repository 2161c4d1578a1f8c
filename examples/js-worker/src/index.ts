import { NearCache, NearCacheError } from "nearcache";
import { ask, bodyUpTo, headersToKeep, isPersonal, shareableFor } from "./http.js";

/** What requests share: plain values. A Response belongs to the request that fetched it. */
interface Page {
  status: number;
  headers: [string, string][];
  body: ArrayBuffer;
  born: number;
}

const MAX_BODY = 1 << 20;
const TIMEOUT = 10_000;
/** `null` stands for an answer that may not be shared: whoever finds it asks for its own. */
const pages = new NearCache<string, Page | null>({ maxBytes: 32 << 20, hardTimeout: TIMEOUT });

export default {
  async fetch(request: Request, env: { ORIGIN: string }): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const url = env.ORIGIN.replace(/\/+$/, "") + pathname + search;
    const pass = async (why: string) => reply(await ask(url, request, { within: TIMEOUT }), why);
    try {
      if (request.method !== "GET") return await pass("fwd=method");
      if (isPersonal(request)) return await pass("fwd=bypass");

      const held = pages.has(url);
      let mine: Response | undefined;
      const page = await pages.getOrSet(url, async (_, ctx) => {
        mine = await ask(url, request, { signal: ctx.signal, shared: true });
        const { status } = mine;
        const life = shareableFor(mine);
        const body = life > 0 ? await bodyUpTo(MAX_BODY, mine) : undefined;
        // Remembering that a URL is not to be shared keeps the next requests from waiting for one another.
        // A failing origin is not remembered: the next to ask finds out whether it is back.
        ctx.ttl = body ? life : status < 500 ? "10s" : 0;
        ctx.bytes = 1000 + (body?.byteLength ?? 0);
        return body ? { status, headers: headersToKeep(mine), body, born: Date.now() } : null;
      });
      if (page === null) {
        if (!mine) return await pass("fwd=bypass; detail=not-shared");
        return reply(
          new Response(mine.body, { status: mine.status, headers: headersToKeep(mine) }),
          "fwd=uri-miss; detail=not-shared",
        );
      }
      const did = held ? "hit" : mine ? "fwd=uri-miss; stored" : "fwd=uri-miss; collapsed";
      const response = reply(
        new Response(page.body, page),
        `${did}; ttl=${Math.floor((pages.remainingTtl(url) ?? 0) / 1000)}`,
      );
      response.headers.set(
        "age",
        `${Number(response.headers.get("age") ?? 0) + Math.floor((Date.now() - page.born) / 1000)}`,
      );
      return response;
    } catch (error) {
      const late =
        (error instanceof NearCacheError && error.code === "ERR_TIMEOUT") || (error as Error).name === "TimeoutError";
      const text = late ? `the origin did not answer within ${TIMEOUT} ms` : `the origin can't be reached: ${error}`;
      return reply(new Response(`${text}\n`, { status: late ? 504 : 502 }), "fwd=uri-miss; detail=origin-failed");
    }
  },
};

/** Says in Cache-Status (RFC 9211) what was done. */
function reply(from: Response, did: string): Response {
  const response = new Response(from.body, from);
  response.headers.append("cache-status", `nearcache; ${did}`);
  return response;
}
