// The tiers in Node: chains over tiers that do as they are told, each store, and a real Redis. `--only=part of a title`.

import { limit, report, settings } from "../js/report.mjs";
import { run } from "../js/runner.mjs";

limit(150_000, "tiers in node");
await import("./chain.mjs");
await import("./stores.mjs");
await import("./invalidation.mjs");
await import("./purge-log.mjs");
await import("./zone-purge.mjs");
const { end, faultTable } = await import("./real-redis.mjs");
const given = settings();
const results = await run({ ...given, runtime: "node", timeout: 30_000 });
await end();
console.log(faultTable());
report("tiers in node", results);
process.exit();
