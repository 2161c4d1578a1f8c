// An origin to put a cache in front of: slow on purpose, and it counts how often it is asked.
// `node examples/origin.mjs` (PORT, DELAY in milliseconds), or startOrigin() from a program.

import http from "node:http";
import { fileURLToPath } from "node:url";

/** Each route: what it shows, and its answer. `fast` ones answer at once. */
const routes = {
  "/": {
    about: "this page, cached for 60 s",
    answer: (call) => ({
      type: "text/html; charset=utf-8",
      headers: { "Cache-Control": "public, max-age=60" },
      body: page(call),
    }),
  },
  "/short": { about: "cached for 5 s", answer: () => ({ headers: { "Cache-Control": "max-age=5" } }) },
  "/fast": {
    about: "cached for 60 s, and no slower than it must be",
    fast: true,
    answer: () => ({ headers: { "Cache-Control": "max-age=60" } }),
  },
  "/shared": {
    about: "60 s for shared caches (s-maxage), none for browsers",
    answer: () => ({ headers: { "Cache-Control": "max-age=0, s-maxage=60" } }),
  },
  "/vary": {
    about: "one answer per Accept-Language",
    answer: (call, request) => ({
      headers: { "Cache-Control": "max-age=60", Vary: "Accept-Language" },
      body: `${/^de\b/.test(request.headers["accept-language"] ?? "") ? "Guten Tag" : "Good day"}. ${call}`,
    }),
  },
  "/etag": {
    about: "60 s, with an ETag: ask with If-None-Match for a 304",
    answer: () => ({ headers: { "Cache-Control": "max-age=60", ETag: '"nearcache"' }, body: "always the same\n" }),
  },
  "/big": {
    about: "4 MiB (or ?mb=N): more than the Worker keeps, streams through",
    answer: (_call, _request, url) => ({
      type: "application/octet-stream",
      headers: { "Cache-Control": "max-age=60" },
      body: Buffer.alloc(Math.min(Number(url.searchParams.get("mb") ?? 4) || 4, 64) * 2 ** 20, "nearcache "),
    }),
  },
  "/private": {
    about: "private: never shared, and nobody queues for it",
    answer: () => ({ headers: { "Cache-Control": "private, max-age=60" } }),
  },
  "/no-store": { about: "no-store: asked for each time", answer: () => ({ headers: { "Cache-Control": "no-store" } }) },
  "/cookie": {
    about: "Set-Cookie: never shared",
    answer: (call) => ({ headers: { "Cache-Control": "max-age=60", "Set-Cookie": `call=${/\d+/.exec(call)}` } }),
  },
  "/error": { about: "500, not cached", answer: () => ({ status: 500 }) },
  "/gone": { about: "closes the connection without an answer", answer: () => undefined },
  "/hang": { about: "never answers", answer: () => new Promise(() => {}) },
  "/counts": { about: "how often each URL was asked for, as JSON", fast: true },
};

export async function startOrigin({ delay = 400, port = 0 } = {}) {
  const counts = new Map();
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url, "http://origin");
    if (url.pathname === "/counts") {
      response.writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
      response.end(`${JSON.stringify(Object.fromEntries(counts), null, 2)}\n`);
      return;
    }
    const number = (counts.get(request.url) ?? 0) + 1;
    counts.set(request.url, number);
    const route = routes[url.pathname];
    const wait = route?.fast ? 0 : delay;
    await new Promise((resolve) => setTimeout(resolve, wait));
    const call = `${request.method} ${request.url}: answer ${number}, made at ${new Date().toISOString()} after ${wait} ms\n`;
    const answer = route
      ? await route.answer(call, request, url)
      : { status: 404, body: `nothing is at ${url.pathname}; there is ${Object.keys(routes).join(" ")}\n` };
    if (!answer) return request.socket.destroy();
    const { status = 200, type = "text/plain; charset=utf-8", headers = {}, body = call } = answer;
    if (headers.ETag && request.headers["if-none-match"] === headers.ETag) {
      response.writeHead(304, headers).end();
      return;
    }
    response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body), ...headers });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** How often this path (with its query) was asked for. */
    calls: (path) => counts.get(path) ?? 0,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const page = (call) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>nearcache: a demo origin</title>
<style>body { font: 1rem/1.5 system-ui; margin: 3rem auto; max-width: 44rem; padding: 0 1rem } td { padding: .1rem 1rem .1rem 0 }</style>
<h1>A slow origin</h1>
<p>${call}</p>
<p>Load it again: while it is cached, the answer stays this one and comes at once. What the cache did is in the
answer's Cache-Status and Age.</p>
<table>${Object.entries(routes)
  .map(([path, { about }]) => `<tr><td><a href="${path}">${path}</a><td>${about}`)
  .join("\n")}</table>
</html>
`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startOrigin({ port: Number(process.env.PORT ?? 0), delay: Number(process.env.DELAY ?? 400) });
  console.log(`origin: ${url}`);
}
