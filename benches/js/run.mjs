// All contenders in all cases, each in a process of its own, round by round, so that a slow moment of the
// machine hits everyone. Prints medians of CPU times, and their ratios to lru-cache with a ttl, or to dataloader.
// `node run.mjs [ROUNDS] [CASE]`; needs Node 22 and the built package.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const BASE = "lru-cache";
const others = ["quick-lru", "flru, no ttl", "mnemonist's LRUMap, no ttl"];
const table = {
  "get, set on miss": ["map", "the least", "nearcache", "nearcache, lru", BASE, "lru-cache, exact time", ...others],
  hit: [
    "map",
    "the least",
    "nearcache",
    "nearcache, no ttl",
    "nearcache, lru",
    "nearcache, told of misses",
    "nearcache, told of hits",
    "nearcache, stale windows",
    BASE,
    "lru-cache, exact time",
    ...others,
  ],
  "set that evicts": ["the least", "nearcache", "nearcache, lru", BASE, "lru-cache, exact time", ...others],
  "await hit, one hot key": [
    "the least",
    "nearcache",
    "nearcache, no ttl",
    BASE,
    "lru-cache, exact time",
    "async-cache-dedupe",
    "cachified",
  ],
  "await hit, Zipf": [
    "the least",
    "nearcache",
    "nearcache, no ttl",
    BASE,
    "lru-cache, exact time",
    "async-cache-dedupe",
    "cachified",
  ],
  "await wrapped hit, Zipf": ["nearcache", "nearcache, getOrSet", BASE, "async-cache-dedupe"],
  "await miss, trivial loader": ["nearcache", BASE, "async-cache-dedupe", "cachified"],
  "1,000 gets of one cold key": ["nearcache", BASE, "async-cache-dedupe", "cachified"],
  "1,000 keys in one tick, cold": ["dataloader", "nearcache's DataLoader", "nearcache's batch"],
  "1,000 keys in one tick, warm": ["dataloader", "nearcache's DataLoader", "nearcache's batch"],
  "bytes per entry": ["map", "nearcache", "nearcache, lru", BASE, ...others],
};

const rounds = Number(process.argv[2] ?? 7);
const only = process.argv[3];
const file = fileURLToPath(new URL("case.mjs", import.meta.url));

function run(contender, name) {
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--expose-gc", file, contender, name], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${contender}, ${name}: ${stderr}`);
  return stdout.split(" ").map(Number);
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

console.log(
  `Node ${process.version}, ${rounds} rounds, medians; ns of CPU an operation (bytes an entry in the last case)`,
);
for (const [name, contenders] of Object.entries(table)) {
  if (only && name !== only) continue;
  const times = new Map(contenders.map((contender) => [contender, []]));
  // Each draws the same keys, so that every round hits as often.
  const hits = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      const [time, ratio] = run(contender, name);
      times.get(contender).push(time);
      if (ratio !== undefined) hits.set(contender, ratio);
    }
  }
  const baseline = times.has(BASE) ? BASE : "dataloader";
  const base = median(times.get(baseline));
  console.log(`\n${name}`);
  for (const [contender, all] of times) {
    const mine = median(all);
    const spread = `${Math.min(...all).toFixed(0)}–${Math.max(...all).toFixed(0)}`;
    const ratio = hits.has(contender) ? `  ${hits.get(contender).toFixed(1)} % hits` : "";
    console.log(
      `  ${contender.padEnd(28)}${mine.toFixed(0).padStart(9)}  ${(mine / base).toFixed(2).padStart(5)} × ${baseline}   (${spread})${ratio}`,
    );
  }
}
