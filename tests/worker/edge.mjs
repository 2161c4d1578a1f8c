// The Worker with what may be bound to it: several isolates over one KV, one Cache API, and the objects for values, leases and purges.
// The first argument: part of a title.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { HURRIED, modulesOf } from "../js/workerd.mjs";
import { sleep } from "./client.mjs";
import { asOperator, built, inWorld, startIsolates, startOrigin } from "./isolates.mjs";
import { runAll, TOKEN } from "./lab.mjs";
import { startWorkerd } from "./workerd.mjs";

const modules = modulesOf(built).sort((a) => (a.path.endsWith("index.js") ? -1 : 1));

/** An origin that answers with its calls. */
async function startEdgeOrigin() {
  const origin = await startOrigin(async (request, response, url, call, { delay, down }) => {
    if (delay > 0) await sleep(delay);
    if (down) return request.socket.destroy();
    response.setHeader("cache-control", url.searchParams.get("cc") ?? "max-age=60");
    if (url.searchParams.has("tag")) response.setHeader("cache-tag", url.searchParams.get("tag"));
    if (url.searchParams.has("vary")) response.setHeader("vary", url.searchParams.get("vary"));
    const length = Number(url.searchParams.get("bytes") ?? 0);
    response.end(`call ${call}${"x".repeat(length)}`);
  });
  return Object.assign(origin, { delay: 0, down: false });
}

const OBJECTS = { STORE: "StoreObject", LEASE: "LeaseObject", PURGE_LOG: "PurgeLogObject" };

/** Isolates with these bindings, whose stores are in a folder. */
async function startEdge(origin, folder, { bind = [], ...options }) {
  const objects = bind.filter((name) => name in OBJECTS);
  const { ask, stop } = await startIsolates(origin, folder, options, (at) => ({
    modules,
    ...(bind.includes("KV") && { kvNamespaces: { KV: "kv" } }),
    durableObjects: Object.fromEntries(
      objects.map((name) => [name, { className: OBJECTS[name], useSQLite: true, ...(at > 0 && { scriptName: "w0" }) }]),
    ),
  }));
  const get = async (isolate, path, init) => {
    const response = await ask(isolate, path, init);
    const text = await response.text();
    await sleep(20);
    const { headers: fields, status } = response;
    return { status, text, did: fields.get("cache-status"), age: Number(fields.get("age")) };
  };
  const operate = (isolate, route, body) => get(isolate, `/_nearcache/${route}`, asOperator(body));
  return { get, operate, stop };
}

/** Calls `run` with an edge and its origin. */
async function edge(options, run) {
  await inWorld(await startEdgeOrigin(), (origin, folder) => startEdge(origin, folder, options), run);
}

const tests = {
  async "without bindings each isolate asks the origin itself, and Cache-Status has one member"() {
    await edge({}, async ({ get, origin }) => {
      for (const isolate of [0, 1]) assert.match((await get(isolate, "/")).did, /^nearcache; fwd=uri-miss; stored;/);
      assert.equal(origin.calls("/"), 2);
    });
  },
};

