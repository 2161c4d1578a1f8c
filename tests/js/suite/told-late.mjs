// Of a get that finds no key and says nothing the core hears when somebody asks it something else, or when its load ends: then
// of both together.

import { NearCache } from "nearcache";
import { equal, held, now, ok, rejects, settleDown, sleep, test } from "../runner.mjs";

/** A full cache, in which one makes way for another. */
function full(options) {
  const cache = new NearCache({ maxEntries: 2, eviction: "lru", ttl: 10_000, ...options });
  return cache.set("one", 1).set("two", 2);
}

const shown = (cache) => [...cache.keys()].join();

test("loads into a full cache are stored and counted, one after the other", async () => {
  for (const eviction of ["lru", "adaptive"]) {
    const cache = full({ eviction });
    for (let i = 0; i < 50; i++) equal(await cache.getOrSet(i, async () => (await sleep(3), `v${i}`)), `v${i}`);
    const { misses, loads, inserts, entries, evictions, inFlight, loadLatency } = cache.stats();
    equal([misses, loads, inserts, entries, evictions.size, inFlight], [50, 50, 52, 2, 50, 0], eviction);
    equal([loadLatency.count, loadLatency.mean], [50, 3]);
    equal([cache.get(49), cache.stats().hits], ["v49", 1]);
  }
});

test("a loader that answers at once does as one that takes its time", async () => {
  const cache = full();
  for (let i = 0; i < 5; i++) equal(await cache.getOrSet(i, () => i), i);
  equal([shown(cache), cache.stats().misses, cache.stats().loads, cache.stats().inFlight], ["4,3", 5, 5, 0]);
  await rejects(
    cache.getOrSet("k", () => {
      throw new Error("down");
    }),
    { message: "down" },
  );
  equal([shown(cache), cache.stats().loadFailures, cache.stats().inFlight], ["4,3", 1, 0]);
});

for (const [what, say, seen] of [
  ["a ttl", (ctx) => (ctx.ttl = 70), (cache) => cache.remainingTtl("k") === 70],
  ["an age", (ctx) => (ctx.age = 4_000), (cache) => cache.remainingTtl("k") === 6_000],
  ["tags", (ctx) => (ctx.tags = ["t"]), (cache) => cache.deleteByTag("t") === 1],
  ["bytes", (ctx) => (ctx.bytes = 7), (cache) => cache.info("k").bytes === 7],
  [
    "a stale window",
    (ctx) => (ctx.swr = 70),
    (cache) => cache.expire("k") && cache.peek("k", { allowStale: true }) === "v",
  ],
  ["to skip it", (ctx) => ctx.skip(), (cache) => !cache.has("k") && cache.has("one")],
]) {
  test(`what a loader says is heeded in a full cache: ${what}`, async () => {
    const cache = full();
    const load = (_, ctx) => (say(ctx), "v");
    equal(await cache.getOrSet("k", load), "v");
    ok(seen(cache), what);
  });
}

test("nothing there lives as long as nothing does, in a full cache too", async () => {
  for (const nothing of [null, undefined]) {
    const cache = full({ negativeTtl: 30 });
    equal(await cache.getOrSet("k", () => nothing), nothing);
    equal(cache.remainingTtl("k"), 30);
  }
});

test("each part's loads are its own, and its rules hold for them", async () => {
  const cache = full();
  const part = cache.namespace("n");
  const scope = cache.scope("s");
  equal([await part.getOrSet("k", () => "in n"), cache.get("k"), part.size], ["in n", undefined, 1]);
  equal([await scope.getOrSet("k", () => "in s"), scope.get("k"), part.get("k")], ["in s", "in s", "in n"]);
  equal([part.stats().loads, cache.stats().loads], [1, 2]);
  const short = full().namespace("n", { ttl: 70 });
  equal([await short.getOrSet("k", () => "v"), short.remainingTtl("k")], ["v", 70]);
  const seen = [];
  const weightless = full({ sizeOf: (value) => (seen.push(value), 0) });
  await weightless.getOrSet("k", () => "v");
  equal(seen, [1, 2, "v"]);
  const weighed = full({ sizeOf: () => 5 });
  await weighed.getOrSet("k", () => "v");
  equal([weighed.info("k").bytes, weighed.stats().bytes], [5, 10]);
  const choosy = full({ validate: (value) => value !== "bad" });
  await rejects(
    choosy.getOrSet("k", () => "bad"),
    { code: "ERR_INVALID" },
  );
  equal([choosy.has("k"), shown(choosy)], [false, "two,one"]);
  const copying = full({ clone: "structured" });
  const value = { n: 1 };
  equal(await copying.getOrSet("k", () => value), { n: 1 });
  value.n = 2;
  equal(copying.get("k"), { n: 1 });
});

