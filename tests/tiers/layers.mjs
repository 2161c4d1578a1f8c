// What is told of tiers by layer and namespace, and namespaces that use some tiers only.

import { NearCache, prometheus, resource } from "nearcache";
import { memoryTier, tiers } from "nearcache/tiers";
import { equal, ok, test, throws } from "../js/runner.mjs";
import { origin, world } from "./chain.mjs";

const refused = (body, ...parts) => {
  const { message } = throws(body, { code: "ERR_OPTION" });
  for (const part of parts) ok(message.includes(part), message);
};
const two = () => [memoryTier({ name: "near" }), memoryTier({ name: "far" })];

test("figures of tiers are in stats(), of a namespace those of its own", async () => {
  const { isolate } = world(two());
  const { cache } = isolate();
  const load = origin();
  await cache.getOrSet("a", load);
  await cache.namespace("carts").getOrSet("b", load);
  const asked = (stats) => stats.tiers.map(({ name, asked, misses, hitRate }) => [name, asked, misses, hitRate]);
  equal(asked(cache.stats()), [
    ["near", 2, 2, 0],
    ["far", 2, 2, 0],
  ]);
  equal(asked(cache.namespace("carts").stats()), [
    ["near", 1, 1, 0],
    ["far", 1, 1, 0],
  ]);
  equal(asked(cache.namespace("none").stats()), [
    ["near", 0, 0, 0],
    ["far", 0, 0, 0],
  ]);
  equal(new NearCache().stats().tiers, undefined);
});

test("a namespace and what lies within use the tiers they are given", async () => {
  const { isolate, stores } = world(two());
  const { cache, chain } = isolate();
  const carts = cache.namespace("carts", { tiers: ["far"] });
  await carts.getOrSet("a", origin());
  await carts.namespace("eu").getOrSet("a", origin());
  cache.set("a", "all");
  resource(cache, "secret", { tiers: [] }).set("a", "memory alone");
  await chain.flush();
  const stats = chain.stats();
  equal(
    stats.map(({ asked, writes }) => [asked, writes]),
    [
      [0, 1],
      [2, 3],
    ],
  );
  ok((await stores[1].get("v:carts::a")) !== undefined && (await stores[0].get("v:carts::a")) === undefined);
  const other = isolate().cache;
  equal(await other.namespace("carts", { tiers: ["far"] }).getOrSet("a", () => "loaded"), "value of a");
  refused(() => cache.namespace("x", { tiers: ["fra"] }), "near, far");
  refused(() => tiers([memoryTier({ name: "a" }), memoryTier({ name: "a" })]), "names of their own");
});

test("health holds tiers against thresholds of their own", async () => {
  const { isolate } = world(two());
  const { cache } = isolate();
  for (let n = 0; n < 30; n++) await cache.getOrSet(`k${n}`, origin());
  const { ok: well, checks } = cache.health({
    minHitRate: 0,
    tiers: { far: { minHitRate: 0.8, maxLatency: 10, maxErrorRate: 0, maxTimeoutRate: 0 } },
  });
  equal(well, false);
  equal(
    checks.map(({ layer, name, value, samples, ok }) => [layer, name, value, samples, ok]),
    [
      ["memory", "hitRate", 0, 30, true],
      ["far", "hitRate", 0, 30, false],
      ["far", "errorRate", 0, 30, true],
      ["far", "timeoutRate", 0, 30, true],
      ["far", "latency", 0, 30, true],
    ],
  );
  refused(() => cache.health({ tiers: { frr: {} } }), "frr", "far");
  refused(() => cache.health({ tiers: { far: { minHitRte: 1 } } }), "minHitRte");
  refused(() => cache.health({ tiers: { far: { minHitRate: 2 } } }), "minHitRate");
  refused(() => new NearCache().health({ tiers: {} }), "tiers");
});

test("the page for Prometheus has the tiers of all caches, each family once", async () => {
  const { isolate } = world(two());
  const a = isolate({ name: "a" }).cache;
  const b = isolate({ name: "b" }).cache;
  await resource(a, "cart").getOrSet("1", origin());
  await b.getOrSet("1", origin());
  const text = prometheus([a, new NearCache({ name: "plain" }), b]);
  for (const line of [
    'nearcache_requests_total{cache="a",layer="memory",entity="cart",result="miss"} 1',
    'nearcache_tier_requests_total{cache="a",layer="far",entity="cart",result="miss"} 1',
    'nearcache_tier_requests_total{cache="b",layer="near",result="miss"} 1',
    'nearcache_tier_breaker_open{cache="b",layer="near",lane="read"} 0',
  ]) {
    ok(text.includes(`${line}\n`), `${line}\n${text}`);
  }
  const families = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, family]) => family);
  equal(new Set(families).size, families.length);
});
