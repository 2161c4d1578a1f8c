import { NearCache, prometheus } from "nearcache";
import { context, equal, handClock, held, ok, randomFrom, rejects, sleep, test, throws } from "../runner.mjs";

const zero = {
  hits: 0,
  staleHits: 0,
  misses: 0,
  coalesced: 0,
  loads: 0,
  refreshes: 0,
  loadFailures: 0,
  retries: 0,
  rescues: 0,
  loadsAbandoned: 0,
  refused: 0,
  softTimeouts: 0,
  timeouts: 0,
  inserts: 0,
  rejected: 0,
  evictions: { size: 0, expired: 0, replaced: 0, removed: 0 },
  loadLatency: { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 },
  queueLatency: { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 },
  batches: { count: 0, meanSize: 0, maxSize: 0 },
  entries: 0,
  bytes: 0,
  inFlight: 0,
  queued: 0,
  hitRate: 0,
  errorRate: 0,
};

test("a new cache's figures are zero", () => {
  const { evictionBytes, ...figures } = new NearCache().stats();
  equal([figures, evictionBytes < 100], [zero, true]);
});

test("each thing that happens is counted once", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, maxEntries: 2, eviction: "lru" });
  cache.get("a");
  cache.set("a", 1, { ttl: 10, bytes: 5 });
  cache.get("a");
  cache.set("a", 2, { ttl: 10 });
  clock.pass(10);
  cache.get("a");
  await cache.getOrSet("a", () => 3);
  await cache.getOrSet("a", () => 4);
  cache.set("b", 1).set("c", 1);
  cache.delete("b");
  await rejects(cache.getOrSet("x", () => Promise.reject(new Error("no"))));
  await cache.getOrSet("y", (_, ctx) => ctx.skip());
  const load = held();
  const gets = [cache.getOrSet("z", load), cache.getOrSet("z", load)];
  equal(cache.stats().inFlight, 1);
  load.loads[0].resolve(1);
  await Promise.all(gets);
  const { evictionBytes: _, ...figures } = cache.stats();
  equal(figures, {
    ...zero,
    hits: 2,
    misses: 6,
    coalesced: 1,
    loads: 4,
    loadFailures: 1,
    retries: 0,
    inserts: 6,
    rejected: 1,
    evictions: { size: 1, expired: 1, replaced: 1, removed: 1 },
    entries: 2,
    hitRate: 2 / 9,
    loadLatency: { ...zero.loadLatency, count: 4 },
    errorRate: 1 / 4,
  });
});

test("clear counts what it removes", () => {
  const cache = new NearCache().set("a", 1, { bytes: 3 }).set("b", 1);
  cache.clear();
  equal([cache.stats().evictions.removed, cache.stats().entries, cache.stats().bytes], [2, 0, 0]);
});

test("peek, has, remainingTtl and iteration count nothing", () => {
  const cache = new NearCache().set("a", 1);
  const before = cache.stats();
  cache.peek("a");
  cache.peek("b");
  cache.has("a");
  cache.remainingTtl("b");
  void [...cache];
  equal(cache.stats(), before);
});

test("every get is exactly one of hit, miss and coalesced, whatever becomes of it", async () => {
  const random = randomFrom(context.seed);
  const clock = handClock();
  const cache = new NearCache({ clock, maxEntries: 8, ttl: 50, hardTimeout: 15 });
  const pending = [];
  let gets = 0;
  for (let i = 0; i < 4000; i++) {
    const key = random(16);
    switch (random(9)) {
      case 0:
        gets++;
        cache.get(key);
        break;
      case 1:
        cache.set(key, i);
        break;
      case 2:
        cache.delete(key);
        break;
      case 3:
        clock.pass(random(20));
        break;
      case 4:
        if (random(50) === 0) cache.clear();
        break;
      default: {
        gets++;
        const kind = random(6);
        const controller = new AbortController();
        const get = cache.getOrSet(
          key,
          (_, ctx) => {
            if (kind === 0) throw new Error("sync");
            if (kind === 1) return Promise.reject(new Error("async"));
            if (kind === 2) return i;
            if (kind === 3) return new Promise(() => {});
            if (kind === 4) ctx.skip();
            return sleep(random(20)).then(() => i);
          },
          { forceFresh: random(4) === 0, ...(random(3) === 0 && { signal: controller.signal }) },
        );
        pending.push(get.catch(() => {}));
        if (random(2) === 0) controller.abort();
      }
    }
    const s = cache.stats();
    equal(s.hits + s.misses + s.coalesced, gets, `step ${i}, seed ${context.seed}: gets`);
    equal(s.entries <= 8 && s.entries === cache.size, true);
    if (i % 200 === 0) await sleep(1);
  }
  await Promise.race([Promise.all(pending), sleep(3000).then(() => Promise.reject(new Error("somebody hangs")))]);
  await sleep(60);
  const s = cache.stats();
  equal(s.hits + s.misses + s.coalesced, gets);
  equal([s.inFlight, s.hitRate], [0, s.hits / gets]);
  const { size, expired, replaced, removed } = s.evictions;
  equal(s.inserts - size - expired - replaced - removed, s.entries, "inserts less what left");
});

test("prometheus makes a page of one cache as of a list of them, and refuses anything else", () => {
  const users = new NearCache({ name: "users" });
  const orders = new NearCache({ name: "orders" }).set("k", "v");
  const page = prometheus([users]);
  ok(page.includes('cache="users"'), page);
  equal([prometheus(users), prometheus(orders)], [page, prometheus([orders])]);
  for (const name of ["users", "orders"]) ok(prometheus(new Set([users, orders])).includes(`cache="${name}"`), name);
  equal(prometheus([]), "");
  for (const [given, shown] of [
    [undefined, "undefined"],
    [null, "null"],
    [{}, "an object"],
    [[users, 5], "5"],
    [new Map([["users", users]]), "an array"],
  ])
    throws(() => prometheus(given), {
      code: "ERR_OPTION",
      message: `caches: got ${shown}, wants a NearCache, or a list of them`,
    });
});

test("a cache shows what it is and holds where a program logs it", async () => {
  const shown = (cache) => cache[Symbol.for("nodejs.util.inspect.custom")]();
  const cache = new NearCache({ name: "users", maxEntries: 5, maxBytes: 1_000 }).set("k", "ab");
  cache.get("k");
  cache.get("k");
  cache.get("none");
  const bounds = "maxEntries: 5, maxBytes: 1000";
  equal(shown(cache), `NearCache users { entries: 1, bytes: 4, ${bounds}, hitRate: 66.7 %, inFlight: 0 }`);
  const inner = cache.namespace("orders").namespace("old").scope("a").scope("b");
  equal(
    shown(inner),
    `NearCache users/orders/old (a/b) { entries: 0, bytes: 0, ${bounds}, hitRate: 0 %, inFlight: 0 }`,
  );
  equal(
    shown(new NearCache()),
    "NearCache default { entries: 0, bytes: 0, maxEntries: 10000, maxBytes: Infinity, hitRate: 0 %, inFlight: 0 }",
  );
});
