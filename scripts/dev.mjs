// Starts the demo origin and `wrangler dev`, and says what to try. scripts/dev calls it when all is built.

import { spawn } from "node:child_process";
import net from "node:net";
import { startOrigin } from "../examples/origin.mjs";

const port = Number(process.env.PORT || 8787);
const url = `http://localhost:${port}`;
/** The operator's, here only. */
const TOKEN = "try-the-operators-routes";

function give_up(text) {
  console.error(`dev: ${text}`);
  process.exit(1);
}

/** The port itself if it is free; 0 asks for any. */
function freePort(port) {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

if (!Number.isInteger(port) || port < 1 || port > 65_535) give_up(`PORT is ${process.env.PORT}, wanted a port number`);
await freePort(port).catch(() =>
  give_up(`port ${port} is in use; try PORT=${port === 65_535 ? 8788 : port + 1} scripts/dev`),
);
const demo = process.env.ORIGIN ? undefined : await startOrigin();
const origin = process.env.ORIGIN || demo.url;

const wrangler = spawn(
  "wrangler",
  [
    "dev",
    // With everything bound that the Worker can use; wrangler keeps it in .wrangler.
    "--config",
    "wrangler.edge.toml",
    "--ip",
    "127.0.0.1",
    "--port",
    `${port}`,
    "--inspector-port",
    `${await freePort(0)}`,
    "--var",
    `ORIGIN:${origin}`,
    "--var",
    `ADMIN_TOKEN:${TOKEN}`,
  ]
    // The page is for trying things out, so it is not in wrangler.toml: a deployed Worker has only the origin's pages.
    .concat("--assets", "build/assets", "--show-interactive-dev-session=false"),
  { stdio: ["ignore", "inherit", "inherit"] },
);
wrangler.once("error", (error) => give_up(`wrangler does not start: ${error.message}`));
wrangler.once("exit", (code) => process.exit(code ?? 0));
// A terminal's Ctrl-C reaches wrangler too. Whoever signals this process alone means both.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    wrangler.kill("SIGTERM");
    setTimeout(() => process.exit(130), 3_000).unref();
  });
}

const deadline = Date.now() + 60_000;
while (!(await answers())) {
  if (Date.now() > deadline) give_up("wrangler dev did not answer within 60 s");
  await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Asks for the page, which costs the origin nothing. */
async function answers() {
  try {
    await (await fetch(`http://127.0.0.1:${port}/_nearcache/`, { signal: AbortSignal.timeout(5_000) })).body?.cancel();
    return true;
  } catch {
    return false;
  }
}

const status = "grep -iE '^(HTTP|cache-status|age)'";
console.log(`
  nearcache is in front of ${demo ? `a demo origin that takes 400 ms (${origin})` : origin}

    ${url}/              what the origin has, cached
    ${url}/_nearcache/   the class at work in your browser
    ${url}/_nearcache/docs/   guides and references

  Try, and look at Cache-Status, Age and the time it takes:

    curl -si ${url}/ | ${status}     # twice: a miss, then a hit${
      demo
        ? `
    curl -si ${url}/private | ${status}     # never shared
    curl -s -H 'Accept-Language: de' ${url}/vary     # an answer per language
    curl -si -H 'If-None-Match: "nearcache"' ${url}/etag | ${status}     # 304
    seq 500 | xargs -P 100 -I% curl -so /dev/null ${url}/short     # 500 requests; the origin is asked once in 5 s
    curl -s ${origin}/counts     # how often the origin was asked, by itself`
        : ""
    }

  KV, the Cache API, and objects for values, leases and purges are bound. What is in memory goes with a restart, and comes back from the
  tiers: stop this, start it, and look at Cache-Status. A purge reaches them all, and every isolate:

    curl -s -H 'Authorization: Bearer ${TOKEN}' -d '{"prefixes": ["/"]}' ${url}/_nearcache/purge

  Ctrl-C ends it.${demo ? " For an origin of yours: ORIGIN=https://… scripts/dev" : ""}
`);
