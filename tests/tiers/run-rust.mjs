// The crate's tiers in workerd, over its KV, Cache API, R2 and Durable Objects, beside those of the npm package. `--only=part of a title`.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { limit, report, settings } from "../js/report.mjs";
import { equal, ok, run, sleep, test } from "../js/runner.mjs";
import { bundle, COMPATIBILITY_DATE, modulesOf, root, scratch } from "../js/workerd.mjs";

limit(150_000, "the crate's tiers in workerd");
const folder = scratch();
await bundle(join(root, "tests/tiers/worker.mjs"), folder);
const built = join(root, "build/rust-tiers-worker");
const rustModule = (type, name) => ({ type, path: join(built, name), contents: readFileSync(join(built, name)) });
const shared = { compatibilityDate: COMPATIBILITY_DATE, kvNamespaces: ["KV"], r2Buckets: ["R2"] };
const objects = (of) => ({ STORE: { className: "StoreObject", useSQLite: true, ...of } });
const rust = {
  ...shared,
  name: "rust",
  modules: [rustModule("ESModule", "index.js"), rustModule("CompiledWasm", "index_bg.wasm")],
  modulesRoot: built,
  durableObjects: objects({ scriptName: "js" }),
};
const js = { ...shared, name: "js", modules: modulesOf(folder), modulesRoot: folder, durableObjects: objects({}) };
const front = {
  name: "front",
  modules: true,
  script: `export default { fetch: (request, env) => env[new URL(request.url).searchParams.get("face")].fetch(request) };`,
  compatibilityDate: COMPATIBILITY_DATE,
  serviceBindings: { rust: "rust", js: "js" },
};
const miniflare = new Miniflare(convertV4MiniflareOptions({ workers: [front, rust, js] }));
const url = await miniflare.ready;
const ask = async (path, parameters) => {
  const response = await fetch(new URL(`${path}?${new URLSearchParams({ face: "rust", ...parameters })}`, url));
  if (!response.ok) throw new Error(`${path} ${response.status}: ${await response.text()}`);
  return response;
};
const text = async (path, parameters) => (await ask(path, parameters)).text();
const stats = async (parameters) => (await ask("stats", parameters)).json();

for (const kind of ["memory", "kv", "cache-api", "r2", "object", "three objects"]) {
  test(`${kind} does what is wanted of a tier`, async () => {
    const results = await (await ask("conformance", { kind })).json();
    const failed = results.filter(({ error }) => error !== null);
    ok(failed.length === 0, failed.map(({ title, error }) => `${title}: ${error}`).join("; "));
    equal(results.length, 10);
  });
}

for (const kind of ["kv", "cache-api", "r2", "object", "three objects"]) {
  test(`caches over ${kind} share what a storm of requests loads once, and purges`, async () => {
    const get = (isolate) => text("get", { kind, isolate, key: "k" });
    const before = (await stats({ kind, isolate: 1 })).loads;
    const storm = await Promise.all(Array.from({ length: 500 }, () => get(1)));
    equal(new Set(storm).size, 1);
    await sleep(100);
    equal(await get(2), storm[0], "the other isolate's");
    const { hits, loads, lines } = await stats({ kind, isolate: 2 });
    equal([hits, loads - before, lines], [1, 1, []]);
    equal((await stats({ kind, isolate: 1 })).asked, 1, "reads of the tier");
    await text("purge", { kind, isolate: 1 });
    await sleep(5);
    ok((await get(3)) !== storm[0], "a third, after the purge");
  });
}

for (const kind of ["kv", "r2", "object", "three objects"]) {
  test(`the crate and the npm package read what the other stored in ${kind}, and heed its purges`, async () => {
    for (const [writer, reader] of [
      ["js", "rust"],
      ["rust", "js"],
    ]) {
      const key = `${writer} #ü/${"x".repeat(250)}`;
      const stored = await text("get", { face: writer, kind, isolate: "both", key });
      ok(stored.startsWith(writer === "js" ? "load " : "rust "), stored);
      await sleep(100);
      equal(await text("get", { face: reader, kind, isolate: `of ${writer}'s`, key }), stored, `${reader} reads`);
      await text("purge", { face: reader, kind, isolate: `of ${writer}'s` });
      await sleep(5);
      ok((await text("get", { face: writer, kind, isolate: "anew", key })) !== stored, `${writer} heeds ${reader}`);
    }
  });
}

test("a tier that hangs costs its timeout until it is left alone, and is back again", async () => {
  const kind = "hanging kv";
  const get = async (key) => {
    const began = performance.now();
    ok((await text("get", { kind, isolate: 1, key })).startsWith("rust "));
    return performance.now() - began;
  };
  await text("fault", { hangs: "yes" });
  const costs = [];
  for (let at = 0; at < 10; at++) costs.push(await get(`key ${at}`));
  await text("fault", { hangs: "no" });
  const during = await stats({ kind, isolate: 1 });
  // Half of them cost a timeout of 100 ms; the machine may be busy.
  const usual = costs.sort((a, b) => a - b)[5];
  ok(usual < 400 && during.reads === "Open" && during.skipped === 5, JSON.stringify({ costs, during }));
  ok(during.timeouts === 5 && during.lines.length <= 2 && during.lines.length > 0, JSON.stringify(during));
  await sleep(2_100);
  await get("after");
  await sleep(50);
  const { reads } = await stats({ kind, isolate: 1 });
  equal(reads, "Closed");
});

const results = await run({ ...settings(), runtime: "workerd", timeout: 40_000 });
await miniflare.dispose();
report("the crate's tiers in workerd", results);
process.exit();