for (const [bind, vars, layer] of [
  [["KV"], {}, "kv"],
  [["STORE"], {}, "durable-object"],
  [[], { CACHE_API: "on" }, "cache-api"],
]) {
  tests[`over ${layer} one isolate finds what another has loaded, with its age`] = () =>
    edge({ bind, vars }, async ({ get, origin }) => {
      assert.match((await get(0, "/a?tag=t")).did, /^nearcache; fwd=uri-miss; stored;/);
      await sleep(1_100);
      const found = await get(1, "/a?tag=t");
      assert.match(
        found.did,
        new RegExp(`^nearcache/${layer}; hit; ttl=5\\d, nearcache; fwd=uri-miss; stored; ttl=5\\d$`),
      );
      assert.ok(found.age >= 1, `${found.age}`);
      assert.match((await get(1, "/a?tag=t")).did, /^nearcache; hit; ttl=5\d$/);
      assert.equal(origin.calls("/a"), 1);
      const own = "/own?cc=private,max-age=60";
      await get(0, own);
      assert.match((await get(1, own)).did, /private/);
      await get(0, "/en?vary=x-lang", { headers: { "x-lang": "en" } });
      await get(0, "/en?vary=x-lang", { headers: { "x-lang": "de" } });
      assert.equal((await get(1, "/en?vary=x-lang", { headers: { "x-lang": "en" } })).text, "call 1");
      assert.equal((await get(1, "/en?vary=x-lang", { headers: { "x-lang": "de" } })).text, "call 2");
    });

  tests[`after a restart it is warm from ${layer}, and stands in where the origin is gone`] = () =>
    edge({ bind, vars }, async ({ get, origin, folder, stop }) => {
      const path = "/warm?cc=max-age%3D60";
      await get(0, path);
      await stop();
      origin.down = true;
      const again = await startEdge(origin, folder, { bind, vars });
      try {
        const { did, text } = await again.get(1, path);
        assert.equal(text, "call 1");
        assert.match(did, new RegExp(`^nearcache/${layer}; hit;`));
        assert.equal(origin.calls("/warm"), 1);
      } finally {
        await again.stop();
      }
    });

  tests[`a purge without a log reaches ${layer} by marks`] = () =>
    edge({ bind, vars, isolates: 3 }, async ({ get, operate, origin }) => {
      for (const [what, path] of [
        [{ tags: ["t"] }, "/a?tag=t"],
        [{ urls: ["/b?x"] }, "/b?x"],
        [{ prefixes: ["/c"] }, "/c"],
        [{ everything: true }, "/d"],
      ]) {
        await get(0, path);
        assert.equal((await operate(0, "purge", what)).status, 200);
        await sleep(300);
        const asked = origin.calls(path.split("?")[0]);
        assert.equal((await get(2, path)).text, `call ${asked + 1}`, JSON.stringify(what));
      }
    });
}

const ALL = ["KV", "STORE", "LEASE", "PURGE_LOG"];

tests[
  "a purge is seen by the other isolate within the bound, by URL, tag, prefix and everything, in memory and in all tiers"
] = () =>
  edge({ bind: ALL, isolates: 3, vars: { PURGE_STALENESS: "1s" } }, async ({ get, operate, origin }) => {
    for (const [what, path] of [
      [{ tags: ["t"] }, "/a?tag=t"],
      [{ urls: ["/b?x"] }, "/b?x"],
      [{ prefixes: ["/c"] }, "/c"],
      [{ tags: ["s"], soft: true }, "/e?tag=s"],
      [{ everything: true }, "/d"],
    ]) {
      for (const isolate of [0, 1]) await get(isolate, path);
      assert.equal(origin.calls(path.split("?")[0]), 1);
      await sleep(600);
      assert.equal((await operate(0, "purge", what)).status, 200);
      const purged = performance.now();
      let stale = 0;
      for (let text = "call 1"; text === "call 1";) {
        const began = performance.now();
        ({ text } = await get(1, path));
        if (text === "call 1") stale = began - purged;
      }
      assert.ok(stale <= 1_000, `${stale} ms`);
      await sleep(600);
      assert.notEqual((await get(2, path)).text, "call 1", `an isolate that had not asked: ${JSON.stringify(what)}`);
      console.log(`  ${JSON.stringify(what)}: stale elsewhere for ${Math.round(stale)} ms`);
    }
  });

tests["500 requests over 8 isolates are one call of the origin"] = () =>
  edge({ bind: ALL, isolates: 8 }, async ({ get, origin }) => {
    origin.delay = 300;
    const start = performance.now();
    const answers = await Promise.all(Array.from({ length: 500 }, (_, at) => get(at % 8, "/storm?bytes=10000")));
    assert.deepEqual([...new Set(answers.map(({ status, text }) => `${status} ${text.slice(0, 6)}`))], ["200 call 1"]);
    assert.equal(origin.calls("/storm"), 1);
    console.log(`  500 requests over 8 isolates: 1 call, ${Math.round(performance.now() - start)} ms`);
  });

