// The Worker of the tiers' tests: each request runs one of them, inside the runtime.

import { DurableObject } from "cloudflare:workers";
import { NearCache } from "nearcache";
import {
  cacheApiTier,
  kvTier,
  loadSnapshot,
  memoryTier,
  objectTier,
  r2Tier,
  saveSnapshot,
  snapshotTier,
  storeObject,
  tiers,
  withMarks,
} from "nearcache/tiers";
import { testTier } from "nearcache/tiers/conformance";
import { run } from "../js/runner.mjs";
import { faults, faultsOf, faulty } from "./faults.mjs";
import "./snapshots.mjs";

export class StoreObject extends storeObject(DurableObject) {}

const makers = {
  memory: () => memoryTier(),
  kv: (env) => kvTier(counted(env.KV)),
  "cache-api": () => cacheApiTier(caches.default),
  r2: (env) => r2Tier(env.R2),
  object: (env) => objectTier(env.STORE),
  "three objects": (env) => objectTier(env.STORE, { prefix: "three:", shards: 3 }),
  "kv with marks": (env) =>
    withMarks(kvTier(counted(env.KV), { prefix: "marked:" }), objectTier(env.STORE, { prefix: "marks:" })),
  "kv with kept marks": (env) =>
    withMarks(kvTier(counted(env.KV), { prefix: "kept:" }), objectTier(env.STORE, { prefix: "kept:" }), { keep: "5s" }),
};
/** The same, whose bindings can be told to fail. */
const faultyMakers = {
  kv: (env, options) => kvTier(faulty("kv", env.KV), options),
  "cache-api": (_, options) => cacheApiTier(faulty("cache-api", caches.default), options),
  r2: (env, options) => r2Tier(faulty("r2", env.R2), options),
  object: (env, options) => objectTier(faulty("object", env.STORE), options),
};

/** A KV namespace that counts what is read of it. */
let reads = 0;
const counted = (kv) => ({
  get: (...args) => (reads++, kv.get(...args)),
  put: (...args) => kv.put(...args),
  delete: (...args) => kv.delete(...args),
});
/** What each can keep to. The Cache API counts in seconds; KV keeps everything for a minute. */
const SHORTEST = { memory: 50, "cache-api": 1_000, r2: 500, object: 500, "three objects": 500 };

/** Caches over each store, as two isolates have them: they share nothing but the store. */
const isolates = {};
function isolate(kind, number, env) {
  return (isolates[`${kind} ${number}`] ??= (() => {
    const lines = [];
    const chain = tiers([makers[kind](env)], { clockSkew: 0, lateWrites: 0, log: (line) => lines.push(line) });
    return { cache: new NearCache({ ttl: "5m", tiers: chain }), chain, lines };
  })());
}

let loads = 0;

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const kind = searchParams.get("kind");
    if (pathname === "/conformance") {
      const results = await testTier({ make: () => makers[kind](env), shortestTtl: SHORTEST[kind] });
      return Response.json(results.map(({ title, error }) => ({ title, error: error?.message })));
    }
    if (pathname === "/faults") return Response.json(faultsOf(kind));
    if (pathname === "/fault") return Response.json(await costOf(kind, searchParams.get("fault"), env));
    if (pathname === "/large") return Response.json(await largeValues(kind, env));
    if (pathname === "/suite") {
      return Response.json(await run({ runtime: "workerd", only: searchParams.get("only") ?? "" }));
    }
    if (pathname === "/snapshot") {
      const store = snapshotTier(makers[kind](env), { name: `snapshot ${searchParams.get("name")}` });
      const [from, to] = [new NearCache({ ttl: "5m" }), new NearCache()];
      for (let n = 0; n < 8_000; n++) from.set(`key ${n}`, { n, text: `value ${n}` }, { tags: ["tag"] });
      if (searchParams.has("save")) return Response.json(await saveSnapshot(from, store));
      const loaded = await loadSnapshot(to, store);
      return Response.json({ loaded: loaded?.entries, value: to.get("key 7"), tagged: to.deleteByTag("tag") });
    }
    const { cache, chain, lines } = isolate(kind, searchParams.get("isolate"), env);
    const key = searchParams.get("key");
    if (pathname === "/get") {
      const load = async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return `load ${++loads}`;
      };
      return new Response(await cache.getOrSet(key, load, { tags: ["tag"] }));
    }
    if (pathname === "/purge") {
      cache.deleteByTag("tag");
      await chain.flush();
      return new Response("purged");
    }
    return Response.json({ stats: chain.stats(), loads, lines, reads });
  },
};

/** Values beside the largest that a store takes, each alone: how many it took, and what was said of that. */
async function largeValues(kind, env) {
  const lines = [];
  const tier = makers[kind](env);
  const { maxValueBytes } = tier.options;
  const options = { ...tier.options, maxPendingBytes: 64e6, timeout: 20_000 };
  const chain = tiers([Object.assign(Object.create(tier), { options })], { log: (line) => lines.push(line) });
  const cache = new NearCache({ ttl: "5m", tiers: chain });
  // What an envelope takes besides is less than 200 bytes.
  for (const bytes of [maxValueBytes - 200, maxValueBytes]) {
    await cache.getOrSet(`${bytes} bytes`, async () => new Uint8Array(bytes));
    await chain.flush();
  }
  return { ...chain.stats()[0], lines };
}

/** What gets one after the other cost while a binding has a fault, and what becomes of the tier after it. */
async function costOf(kind, fault, env) {
  const lines = [];
  const options = { prefix: `${kind} ${fault}:`, timeout: 100, cooldown: 200 };
  const chain = tiers([faultyMakers[kind](env, options)], { clockSkew: 0, log: (line) => lines.push(line) });
  const cache = new NearCache({ ttl: "5m", tiers: chain });
  const times = [];
  const get = async (key) => {
    const before = Date.now();
    const value = await cache.getOrSet(key, async () => `value of ${key}`);
    times.push(Date.now() - before);
    if (value !== `value of ${key}`) throw new Error(`${key}: ${value}`);
  };
  await get("before");
  await chain.flush();
  faults[kind] = fault;
  times.length = 0;
  for (let at = 0; at < 30; at++) await get(`key ${at}`);
  await chain.flush();
  const cost = { worst: Math.max(...times), sum: times.reduce((sum, time) => sum + time, 0), lines: [...lines] };
  const during = chain.stats()[0];
  faults[kind] = undefined;
  for (let tries = 0; tries < 50; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await get(`after ${tries}`);
    await chain.flush();
    const { reads, writing } = chain.stats()[0];
    if (reads === "closed" && writing === "closed") return { ...cost, during, recovered: true };
  }
  return { ...cost, during, recovered: false };
}
