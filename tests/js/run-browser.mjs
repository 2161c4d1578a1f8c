// The suite in headless Chromium, by a plain <script type="module"> and an import map: no bundler, no build.
// `--seed=N`, `--only=part of a title`.

import { launch, serve } from "../browser.mjs";
import { compile } from "./compile.mjs";
import { limit, report, settings } from "./report.mjs";
import { root } from "./workerd.mjs";

limit(120_000, "browser");
const given = settings();
await compile();

const page = `<!doctype html>
<script type="importmap">{"imports": {"nearcache": "/pkg/dist/entrypoints/browser.js"}}</script>
<script type="module">
  import { run } from "/tests/js/suite/all.mjs";
  globalThis.result = await run({ ...${JSON.stringify(given)}, runtime: "browser" });
</script>`;
const server = await serve(root, { pages: { "/": page } });
const browser = await launch();
try {
  const tab = await browser.newPage();
  const errors = [];
  tab.on("pageerror", (error) => errors.push(error.stack ?? String(error)));
  tab.on("requestfailed", (request) => errors.push(`${request.url()}: ${request.failure()?.errorText}`));
  await tab.goto(`${server.url}/`);
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
  await server.stop();
}
