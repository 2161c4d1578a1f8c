import { NearCache } from "nearcache";
import { equal, held, never, rejects, test, testBothWays } from "../runner.mjs";

const text =
  'the loader of "k" asked the cache for that very key, which it is loading; load it directly, or under another key';

test("a loader that asks for its own key gets an error that says so, not a deadlock", async () => {
  const cache = new NearCache({ hardTimeout: 2000 });
  let inner;
  const value = await cache.getOrSet("k", async () => {
    inner = cache.getOrSet("k", () => 2);
    return (
      (await rejects(inner, { name: "NearCacheError", code: "ERR_RECURSIVE_LOAD", key: "k", message: text })) && "outer"
    );
  });
  equal([value, cache.get("k"), cache.stats().inFlight], ["outer", "outer", 0]);
});

test("a loader that returns a load of its own key rejects with that error", async () => {
  const cache = new NearCache({ hardTimeout: 2000 });
  const direct = () => cache.getOrSet("k", () => 2);
  await rejects(cache.getOrSet("k", direct), { code: "ERR_RECURSIVE_LOAD", message: text });
  await rejects(
    cache.getOrSet("k", async () => cache.getOrSet("k", () => 2)),
    { code: "ERR_RECURSIVE_LOAD", message: text },
  );
  const itself = (key) => cache.getOrSet(key, itself);
  await rejects(cache.getOrSet("k", itself), { code: "ERR_RECURSIVE_LOAD", message: text });
  equal([cache.has("k"), cache.stats().inFlight], [false, 0]);
  equal(await cache.getOrSet("k", () => "fine"), "fine");
});

test("a circle through other keys is found in the same way", async () => {
  const cache = new NearCache({ hardTimeout: 2000 });
  const load = (key) => cache.getOrSet({ a: "b", b: "c", c: "a" }[key], load);
  await rejects(cache.getOrSet("a", load), { code: "ERR_RECURSIVE_LOAD", key: "a" });
  equal([cache.size, cache.stats().inFlight], [0, 0]);
});

test("a circle that closes later ends at the deadline, and its error gives a hint", async () => {
  const cache = new NearCache({ hardTimeout: 40 });
  const get = cache.getOrSet("k", async () => {
    await undefined;
    return cache.getOrSet("k", () => 2);
  });
  await rejects(get, { code: "ERR_TIMEOUT", message: /waits for itself/ });
});

test("a loader may read, set and delete its own key", async () => {
  const cache = new NearCache();
  equal(await cache.getOrSet("k", () => (equal(cache.get("k"), undefined), cache.set("k", "set"), "loaded")), "loaded");
  equal(cache.get("k"), "set");
  cache.delete("k");
  equal(await cache.getOrSet("k", () => (cache.delete("k"), "loaded")), "loaded");
  equal(cache.has("k"), false);
});

test("a loader may ask for its own key after deleting it: that is a new load", async () => {
  const cache = new NearCache();
  equal(await cache.getOrSet("k", () => (cache.delete("k"), cache.getOrSet("k", () => "inner"))), "inner");
  equal(cache.get("k"), "inner");
});

test("a refused get of a key that waits for its asker counts as no get", async () => {
  const cache = new NearCache();
  await rejects(
    cache.getOrSet("a", () => cache.getOrSet("b", () => cache.getOrSet("a", () => 1))),
    { code: "ERR_RECURSIVE_LOAD", key: "a" },
  );
  const { hits, misses, coalesced, loads } = cache.stats();
  equal([hits, misses, coalesced, loads], [0, 2, 0, 2]);
});

test("a batch that asks for a key of its own gets an error that says so", async () => {
  // The symptom: it waited for itself until hardTimeout.
  const cache = new NearCache({
    hardTimeout: 2000,
    batch: { load: (keys) => Promise.all(keys.map((key) => cache.getOrSet(key, () => "x"))) },
  });
  await rejects(cache.getOrSet("a"), { code: "ERR_RECURSIVE_LOAD", key: "a" });
  const other = new NearCache({
    hardTimeout: 2000,
    batch: { load: (keys) => Promise.all(keys.map((key) => other.getOrSet(`${key}'`, () => `${key} by the other`))) },
  });
  equal(await other.getMany(["a", "b"]), ["a by the other", "b by the other"]);
});

/** A cache whose batch, once its keys are there, calls `ask`, and then waits to be told what it brings. */
function makeAskingBatch(ask) {
  const batch = held();
  const cache = new NearCache({ hardTimeout: 2000, batch: { load: (keys) => (ask(cache), batch(keys)) } });
  return { cache, bring: (values) => batch.loads[0].resolve(values) };
}

/** A load of "k" that asks for a key of the batch when its first attempt has failed. */
function loadThatAsksBack(cache) {
  const first = held();
  const load = (key, ctx) => (ctx.attempt === 1 ? first(key, ctx) : cache.getOrSet("a"));
  const get = cache.getOrSet("k", load, { retry: { attempts: 2, delay: 20, jitter: 0 } });
  return { get, fail: () => first.loads[0].reject(new Error("down")) };
}

const waysOut = {
  "has timed out": () => ({ options: { hardTimeout: 10 }, leave() {} }),
  "has left": () => {
    const controller = new AbortController();
    return { options: { signal: controller.signal }, leave: () => controller.abort(new Error("left")) };
  },
};

for (const [how, makeWayOut] of Object.entries(waysOut)) {
  testBothWays(`a batch whose wait for a key ${how} may be joined by that key's load`, async (world) => {
    const { options, leave } = makeWayOut();
    let inner;
    const { cache, bring } = makeAskingBatch((cache) => (inner = rejects(cache.getOrSet("k", never, options))));
    const { get, fail } = loadThatAsksBack(cache);
    const batched = cache.getOrSet("a");
    await world.settle();
    leave();
    await world.pass(10);
    await inner;
    fail();
    await world.pass(20);
    bring(["v"]);
    equal(await Promise.all([get, batched]), ["v", "v"]);
  });

  testBothWays(`where one of a batch's two waits ${how} the other still closes a circle`, async (world) => {
    const { options, leave } = makeWayOut();
    let inner;
    const { cache, bring } = makeAskingBatch((cache) => {
      cache.getOrSet("k", never).catch(() => {});
      inner = rejects(cache.getOrSet("other", never, options));
    });
    const { get, fail } = loadThatAsksBack(cache);
    const other = rejects(cache.getOrSet("other", never), { code: "ERR_TIMEOUT" });
    const batched = cache.getOrSet("a");
    await world.settle();
    leave();
    await world.pass(10);
    await inner;
    fail();
    await rejects(get, { code: "ERR_RECURSIVE_LOAD", key: "a" });
    bring(["v"]);
    equal(await batched, "v");
    await other;
  });
}
