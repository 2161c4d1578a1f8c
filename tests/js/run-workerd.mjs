// The suite in raw workerd, inside a request. `--seed=N`, `--only=part of a title`.

import { fileURLToPath } from "node:url";
import { compile } from "./compile.mjs";
import { limit, report, settings } from "./report.mjs";
import { bundle, scratch, serve } from "./workerd.mjs";

limit(120_000, "workerd");
await compile();
const folder = scratch();
await bundle(fileURLToPath(new URL("suite/worker.mjs", import.meta.url)), folder);
const worker = await serve(folder);
const given = settings();
const response = await fetch(worker.url, { method: "POST", body: JSON.stringify(given) });
const text = await response.text();
if (response.ok) report("workerd", JSON.parse(text), given.seed);
else
  report("workerd", {
    passed: 0,
    failed: 1,
    failures: [{ title: "the request", error: `${response.status} ${text} ${worker.log()}` }],
  });
worker.stop();
