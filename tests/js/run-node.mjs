// The suite in Node, on the package by its name, and what only Node can show. `--seed=N`, `--only=part of a title`.

import { compile } from "./compile.mjs";
import { limit, report, settings } from "./report.mjs";

// A process that does not end by itself, because a timer holds it, is a failure too.
limit(240_000, "node");
console.log(`Node ${process.version}`);
await compile();
await import("./suite/node.mjs");
await import("./suite/trap.mjs");
const { run } = await import("./suite/all.mjs");
const given = settings();
report("node", await run({ ...given, runtime: "node" }), given.seed);
