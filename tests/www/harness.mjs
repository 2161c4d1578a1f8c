// The page in headless Chromium, for each test anew.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { launch, serve } from "../browser.mjs";

const root = new URL("../../", import.meta.url).pathname;
/** Where screenshots go. */
export const shots = `${root}build/screenshots`;
/** Of what the page takes for chance, and of the tests' own. */
export const seed = Number(process.env.SEED ?? Date.now() % 1e6);
console.log(`SEED=${seed}`);
let passed = 0;
let failed = 0;

const build = spawnSync(`${root}scripts/build-www`, { stdio: "inherit" });
if (build.status !== 0) throw new Error("scripts/build-www failed");
mkdirSync(shots, { recursive: true });

export const server = await serve(`${root}www/dist`, { base: "/some/where/" });
const browser = await launch();

/** Each test has a page of its own, which may neither complain nor ask for anything from elsewhere. */
export async function test(title, body, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1400, height: 1000 },
    colorScheme: "light",
    ...options,
  });
  await context.addInitScript((seed) => {
    let state = seed;
    Math.random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  }, seed);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on(
    "request",
    (request) =>
      request.url().startsWith(`${server.url}/`) ||
      request.url().startsWith("data:") ||
      complaints.push(`asks for ${request.url()}`),
  );
  page.setDefaultTimeout(10_000);
  try {
    await page.goto(`${server.url}/`);
    await page.locator("html[data-ready]").waitFor({ state: "attached" });
    await body(page);
    assert.deepEqual(complaints, []);
    passed++;
    console.log(`ok      ${title}`);
  } catch (error) {
    failed++;
    await page.screenshot({ path: `${shots}/failed-${failed}.png`, fullPage: true }).catch(() => {});
    console.log(
      `FAILED  ${title}\n        ${String(error.stack).split("\n").slice(0, 14).join("\n        ")}${complaints.map((c) => `\n        console: ${c}`).join("")}`,
    );
  } finally {
    await context.close();
  }
}

/** Closes everything, and says how it went. */
export async function end() {
  await browser.close();
  await server.stop();
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}
