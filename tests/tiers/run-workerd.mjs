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

for (const kind of ["memory", "kv", "cache-api", "r2", "object", "three objects", "kv with marks"]) {
  test(`${kind} does what is wanted of a tier, in workerd`, async () => {
    const results = await (await ask("conformance", { kind })).json();
    const failed = results.filter(({ error }) => error !== undefined);
    ok(failed.length === 0, failed.map(({ title, error }) => `${title}: ${error}`).join("; "));
    equal(results.length, 13);
  });
}

for (const kind of ["kv", "cache-api", "r2", "object", "kv with marks"]) {
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

test("KV is asked twice for a key, and once where marks lie in an object; they can be kept for a while", async () => {
  const stats = async (kind, isolate) => (await ask("stats", { kind, isolate })).json();
  const readsFor = async (kind, isolate, keys) => {
    const { reads } = await stats(kind, isolate);
    for (const key of keys) await ask("get", { kind, isolate, key });
    return (await stats(kind, isolate)).reads - reads;
  };
  const keys = ["a", "b", "c"];
  for (const kind of ["kv", "kv with marks", "kv with kept marks"]) {
    for (const key of keys) await ask("get", { kind, isolate: 11, key });
  }
  await sleep(50);
  equal(await readsFor("kv", 12, keys), 6);
  equal(await readsFor("kv with marks", 12, keys), 3);
  equal(await readsFor("kv with kept marks", 12, keys), 3);
  // What another isolate purges ends values at once, or when the marks that are kept have gone.
  for (const [kind, hits] of [
    ["kv with marks", 0],
    ["kv with kept marks", 1],
  ]) {
    await ask("get", { kind, isolate: 11, key: "late" });
    await sleep(50);
    equal(await readsFor(kind, 12, ["x", "y"]), 2);
    await ask("purge", { kind, isolate: 11 });
    await sleep(5);
    const before = (await stats(kind, 12)).stats[0].hits;
    await ask("get", { kind, isolate: 12, key: "late" });
    equal((await stats(kind, 12)).stats[0].hits - before, hits, kind);
  }
});

for (const kind of ["kv", "object"]) {
  test(`what is larger than ${kind} takes is kept from it, and no failure`, async () => {
    const { writes, tooLarge, writeErrors, lines } = await (await ask("large", { kind })).json();
    equal({ writes, tooLarge, writeErrors, lines }, { writes: 1, tooLarge: 1, writeErrors: 0, lines: [] });
  });
}

const table = [];
for (const kind of ["kv", "cache-api", "r2", "object"]) {
  const faults = await (await ask("faults", { kind })).json();
  for (const fault of faults) {
    test(`${kind} that ${fault}: answers come, at a timeout's cost; it is told once, left alone, and back again`, async () => {
      const { worst, sum, lines, during, recovered } = await (await ask("fault", { kind, fault })).json();
      const what = JSON.stringify({ worst, sum, lines, during });
      // Five failures open the breaker, and there may be a trial or two.
      ok(worst < 180 && sum < 900, what);
      if (fault === "full") ok(during.writing !== "closed" && during.reads === "closed", what);
      else ok(during.reads !== "closed" && during.skipped >= 15, what);
      ok(lines.length > 0 && lines.length <= 2, what);
      ok(recovered, "recovers");
      table.push([`${kind} ${fault}`, worst, sum, lines.length]);
    });
  }
}

test("snapshots do in workerd what they do in Node", async () => {
  const { passed, failures } = await (await ask("suite", {})).json();
  ok(passed > 10 && failures.length === 0, failures.map(({ title, error }) => `${title}: ${error}`).join("; "));
});

for (const kind of ["kv", "cache-api", "r2", "object"]) {
  test(`a cache is saved to ${kind} by one request, and by another a new one starts warm`, async () => {
    const snapshot = async (more) => (await ask("snapshot", { kind, name: "a", ...more })).json();
    equal(await snapshot({}), { tagged: 0 }, "there is none");
    const saved = await snapshot({ save: "" });
    equal([saved.entries, saved.skipped], [8_000, { keys: 0, values: 0, tooLarge: 0 }]);
    equal(await snapshot({}), { loaded: 8_000, value: { n: 7, text: "value 7" }, tagged: 8_000 });
  });
}

const results = await run({ ...settings(), runtime: "workerd", timeout: 40_000 });
await miniflare.dispose();
const rows = table.map(([fault, ...numbers]) => `  ${fault.padEnd(24)} ${numbers.join("\t")}`);
console.log(
  `Bindings, timeout 100 ms, 30 gets one after the other: ms of the slowest and of all, log lines\n${rows.join("\n")}`,
);
report("tiers in workerd", results);
process.exit();
