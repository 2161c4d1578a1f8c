// The Worker as several isolates over the same stores, in Miniflare, and the origin before which they stand.

import http from "node:http";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { COMPATIBILITY_DATE, root, scratch } from "../js/workerd.mjs";
import { TOKEN } from "./lab.mjs";

export const built = join(root, "build/worker");

/** An origin that `play(request, response, url, call, world)` plays, where `call` counts the path's calls from 1. */
export async function startOrigin(play) {
  const calls = new Map();
  const world = { calls: (path) => calls.get(path) ?? 0 };
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://origin");
    const call = (calls.get(url.pathname) ?? 0) + 1;
    calls.set(url.pathname, call);
    return play(request, response, url, call, world);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  world.url = `http://127.0.0.1:${server.address().port}`;
  world.stop = () => (server.closeAllConnections(), server.close());
  return world;
}

/**
 * So many isolates before the origin, each of what `worker(at)` says besides, with these variables, and their stores in the folder. A
 * request's `x-isolate` says which it is for; without one it is the first's.
 */
export async function startIsolates(origin, folder, { isolates = 2, vars = {} }, worker) {
  const workers = Array.from({ length: isolates }, (_, at) => ({
    name: `w${at}`,
    modulesRoot: built,
    compatibilityDate: COMPATIBILITY_DATE,
    bindings: { ORIGIN: origin.url, ADMIN_TOKEN: TOKEN, ...vars },
    ...worker(at),
  }));
  const front = {
    name: "front",
    modules: true,
    script: `export default { fetch: (request, env) => env["W" + (request.headers.get("x-isolate") ?? 0)].fetch(request) };`,
    compatibilityDate: COMPATIBILITY_DATE,
    serviceBindings: Object.fromEntries(workers.map(({ name }, at) => [`W${at}`, name])),
  };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({ workers: [front, ...workers], resourcePersistencePath: folder }),
  );
  const url = await miniflare.ready;
  /** As `fetch`. */
  const ask = (isolate, path, { headers, ...init } = {}) =>
    fetch(new URL(path, url), { ...init, headers: { "x-isolate": `${isolate}`, ...headers } });
  return { url, ask, stop: () => miniflare.dispose() };
}

/** What asks a route of the operator's with this as its body. */
export const asOperator = (body) => ({
  method: "POST",
  headers: { authorization: `Bearer ${TOKEN}` },
  body: JSON.stringify(body),
});

/** Calls `run` with what `start(origin, folder)` starts, the origin, and the folder, which is gone afterwards. */
export async function inWorld(origin, start, run) {
  const folder = scratch();
  const world = await start(origin, folder);
  try {
    await run({ ...world, origin, folder });
  } finally {
    await world.stop();
    origin.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
