// Random gets of few keys at few moments, by a cache that tells its core late of those that join or lead, and by one whose hooks
// want to hear of each, so that the core is asked for every one: both come to the same.

import { NearCache } from "nearcache";
import { context, equal, randomFrom, settleDown, test } from "../runner.mjs";

const KEYS = ["a", "b", "c", "d"];

/** What `steps` random operations come to: what was loaded, got and counted. */
async function walk(world, seed, steps, isTold) {
  const random = randomFrom(seed);
  const pick = (list) => list[random(list.length)];
  // When the core hears of a load's beginning depends on it when what is over is met, and whom "adaptive" knows as it chooses
  // who leaves: where anything can be over, both hear of each lead.
  const isEndless = random(2) === 0;
  const lives = isEndless
    ? { ttl: 10_000, negativeTtl: pick([undefined, 5_000]), errorBackoff: pick([0, 10_000]) }
    : { ttl: pick([5, 20]), negativeTtl: pick([undefined, 3]), errorBackoff: pick([0, 10]) };
  const windows = [{ staleWhileRevalidate: 30 }, { staleWhileRevalidate: 30, staleIfError: 30 }, { refreshAhead: 1 }];
  const cache = new NearCache({
    maxEntries: pick([1, 2, 2, 10]),
    eviction: isEndless ? "lru" : pick(["adaptive", "lru"]),
    ...lives,
    ...pick([{}, { jitter: 0.5 }, ...(isEndless ? [] : windows)]),
    sizeOf: pick([undefined, () => 3]),
    maxBytes: pick([Infinity, 6]),
    validate: pick([undefined, undefined, (value) => !String(value).endsWith("7")]),
    hardTimeout: pick([15, 40]),
    softTimeout: pick([7, Infinity]),
    ...pick([
      {},
      {},
      { maxConcurrentLoads: 1, maxQueuedLoads: 1 },
      { maxConcurrentLoads: 2, maxQueuedLoads: 2 },
      { retry: 2 },
    ]),
    random: () => 0.5,
  });
  const log = [];
  for (const event of pick([[], [], ["load"], ["insert", "evict", "expire", "error"]])) {
    cache.on(event, ({ key, value, cause }) => log.push([event, key, value, cause].join()));
  }
  if (isTold) cache.on("coalesced", () => {});
  if (isTold || !isEndless) cache.on("miss", () => {});
  const parts = pick([
    [cache],
    [cache, cache.namespace("n"), cache.namespace("n", { hardTimeout: 9 }), cache.scope("s")],
  ]);
  const [loads, gets, controllers, recursive] = [[], [], [], new Set()];
  let depth = 0;

  const get = (options) => {
    const key = pick(KEYS);
    const got = pick(parts).getOrSet(key, load, options);
    const at = gets.push("never") - 1;
    got.then(
      (value) => (gets[at] = value),
      (error) => {
        gets[at] = error.code ?? error.message;
        if (error.code === "ERR_RECURSIVE_LOAD") recursive.add(error);
      },
    );
    return got;
  };
  const several = () => {
    for (let count = random(5); count >= 0; count--) get();
  };
  const load = (key, ctx) => {
    const at = loads.length;
    log.push(`load ${key}, ${ctx.stale}`);
    ctx.signal.addEventListener("abort", () => {
      log.push(`aborted ${at}`);
      if (random(3) === 0) several();
    });
    const said = random(isEndless ? 20 : 10);
    if (said === 0) ctx.ttl = isEndless ? 20_000 : 7;
    if (said === 1) ctx.bytes = 2;
    if (said === 2) ctx.tags = ["t"];
    if (said === 3) return null;
    if (random(8) === 0) return `value at once ${at}`;
    if (random(8) === 0) throw new Error(`error at once ${at}`);
    return new Promise((resolve, reject) => {
      loads.push({ ctx, resolve, reject });
      const how = depth < 3 ? random(isEndless ? 12 : 6) : 0;
      depth++;
      if (how === 4 || how === 5) several();
      if (how > 2 && how < 6) resolve(get());
      depth--;
      if (how === 1) resolve(`at once ${at}`);
    });
  };

  for (let step = 0; step < steps; step++) {
    const late = (list) => list[Math.max(list.length - 1 - random(4), 0)];
    switch (isEndless && random(2) ? 13 : random(16)) {
      case 12:
        get();
        break;
      case 13:
        get();
        if (random(4)) await settleDown();
        for (const { resolve } of loads) resolve(`value ${step}`);
        await settleDown();
        break;
      case 14:
        log.push(pick(["peek", "has", "pop", "remainingTtl"].map((name) => () => cache[name](pick(KEYS))))());
        break;
      case 15:
        log.push(JSON.stringify([cache.info(pick(KEYS)), [...cache.entries()], cache.size]));
        break;
      case 0:
      case 1:
      case 2:
        several();
        break;
      case 3: {
        const controller = new AbortController();
        controllers.push(controller);
        get({ signal: controller.signal });
        break;
      }
      case 4:
        get(pick([{ forceFresh: true }, { details: true }, { priority: "low" }, { tags: ["t"] }, { hardTimeout: 10 }]));
        break;
      case 5:
        late(loads)?.resolve(`value ${step}`);
        break;
      case 6:
        if (random(2)) late(loads)?.reject(new Error(`error ${step}`));
        else if (loads.length > 0) late(loads).ctx.tags = ["t"];
        break;
      case 7:
        late(controllers)?.abort(new Error("left"));
        break;
      case 8:
        log.push(pick([() => cache.delete("a"), () => cache.expire("b"), () => cache.deleteByTag("t")])());
        break;
      case 9:
        pick(parts).set(pick(KEYS), `set ${step}`);
        break;
      case 10:
        await world.pass(random(10));
        break;
      default:
        await settleDown();
        log.push(counted(cache));
    }
  }
  for (let at = 0; at < loads.length; at++) {
    loads[at].resolve(`end ${at}`);
    await settleDown();
  }
  await world.pass(1_000);
  const { hits, staleHits, misses, coalesced, inFlight, queued } = cache.stats();
  equal([gets.filter((got) => got === "never").length, inFlight, queued], [0, 0, 0], "never ended");
  // One that closes a circle is counted only if it does so as it asks again.
  const all = hits + staleHits + misses + coalesced;
  equal(all <= gets.length && all + recursive.size >= gets.length, true, `${all} and ${recursive.size} gets`);
  return [...log, ...gets, counted(cache)];
}

/** All figures but that of memory: a load that the core hears of as it ends needs no slot before another leaves its own. */
function counted(cache) {
  const { evictionBytes, ...figures } = cache.stats();
  return JSON.stringify(figures);
}

test("random gets come to what they would if the core were asked for each at once", async (world) => {
  for (let seed = context.seed; seed < context.seed + 100; seed++) {
    try {
      const [byItself, told] = [await walk(world, seed, 100, false), await walk(world, seed, 100, true)];
      for (let at = 0; at < told.length; at++) equal(byItself[at], told[at], `number ${at} of what came of it`);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error.message}`);
    }
  }
});
