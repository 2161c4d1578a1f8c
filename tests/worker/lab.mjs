// A small world for one test: an origin that a function plays, the Worker in raw workerd before it, and who asks.

import http from "node:http";
import net from "node:net";
import { get } from "./client.mjs";
import { startWorkerd } from "./workerd.mjs";

export const TOKEN = "the-operator-s-token";
/** What the Worker alone would set, so that a test sees its own settings only. */
const FAST = { HARD_TIMEOUT: "3s" };

/**
 * Calls `run` with a Worker before an origin that `play(request, response, call)` plays, where `call` counts the path's calls
 * from 1. `run` gets `get(target, options)`, `many(n, target, options)`, `calls(path)`, `seen` (all requests), `open()` (the
 * origin's open connections), `metrics()`, `purge(what)`, `send(bytes)` and the two servers.
 */
export async function lab(play, vars, run) {
  const calls = new Map();
  const seen = [];
  let open = 0;
  const origin = http.createServer((request, response) => {
    if (request.url.startsWith("/ready?")) return say(response, 200, { "cache-control": "no-store" });
    const path = request.url.split("?")[0];
    calls.set(path, (calls.get(path) ?? 0) + 1);
    seen.push({ method: request.method, url: request.url, headers: request.headers });
    response.on("error", () => {});
    play(request, response, calls.get(path));
  });
  origin.on("connection", (socket) => {
    open++;
    socket.on("close", () => open--).on("error", () => {});
  });
  origin.keepAliveTimeout = 60_000;
  await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${origin.address().port}`;
  const server = await startWorkerd({ ORIGIN: url, ADMIN_TOKEN: TOKEN, ...FAST, ...vars });
  seen.length = 0;
  calls.clear();
  const authorization = `Bearer ${TOKEN}`;
  const world = {
    server,
    url,
    seen,
    open: () => open,
    calls: (path) => calls.get(path) ?? 0,
    get: (target, options) => get(server, target, options),
    many: (n, target, options) => Promise.all(Array.from({ length: n }, () => get(server, target, options))),
    metrics: async () => (await get(server, "/_nearcache/metrics", { headers: { authorization } })).text,
    purge: (what) =>
      get(server, "/_nearcache/purge", { method: "POST", headers: { authorization }, body: JSON.stringify(what) }),
    send: (bytes, options) => send(server.port, bytes, options),
  };
  try {
    return await run(world);
  } finally {
    server.stop();
    origin.closeAllConnections();
    origin.close();
  }
}

/** Bytes in, bytes out: what comes until the connection ends or `millis` have passed. */
function send(port, bytes, { millis = 1_500 } = {}) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(bytes));
    const chunks = [];
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(chunks).toString("latin1"));
    };
    const timer = setTimeout(end, millis);
    socket
      .on("data", (chunk) => chunks.push(chunk))
      .on("close", end)
      .on("error", end);
  });
}

/** An answer in one go: `say(response, 200, { "cache-control": "max-age=60" }, "body")`. */
export function say(response, status, fields, body = "") {
  response.writeHead(status, { "content-length": Buffer.byteLength(body), ...fields });
  response.end(body);
}

const LONGEST = 30_000;
async function within(millis, promise) {
  const hung = new Promise((_, reject) => setTimeout(reject, millis, new Error(`not over after ${millis} ms`)).unref());
  return Promise.race([promise, hung]);
}

/** Runs tests by title, those whose title has the command line's first argument, and ends the process with what came. */
export async function runAll(tests, longest = LONGEST) {
  const only = process.argv[2] ?? "";
  let passed = 0;
  const failed = [];
  for (const [title, run] of Object.entries(tests).filter(([title]) => title.includes(only))) {
    try {
      await within(longest, run());
      passed++;
    } catch (error) {
      failed.push(title);
      console.log(`FAILED ${title}\n  ${error.stack?.split("\n").slice(0, 14).join("\n  ")}`);
    }
  }
  for (const title of failed) console.log(`  failed: ${title}`);
  console.log(`${passed} passed, ${failed.length} failed`);
  process.exit(failed.length ? 1 : 0);
}
