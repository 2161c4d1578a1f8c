import { NearCache } from "nearcache";
import { equal, held, test } from "../runner.mjs";

const purges = {
  delete: (cache) => cache.delete("k"),
  clear: (cache) => cache.clear(),
};

for (const [name, purge] of Object.entries(purges)) {
  test(`${name} during a load wins: the value goes to those who waited and is not stored`, async () => {
    const cache = new NearCache();
    const load = held();
    const waiting = [cache.getOrSet("k", load), cache.getOrSet("k", load)];
    purge(cache);
    load.loads[0].resolve("before");
    equal([await Promise.all(waiting), cache.has("k"), cache.size], [["before", "before"], false, 0]);
  });

  test(`who asks after ${name} does not join a load that began before it`, async () => {
    const cache = new NearCache();
    const load = held();
    const before = cache.getOrSet("k", load);
    purge(cache);
    const after = cache.getOrSet("k", load);
    const also = cache.getOrSet("k", load);
    equal(load.loads.length, 2);
    load.loads[1].resolve("new");
    equal([await after, await also, cache.get("k")], ["new", "new", "new"]);
    load.loads[0].resolve("old");
    equal([await before, cache.get("k")], ["old", "new"]);
  });

  test(`${name} wins when the older load ends first, too`, async () => {
    const cache = new NearCache();
    const load = held();
    const before = cache.getOrSet("k", load);
    purge(cache);
    const after = cache.getOrSet("k", load);
    load.loads[0].resolve("old");
    equal([await before, cache.has("k")], ["old", false]);
    load.loads[1].resolve("new");
    equal([await after, cache.get("k"), cache.size], ["new", "new", 1]);
  });

  test(`${name} during a fresh load takes the old value and the load's`, async () => {
    const cache = new NearCache().set("k", "old");
    const load = held();
    const fresh = cache.getOrSet("k", load, { forceFresh: true });
    purge(cache);
    equal(cache.has("k"), false);
    load.loads[0].resolve("new");
    equal([await fresh, cache.has("k"), cache.size], ["new", false, 0]);
  });

  test(`a load that fails after ${name} and a new load leaves that one alone`, async () => {
    const cache = new NearCache();
    const load = held();
    const before = cache.getOrSet("k", load).catch((error) => error.message);
    purge(cache);
    const after = cache.getOrSet("k", load);
    load.loads[0].reject(new Error("old failed"));
    equal(await before, "old failed");
    const joined = cache.getOrSet("k", load);
    equal(load.loads.length, 2);
    load.loads[1].resolve("new");
    equal([await after, await joined, cache.get("k")], ["new", "new", "new"]);
  });
}

test("delete of a key whose first load is under way says false", async () => {
  const cache = new NearCache();
  const load = held();
  const get = cache.getOrSet("k", load);
  equal(cache.delete("k"), false);
  load.loads[0].resolve(1);
  await get;
});

test("set during a load wins: those who waited get the load's value, all others the set one", async () => {
  const cache = new NearCache();
  const load = held();
  const before = cache.getOrSet("k", load);
  cache.set("k", "set");
  equal([cache.get("k"), await cache.getOrSet("k", load), load.loads.length], ["set", "set", 1]);
  load.loads[0].resolve("loaded");
  equal([await before, cache.get("k"), cache.size], ["loaded", "set", 1]);
});

test("set with ttl 0 during a load removes, as delete does", async () => {
  const cache = new NearCache();
  const load = held();
  const before = cache.getOrSet("k", load);
  cache.set("k", "x", { ttl: 0 });
  load.loads[0].resolve("loaded");
  equal([await before, cache.has("k"), cache.size], ["loaded", false, 0]);
});

test("set and then delete during a load leaves nothing", async () => {
  const cache = new NearCache();
  const load = held();
  const before = cache.getOrSet("k", load);
  cache.set("k", 1);
  equal(cache.delete("k"), true);
  load.loads[0].resolve("loaded");
  equal([await before, cache.size], ["loaded", 0]);
});

test("clear reaches every load under way", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = [1, 2, 3, 4, 5].map((key) => cache.getOrSet(key, load));
  cache.clear();
  cache.set(3, "set");
  for (const { key, resolve } of load.loads) resolve(key);
  equal([await Promise.all(gets), [...cache], cache.stats().inFlight], [[1, 2, 3, 4, 5], [[3, "set"]], 0]);
});
