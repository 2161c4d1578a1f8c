// How much memory a Worker's process holds.

import { readFileSync } from "node:fs";

/** The resident memory of a server's process, both heaps and the runtime's own, in MiB. */
export function memoryOf({ pid }) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024);
}
