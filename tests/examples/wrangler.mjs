// Runs a Worker in the real `wrangler dev` until told to stop.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("../../", import.meta.url).pathname;
const running = new Set();

// A wrangler is a tree of processes: its group goes as a whole, however this process ends.
process.on("exit", () => running.forEach((child) => kill(child, "SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

function kill(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {} // gone already
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Ready when it answers at all, and within `limit` ms. */
export async function startWrangler(folder, vars, limit = 60_000) {
  const [port, inspector] = [await freePort(), await freePort()];
  const state = mkdtempSync(join(tmpdir(), "nearcache-wrangler-"));
  const args = [
    "dev",
    "--ip",
    "127.0.0.1",
    "--port",
    port,
    "--inspector-port",
    inspector,
    "--persist-to",
    state,
    "--show-interactive-dev-session=false",
    ...Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
  ];
  const bin = join(root, "node_modules/.bin");
  const env = {
    ...process.env,
    PATH: `${bin}:${process.env.PATH}`,
    WRANGLER_SEND_METRICS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    CI: "1",
    NO_COLOR: "1",
  };
  const child = spawn(join(bin, "wrangler"), args.map(String), {
    cwd: join(root, folder),
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (log += data));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    kill(child, "SIGTERM");
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 3000))]);
    kill(child, "SIGKILL");
    running.delete(child);
    rmSync(state, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  for (const end = Date.now() + limit; ;) {
    if (
      /Ready on/.test(log) &&
      (await fetch(url, { method: "HEAD" }).then(
        () => true,
        () => false,
      ))
    )
      break;
    if (child.exitCode !== null || Date.now() > end) {
      await stop();
      throw new Error(`wrangler dev did not get ready:\n${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, stop, log: () => log };
}
