// What scripts/simulate found of large edges: who waits for leases, and which of a tier's objects is asked.

import { NearCache } from "nearcache";
import { memoryTier, objectTier, tiers } from "nearcache/tiers";
import { equal, ok, rejects, sleep, test } from "../js/runner.mjs";

/** Leases that another holds for ever, and gives back again and again. */
function held() {
  const source = { acquired: 0, settings: { ttl: 2_000, wait: 10_000, timeout: 500 } };
  source.stub = () => ({
    acquire: async () => (source.acquired++, -2_000),
    wait: async () => true,
    renew: async () => false,
    release: async () => false,
  });
  return source;
}

test("nobody waits for a lease where a tier does not answer", async () => {
  const down = {
    name: "down",
    get: () => Promise.reject(new Error("down")),
    set: async () => {},
    delete: async () => {},
  };
  const lease = held();
  const cache = new NearCache({ tiers: tiers([memoryTier(), down], { lease, log: () => {} }) });
  for (let at = 0; at < 8; at++) equal(await cache.getOrSet(at, () => "loaded"), "loaded");
  equal(lease.acquired, 0);
});

test("nobody waits for a lease of what lies in no tier", async () => {
  const lease = held();
  const cache = new NearCache({ tiers: tiers([memoryTier()], { lease }) });
  equal(await cache.namespace("here", { tiers: [] }).getOrSet("k", () => "loaded"), "loaded");
  equal(lease.acquired, 0);
});

test("others' loads that bring nothing are waited for twice", async () => {
  const lease = held();
  const cache = new NearCache({ tiers: tiers([memoryTier()], { lease, log: () => {} }) });
  equal(await cache.getOrSet("k", () => "loaded"), "loaded");
  equal(lease.acquired, 2);
});

test("a load that was given up and never ends gives its lease back", async () => {
  const events = [];
  const stub = {
    acquire: async () => (events.push("acquired"), 7),
    renew: async () => true,
    release: async (_, token) => (events.push(`released ${token}`), true),
  };
  const lease = { settings: { ttl: 2_000, wait: 10_000, timeout: 500 }, stub: () => stub };
  const cache = new NearCache({ hardTimeout: 50, tiers: tiers([memoryTier()], { lease, log: () => {} }) });
  await rejects(
    cache.getOrSet("k", () => new Promise(() => {})),
    { code: "ERR_TIMEOUT" },
  );
  equal(await cache.getOrSet("k", () => "loaded"), "loaded");
  await sleep(10);
  equal(events, ["acquired", "released 7", "acquired", "released 7"]);
});

test("a read of a key asks one object, and a purge of many tells all", async () => {
  const objects = [];
  const namespace = {
    idFromName: (name) => name,
    get(id) {
      const at = Number(id.split(":").at(-1));
      objects[at] ??= { held: new Map(), reads: 0 };
      const { held } = objects[at];
      return {
        getMany: async (names) => (objects[at].reads++, names.map((name) => held.get(name))),
        setMany: async (entries) => entries.forEach(({ name, bytes }) => held.set(name, bytes)),
        deleteMany: async (names) => names.forEach((name) => held.delete(name)),
        clear: async () => held.clear(),
      };
    },
  };
  const isolate = () => {
    const chain = tiers([objectTier(namespace, { shards: 4 })], { clockSkew: 0, lateWrites: 0 });
    return { chain, cache: new NearCache({ ttl: "1m", tiers: chain, clock: () => now }) };
  };
  let now = 1_000_000;
  const [a, b] = [isolate(), isolate()];
  const keys = Array.from({ length: 40 }, (_, at) => `key ${at}`);
  for (const key of keys) await a.cache.getOrSet(key, () => "one", { tags: ["t"] });
  await a.chain.flush();
  equal(objects.length, 4);
  for (const object of objects) object.reads = 0;
  for (const key of keys) equal(await b.cache.getOrSet(key, () => "two", { tags: ["t"] }), "one");
  const reads = objects.map((object) => object.reads);
  equal(
    reads.reduce((sum, count) => sum + count, 0),
    2 * keys.length,
    "a read is two calls",
  );
  ok(Math.max(...reads) < keys.length, `${reads}`);
  now += 10;
  b.cache.deleteByTag("t");
  await b.chain.flush();
  now += 10;
  const c = isolate();
  for (const key of keys) equal(await c.cache.getOrSet(key, () => "two", { tags: ["t"] }), "two");
});

test("loaders that ask for each other's keys below a chain are told so, however many asked for these at that moment", async () => {
  for (const count of [1, 2, 3]) {
    const clock = () => 1_000_000;
    const cache = new NearCache({ clock, hardTimeout: 2_000, tiers: tiers([memoryTier({ clock })]) });
    const load = (key) => cache.getOrSet({ a: "b", b: "a" }[key], load);
    const gets = ["a", "b"].flatMap((key) => Array.from({ length: count }, () => cache.getOrSet(key, load)));
    const codes = (await Promise.allSettled(gets)).map(({ reason }) => reason.code);
    equal(codes, new Array(2 * count).fill("ERR_RECURSIVE_LOAD"), `${count} of each`);
  }
});
