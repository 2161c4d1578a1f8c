// How the origin is asked, and what its answer looks like to the cache.

import { reads } from "./redirects.js";
import type { AskOrigin, OriginRequest } from "./types.js";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** By a `fetch`, which takes the coding off bodies and leaves the fields that tell of it. */
export function byFetch(fetch: Fetch, redirect: RequestRedirect): AskOrigin {
  return async ({ url, method, headers, body, signal }) => {
    // Node wants to be told that it need not wait for the answer until all of the body is sent.
    // `fetch` says which codings it takes off.
    headers.delete("accept-encoding");
    const half = body === null ? {} : { body, duplex: "half" };
    const ask = (redirect: RequestRedirect) => fetch(url, { method, headers, signal, redirect, ...half });
    let response = await ask(redirect);
    // A browser shows nobody where a redirect leads. What writes is not sent twice.
    if (response.type === "opaqueredirect" && reads(method)) response = await ask("follow");
    return response.headers.has("content-encoding") ? new ResponseView(response, decoded(response.headers)) : response;
  };
}

/** By what answers in this program: a handler, an app. */
export function byHandler(handler: (request: Request) => Response | Promise<Response>): AskOrigin {
  return async (asked: OriginRequest) => {
    const response = await answered(handler, asked);
    if (typeof response?.headers?.has !== "function") throw new TypeError("the handler returned no Response");
    const { headers, url } = response;
    if (!headers.has("content-encoding")) return response;
    // One that a fetch has brought.
    if (url !== "") return new ResponseView(response, decoded(headers));
    // Whether its bytes are encoded already, or will be on their way, can't be seen: it goes by as it is.
    const passing = new Headers(headers);
    passing.set("cdn-cache-control", "no-store");
    return new ResponseView(response, passing);
  };
}

/** What a handler throws is told to whoever runs the program, and not to whoever asks: it may say anything. */
async function answered(
  handler: (request: Request) => Response | Promise<Response>,
  asked: OriginRequest,
): Promise<Response> {
  try {
    return await handler(toRequest(asked));
  } catch (error) {
    if (!asked.signal.aborted) console.error("nearcache: the handler failed:", error);
    throw new Error("the handler failed");
  }
}

function toRequest({ url, method, headers, body, signal }: OriginRequest): Request {
  headers.delete("accept-encoding");
  const half = body === null ? {} : { body, duplex: "half" };
  return new Request(url, { method, headers, signal, redirect: "manual", ...half });
}

function decoded(headers: Headers): Headers {
  const kept = new Headers(headers);
  kept.delete("content-encoding");
  kept.delete("content-length");
  return kept;
}

/** A response with other fields. Not made anew: that would touch its body. */
class ResponseView {
  constructor(
    private readonly response: Response,
    readonly headers: Headers,
  ) {}

  get status(): number {
    return this.response.status;
  }

  get body(): Response["body"] {
    return this.response.body;
  }
}
