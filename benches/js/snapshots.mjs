// How long a snapshot of a million entries takes, how large it is, and what memory it wants beyond the cache's:
// `node --expose-gc benches/js/snapshots.mjs [ENTRIES]`.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NearCache } from "nearcache";
import { loadSnapshot, saveSnapshot, snapshotFile } from "nearcache/tiers";

const count = Number(process.argv[2] ?? 1_000_000);
const folder = mkdtempSync(join(tmpdir(), "nearcache-"));
const options = { maxEntries: count, ttl: "1h" };
const cache = new NearCache(options);
for (let n = 0; n < count; n++) cache.set(`/products/${n}?lang=en`, { id: n, name: `Product ${n}`, price: n / 100 });

/** Runs, with the peak of memory above what it began with, and the longest time that nothing else had its turn. */
async function measured(body) {
  globalThis.gc?.();
  const before = process.memoryUsage();
  const held = ({ heapUsed, external }) => heapUsed + external;
  let [peak, longest, last] = [0, 0, performance.now()];
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    peak = Math.max(peak, held(process.memoryUsage()) - held(before));
  }, 1);
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const result = await body();
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(timer);
  return {
    result,
    seconds: (performance.now() - start) / 1e3,
    cpu: (user + system) / 1e6,
    peak: peak / 2 ** 20,
    longest,
  };
}

for (const more of [{}, { compress: true }, { secrets: ["a secret of 32 bytes ..........."] }]) {
  const store = snapshotFile(join(folder, "cache.snapshot"));
  const save = await measured(() => saveSnapshot(cache, store, more));
  const to = new NearCache(options);
  const load = await measured(() => loadSnapshot(to, store, more));
  if (to.size !== count) throw new Error(`${to.size} of ${count}`);
  const mib = save.result.bytes / 2 ** 20;
  const line = ({ seconds, cpu, peak, longest }) =>
    `${seconds.toFixed(2)} s (${cpu.toFixed(2)} s CPU), peak ${peak.toFixed(0)} MiB, longest turn ${longest.toFixed(0)} ms`;
  console.log(`${JSON.stringify(Object.keys(more))}: ${count} entries, ${mib.toFixed(1)} MiB`);
  console.log(`  save ${line(save)}\n  load ${line(load)}, the cache's own memory included`);
}
rmSync(folder, { recursive: true });
