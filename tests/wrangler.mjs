// `wrangler dev`, as users run it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, start } from "./processes.mjs";

const bin = fileURLToPath(new URL("../node_modules/.bin/", import.meta.url));

/** Runs what the folder's configuration names, with these variables, until it is stopped. */
export async function startWrangler(cwd, vars = {}) {
  const [port, inspector] = [await freePort(), await freePort()];
  const state = mkdtempSync(join(tmpdir(), "nearcache-wrangler-"));
  const args = ["dev", "--ip=127.0.0.1", `--port=${port}`, `--inspector-port=${inspector}`, `--persist-to=${state}`];
  args.push("--show-interactive-dev-session=false");
  for (const [name, value] of Object.entries(vars)) args.push("--var", `${name}:${value}`);
  const quiet = { WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", CI: "1", NO_COLOR: "1" };
  const env = { ...process.env, ...quiet, PATH: `${bin}:${process.env.PATH}` };
  const child = start(join(bin, "wrangler"), args, { cwd, env });
  const stop = () => {
    child.stop();
    rmSync(state, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  await child.answers(`${url}/ready`);
  return { url, log: child.log, stop };
}
