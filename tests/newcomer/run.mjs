// As a newcomer: a fresh project of each kind, `npm install`, its dev server, a build and what serves that, and in each
// twenty requests that share one load. Minutes and gigabytes: scripts/newcomer runs it. `--only=next`; `--keep` leaves the
// projects.
// Prints the seconds from `npm install` to the first shared load.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { launch, serve as serveFiles } from "../browser.mjs";
import { freePort, start } from "../processes.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = path.join(here, "../..");
const work = path.join(root, "build/newcomer");
const only = process.argv.find((word) => word.startsWith("--only="))?.slice(7) ?? "";
const keep = process.argv.includes("--keep");

const wrangler = (port, other) => ["wrangler", "dev", "--ip", "127.0.0.1", "--port", port, "--inspector-port", other];

/**
 * How each is built and served; `dev` first, since a newcomer begins there. `page`: the loads are in a page, in Chromium;
 * `client`: in one of its pages too; `alike`: routes of one cache.
 */
const PROJECTS = {
  vite: {
    page: true,
    dev: (port) => ["vite", "--host", "127.0.0.1", "--port", port],
    build: ["vite", "build"],
    serve: (port) => ["vite", "preview", "--host", "127.0.0.1", "--port", port],
  },
  next: {
    paths: ["/users", "/edge", "/people"],
    alike: ["/users", "/people"],
    client: "/client",
    build: ["next", "build"],
    serve: (port) => ["next", "start", "-H", "127.0.0.1", "-p", port],
    dev: (port) => ["next", "dev", "-H", "127.0.0.1", "-p", port],
  },
  nuxt: {
    build: ["nuxt", "build"],
    serve: () => ["node", ".output/server/index.mjs"],
    dev: (port) => ["nuxt", "dev", "--host", "127.0.0.1", "--port", port],
  },
  "nuxt on Workers": {
    project: "nuxt",
    variables: { NITRO_PRESET: "cloudflare_module" },
    build: ["nuxt", "build"],
    serve: wrangler,
  },
  sveltekit: {
    build: ["vite", "build"],
    serve: () => ["node", "build"],
    dev: (port) => ["vite", "dev", "--host", "127.0.0.1", "--port", port],
  },
  astro: {
    build: ["astro", "build"],
    serve: () => ["node", "dist/server/entry.mjs"],
    dev: (port) => ["astro", "dev", "--host", "127.0.0.1", "--port", port],
  },
  "astro on Workers": {
    project: "astro-workers",
    build: ["astro", "build"],
    serve: (port, other) => [...wrangler(port, other), "--config", "dist/server/wrangler.json"],
    dev: (port) => ["astro", "dev", "--host", "127.0.0.1", "--port", port],
  },
  hono: {
    build: ["wrangler", "deploy", "--dry-run", "--outdir", "out"],
    dev: wrangler,
  },
  wrangler: {
    build: ["wrangler", "deploy", "--dry-run", "--outdir", "out"],
    dev: wrangler,
  },
  node: { project: "servers", dev: () => ["node", "node.js"] },
  deno: { project: "servers", dev: () => ["deno", "run", "--quiet", "--allow-net", "--allow-env=PORT", "deno.js"] },
  bun: { project: "servers", dev: () => ["bun", "bun.js"] },
  "plain HTML": { project: "page", page: true },
};

const environment = (folder, port, variables) => ({
  ...process.env,
  PATH: [path.join(folder, "node_modules/.bin"), path.join(root, "node_modules/.bin"), process.env.PATH].join(":"),
  ...{ PORT: `${port}`, HOST: "127.0.0.1", NITRO_HOST: "127.0.0.1", CI: "1", NO_COLOR: "1", NODE_ENV: undefined },
  ...{ NEXT_TELEMETRY_DISABLED: "1", NUXT_TELEMETRY_DISABLED: "1", ASTRO_TELEMETRY_DISABLED: "1" },
  ...{ WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" },
  ...variables,
});

function run(command, args, cwd, variables) {
  const env = environment(cwd, 0, variables);
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: "utf8", timeout: 600_000 });
  assert.equal(status, 0, `${command} ${args.join(" ")}\n${error ?? ""}${stdout}${stderr}`);
  return stdout;
}

