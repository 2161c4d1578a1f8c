// The suite in Node, on the package by its name. `--seed=N`, `--only=part of a title`.

import { compile } from "./compile.mjs";
import { limit, report, settings } from "./report.mjs";

// A process that does not end by itself, because a timer holds it, is a failure too.
limit(100_000, "node");
console.log(`Node ${process.version}`);
await compile();
const { equal, rejects, run, test } = await import("./suite/all.mjs");

test("where there is no Promise.withResolvers, as in Node 20, promises are made without it", async () => {
  const descriptor = Object.getOwnPropertyDescriptor(Promise, "withResolvers");
  delete Promise.withResolvers;
  // A query makes it another module.
  const { deferred } = await import("../../pkg/dist/deferred.js?without");
  const [good, bad] = [deferred(), deferred()];
  if (descriptor) Object.defineProperty(Promise, "withResolvers", descriptor);
  good.resolve(1);
  bad.reject(new Error("no"));
  equal(await good.promise, 1);
  await rejects(bad.promise, { message: "no" });
});
const given = settings();
report("node", await run({ ...given, runtime: "node" }), given.seed);
