// The suite in headless Chromium, by a plain <script type="module"> and an import map: no bundler, no build.
// `--seed=N`, `--only=part of a title`; the browser is $CHROMIUM or /usr/bin/chromium.

import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";
import { compile } from "./compile.mjs";
import { limit, report, settings } from "./report.mjs";
import { root } from "./workerd.mjs";

limit(120_000, "browser");
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(executablePath)) {
  console.log(`browser: FAILED there is no ${executablePath}; install chromium or set CHROMIUM\n0 passed, 1 failed`);
  process.exit(1);
}
const types = {
  ".mjs": "text/javascript",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
  ".html": "text/html",
};
const given = settings();
await compile();

const page = `<!doctype html>
<script type="importmap">{"imports": {"nearcache": "/pkg/dist/entrypoints/browser.js"}}</script>
<script type="module">
  import { run } from "/tests/js/suite/all.mjs";
  globalThis.result = await run({ ...${JSON.stringify(given)}, runtime: "browser" });
</script>`;

const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, "http://localhost").pathname);
  if (path === "/") return void response.writeHead(200, { "content-type": "text/html" }).end(page);
  const file = join(root, path);
  if (!/^\/(pkg|tests\/js)\//.test(path) || !existsSync(file)) return void response.writeHead(404).end();
  response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

const browser = await chromium.launch({
  executablePath,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const tab = await browser.newPage();
  const errors = [];
  tab.on("pageerror", (error) => errors.push(error.stack ?? String(error)));
  tab.on("requestfailed", (request) => errors.push(`${request.url()}: ${request.failure()?.errorText}`));
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  try {
    await tab.waitForFunction(() => globalThis.result !== undefined, undefined, { timeout: 100_000 });
    report("browser", await tab.evaluate(() => globalThis.result), given.seed);
  } catch (error) {
    report("browser", {
      passed: 0,
      failed: 1,
      failures: [{ title: "the page", error: `${error.message} ${errors.join(" ")}` }],
    });
  }
} finally {
  await browser.close();
  server.close();
}
