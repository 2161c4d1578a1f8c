import { NearCache } from "nearcache";
import { equal, handClock, held, ok, rejects, settleDown, test } from "../runner.mjs";

test("a thousand gets of a cold key are one load", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = Array.from({ length: 1000 }, () => cache.getOrSet("k", load));
  equal(load.loads.length, 1);
  load.loads[0].resolve("v");
  equal(await Promise.all(gets), new Array(1000).fill("v"));
  equal([load.loads.length, cache.get("k")], [1, "v"]);
});

test("different keys are loaded side by side", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = ["a", "b", "c"].map((key) => cache.getOrSet(key, load));
  equal(
    load.loads.map(({ key }) => key),
    ["a", "b", "c"],
  );
  for (const { key, resolve } of load.loads.reverse()) resolve(key.toUpperCase());
  equal(await Promise.all(gets), ["A", "B", "C"]);
});

test("a value that is there is given without a load", async () => {
  const cache = new NearCache().set("k", 1);
  const load = held();
  equal(await cache.getOrSet("k", load), 1);
  equal(await cache.getOrSet("k", load, {}), 1);
  equal(load.loads.length, 0);
});

test("a loader may be sync, async, or return anything with a then", async () => {
  const cache = new NearCache();
  equal(await cache.getOrSet("sync", (key) => key + 1), "sync1");
  equal(await cache.getOrSet("async", async (key) => key + 1), "async1");
  equal(await cache.getOrSet("thenable", (key) => ({ then: (resolve) => resolve(key + 1) })), "thenable1");
  equal(await cache.getOrSet("undefined", () => undefined), undefined);
  equal(
    [cache.get("sync"), cache.get("async"), cache.get("thenable"), cache.has("undefined")],
    ["sync1", "async1", "thenable1", true],
  );
});

test("a sync load is stored at once", () => {
  const cache = new NearCache();
  void cache.getOrSet("k", () => 1);
  equal([cache.get("k"), cache.stats().inFlight], [1, 0]);
});

test("a thenable may hold another, fail, throw, or answer twice", async () => {
  const cache = new NearCache();
  const nested = { then: (resolve) => resolve({ then: (inner) => inner("deep") }) };
  equal([await cache.getOrSet("nested", () => nested), cache.get("nested")], ["deep", "deep"]);
  await rejects(
    cache.getOrSet("fails", () => ({ then: (_, reject) => reject(new Error("no")) })),
    { message: "no" },
  );
  const thrower = {
    then() {
      throw new Error("then threw");
    },
  };
  await rejects(
    cache.getOrSet("throws", () => thrower),
    { message: "then threw" },
  );
  const getter = {
    get then() {
      throw new Error("getter threw");
    },
  };
  await rejects(
    cache.getOrSet("getter", () => getter),
    { message: "getter threw" },
  );
  const twice = {
    then(resolve, reject) {
      resolve("first");
      resolve("second");
      reject(new Error("third"));
    },
  };
  equal([await cache.getOrSet("twice", () => twice), cache.get("twice")], ["first", "first"]);
  equal([cache.stats().inFlight, cache.has("throws"), cache.has("getter")], [0, false, false]);
});

test("a promise whose then throws rejects, and holds nothing", async () => {
  const cache = new NearCache();
  class Odd extends Promise {
    then() {
      throw new Error("odd");
    }
  }
  await rejects(() => cache.getOrSet("k", () => Odd.resolve(1)), { message: "odd" });
  equal(await cache.getOrSet("k", () => 2), 2);
});

test("all who wait get the loader's own error, nothing is stored, and the next get loads anew", async () => {
  const cache = new NearCache();
  for (const error of [new Error("origin down"), "a text", undefined, null, 0]) {
    const load = held();
    const gets = Array.from({ length: 20 }, () => cache.getOrSet("k", load));
    load.loads[0].reject(error);
    for (const got of await Promise.allSettled(gets)) {
      equal([got.status, got.reason === error], ["rejected", true]);
    }
    equal([cache.has("k"), cache.size, cache.stats().inFlight], [false, 0, 0]);
  }
  equal(await cache.getOrSet("k", () => "recovered"), "recovered");
});

