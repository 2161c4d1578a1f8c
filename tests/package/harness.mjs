// What the tests of the package share: the packed package in fresh projects outside this repository, programs that run
// to their end, and pages in Chromium.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "../browser.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
export const root = path.join(here, "../..");
const bin = path.join(root, "node_modules/.bin");
const temp = mkdtempSync(path.join(tmpdir(), "nearcache-package-"));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
process.on("exit", () => rmSync(temp, { recursive: true, force: true }));

export const env = {
  ...process.env,
  PATH: `${bin}${path.delimiter}${process.env.PATH}`,
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "true",
  NO_COLOR: "1",
};

/** What projects/exercise.mjs brings wherever it runs. */
export const EXPECTED = {
  values: ["A"],
  loads: 1,
  coalesced: 99,
  keys: ["c", "b"],
  evicted: null,
  refused: "ERR_OPTION",
};

/** Runs to the end; how it ended and what it said. */
export function attempt(command, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: "utf8", timeout: 120_000 });
  return { status, stdout, output: `${error ?? ""}${stdout}${stderr}` };
}

/** As `attempt`; its standard output. An exit code other than 0 is an error with the output in it. */
export function run(command, args, cwd) {
  const { status, stdout, output } = attempt(command, args, cwd);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${status}\n${output}`);
  return stdout;
}

mkdirSync(path.join(temp, "tarball"));
export const [packed] = JSON.parse(
  run("npm", ["pack", "--json", "--pack-destination", path.join(temp, "tarball")], path.join(root, "pkg")),
);

/** A fresh project with the files of projects/NAME and the packed package, installed; the same for those who ask again. */
export function project(name) {
  const folder = path.join(temp, name);
  if (existsSync(folder)) return folder;
  cpSync(path.join(here, "projects", name), folder, { recursive: true });
  const exercise = readFileSync(path.join(here, "projects/exercise.mjs"), "utf8");
  writeFileSync(path.join(folder, "exercise.mjs"), exercise);
  const inline = exercise.replace('"nearcache"', '"nearcache/inline"');
  assert.notEqual(inline, exercise);
  writeFileSync(path.join(folder, "exercise-inline.mjs"), inline);
  writeFileSync(path.join(folder, "exercise-init.mjs"), exercise.replace('"nearcache"', '"nearcache/init"'));
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, version: "1.0.0", private: true }));
  const quietly = ["--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  run("npm", ["install", ...quietly, path.join(temp, "tarball", packed.filename)], folder);
  assert.ok(!statSync(path.join(folder, "node_modules/nearcache"), { throwIfNoEntry: true }).isSymbolicLink());
  return folder;
}

/** A folder with nothing in it but what a bundler has made, since a deployed bundle has nothing beside it either. */
export function alone(name, ...files) {
  const folder = path.join(temp, "alone", name);
  mkdirSync(folder, { recursive: true });
  for (const file of files) cpSync(file, path.join(folder, path.basename(file)));
  return folder;
}

let browser;

/** What the page at `url` puts into `globalThis.result`; or, if so asked, the first error that nobody caught. */
export async function inChromium(url, wanted = "result") {
  browser ??= await launch();
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("requestfailed", (request) => said.push(`${request.url()} failed`));
  const error = page.waitForEvent("pageerror", { timeout: 20_000 }).catch(() => "none");
  try {
    await page.goto(url);
    if (wanted === "error") return String(await error);
    const result = await page.waitForFunction(() => globalThis.result, undefined, { timeout: 20_000 });
    return await result.jsonValue();
  } catch (error) {
    throw new Error(`${error.message}\n${said.join("\n")}`);
  } finally {
    await page.close();
  }
}

export const closeChromium = () => browser?.close();
