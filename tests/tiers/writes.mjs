// Values that are set one after the other, over tiers of which each call may fail, hang or take its time: what a tier has in the
// end is the last value of a key, or none. `--seed=N`, `--count=N` for as many rounds.

import { NearCache } from "nearcache";
import { memoryTier, tiers } from "nearcache/tiers";
import { settings } from "../js/report.mjs";
import { context, equal, randomFrom, test } from "../js/runner.mjs";

const TIMEOUT = 50;
const options = { clockSkew: 0, lateWrites: 0, log() {} };
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

/** A tier in front of a store; `weather.isFair` when nothing goes wrong any more. */
function exposed(store, weather, random) {
  const call = (act) => async (of) => {
    const fate = weather.isFair ? 9 : Math.floor(random() * 10);
    const began = performance.now();
    if (fate === 0) throw new Error("refused");
    if (fate === 1) return new Promise(() => {});
    if (fate < 5) await pause(random() * 10);
    if (fate === 2) throw new Error("broke off");
    // What the cache has given up may come at any time, which nothing but a mark helps against.
    if (performance.now() - began < TIMEOUT - 5) return act(of);
  };
  const { name } = store;
  return {
    name,
    options: { ...store.options, timeout: TIMEOUT, failures: 3, cooldown: 10 },
    get: (key) => store.get(key),
    set: call((entry) => store.set(entry)),
    delete: call((key) => store.delete(key)),
  };
}

async function round(seed) {
  const random = randomFrom(seed);
  const below = (n) => Math.floor(random() * n);
  const stores = [memoryTier({ name: "upper" }), memoryTier({ name: "lower", maxValueBytes: 300 })];
  const weather = { isFair: false };
  const chain = tiers(
    stores.map((store) => exposed(store, weather, random)),
    options,
  );
  const cache = new NearCache({ ttl: "1h", tiers: chain });
  const last = new Map();
  for (let version = 1; version <= 60; version++) {
    const key = `k${below(3)}`;
    // Some are too large for the lower one.
    const value = { version, text: "x".repeat(below(4) === 0 ? 500 : 10) };
    const how = below(4);
    if (how === 0) await cache.getOrSet(key, () => value, { forceFresh: true });
    else if (how === 1) await cache.compute(key, () => value);
    else cache.set(key, value);
    last.set(key, version);
    if (below(3) === 0) await pause(below(8));
    else if (below(2) === 0) await Promise.resolve();
    if (below(12) === 0) await chain.flush();
  }
  await chain.flush();
  weather.isFair = true;
  const owes = () => chain.stats().some(({ owesPurges }) => owesPurges);
  for (let tries = 0; owes() && tries < 20; tries++) {
    await pause(20);
    await cache.getOrSet(`another ${tries}`, () => 1);
    await chain.flush();
  }
  equal(owes(), false, "owes purges");
  let found = 0;
  for (const store of stores) {
    const reader = new NearCache({ ttl: "1h", tiers: tiers([store], options) });
    for (const [key, version] of last) {
      const got = await reader.getOrSet(key, () => undefined);
      if (got !== undefined) equal(got.version, version, `${store.name}, ${key}: version`);
      found += Number(got !== undefined);
    }
  }
  return found;
}

test("a clock that leaps makes nobody take for lost what is on its way", async () => {
  const store = memoryTier();
  let now = 1_000_000;
  let [begun, ended] = [0, 0];
  // The first takes longer than the second.
  const set = async (entry) => {
    await pause(begun++ === 0 ? 60 : 1);
    await store.set(entry);
    ended++;
  };
  const { name } = store;
  const tier = { name, options: {}, get: (key) => store.get(key), set, delete: (key) => store.delete(key) };
  const chain = tiers([tier], options);
  const cache = new NearCache({ ttl: "100h", tiers: chain, clock: () => now });
  cache.set("k", "first");
  await pause(5);
  now += 3_600_000;
  cache.set("k", "second");
  await chain.flush();
  equal(ended, 2, "writes that have ended");
  const reader = new NearCache({ ttl: "100h", tiers: tiers([store], options), clock: () => now });
  equal(await reader.getOrSet("k", () => "none"), "second");
});

test("of values that are set one after the other no tier has an older one in the end, whatever fails", async () => {
  const count = settings().count ?? 40;
  const seeds = Array.from({ length: count }, (_, at) => context.seed + at);
  let found = 0;
  while (seeds.length > 0) {
    const rounds = seeds.splice(0, 20).map(async (seed) => {
      try {
        return await round(seed);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error.message}`);
      }
    });
    for (const values of await Promise.all(rounds)) found += values;
  }
  if (found < count) throw new Error(`only ${found} values were found at all`);
});

test("a value that is purged by its tag before it is stored takes the one before out of the tiers", async () => {
  for (const isLate of [false, true]) {
    const store = memoryTier();
    const chain = tiers([store]);
    const cache = new NearCache({ ttl: "1h", tiers: chain });
    cache.set("a", "old");
    await chain.flush();
    await pause(5);
    if (!isLate) cache.deleteByTag("t");
    cache.set("a", "new", { tags: ["t"] });
    if (isLate) cache.deleteByTag("t");
    await chain.flush();
    const other = new NearCache({ ttl: "1h", tiers: tiers([store]) });
    equal(await other.getOrSet("a", () => "loaded"), "loaded", isLate ? "purged after" : "purged before");
  }
});
