// Bundles a Worker as wrangler's bundler would and serves it in raw workerd, with nothing around it.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { start } from "../processes.mjs";

export const COMPATIBILITY_DATE = "2026-11-01";
export const root = fileURLToPath(new URL("../../", import.meta.url));

const folders = [];
process.once("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A folder that goes when the process does. */
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), "nearcache-test-"));
  folders.push(folder);
  return folder;
}

/** Bundles to `main.js` and wasm files beside it. */
export async function bundle(entry, folder) {
  await build({
    entryPoints: { main: entry },
    outdir: folder,
    bundle: true,
    format: "esm",
    target: "esnext",
    conditions: ["workerd"],
    external: ["cloudflare:*"],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    logLevel: "warning",
  });
}

/**
 * Makes V8 compile at once what has run two or three times, so that a few thousand requests meet compiled code everywhere. By
 * itself it waits for some ten thousand, and a test in a fresh isolate sees none of what compiled code does.
 */
export const HURRIED = [
  "--invocation-count-for-maglev=2",
  "--invocation-count-for-turbofan=3",
  // Else it compiles on a thread of its own, and how far that gets is chance.
  "--no-concurrent-recompilation",
];

/** The files of a folder that are a Worker's modules, the Worker itself first. */
function moduleNames(folder) {
  const names = readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name));
  return names.sort((a) => (a === "main.js" ? -1 : 1));
}

/** The same as Miniflare takes them. */
export function modulesOf(folder) {
  return moduleNames(folder).map((name) => ({
    type: name.endsWith(".js") ? "ESModule" : "CompiledWasm",
    path: join(folder, name),
    contents: readFileSync(join(folder, name)),
  }));
}

/**
 * Serves the Worker in a folder, which is `main.js` and what lies beside it. `services`: names of bindings and the addresses
 * behind them; `outbound`: the one that `fetch` goes to, or `"network"` for addresses here, with TLS by the certificates in `trusted`;
 * `objects`: names of bindings and the classes of the Durable Objects behind them; `flags`: V8's.
 */
export async function serve(folder, given = {}) {
  const { services = {}, variables = {}, outbound, trusted = [], objects = {}, flags = [] } = given;
  const text = JSON.stringify;
  const modules = moduleNames(folder).map(
    (name) => `(name = ${text(name)}, ${name.endsWith(".js") ? "esModule" : "wasm"} = embed ${text(name)})`,
  );
  const bindings = [
    ...Object.keys(services).map((name) => `(name = ${text(name)}, service = ${text(name)})`),
    ...Object.entries(variables).map(([name, value]) => `(name = ${text(name)}, text = ${text(String(value))})`),
    ...Object.entries(objects).map(([name, of]) => `(name = ${text(name)}, durableObjectNamespace = ${text(of)})`),
  ];
  const classes = Object.values(objects).map(
    (of) => `(className = ${text(of)}, uniqueKey = ${text(of)}, enableSql = true)`,
  );
  const external = Object.entries(services).map(
    ([name, address]) => `, (name = ${text(name)}, external = (address = ${text(address)}, http = ()))`,
  );
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [${modules.join(", ")}],
    compatibilityDate = "${COMPATIBILITY_DATE}",
    bindings = [${bindings.join(", ")}],
    ${outbound === undefined ? "" : `globalOutbound = ${text(outbound)},`}
    ${classes.length === 0 ? "" : `durableObjectNamespaces = [${classes}], durableObjectStorage = (inMemory = void),`}
  )), (name = "network", network = (
    allow = ["private", "local"],
    tlsOptions = (trustedCertificates = [${trusted.map((pem) => text(pem))}])
  ))${external.join("")}],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
  v8Flags = [${flags.map((flag) => text(flag)).join(", ")}],
);
`,
  );
  const { child, stop, log } = start(
    join(root, "node_modules/.bin/workerd"),
    ["serve", join(folder, "config.capnp"), "--control-fd=3"],
    { stdio: ["pipe"] },
  );
  const port = await new Promise((resolve, reject) => {
    let told = "";
    child.stdio[3].on("data", (data) => {
      told += data;
      const port = /"port":(\d+)/.exec(told)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`workerd ended with ${code}: ${log()}`)));
  });
  return { url: `http://127.0.0.1:${port}`, log, stop, pid: child.pid };
}