/** Starts the server, and has twenty requests, or a page of it, share one load; the moment when they had. */
async function shares(folder, { paths = ["/users"], alike, page, client, variables }, command, kind) {
  const [port, other] = [await freePort(), await freePort()];
  const [program, ...args] = command(`${port}`, `${other}`);
  const server = start(program, args, { cwd: folder, env: environment(folder, port, variables) });
  try {
    const origin = `http://127.0.0.1:${port}`;
    await server.answers(origin);
    if (page) return await sharesInPage(origin);
    await sharesAt(`${origin}${paths[0]}`, kind);
    const at = Date.now();
    for (const path of paths.slice(1)) await sharesAt(`${origin}${path}`, kind);
    if (alike) await areOneCache(alike.map((path) => origin + path));
    if (client) await sharesInPage(`${origin}${client}`);
    return at;
  } finally {
    server.stop();
  }
}

/** Ten loads more by the first route, so that caches of their own would have counted differently. */
async function areOneCache([first, ...others]) {
  for (let more = 0; more < 10; more++) await ask(`${first}/more-${more}`);
  const value = await ask(`${first}/alike`);
  for (const other of others) assert.equal(await ask(`${other}/alike`), value, other);
}

/** The same in Chromium: the page has its twenty answers in `answers`. */
async function sharesInPage(url) {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(url);
    const answers = await (await page.waitForFunction(() => globalThis.answers, undefined)).jsonValue();
    assert.deepEqual(answers, Array(20).fill({ id: "ada", loads: 1 }));
    return Date.now();
  } finally {
    await browser.close();
  }
}

/** What any server of static files does. */
async function sharesStatically(folder) {
  const server = await serveFiles(folder);
  try {
    return await sharesInPage(`${server.url}/index.html`);
  } finally {
    await server.stop();
  }
}

/** Twenty requests for a user that nobody has asked for: one load, and the same answer for all. */
async function sharesAt(url, kind) {
  // Dev servers build a route when it is first asked for.
  await ask(`${url}/first`);
  const name = `ada-${kind}`;
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(`${url}/${name}`)));
  assert.ok(answers[0].startsWith("{"), answers[0]);
  const { id, loads } = JSON.parse(answers[0]);
  assert.equal(id, name, answers[0]);
  assert.ok(loads >= 1);
  for (const answer of answers) assert.equal(answer, answers[0]);
  assert.equal(await ask(`${url}/${name}`), answers[0], "and it is kept");
}

/** A user as JSON, also out of a page, whose quotes React escapes. */
async function ask(url) {
  const text = (await (await fetch(url)).text()).replaceAll("&quot;", '"');
  return /\{"id":[^}]*\}/.exec(text)?.[0] ?? text;
}

rmSync(path.join(work, "tarball"), { recursive: true, force: true });
mkdirSync(path.join(work, "tarball"), { recursive: true });
const [packed] = JSON.parse(
  run(
    "npm",
    ["pack", "--json", "--loglevel=error", "--pack-destination", path.join(work, "tarball")],
    path.join(root, "pkg"),
  ),
);
const tarball = path.join(work, "tarball", packed.filename);

let passed = 0;
let failed = 0;
const seconds = (millis) => `${(millis / 1000).toFixed(1)} s`;
for (const [name, options] of Object.entries(PROJECTS)) {
  if (!name.includes(only)) continue;
  const { project = name, build, serve, dev, variables } = options;
  const folder = path.join(work, project);
  try {
    if (!existsSync(path.join(folder, "node_modules"))) {
      rmSync(folder, { recursive: true, force: true });
      cpSync(path.join(here, "projects", project), folder, { recursive: true });
    }
    const quietly = ["--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"];
    const begin = Date.now();
    run("npm", ["install", ...quietly, tarball], folder);
    const told = [`install ${seconds(Date.now() - begin)}`];
    if (dev) told.push(`first shared load ${seconds((await shares(folder, options, dev, "dev")) - begin)}`);
    if (build) {
      const before = Date.now();
      run(build[0], build.slice(1), folder, variables);
      told.push(`build ${seconds(Date.now() - before)}`);
    }
    if (serve) await shares(folder, options, serve, "served");
    if (!dev && !serve) told.push(`first shared load ${seconds((await sharesStatically(folder)) - begin)}`);
    passed++;
    console.log(`ok      ${name}: ${told.join(", ")}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n        ${String(error.message).slice(-3_000).replaceAll("\n", "\n        ")}`);
  }
}
if (!keep) rmSync(work, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
