// The tiers in Node: chains over tiers that do as they are told, each store, and a real Redis. `--only=part of a title`, `--seed=N`,
// `--count=N` for as many rounds of random writes.

import { limit, report, settings } from "../js/report.mjs";
import { run } from "../js/runner.mjs";

limit(150_000, "tiers in node");
await import("./chain.mjs");
await import("./computed.mjs");
await import("./layers.mjs");
await import("./edges.mjs");
await import("./writes.mjs");
await import("./stores.mjs");
await import("./invalidation.mjs");
await import("./snapshots.mjs");
await import("./snapshot-file.mjs");
await import("./sockets.mjs");
await import("./store-faults.mjs");
await import("./purge-log.mjs");
await import("./zone-purge.mjs");
const { end } = await import("./real-redis.mjs");
const { faultTable } = await import("./cost.mjs");
const given = settings();
const results = await run({ ...given, runtime: "node", timeout: 30_000 });
await end();
console.log(faultTable());
report("tiers in node", results, given.seed);
process.exit();
