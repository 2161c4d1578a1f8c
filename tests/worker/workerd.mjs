// Starts the built Worker in real runtimes: raw `workerd serve` with nothing around it, and `wrangler dev`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, start } from "../processes.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const built = path.join(root, "build/worker");

/**
 * The Worker in raw workerd, with these variables, and these objects: classes by the names of their bindings. `probed`: with a module around it that collects garbage when it is asked to, and
 * tells how large the wasm's memory is (see memory.mjs).
 */
export async function startWorkerd(vars, { probed = false, flags = [], objects = {} } = {}) {
  const port = await freePort();
  const folder = mkdtempSync(path.join(tmpdir(), "nearcache-workerd-"));
  const bindings = Object.entries(vars).map(([name, value]) =>
    typeof value === "string"
      ? `(name = "${name}", text = ${JSON.stringify(value)})`
      : `(name = "${name}", json = ${JSON.stringify(JSON.stringify(value))})`,
  );
  for (const [name, of] of Object.entries(objects)) {
    bindings.push(`(name = "${name}", durableObjectNamespace = "${of}")`);
  }
  const namespaces = Object.values(objects).map((of) => `(className = "${of}", uniqueKey = "${of}", enableSql = true)`);
  const config = path.join(folder, "config.capnp");
  const embed = (name, kind, from = path.relative(folder, path.join(built, name))) =>
    `(name = "./${name}", ${kind} = embed "${from}"),`;
  const probe = probed ? embed("probe.js", "esModule", "probe.js") + embed("hook.js", "esModule", "hook.js") : "";
  if (probed) {
    writeFileSync(path.join(folder, "probe.js"), PROBE);
    writeFileSync(path.join(folder, "hook.js"), HOOK);
  }
  const v8 = [...flags, ...(probed ? ["--expose-gc"] : [])].map((flag) => JSON.stringify(flag));
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "net", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
  v8Flags = [${v8.join(", ")}],
);
const worker :Workerd.Worker = (
  modules = [
    ${probe}
    ${embed("index.js", "esModule")}
    ${embed("index_bg.wasm", "wasm")}
    ${embed("tiers_bg.wasm", "wasm")}
  ],
  compatibilityDate = "2026-11-01",
  globalOutbound = "net",
  bindings = [${bindings.join(", ")}],
  durableObjectNamespaces = [${namespaces.join(", ")}],
  durableObjectStorage = (inMemory = void),
);
`,
  );
  const inspector = probed ? await freePort() : undefined;
  const inspected = probed ? [`--inspector-addr=127.0.0.1:${inspector}`] : [];
  const child = start(path.join(root, "node_modules/.bin/workerd"), ["serve", ...inspected, config], options());
  const server = await ready(child, port);
  return { ...server, inspector, stop: () => (server.stop(), rmSync(folder, { recursive: true, force: true })) };
}

// Before the Worker's module is: remembers the wasm's instances.
const HOOK = `const { Instance } = WebAssembly;
globalThis.instances = [];
WebAssembly.Instance = new Proxy(Instance, {
  construct(target, given) {
    const instance = new target(...given);
    globalThis.instances.push(instance);
    return instance;
  },
});
`;
const PROBE = `import "./hook.js";
import worker from "./index.js";
export default {
  fetch(request, env, context) {
    if (!request.headers.has("x-probe")) return worker.fetch(request, env, context);
    gc();
    gc();
    const wasm = globalThis.instances.map(({ exports }) => exports.memory.buffer.byteLength);
    return Response.json({ wasm: wasm.at(-1), instances: wasm.length });
  },
};
`;

/** The Worker as `wrangler dev` runs it, built already. */
export async function startWrangler(vars) {
  const port = await freePort();
  const inspector = await freePort();
  const folder = mkdtempSync(path.join(tmpdir(), "nearcache-wrangler-"));
  const list = Object.entries(vars).flatMap(([name, text]) => ["--var", `${name}:${text}`]);
  // A configuration of its own, so that wrangler does not build again.
  const config = path.join(folder, "wrangler.json");
  writeFileSync(
    config,
    JSON.stringify({ name: "nearcache-test", main: path.join(built, "index.js"), compatibility_date: "2026-11-01" }),
  );
  const args = [
    "dev",
    "--config",
    config,
    "--ip",
    "127.0.0.1",
    "--port",
    `${port}`,
    "--inspector-port",
    `${inspector}`,
    ...list,
  ];
  const child = start(path.join(root, "node_modules/.bin/wrangler"), args, options());
  const server = await ready(child, port);
  return { ...server, stop: () => (server.stop(), rmSync(folder, { recursive: true, force: true })) };
}

function options() {
  const quiet = { WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", CI: "true" };
  const PATH = `${path.join(root, "node_modules/.bin")}:${process.env.PATH}`;
  return { cwd: root, env: { ...process.env, ...quiet, PATH } };
}

async function ready(server, port) {
  const url = `http://127.0.0.1:${port}`;
  await server.answers(`${url}/ready?h=Cache-Control:no-store`);
  return { ...server, url, port };
}
