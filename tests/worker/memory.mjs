// How much memory a probed Worker holds.

import { readFileSync } from "node:fs";
import { get, sleep } from "./client.mjs";

const MIB = 1 << 20;

/** After the garbage is collected: the resident memory of the process, both heaps and the runtime's own, and the wasm's, in MiB. */
export async function memoryOf(server) {
  let wasm;
  // Some is let go of only when what was collected before has been told.
  for (let i = 0; i < 3; i++) {
    wasm = JSON.parse((await get(server, "/", { headers: { "x-probe": "memory" } })).text).wasm;
    await sleep(50);
  }
  const kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]);
  return { resident: Math.round(kib / 1024), wasm: Math.round((wasm / MIB) * 10) / 10 };
}