for (const event of ["miss", "load", "insert", "evict", "error"]) {
  test(`a hook hears of loads into a full cache: ${event}`, async () => {
    const cache = full();
    const told = [];
    const load = held();
    const early = cache.getOrSet("early", load);
    cache.on(event, ({ key, value, cause, duration }) => told.push([key, value, cause, duration].join()));
    load.loads[0].resolve("v");
    await early;
    await cache.getOrSet("k", async () => (await sleep(4), "w"));
    await rejects(
      cache.getOrSet("bad", async () => Promise.reject(new Error("down"))),
      { message: "down" },
    );
    const wanted = {
      miss: ["k,,absent,", "bad,,absent,"],
      load: ["early,,,0", "k,,,4"],
      insert: ["early,,,", "k,,,"],
      evict: ["one,1,size,", "two,2,size,"],
      error: ["bad,,,0"],
    };
    equal(told, wanted[event]);
  });
}

for (const [what, use, wanted] of [
  ["get", (cache) => cache.get("k"), undefined],
  ["has", (cache) => cache.has("k"), false],
  ["info", (cache) => cache.info("k").loading, true],
  ["delete", (cache) => cache.delete("k"), false],
  ["expire", (cache) => cache.expire("k"), false],
  ["set", (cache) => cache.set("k", "set").get("k"), "set"],
  ["clear", (cache) => cache.clear(), undefined],
  ["compute", (cache) => cache.compute("k", () => "computed"), "computed"],
  ["update", (cache) => cache.update("k", () => "updated"), "updated"],
  ["inFlight", (cache) => cache.stats().inFlight, 1],
  ["size", (cache) => cache.size, 2],
  ["getMany", (cache) => cache.getMany(["k"], () => ["other"]).then(([value]) => value), "v"],
]) {
  test(`while a key is loaded that nobody else has asked for, everything knows of it: ${what}`, async () => {
    const cache = full();
    const load = held();
    const asked = cache.getOrSet("k", load);
    const used = use(cache);
    load.loads[0].resolve("v");
    equal([await used, await asked], [wanted, "v"]);
    const after = {
      delete: undefined,
      expire: undefined,
      clear: undefined,
      set: "set",
      compute: "computed",
      update: "updated",
    };
    equal(cache.get("k"), what in after ? after[what] : "v");
    equal([cache.stats().inFlight, cache.size], [0, cache.has("k") || what !== "clear" ? 2 : 0]);
  });
}

test("its deadline counts from when it was asked for", async () => {
  const cache = full({ hardTimeout: 20 });
  const began = now();
  const asked = cache.getOrSet("k", () => new Promise(() => {}));
  await sleep(15);
  const joined = cache.getOrSet("k", () => new Promise(() => {}));
  await rejects(asked, { code: "ERR_TIMEOUT" });
  equal(now() - began, 20);
  await rejects(joined, { code: "ERR_TIMEOUT" });
  equal([now() - began, cache.stats().timeouts, cache.stats().inFlight], [35, 2, 0]);
});

test("its load ends well after its deadline: nobody waits, and nothing is stored", async () => {
  const cache = full({ hardTimeout: 20 });
  const load = held();
  await rejects(cache.getOrSet("k", load), { code: "ERR_TIMEOUT" });
  load.loads[0].resolve("late");
  await settleDown();
  equal([cache.has("k"), shown(cache), cache.stats().inFlight], [false, "two,one", 0]);
});

