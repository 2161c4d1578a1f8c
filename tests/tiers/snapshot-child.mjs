// A process with a cache and a snapshot in a file: `snapshot-child.mjs FILE TAG` starts warm if it can, then saves again and again; each
// value says which process loaded it.

import { NearCache } from "nearcache";
import { loadSnapshot, saveSnapshot, snapshotFile } from "nearcache/tiers";

let isEnding = false;
process.on("SIGTERM", () => (isEnding = true));

const [file, tag] = process.argv.slice(2);
const store = snapshotFile(file);
const cache = new NearCache({ maxEntries: 50_000, ttl: "1h" });
const loaded = await loadSnapshot(cache, store, { schema: "child" });
let loads = 0;
for (let n = 0; n < 30_000; n++) {
  await cache.getOrSet(`key ${n}`, () => {
    loads++;
    return `${n} of ${tag}`;
  });
}
process.stdout.write(`${JSON.stringify({ loaded: loaded?.entries ?? null, loads, first: cache.get("key 7") })}\n`);

for (;;) {
  const isLast = isEnding;
  process.stdout.write("saving\n");
  await saveSnapshot(cache, store, { schema: "child" });
  process.stdout.write("saved\n");
  if (isLast) break;
}
