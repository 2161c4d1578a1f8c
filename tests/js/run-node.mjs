// The suite in Node, on the package by its name. `--seed=N`, `--only=part of a title`.

import { report, settings } from "./report.mjs";
import { run } from "./suite/all.mjs";

const given = settings();
report("node", await run({ ...given, runtime: "node" }), given.seed);
