// The package in what bundlers make for Node, Bun and the edge. Each bundle runs where nothing lies beside it.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import vm from "node:vm";
import { alone, EXPECTED, project, run } from "./harness.mjs";

/** Bundles main.mjs, or the entry given, to a file of this name; what Node, or another, says when it runs that elsewhere. */
function bundled(name, command, args, runner = [process.execPath]) {
  const folder = project("bundles");
  const file = path.join(folder, "out", name);
  run(command, args(file), folder);
  const made = readdirSync(path.dirname(file)).filter((name) => name.endsWith(".wasm"));
  assert.deepEqual(made, [], "no file is needed beside the bundle");
  return run(runner[0], [...runner.slice(1), name], alone(`run-${name}`, file));
}
const works = (said) => assert.deepEqual(JSON.parse(said), EXPECTED);

export default {
  "bundled for Node by esbuild it works, as ES module, in Deno too, and as CommonJS, minified too"() {
    const args = (format, more) => (file) => [
      ...["main.mjs", "--bundle", "--platform=node", `--format=${format}`, "--log-level=warning"],
      ...more,
      `--outfile=${file}`,
    ];
    works(bundled("esbuild.mjs", "esbuild", args("esm", [])));
    // Deno gives it leave for nothing: it reads no file and asks no server.
    works(bundled("esbuild.mjs", "esbuild", args("esm", []), ["deno", "run", "--quiet", "--no-prompt"]));
    works(bundled("esbuild.cjs", "esbuild", args("cjs", ["--minify"])));
  },

  "bundled for Node by Rolldown it works"() {
    for (const format of ["esm", "cjs"]) {
      const name = `rolldown.${format === "esm" ? "mjs" : "cjs"}`;
      works(bundled(name, "rolldown", (file) => ["main.mjs", "--platform=node", "--format", format, "--file", file]));
    }
  },

  "bundled for Node by Vite it works, as a server's code and as a library"() {
    const folder = project("bundles");
    const settings = {
      ssr: { ssr: { noExternal: true }, build: { ssr: "main.mjs" } },
      lib: { build: { lib: { entry: "main.mjs", formats: ["es"] } } },
    };
    for (const [name, { build, ...more }] of Object.entries(settings)) {
      const file = `vite-${name}.mjs`;
      const output = { entryFileNames: file };
      const config = { ...more, build: { ...build, outDir: "out", emptyOutDir: false, rolldownOptions: { output } } };
      writeFileSync(path.join(folder, "vite.config.mjs"), `export default ${JSON.stringify(config)};`);
      works(bundled(file, "vite", () => ["build", "--logLevel", "warn"]));
    }
  },

  "bundled by Bun it works, in Node and in Bun"() {
    const args = (target) => (file) => ["build", "main.mjs", `--target=${target}`, `--outfile=${file}`];
    works(bundled("bun-node.mjs", "bun", args("node")));
    works(bundled("bun.mjs", "bun", args("bun"), ["bun"]));
  },

  async "with the condition edge-light it works where wasm may be compiled, and says what to do where it may not"() {
    const folder = project("bundles");
    const file = path.join(folder, "out/edge.js");
    const args = ["edge.mjs", "--bundle", "--format=iife", "--conditions=edge-light", "--log-level=warning"];
    run("esbuild", [...args, `--outfile=${file}`], folder);
    // What such a place has: the web's names, none of Node's. A realm of its own has its own WebAssembly.
    const globals = {
      URL,
      URLSearchParams,
      setTimeout,
      clearTimeout,
      queueMicrotask,
      TextEncoder,
      TextDecoder,
      atob,
      AbortController,
      // As in Next's edge runtime: the name is there, and what it names is not.
      MessageChannel: class {
        constructor() {
          throw new Error("A Node.js API is used (MessageChannel) which is not supported in the Edge Runtime.");
        }
      },
    };
    const inEdge = (wasm) => {
      const context = vm.createContext({ ...globals }, { codeGeneration: { strings: false, wasm } });
      vm.runInContext(readFileSync(file, "utf8"), context);
      return context;
    };
    // Objects of another realm have other prototypes.
    const plain = (value) => JSON.parse(JSON.stringify(value));
    const free = inEdge(true);
    assert.equal(free.refused, undefined);
    assert.deepEqual(plain(await free.exercise()), EXPECTED);

    const strict = inEdge(false);
    assert.match(strict.refused, /^ERR_WASM: .*disallowed by embedder.*initSync of "nearcache\/init"/);
    strict.handIn(
      new WebAssembly.Module(readFileSync(path.join(folder, "node_modules/nearcache/dist/nearcache.wasm"))),
    );
    assert.deepEqual(plain(await strict.exercise()), EXPECTED);
  },
};
