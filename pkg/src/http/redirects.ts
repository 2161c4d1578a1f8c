// Redirects, as `fetch` follows them (the Fetch standard's HTTP-redirect fetch), for requests that only read.

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MOST = 20;

/** The request that a response sends to, if it does: then nobody reads what the response says. */
export function nextHop(request: Request, response: Response, hops: number): Request | undefined {
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
  return new Request(to, { method: request.method, headers, signal: request.signal, redirect: request.redirect });
}
