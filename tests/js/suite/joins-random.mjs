// Random gets of few keys at few moments, by a cache that counts by itself those that join, and by one whose hook wants to hear of
// each, so that the core is asked for every one: both come to the same.

import { NearCache } from "nearcache";
import { context, equal, randomFrom, settleDown, test } from "../runner.mjs";

const KEYS = ["a", "b"];

/** What `steps` random operations come to: what was loaded, got and counted. */
async function walk(world, seed, steps, isTold) {
  const random = randomFrom(seed);
  const pick = (list) => list[random(list.length)];
  const cache = new NearCache({
    maxEntries: pick([1, 2, 10]),
    ttl: pick([5, 20]),
    staleWhileRevalidate: pick([0, 30, 30]),
    staleIfError: pick([0, 30]),
    errorBackoff: pick([0, 10]),
    hardTimeout: pick([15, 40]),
    softTimeout: pick([7, Infinity]),
    ...pick([{}, { maxConcurrentLoads: 1, maxQueuedLoads: 1 }, { maxConcurrentLoads: 2, maxQueuedLoads: 2 }]),
  });
  if (isTold) cache.on("coalesced", () => {});
  const parts = [cache, cache.namespace("n"), cache.namespace("n", { hardTimeout: 9 }), cache.scope("s")];
  const [loads, gets, controllers, recursive, log] = [[], [], [], new Set(), []];
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
    return new Promise((resolve, reject) => {
      loads.push({ ctx, resolve, reject });
      const how = depth < 3 ? random(6) : 0;
      depth++;
      if (how > 3) several();
      if (how > 2) resolve(get());
      depth--;
      if (how === 1) resolve(`at once ${at}`);
    });
  };

  for (let step = 0; step < steps; step++) {
    const late = (list) => list[Math.max(list.length - 1 - random(4), 0)];
    switch (random(12)) {
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
        log.push(pick([() => cache.delete("a"), () => cache.deleteByTag("t"), () => cache.expire("b")])());
        break;
      case 9:
        pick(parts).set(pick(KEYS), `set ${step}`);
        break;
      case 10:
        await world.pass(random(10));
        break;
      default:
        await settleDown();
        log.push(Object.values(cache.stats()).join());
    }
  }
  for (let at = 0; at < loads.length; at++) {
    loads[at].resolve(`end ${at}`);
    await settleDown();
  }
  await world.pass(1_000);
  const { hits, staleHits, misses, coalesced, inFlight, queued } = cache.stats();
  equal([gets.filter((got) => got === "never").length, inFlight, queued], [0, 0, 0], "never ended");
  equal(hits + staleHits + misses + coalesced + recursive.size, gets.length, "gets");
  return [...log, ...gets, Object.values(cache.stats()).join()];
}

test("random gets that join come to what they would if the core were asked for each", async (world) => {
  for (let seed = context.seed; seed < context.seed + 100; seed++) {
    try {
      const [byItself, told] = [await walk(world, seed, 100, false), await walk(world, seed, 100, true)];
      for (let at = 0; at < told.length; at++) equal(byItself[at], told[at], `number ${at} of what came of it`);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error.message}`);
    }
  }
});
