// The package in each runtime that takes it without a bundler, and in Workers.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, realpathSync, writeFileSync } from "node:fs";
import path from "node:path";
import { freePort, start } from "../processes.mjs";
import { bundle, serve as serveWorker } from "../js/workerd.mjs";
import { alone, env, EXPECTED, project, run } from "./harness.mjs";

export default {
  "Node imports it"() {
    const folder = project("node");
    assert.deepEqual(JSON.parse(run(process.execPath, ["import.mjs"], folder)), EXPECTED);
  },

  "Node requires it, the same module where it takes ES modules"() {
    const said = run(process.execPath, ["--throw-deprecation", "require.cjs"], project("node"));
    assert.deepEqual(JSON.parse(said), { a: 1, takes: true, same: true });
    for (const [node, version] of nodes()) {
      const { a, takes, same } = JSON.parse(run(node, ["require.cjs"], project("node")));
      assert.deepEqual([a, same], [1, takes], version);
    }
  },

  "every other Node on PATH imports it, if it is 20 or newer"() {
    for (const [node, version] of nodes()) {
      assert.deepEqual(JSON.parse(run(node, ["import.mjs"], project("node"))), EXPECTED, version);
    }
  },

  "where require takes no ES modules, it gets CommonJS"() {
    const folder = project("node");
    const exercise = readFileSync(path.join(folder, "exercise.mjs"), "utf8");
    writeFileSync(
      path.join(folder, "exercise.cjs"),
      exercise.replace(/^import (.*) from "nearcache";$/m, 'const $1 = require("nearcache");').replace("export ", "") +
        "exports.exercise = exercise;\n",
    );
    for (const [node, version] of nodes()) {
      const said = run(node, ["--no-experimental-require-module", "old-require.cjs"], folder);
      assert.deepEqual(JSON.parse(said), { result: EXPECTED, handed: 1 }, version);
    }
  },

  "Deno and Bun import it"() {
    const folder = project("node");
    const deno = ["run", "--quiet", "--no-prompt", "import.mjs"];
    assert.deepEqual(JSON.parse(run("deno", deno, folder)), EXPECTED);
    assert.deepEqual(JSON.parse(run("bun", ["import.mjs"], folder)), EXPECTED);
  },

  async "tiers come with their import, in Node, Deno, Bun and workerd, and not without"() {
    const folder = project("tiers");
    const said = { first: "loaded", second: "loaded", hits: 1, checks: 13, failed: [] };
    for (const [command, ...args] of [[process.execPath], ["bun"], ["deno", "run", "--quiet", "--no-prompt"]]) {
      assert.deepEqual(JSON.parse(run(command, [...args, "main.mjs"], folder)), said, command);
    }
    assert.deepEqual(JSON.parse(run(process.execPath, ["main.cjs"], folder)), said, "CommonJS");
    const out = alone("tiers-worker");
    await bundle(path.join(folder, "worker.mjs"), out);
    assert.deepEqual(readdirSync(out).filter((name) => name.endsWith(".wasm")).length, 2);
    const worker = await serveWorker(out);
    assert.deepEqual(await (await fetch(worker.url)).json(), said);
    worker.stop();
    // Who does not import them gets nothing of them.
    const without = alone("tiers-without");
    await bundle(path.join(project("bundles"), "init-worker.mjs"), without);
    const text = readFileSync(path.join(without, "main.js"), "utf8");
    assert.doesNotMatch(text, /MGET|clockSkew|circuit/);
    assert.equal(readdirSync(without).filter((name) => name.endsWith(".wasm")).length, 1);
  },

  async "the HTTP cache comes with its import, in Node, Deno, Bun and workerd"() {
    const folder = project("http");
    const said = { texts: ["call 1", "call 1"], hits: 1, wrong: "maxByte: unknown option, did you mean maxBytes?" };
    for (const [command, ...args] of [[process.execPath], ["bun"], ["deno", "run", "--quiet", "--no-prompt"]]) {
      assert.deepEqual(JSON.parse(run(command, [...args, "main.mjs"], folder)), said, command);
    }
    assert.deepEqual(JSON.parse(run(process.execPath, ["main.cjs"], folder)), said, "CommonJS");
    const out = alone("http-worker");
    await bundle(path.join(folder, "worker.mjs"), out);
    // The class is not in it.
    assert.equal(readdirSync(out).filter((name) => name.endsWith(".wasm")).length, 1);
    const worker = await serveWorker(out);
    assert.deepEqual(await (await fetch(worker.url)).json(), said);
    worker.stop();
  },

  "all entry points are one package"() {
    assert.deepEqual(JSON.parse(run(process.execPath, ["same.mjs"], project("node"))), [true, true, true, 1]);
  },

  "the wasm can be handed in, and what is missing or wrong is told"() {
    for (const [command, ...args] of [[process.execPath], [process.execPath, "sync"], ["bun"], ["deno", "run", "-A"]]) {
      const sync = args[0] === "sync";
      const given = sync ? ["init.mjs", "sync"] : [...args, "init.mjs"];
      const { refusals, result } = JSON.parse(run(command, given, project("node")));
      assert.deepEqual(result, EXPECTED, command);
      assert.equal(refusals.length, 7);
      for (const text of refusals) assert.match(text, /^ERR_WASM: /, command);
      for (const text of refusals.slice(0, 3)) assert.match(text, /initSync\(module\).*nearcache\/init/);
      assert.match(refusals[6], /404/);
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
    const options = { cwd: project("worker"), env };
    const server = start("wrangler", [...args, "--show-interactive-dev-session=false"], options);
    await server.answers(`http://127.0.0.1:${port}/`);
    assert.deepEqual(await (await fetch(`http://127.0.0.1:${port}/`)).json(), EXPECTED);
    server.stop();
  },

  async "a Worker may hand the wasm in"() {
    const folder = project("bundles");
    const out = alone("init-worker");
    await bundle(path.join(folder, "init-worker.mjs"), out);
    const worker = await serveWorker(out);
    assert.deepEqual(await (await fetch(worker.url)).json(), EXPECTED);
    worker.stop();
  },
};

/** The Nodes on PATH that the package is for, with their versions. */
function nodes() {
  const all = new Set(
    process.env.PATH.split(path.delimiter)
      .map((folder) => path.join(folder, "node"))
      .filter(existsSync)
      .map((node) => realpathSync(node)),
  );
  const versions = [...all].map((node) => [node, run(node, ["-v"]).trim()]);
  return versions.filter(([, version]) => Number(/^v(\d+)/.exec(version)[1]) >= 20);
}
