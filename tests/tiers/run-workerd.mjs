// The tiers of Cloudflare's platform in workerd, over its own KV, Cache API, R2 and Durable Objects. `--only=part of a title`.

import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { limit, report, settings } from "../js/report.mjs";
import { equal, ok, run, sleep, test } from "../js/runner.mjs";
import { bundle, COMPATIBILITY_DATE, modulesOf, root, scratch } from "../js/workerd.mjs";

limit(150_000, "tiers in workerd");
const folder = scratch();
await bundle(join(root, "tests/tiers/worker.mjs"), folder);
const modules = modulesOf(folder);
const options = convertV4MiniflareOptions({
  modules,
  modulesRoot: folder,
  compatibilityDate: COMPATIBILITY_DATE,
  kvNamespaces: ["KV"],
  r2Buckets: ["R2"],
  durableObjects: { STORE: { className: "StoreObject", useSQLite: true } },
});
const miniflare = new Miniflare(options);
const url = await miniflare.ready;
const ask = async (path, parameters) => {
  const response = await fetch(new URL(`${path}?${new URLSearchParams(parameters)}`, url));
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return response;
};

for (const kind of ["memory", "kv", "cache-api", "r2", "object", "three objects"]) {
  test(`${kind} does what is wanted of a tier, in workerd`, async () => {
    const results = await (await ask("conformance", { kind })).json();
    const failed = results.filter(({ error }) => error !== undefined);
    ok(failed.length === 0, failed.map(({ title, error }) => `${title}: ${error}`).join("; "));
    equal(results.length, 11);
  });
}

for (const kind of ["kv", "cache-api", "r2", "object"]) {
  test(`caches over ${kind} share what a storm of requests loads once, and purges`, async () => {
    const text = async (isolate) => (await ask("get", { kind, isolate, key: "k" })).text();
    const stats = async (isolate) => (await ask("stats", { kind, isolate })).json();
    const before = (await stats(1)).loads;
    const storm = await Promise.all(Array.from({ length: 100 }, () => text(1)));
    equal(new Set(storm).size, 1);
    await sleep(100);
    equal(await text(2), storm[0], "the other isolate's");
    const { stats: figures, loads, lines } = await stats(2);
    equal([figures[0].hits, loads - before, lines], [1, 1, []]);
    await ask("purge", { kind, isolate: 1 });
    await sleep(5);
    ok((await text(3)) !== storm[0], "a third, after the purge");
  });
}

const results = await run({ ...settings(), runtime: "workerd", timeout: 40_000 });
await miniflare.dispose();
report("tiers in workerd", results);
process.exit();
