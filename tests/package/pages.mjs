// The package in pages.

import assert from "node:assert/strict";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { serve } from "../browser.mjs";
import { freePort, start } from "../processes.mjs";
import { alone, attempt, env, EXPECTED, inChromium, project, run } from "./harness.mjs";

export default {
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
      cwd: project("vite"),
      env,
    });
    await server.answers(`http://127.0.0.1:${port}/`);
    assert.deepEqual(await inChromium(`http://127.0.0.1:${port}/`), EXPECTED);
    server.stop();
  },

  async "a plain script of type module runs it in Chromium, whatever type the server gives the wasm"() {
    const folder = project("page");
    for (const type of ["application/wasm", "application/octet-stream"]) {
      const server = await serve(folder, { types: { ".wasm": type } });
      assert.deepEqual(await inChromium(`${server.url}/index.html`), EXPECTED);
      server.stop();
    }
  },

  async "a wasm that is not there is told, with what to do"() {
    const folder = alone("missing");
    cpSync(project("page"), folder, { recursive: true });
    const wasm = path.join(folder, "node_modules/nearcache/dist/nearcache.wasm");
    rmSync(wasm);
    // A server without the file, and one that answers everything with its page.
    for (const found of [/nearcache\.wasm answered 404/, /magic word/]) {
      const server = await serve(folder, { types: { ".wasm": "text/html" } });
      const told = await inChromium(`${server.url}/index.html`, "error");
      assert.match(told, /^NearCacheError: /);
      assert.match(told, found);
      assert.match(told, /import "nearcache\/inline"/);
      server.stop();
      writeFileSync(wasm, "<!doctype html>");
    }
  },

  async "nearcache/inline, bundled by esbuild into a classic script for es2020, runs in Chromium"() {
    const folder = alone("iife", path.join(project("bundles"), "index.html"));
    esbuild("inline.mjs", folder, ["--format=iife", "--target=es2020", "--minify"]);
    const server = await serve(folder);
    assert.deepEqual(await inChromium(`${server.url}/index.html`), EXPECTED);
    server.stop();
  },

  async "it runs in a service worker"() {
    const folder = alone("service-worker", path.join(project("bundles"), "worker.html"));
    esbuild("inline.mjs", folder, ["--format=iife"]);
    const server = await serve(folder);
    assert.deepEqual(await inChromium(`${server.url}/worker.html`), EXPECTED);
    server.stop();
  },

  async "a page may hand in the wasm that it fetches"() {
    const wasm = path.join(project("bundles"), "node_modules/nearcache/dist/nearcache.wasm");
    const folder = alone("init-page", path.join(project("bundles"), "index.html"), wasm);
    esbuild("init-page.mjs", folder, ["--format=iife"]);
    const server = await serve(folder);
    const [early, missing, wrong, result] = await inChromium(`${server.url}/index.html`);
    assert.match(early, /^ERR_WASM: .*initSync/);
    assert.match(missing, /^ERR_WASM: .*answered 404/);
    assert.match(wrong, /^ERR_WASM: /);
    assert.deepEqual(result, EXPECTED);
    server.stop();
  },

  "bundled into a classic script, the entry that fetches fails at once and names the one that does not"() {
    const { status, output } = attempt("esbuild", ["main.mjs", "--bundle", "--format=iife"], project("bundles"));
    assert.equal(status, 1);
    assert.match(output, /nearcache\/inline/);
  },
};

function esbuild(entry, folder, args) {
  const out = `--outfile=${path.join(folder, "bundle.js")}`;
  run("esbuild", [entry, "--bundle", "--log-level=warning", ...args, out], project("bundles"));
}
