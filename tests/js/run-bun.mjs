// The suite in Bun, on the package by its name: `bun tests/js/run-bun.mjs`. `--seed=N`, `--only=part of a title`.

import { compile } from "./compile.mjs";
import { limit, report, settings } from "./report.mjs";

// A process that does not end by itself, because a timer holds it, is a failure too.
limit(100_000, "bun");
// Fails elsewhere: the stage says Bun, so it is Bun.
console.log(`Bun ${Bun.version}`);
await compile();
const { run } = await import("./suite/all.mjs");
const given = settings();
report("bun", await run({ ...given, runtime: "bun" }), given.seed);
