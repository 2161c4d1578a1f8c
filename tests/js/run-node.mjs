// The suite in Node, on the package by its name. `--seed=N`, `--only=part of a title`.

import { limit, report, settings } from "./report.mjs";
import { run } from "./suite/all.mjs";

// A process that does not end by itself, because a timer holds it, is a failure too.
limit(100_000, "node");
const given = settings();
report("node", await run({ ...given, runtime: "node" }), given.seed);