test("a loader that throws before it returns a promise rejects in the same way", async () => {
  const cache = new NearCache();
  const error = new Error("at once");
  const fail = () => {
    throw error;
  };
  equal(await rejects(cache.getOrSet("k", fail)), error);
  equal([cache.stats().inFlight, cache.stats().loadFailures], [0, 1]);
  equal(await cache.getOrSet("k", () => 1), 1);
});

test("the next get after a failure may be made by the one who hears of it", async () => {
  const cache = new NearCache();
  const fail = () => Promise.reject(new Error("no"));
  const value = await cache.getOrSet("k", fail).catch(() => cache.getOrSet("k", () => "second"));
  equal([value, cache.get("k")], ["second", "second"]);
});

test("a failed load leaves an old value where it is", async () => {
  const cache = new NearCache().set("k", "old");
  await rejects(cache.getOrSet("k", () => Promise.reject(new Error("no")), { forceFresh: true }));
  equal(cache.get("k"), "old");
});

test("the value is stored before those who wait hear of it", async () => {
  const cache = new NearCache();
  const load = held();
  const seen = [
    cache.getOrSet("k", load).then(() => cache.get("k")),
    cache.getOrSet("k", load).then(() => cache.get("k")),
  ];
  load.loads[0].resolve(1);
  equal(await Promise.all(seen), [1, 1]);
});

test("forceFresh loads though a value is there, which serves others meanwhile", async () => {
  const cache = new NearCache().set("k", "old");
  const load = held();
  const fresh = cache.getOrSet("k", load, { forceFresh: true });
  equal([cache.get("k"), await cache.getOrSet("k", load), load.loads.length], ["old", "old", 1]);
  load.loads[0].resolve("new");
  equal([await fresh, cache.get("k"), cache.size], ["new", "new", 1]);
});

test("forceFresh joins a load that is under way", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = [
    cache.getOrSet("k", load),
    cache.getOrSet("k", load, { forceFresh: true }),
    cache.getOrSet("k", load, { forceFresh: true }),
  ];
  equal(load.loads.length, 1);
  load.loads[0].resolve(1);
  equal(await Promise.all(gets), [1, 1, 1]);
});

test("an old value that is evicted during a fresh load does not disturb it", async () => {
  const cache = new NearCache({ maxEntries: 1 }).set("k", "old");
  const load = held();
  const fresh = cache.getOrSet("k", load, { forceFresh: true });
  cache.set("other", 1);
  equal([cache.has("k"), cache.size], [false, 1]);
  const joined = cache.getOrSet("k", load);
  load.loads[0].resolve("new");
  equal([await fresh, await joined, [...cache]], ["new", "new", [["k", "new"]]]);
});

test("an expired value is loaded anew, once", async () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 10, clock });
  let calls = 0;
  const load = async () => ++calls;
  await cache.getOrSet("k", load);
  clock.pass(10);
  equal(await Promise.all([cache.getOrSet("k", load), cache.getOrSet("k", load)]), [2, 2]);
});

test("a value's life begins when the load ends", async () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 100, clock });
  const load = held();
  const get = cache.getOrSet("k", load);
  clock.pass(80);
  load.loads[0].resolve(1);
  await get;
  equal(cache.remainingTtl("k"), 100);
});

test("ctx.skip gives the value to those who wait and stores nothing", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = [cache.getOrSet("k", load), cache.getOrSet("k", load)];
  load.loads[0].ctx.skip();
  load.loads[0].resolve("private");
  equal(await Promise.all(gets), ["private", "private"]);
  equal([cache.has("k"), cache.size, cache.stats().rejected], [false, 0, 1]);
});

test("ctx.skip on a fresh load removes the old value", async () => {
  const cache = new NearCache().set("k", "old");
  equal(await cache.getOrSet("k", (_, ctx) => (ctx.skip(), "new"), { forceFresh: true }), "new");
  equal([cache.has("k"), cache.size], [false, 0]);
});

test("ctx tells the key and has a signal that is not aborted", async () => {
  const cache = new NearCache();
  const key = { id: 1 };
  let seen;
  await cache.getOrSet(
    key,
    (given, ctx) => (
      (seen = [given === key, ctx.key === key, ctx.signal instanceof AbortSignal, ctx.signal.aborted]),
      1
    ),
  );
  equal(seen, [true, true, true, false]);
});