tests["messages of other services reach all isolates by the operator's route"] = () =>
  edge(
    { bind: ["PURGE_LOG"], vars: { PURGE_STALENESS: "500ms", CACHE_API: "off" } },
    async ({ get, operate, origin }) => {
      await get(0, "/order?tag=order:42");
      const message = { v: 1, entity: "order", id: "42", action: "update" };
      assert.deepEqual(JSON.parse((await operate(1, "messages", message)).text), { seq: 1 });
      assert.equal((await operate(1, "messages", { v: 1 })).status, 400);
      assert.equal((await get(1, "/_nearcache/messages", { method: "POST", body: "{}" })).status, 401);
      await sleep(600);
      assert.equal((await get(0, "/order?tag=order:42")).text, "call 2");
      assert.equal(origin.calls("/order"), 2);
    },
  );

tests["the page for Prometheus has the tiers and the log, and its parser takes it"] = () =>
  edge({ bind: ALL, isolates: 1 }, async ({ get }) => {
    await get(0, "/a");
    const { text } = await get(0, "/_nearcache/metrics", { headers: { authorization: `Bearer ${TOKEN}` } });
    for (const wanted of [
      /^nearcache_requests_total\{/m,
      /^nearcache_tier_requests_total\{cache="nearcache",layer="kv",result="miss"\} 1$/m,
      /^nearcache_tier_writes_total\{cache="nearcache",layer="durable-object",result="stored"\} 1$/m,
      /^nearcache_purge_staleness_seconds\{cache="nearcache"\} 0?\.?\d+$/m,
      /^nearcache_purge_log_looks_total\{cache="nearcache",result="ok"\} 1$/m,
    ]) {
      assert.match(text, wanted);
    }
    const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    assert.equal(new Set(families).size, families.length);
    const { PROMTOOL } = process.env;
    if (PROMTOOL) {
      const { status, stderr } = spawnSync(PROMTOOL, ["check", "metrics"], { input: text });
      assert.equal(status, 0, String(stderr));
    }
  });

tests["without a log the route for messages says so"] = () =>
  edge({}, async ({ operate }) => assert.equal((await operate(0, "messages", {})).status, 404));

tests["a log that can't be reached fails the purge, and nothing else that the operator asks for"] = async () => {
  const vars = { ORIGIN: "http://127.0.0.1:1", ADMIN_TOKEN: TOKEN, CACHE_API: "off" };
  // An object that knows nothing of purges.
  const server = await startWorkerd(vars, { objects: { PURGE_LOG: "LeaseObject" } });
  const ask = async (route, init) => (await fetch(`${server.url}/_nearcache/${route}`, init)).status;
  const { headers } = asOperator();
  try {
    assert.equal(await ask("purge", asOperator({ everything: true })), 503);
    assert.equal(await ask("metrics", { headers }), 200);
    assert.equal(await ask("health", { headers }), 200);
    assert.equal(await ask("purge", asOperator({})), 400);
  } finally {
    server.stop();
  }
};

tests["a variable that won't do is named"] = () =>
  edge({ isolates: 1, vars: { PURGE_BOUND: "loose" } }, async ({ get }) => {
    const { status, text } = await get(0, "/");
    assert.equal(status, 500);
    assert.match(text, /PURGE_BOUND.*soft or hard/);
  });

tests["a storm of requests that wait for each other's looks and trips is answered, by code that V8 has compiled"] =
  async () => {
    const origin = await startEdgeOrigin();
    origin.delay = 20;
    const vars = { ORIGIN: origin.url, ADMIN_TOKEN: TOKEN, PURGE_STALENESS: "20ms" };
    const server = await startWorkerd(vars, { flags: HURRIED, objects: OBJECTS });
    const seen = {};
    const ask = async (n) => {
      const response = await fetch(`${server.url}/${n % 37}?cc=max-age%3D1`);
      const text = await response.text();
      const what =
        response.status === 200 && text.startsWith("call ") ? "answered" : `${response.status} ${text.slice(0, 80)}`;
      seen[what] = (seen[what] ?? 0) + 1;
    };
    const purge = () => fetch(`${server.url}/_nearcache/purge`, asOperator({ prefixes: ["/1"] }));
    try {
      for (let round = 0; round < 60; round++) {
        await Promise.all([purge(), ...Array.from({ length: 100 }, (_, at) => ask(round * 100 + at))]);
      }
    } finally {
      server.stop();
      origin.stop();
    }
    assert.deepEqual(seen, { answered: 6_000 });
  };

await runAll(tests);
