// What an entry takes, and what it costs to grow: `node --expose-gc memory.mjs [CONTENDER…]`, each in a process of its own.
// Bytes of the JS heap and of what lies beside it (wasm memories, typed arrays) for each entry of a full cache, without keys and
// values, after as many others have left it, so that what is remembered of those is there too; CPU time of a set while the cache fills, the clock's two readings included, and the longest of them, since some copy
// what is there to make room. The least of three runs.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { urls } from "./cases.mjs";
import { contenders } from "./contenders.mjs";
import { heapBytes, outerBytes, settle } from "./settled.mjs";

const SIZES = [1_000, 10_000, 100_000, 1_000_000];
const RUNS = 3;
const BASE = "lru-cache";
const CONTENDERS = ["map", "nearcache", "nearcache, lru", BASE, "quick-lru"];

/** Stores a value for each key: milliseconds of the longest set. */
function fill({ set }, keys) {
  let longest = 0;
  for (let i = 0; i < keys.length; i++) {
    const start = performance.now();
    set(keys[i], i);
    longest = Math.max(longest, performance.now() - start);
  }
  return longest;
}

/** One contender, full with `size` entries: bytes an entry on the heap and beside it, nanoseconds a set, the longest. */
async function measure(contender, size) {
  const contended = await contenders[contender]();
  const all = urls(2 * size);
  const keys = all.slice(0, size);
  // So that strings have their hashes, code is compiled, and what is made lazily is made.
  for (let runs = 0; runs < Math.max(1, 100_000 / size); runs++) fill(contended.make(16), keys);
  settle();
  const [heap, outer] = [heapBytes(), outerBytes()];
  const made = contended.make(size);
  const start = process.cpuUsage();
  const longest = fill(made, keys);
  const { user, system } = process.cpuUsage(start);
  // A Map keeps all.
  if (contender !== "map") fill(made, all.slice(size));
  settle();
  if (made.cache.size !== size) throw new Error("not full");
  return [(heapBytes() - heap) / size, (outerBytes() - outer) / size, ((user + system) * 1_000) / size, longest];
}

const [one, contender, size] = process.argv.slice(2);
if (one === "--one") {
  console.log((await measure(contender, Number(size))).join(" "));
} else {
  const file = fileURLToPath(import.meta.url);
  const chosen = process.argv.length > 2 ? process.argv.slice(2) : CONTENDERS;
  for (const size of SIZES) {
    console.log(`\n${size} entries`);
    let base;
    const rows = chosen.map((contender) => {
      const runs = Array.from({ length: RUNS }, () => {
        const { stdout, stderr } = spawnSync(
          process.execPath,
          ["--expose-gc", file, "--one", contender, String(size)],
          {
            encoding: "utf8",
          },
        );
        if (stdout === "") throw new Error(stderr);
        return stdout.split(" ").map(Number);
      });
      // The least is what others on the machine have least to do with.
      const [heap, outer, ns, longest] = runs[0].map((_, i) => Math.min(...runs.map((run) => run[i])));
      if (contender === BASE) base = heap + outer;
      return { contender, heap, outer, ns, longest };
    });
    for (const { contender, heap, outer, ns, longest } of rows) {
      const ratio = base === undefined ? "" : `  ${((heap + outer) / base).toFixed(2)} × ${BASE}`;
      console.log(
        `  ${contender.padEnd(16)}${(heap + outer).toFixed(1).padStart(7)} B (heap ${heap.toFixed(1)}, beside it ${outer.toFixed(1)})${ratio}` +
          `   ${ns.toFixed(0)} ns a set, the longest ${longest.toFixed(2)} ms`,
      );
    }
  }
}