test("what ctx says wrongly is an error for all who wait, and nothing is stored", async () => {
  const cache = new NearCache();
  const cases = [
    [
      "ttl",
      -1,
      'ctx.ttl: got -1, wants milliseconds from 0 on, Infinity, or a string like "250ms", "30s", "5m", "2h", "1d"',
    ],
    [
      "ttl",
      "soon",
      'ctx.ttl: got "soon", wants milliseconds from 0 on, Infinity, or a string like "250ms", "30s", "5m", "2h", "1d"',
    ],
    ["bytes", NaN, "ctx.bytes: got NaN, wants bytes from 0 on, or Infinity"],
  ];
  for (const [name, value, message] of cases) {
    const load = held();
    const gets = [cache.getOrSet("k", load), cache.getOrSet("k", load)];
    load.loads[0].ctx[name] = value;
    load.loads[0].resolve(1);
    for (const get of gets) await rejects(get, { code: "ERR_OPTION", message });
    equal([cache.has("k"), cache.stats().inFlight], [false, 0]);
  }
});

test("a loader may use the cache for other keys", async () => {
  const cache = new NearCache();
  const value = await cache.getOrSet("sum", async () => {
    const parts = await Promise.all([cache.getOrSet("a", () => 1), cache.getOrSet("b", async () => 2)]);
    cache.set("side", "effect").delete("a");
    return parts[0] + parts[1];
  });
  equal([value, cache.get("sum"), cache.has("a"), cache.get("b"), cache.get("side")], [3, 3, false, 2, "effect"]);
});

test("a loader may clear the cache; its value then goes to its caller only", async () => {
  const cache = new NearCache().set("x", 1);
  equal(await cache.getOrSet("k", () => (cache.clear(), 1)), 1);
  equal([cache.size, cache.has("k")], [0, false]);
});

test("a hit gives what was stored, the same object", async () => {
  const cache = new NearCache();
  const value = { deep: [] };
  equal((await cache.getOrSet("k", () => value)) === value, true);
  equal((await cache.getOrSet("k", () => ({}))) === value, true);
});

test("ten thousand loads at once all come home", async () => {
  const cache = new NearCache({ maxEntries: 20_000 });
  const gets = Array.from({ length: 10_000 }, (_, i) => cache.getOrSet(i, async () => i));
  const values = await Promise.all(gets);
  ok(values.every((value, i) => value === i));
  equal([cache.size, cache.stats().inFlight], [10_000, 0]);
});

test("a load that ends after everything else has been used again touches nothing else", async () => {
  const cache = new NearCache({ maxEntries: 2, eviction: "lru" });
  const load = held();
  const first = cache.getOrSet("k", load);
  cache.delete("k");
  for (let i = 0; i < 100; i++) cache.set(i, i);
  load.loads[0].resolve("late");
  equal(await first, "late");
  await settleDown();
  equal(
    [...cache],
    [
      [99, 99],
      [98, 98],
    ],
  );
});

test("what settles twice has settled the first time, as a promise does", async () => {
  const cache = new NearCache();
  class Twice extends Promise {
    then(resolve, reject) {
      resolve("first");
      resolve("second");
      reject?.(new Error("third"));
    }
    static get [Symbol.species]() {
      return Promise;
    }
  }
  const own = Object.assign(Promise.resolve(), { then: Twice.prototype.then });
  const thenable = { then: Twice.prototype.then };
  for (const [i, odd] of [new Twice(() => {}), own, thenable].entries()) {
    const values = [cache.getOrSet(i, () => odd), cache.getOrSet(i, () => "nobody's")];
    equal([await Promise.all(values), cache.get(i)], [["first", "first"], "first"]);
  }
  const fails = {
    then(resolve, reject) {
      reject(new Error("first"));
      resolve("second");
    },
  };
  const retry = { attempts: 2, delay: 1 };
  let times = 0;
  const failed = await cache.getOrSet("f", () => (times++, fails), { retry }).catch(({ message }) => message);
  equal([failed, times, cache.has("f"), cache.stats().inFlight], ["first", 2, false, 0]);
});
