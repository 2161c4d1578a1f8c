// What a cache knows of itself.
import { NearCache, prometheus } from "nearcache";

let now = 0;
const cache = new NearCache({ name: "users", clock: () => now });
const load = async () => ((now += 20), "v");
for (const key of ["a", "b", "a", "a"]) await cache.getOrSet(key, load);
await cache
  .getOrSet("c", async () => {
    throw new Error("down");
  })
  .catch(() => {});

const { hits, misses, loads, loadFailures, hitRate, loadLatency } = cache.stats();
console.log(hits, misses, loads, loadFailures, hitRate, loadLatency.max);

const { ok, checks } = cache.health({ minHitRate: 0.3, maxErrorRate: 0.1, maxLatency: "1s", minSamples: 1 });
console.log(
  ok,
  checks.filter((check) => !check.ok).map((check) => `${check.name} ${check.value.toFixed(2)}`),
);

// A page for Prometheus, of one cache or of several.
const page = prometheus([cache, new NearCache({ name: "posts" })]);
console.log(
  page
    .split("\n")
    .filter((line) => line.startsWith('nearcache_requests_total{cache="users"'))
    .join("\n"),
);

// prints:
// 2 3 3 1 0.4 20
// false [ 'errorRate 0.33' ]
// nearcache_requests_total{cache="users",layer="memory",result="hit"} 2
// nearcache_requests_total{cache="users",layer="memory",result="stale"} 0
// nearcache_requests_total{cache="users",layer="memory",result="miss"} 3
// nearcache_requests_total{cache="users",layer="memory",result="coalesced"} 0
