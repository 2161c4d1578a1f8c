// The suite in Deno, on the package by its name: `deno run --allow-all tests/js/run-deno.mjs`. `--seed=N`, `--only=part of a title`.

import { compile } from "./compile.mjs";
import { limit, report, settings } from "./report.mjs";

// A process that does not end by itself, because a timer holds it, is a failure too.
limit(100_000, "deno");
// Fails elsewhere: the stage says Deno, so it is Deno.
console.log(`Deno ${Deno.version.deno}`);
await compile();
const { run } = await import("./suite/all.mjs");
const given = settings();
report("deno", await run({ ...given, runtime: "deno" }), given.seed);
