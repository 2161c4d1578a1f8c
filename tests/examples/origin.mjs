// A slow origin that counts its calls, for the tests of the examples.

import { createServer } from "node:http";

/** The first part of a path and its query say what comes: /private/a, /status-404/b?ttl=5&delay=300&size=0. */
export async function startOrigin({ delay = 300 } = {}) {
  const calls = new Map();
  let underWay = 0;
  let peak = 0;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://origin");
    const count = (calls.get(request.url) ?? 0) + 1;
    calls.set(request.url, count);
    peak = Math.max(peak, ++underWay);
    await new Promise((resolve) => setTimeout(resolve, Number(url.searchParams.get("delay") ?? delay)));
    const kind = url.pathname.split("/")[1];
    const ttl = url.searchParams.get("ttl") ?? "60";
    const headers = { "content-type": "text/plain", "cache-control": `public, max-age=${ttl}` };
    if (kind === "private") headers["cache-control"] = `private, max-age=${ttl}`;
    if (kind === "max-age") headers["cache-control"] = `max-age=${ttl}`;
    if (kind === "no-store") headers["cache-control"] = "no-store";
    if (kind === "plain") delete headers["cache-control"];
    if (kind === "cookie") headers["set-cookie"] = `session=${count}`;
    if (kind === "vary") headers.vary = "X-Who";
    if (kind === "shared") headers["cache-control"] = `max-age=0, s-maxage=${ttl}`;
    if (kind === "aged") headers.age = "58";
    if (kind === "encoding") headers.vary = "Accept-Encoding";
    const status = Number(/^status-(\d+)$/.exec(kind)?.[1] ?? 200);
    if (status === 301) headers.location = "/elsewhere";
    // A body of a length that no header tells.
    const size = Number(url.searchParams.get("size") ?? 0);
    response.writeHead(status, headers);
    response.write(`${request.method} ${request.url} for ${request.headers["x-who"] ?? "anyone"}, call ${count}\n`);
    response.end("x".repeat(size));
    underWay--;
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    /** Calls of this path, or all. */
    calls: (path) => (path === undefined ? [...calls.values()].reduce((a, b) => a + b, 0) : (calls.get(path) ?? 0)),
    /** The most calls at one moment since this was last asked. */
    peak: () => {
      const was = peak;
      peak = underWay;
      return was;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}
