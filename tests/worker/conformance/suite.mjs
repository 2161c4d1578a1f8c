// The public suite of tests for HTTP caches, http-tests/cache-tests: its own origin, client and verdicts. It is read from a
// folder, that of the npm package `http-cache-tests` or a clone of the repository, which are laid out differently.

import { existsSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { start } from "../../processes.mjs";

/** The suite in a folder: `startOrigin()`, and `run(url)`, which gives each test's result by its name. */
export async function openSuite(folder) {
  const repository = existsSync(join(folder, "test-engine"));
  const engine = repository ? join(folder, "test-engine") : folder;
  const load = (...path) => import(pathToFileURL(join(...path)).href);
  const sets = [...(await load(folder, "tests/index.mjs")).default];
  /** `repository` or `npm`: what is published is years older, and follows RFC 7234 in places. */
  const edition = repository ? "repository" : "npm";
  const tests = sets.flatMap((set) => set.tests).filter((test) => !test.browser_only);
  return {
    edition,
    tests: new Map(tests.map((test) => [test.id, { ...test, kind: test.kind ?? "required" }])),
    startOrigin: () => startOrigin(engine),
    async run(url) {
      const { runTests, getResults } = await load(engine, "client/runner.mjs");
      if (repository) await runTests(sets, false, url);
      else await runTests(sets, fetchAsTold, false, url);
      return getResults();
    },
  };
}

/** A fetch that sends the fields it is given and no others, where Node's adds `Cache-Control: no-cache` to conditions. */
function fetchAsTold(url, { method = "GET", headers = [], body } = {}) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const fields = Object.fromEntries(new Headers(headers));
  // Node frames a body by itself only where the method usually has one.
  if (body !== undefined) fields["content-length"] = Buffer.byteLength(body);
  const request = http.request(url, { method, headers: fields }, async (response) => {
    const received = new Headers();
    for (let i = 0; i < response.rawHeaders.length; i += 2) {
      received.append(response.rawHeaders[i], response.rawHeaders[i + 1]);
    }
    const chunks = await response.toArray().catch(reject);
    const text = async () => Buffer.concat(chunks).toString();
    resolve({ status: response.statusCode, statusText: response.statusMessage, headers: received, text });
  });
  request.on("error", reject);
  request.end(body);
  return promise;
}

async function startOrigin(engine) {
  const env = {
    ...process.env,
    npm_config_port: "0",
    npm_config_protocol: "http",
    npm_config_pidfile: join(tmpdir(), `cache-tests-origin-${process.pid}.pid`),
  };
  const server = start(process.execPath, [join(engine, "server/server.mjs")], { env });
  for (let tries = 0; tries < 100; tries++) {
    const port = /Listening on http:\/\/.*:(\d+)\//.exec(server.log())?.[1];
    if (port) return { ...server, url: `http://127.0.0.1:${port}` };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the suite's origin did not start:\n${server.log()}`);
}

/** A test's verdict: `pass`, `fail`, `dependency` (a test it stands on fails), or `setup` (the harness could not try it). */
export function verdict(suite, results, id) {
  const test = suite.tests.get(id);
  if ((test.depends_on ?? []).some((other) => suite.tests.has(other) && verdict(suite, results, other) !== "pass"))
    return "dependency";
  const result = results[id];
  if (result === true) return "pass";
  return result?.[0] === "Setup" ? "setup" : "fail";
}
