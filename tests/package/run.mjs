// The npm package as its users get it: packed, installed into fresh projects outside this repository, and run in
// each kind of runtime and bundler. No project has an init step.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { freePort, start } from "../processes.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = path.join(here, "../..");
const bin = path.join(root, "node_modules/.bin");
const temp = mkdtempSync(path.join(tmpdir(), "nearcache-package-"));
const env = {
  ...process.env,
  PATH: `${bin}${path.delimiter}${process.env.PATH}`,
  WRANGLER_SEND_METRICS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  CI: "true",
  NO_COLOR: "1",
};

const EXPECTED = { values: ["A"], loads: 1, coalesced: 99, keys: ["c", "b"], evicted: null, refused: "ERR_OPTION" };

/** Runs to the end; its output. An exit code other than 0 is an error with the output in it. */
function run(command, args, cwd) {
  const result = spawnSync(command, args, { cwd, env, encoding: "utf8", timeout: 120_000 });
  if (result.status !== 0) {
    throw new Error(
      `${command} ${args.join(" ")}: exit ${result.status}\n${result.error ?? ""}${result.stdout}${result.stderr}`,
    );
  }
  return result.stdout;
}

let tarball, contents;

/** A fresh project with the files of projects/NAME and the packed package, installed. */
function project(name) {
  const folder = path.join(temp, name);
  cpSync(path.join(here, "projects", name), folder, { recursive: true });
  cpSync(path.join(here, "projects/exercise.mjs"), path.join(folder, "exercise.mjs"));
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, version: "1.0.0", private: true }));
  run(
    "npm",
    ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", tarball],
    folder,
  );
  assert.ok(!statSync(path.join(folder, "node_modules/nearcache"), { throwIfNoEntry: true }).isSymbolicLink());
  return folder;
}

const tests = {
  "the tarball holds what the package needs, and nothing else"() {
    const wanted = [
      /^package\.json$/,
      /^(README|CHANGELOG)\.md$/,
      /^LICENSE-(MIT|APACHE)$/,
      /^dist\/([a-z-]+|entrypoints\/(workerd|node|browser))\.(js|d\.ts)$/,
      /^generated\/nearcache_bg\.(js|wasm|d\.ts)$/,
    ];
    const strange = contents.filter(({ path }) => !wanted.some((pattern) => pattern.test(path)));
    assert.deepEqual(strange, []);
    for (const needed of [
      "README.md",
      "CHANGELOG.md",
      "LICENSE-MIT",
      "LICENSE-APACHE",
      "dist/index.js",
      "dist/index.d.ts",
    ]) {
      assert.ok(
        contents.find(({ path, size }) => path === needed && size > 0),
        `${needed} is missing or empty`,
      );
    }
    const own = JSON.parse(readFileSync(path.join(root, "pkg/package.json"), "utf8"));
    const targets = Object.values(own.exports).flatMap((target) =>
      typeof target === "string" ? target : Object.values(target),
    );
    for (const target of targets)
      assert.ok(
        contents.some((file) => `./${file.path}` === target),
        `${target} is missing`,
      );
    assert.deepEqual(
      [own.dependencies, own.scripts],
      [undefined, undefined],
      "nothing more is installed or run at the user's",
    );
  },

  "crate and package have one version"() {
    const crate = /^version = "(.*)"$/m.exec(readFileSync(path.join(root, "Cargo.toml"), "utf8"))[1];
    assert.equal(JSON.parse(readFileSync(path.join(root, "pkg/package.json"), "utf8")).version, crate);
  },

  "the built files name no folder of the machine that built them"() {
    const folders = [root.replace(/\/$/, ""), process.env.HOME, process.env.CARGO_HOME].filter(
      (folder) => folder?.length > 2,
    );
    for (const { path: name } of contents) {
      const file = readFileSync(path.join(root, "pkg", name), "latin1");
      for (const folder of folders) assert.ok(!file.includes(`${folder}/`), `${name} names ${folder}`);
    }
  },

  "Node imports it"() {
    const folder = project("node");
    assert.deepEqual(JSON.parse(run(process.execPath, ["import.mjs"], folder)), EXPECTED);
  },

  "Node requires it, the same module"() {
    const folder = path.join(temp, "node");
    assert.deepEqual(JSON.parse(run(process.execPath, ["--throw-deprecation", "require.cjs"], folder)), {
      a: 1,
      same: true,
    });
  },

  "every other Node on PATH imports it, if it is 20 or newer"() {
    const others = new Set(
      process.env.PATH.split(path.delimiter)
        .map((folder) => path.join(folder, "node"))
        .filter(existsSync),
    );
    for (const node of others) {
      const version = run(node, ["-v"]).trim();
      if (Number(/^v(\d+)/.exec(version)[1]) < 20) continue;
      assert.deepEqual(JSON.parse(run(node, ["import.mjs"], path.join(temp, "node"))), EXPECTED, version);
    }
  },

  "strict TypeScript finds its types, generic in key and value, and wrong use is an error"() {
    const folder = project("types");
    const strict = {
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      target: "ES2022",
      exactOptionalPropertyTypes: true,
    };
    const settings = {
      bundler: { module: "ESNext", moduleResolution: "bundler", lib: ["ES2022", "DOM"], types: [] },
      nodenext: { module: "nodenext", moduleResolution: "nodenext", lib: ["ES2022", "DOM"], types: [] },
      // Without DOM's types, in a Worker: those of Cloudflare, which don't pass their own check with skipLibCheck off.
      worker: {
        module: "ESNext",
        moduleResolution: "bundler",
        customConditions: ["workerd"],
        lib: ["ES2022"],
        skipLibCheck: true,
        types: [path.join(root, "node_modules/@cloudflare/workers-types")],
      },
    };
    for (const [name, options] of Object.entries(settings)) {
      const config = path.join(folder, `${name}.json`);
      writeFileSync(config, JSON.stringify({ compilerOptions: { ...strict, ...options }, files: ["index.ts"] }));
      run("tsc", ["-p", config], folder);
    }
  },

  async "a Vite build runs in Chromium"() {
    const folder = project("vite");
    run("vite", ["build", "--logLevel", "warn"], folder);
    assert.ok(
      readdirSync(path.join(folder, "dist/assets")).some((name) => name.endsWith(".wasm")),
      "the wasm is an asset",
    );
    const server = await serve(path.join(folder, "dist"));
    assert.deepEqual(await inChromium(`${server.url}/`), EXPECTED);
    server.stop();
  },

  async "Vite's dev server runs it in Chromium"() {
    const port = await freePort();
    const server = start("vite", ["--host", "127.0.0.1", "--port", `${port}`, "--strictPort"], {
      cwd: path.join(temp, "vite"),
      env,
    });
    await server.answers(`http://127.0.0.1:${port}/`);
    assert.deepEqual(await inChromium(`http://127.0.0.1:${port}/`), EXPECTED);
    server.stop();
  },

  async "a plain script of type module runs it in Chromium, whatever type the server gives the wasm"() {
    const folder = project("page");
    for (const type of ["application/wasm", "application/octet-stream"]) {
      const server = await serve(folder, type);
      assert.deepEqual(await inChromium(`${server.url}/index.html`), EXPECTED);
      server.stop();
    }
  },

  "wrangler bundles it, with the wasm as a module and only the Worker's entry"() {
    const folder = project("worker");
    run("wrangler", ["deploy", "--dry-run", "--outdir", "out"], folder);
    const out = readdirSync(path.join(folder, "out"));
    assert.equal(out.filter((name) => name.endsWith(".wasm")).length, 1, out.join(" "));
    const script = readFileSync(path.join(folder, "out/worker.js"), "utf8");
    assert.match(script, /cloudflare:workers/);
    assert.doesNotMatch(script, /node:fs|instantiateStreaming/);
  },

  async "wrangler dev runs it"() {
    const [port, inspector] = [await freePort(), await freePort()];
    const args = ["dev", "--ip", "127.0.0.1", "--port", `${port}`, "--inspector-port", `${inspector}`];
    const options = { cwd: path.join(temp, "worker"), env };
    const server = start("wrangler", [...args, "--show-interactive-dev-session=false"], options);
    await server.answers(`http://127.0.0.1:${port}/`);
    assert.deepEqual(await (await fetch(`http://127.0.0.1:${port}/`)).json(), EXPECTED);
    server.stop();
  },
};

