// Redirects, as `fetch` follows them (the Fetch standard's HTTP-redirect fetch).

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MOST = 20;

/** What is said of content, and goes with it. */
const CONTENT = ["content-encoding", "content-language", "content-location", "content-type", "content-length"];

/** What a request's body was made of: `null` where there is none, nothing where it can't be sent again. */
export type Source = BodyInit | null | undefined;

/** What the body of a request is made of that `fetch` is given. */
export function sourceOf(request: Request, init: RequestInit | undefined): Source {
  const given = init?.body;
  if (given === undefined || given === null) return request.body ? undefined : null;
  return given instanceof ReadableStream || Symbol.asyncIterator in Object(given) ? undefined : given;
}

/** The request that a response sends to, if it does: then nobody reads what the response says. */
export function nextHop(request: Request, response: Response, hops: number, source: Source): Request | undefined {
  const location = response.headers.get("location");
  if (!REDIRECTS.has(response.status) || location === null) return undefined;
  response.body?.cancel().catch(() => {});
  if (request.redirect === "error") throw new TypeError(`${request.url} redirects, which the request forbids`);
  if (hops === MOST) throw new TypeError(`${request.url} redirects for the ${MOST + 1}st time`);
  const [from, to] = [new URL(request.url), new URL(location, request.url)];
  if (to.protocol !== "http:" && to.protocol !== "https:") {
    throw new TypeError(`${request.url} redirects to ${to.protocol}, which is not http: or https:`);
  }
  const headers = new Headers(request.headers);
  // What is for one origin is nothing to another.
  if (from.origin !== to.origin) for (const name of ["authorization", "cookie", "host"]) headers.delete(name);
  const { signal, redirect } = request;
  if (becomesGet(request.method, response.status)) {
    for (const name of CONTENT) headers.delete(name);
    return new Request(to, { method: "GET", headers, signal, redirect });
  }
  if (source === undefined) {
    throw new TypeError(`${request.url} redirects, and the request's body is a stream, which can't be sent again`);
  }
  // It says how the parts are told from each other, anew each time.
  if (source instanceof FormData) headers.delete("content-type");
  return new Request(to, { method: request.method, headers, signal, redirect, body: source });
}

function becomesGet(method: string, status: number): boolean {
  if (status === 303) return !reads(method);
  return (status === 301 || status === 302) && method === "POST";
}

export const reads = (method: string): boolean => method === "GET" || method === "HEAD";

/**
 * Whether a request with this method may be sent so that it shows where it is redirected to. A browser shows nobody: there what reads is asked
 * for again, and what writes can't be.
 */
export function showsRedirects(method: string): boolean {
  return reads(method) || !/^Mozilla\//.test(globalThis.navigator?.userAgent ?? "");
}