test("a load that it fails is tried again, and remembered", async () => {
  const cache = full({ retry: 2, errorBackoff: 50 });
  let calls = 0;
  const down = async () => Promise.reject(new Error(`down ${++calls}`));
  await rejects(cache.getOrSet("k", down), { message: "down 2" });
  await rejects(cache.getOrSet("k", down), { message: "down 2" });
  equal([calls, cache.stats().loadFailures, cache.stats().hits], [2, 1, 1]);
});

test("a clock that uses the cache while a load ends changes nothing", async () => {
  let use = () => {};
  const cache = full({ clock: () => (use(), 1_000_000) });
  const load = held();
  const asked = cache.getOrSet("k", load);
  let times = 0;
  use = () => {
    use = () => {};
    times++;
    cache.has("x");
    cache.stats();
  };
  load.loads[0].resolve("v");
  equal([await asked, times, cache.get("k"), cache.stats().loads], ["v", 1, "v", 1]);
  equal([shown(cache), cache.stats().inFlight], ["k,two", 0]);
});

test("a stack that is full as the core is told leaves nothing half done", async () => {
  const cache = full();
  const load = held();
  const asked = cache.getOrSet("k", load);
  let told = 0;
  const dive = () => {
    try {
      dive();
    } catch {
      // Each has a little more room than the one that it called.
      cache.get("x");
      told++;
    }
  };
  const { error: log } = console;
  console.error = () => {};
  try {
    dive();
    // A stack that is full within the wasm leaves it in the middle of something: then it is replaced, with nothing in it.
    if (cache.has("one")) equal([told, cache.info("k").loading, cache.stats().inFlight], [1, true, 1]);
  } finally {
    console.error = log;
  }
  load.loads[0].resolve("v");
  equal([await asked, cache.stats().inFlight, await cache.getOrSet("k", () => "v")], ["v", 0, "v"]);
  equal([cache.get("k"), cache.stats().inFlight], ["v", 0]);
});

for (const [what, use, wanted] of [
  ["get", (cache) => cache.get("k"), ["v", 1]],
  ["getOrSet", (cache) => void cache.getOrSet("k", () => "another"), ["v", 1]],
  ["set", (cache) => void cache.set("k", "set"), ["set", 1]],
  ["delete", (cache) => cache.delete("k"), [undefined, 0]],
]) {
  test(`a clock that is read for a timer to purge by may use the cache: ${what}`, async () => {
    let atReading = () => {};
    const clock = () => (atReading(), 1_000_000);
    const cache = new NearCache({ maxEntries: 10, ttl: 1_000, purgeStaleEvery: 100, clock });
    const got = cache.getOrSet("k", async () => "v");
    let seen;
    atReading = () => {
      // As the load ends, the second reading is the timer's.
      atReading = () => {
        atReading = () => {};
        seen = use(cache);
      };
    };
    equal(await got, "v");
    await settleDown();
    equal([cache.get("k"), cache.size, cache.size], [...wanted, [...cache.keys()].length]);
    ok(seen === undefined || seen === "v" || seen === true, `${String(seen)} as what a user may see`);
  });
}

test("a miss counts for the part that was asked, whoever takes its slot", async () => {
  let now = 1_000_000;
  const cache = new NearCache({ clock: () => now, hardTimeout: 1_000_000, ttl: 100 });
  const part = cache.namespace("n");
  part.compute("k", () => new Promise(() => {}), { hardTimeout: 50 }).catch(() => {});
  now += 100_000_000;
  cache.getOrSet("other", () => new Promise(() => {})).catch(() => {});
  equal([part.get("k"), part.stats().misses, cache.stats().misses], [undefined, 1, 2]);
});

test("a loader's own gets know whom they are for", async () => {
  const cache = full({ batch: { load: (keys) => Promise.all(keys.map((key) => cache.getOrSet("a", () => key))) } });
  await rejects(
    cache.getOrSet("a", () => cache.getOrSet("b")),
    { code: "ERR_RECURSIVE_LOAD" },
  );
  const other = full();
  await rejects(
    other.getOrSet("a", () => other.getOrSet("b", () => other.getOrSet("a", () => 1))),
    { code: "ERR_RECURSIVE_LOAD", key: "a" },
  );
  equal([shown(cache), cache.stats().inFlight, other.stats().inFlight], ["two,one", 0, 0]);
});