/** A static server, whose type for .wasm can be chosen: not every server knows it. */
async function serve(folder, wasmType = "application/wasm") {
  const types = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": wasmType };
  const server = http.createServer((request, response) => {
    const name = decodeURI(new URL(request.url, "http://here").pathname).replace(/\/$/, "/index.html");
    const file = path.join(folder, path.normalize(name));
    if (!existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": types[path.extname(file)] ?? "text/plain" }).end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => (server.closeAllConnections(), server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}

let browser;

/** What the page at `url` puts into `globalThis.result`. */
async function inChromium(url) {
  const { args } = JSON.parse(readFileSync(path.join(root, "webdriver.json"), "utf8"))["goog:chromeOptions"];
  browser ??= await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("requestfailed", (request) => said.push(`${request.url()} failed`));
  try {
    await page.goto(url);
    const result = await page.waitForFunction(() => globalThis.result, undefined, { timeout: 20_000 });
    return await result.jsonValue();
  } catch (error) {
    throw new Error(`${error.message}\n${said.join("\n")}`);
  } finally {
    await page.close();
  }
}

let passed = 0;
let failed = 0;
async function test(name, body) {
  const start = Date.now();
  try {
    await body();
    passed++;
    console.log(`ok      ${name} (${Date.now() - start} ms)`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n        ${String(error.stack).replaceAll("\n", "\n        ")}`);
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
process.on("exit", () => rmSync(temp, { recursive: true, force: true }));

mkdirSync(path.join(temp, "tarball"));
const [packed] = JSON.parse(
  run("npm", ["pack", "--json", "--pack-destination", path.join(temp, "tarball")], path.join(root, "pkg")),
);
tarball = path.join(temp, "tarball", packed.filename);
contents = packed.files;
console.log(
  `${packed.filename}: ${contents.length} files, ${packed.size} bytes packed, ${packed.unpackedSize} unpacked`,
);
for (const [name, body] of Object.entries(tests)) await test(name, body);
await browser?.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
