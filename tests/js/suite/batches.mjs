// A cache that loads keys together.

import { NearCache } from "nearcache";
import { equal, handClock, held, now, ok, rejects, settleDown, sleep, test, testBothWays, throws } from "../runner.mjs";

const down = new Error("down");

/** A cache with a batch that answers `value of key`, and the batches it asked for. */
function batched(batch = {}, options = {}, bring = async (keys) => keys.map((key) => `value of ${key}`)) {
  const batches = [];
  const load = (keys, contexts) => (batches.push([...keys]), bring(keys, contexts));
  const clock = handClock();
  return { cache: new NearCache({ clock, ttl: 100, batch: { load, ...batch }, ...options }), batches, clock, load };
}
const all = (cache, keys, options) => Promise.all(keys.map((key) => cache.getOrSet(key, undefined, options)));

test("keys asked for in one tick are one call, without duplicates", async () => {
  const { cache, batches } = batched();
  const later = settleDown().then(() => cache.getOrSet("c"));
  equal(await all(cache, ["a", "b", "a", "b", "a"]), [
    "value of a",
    "value of b",
    "value of a",
    "value of b",
    "value of a",
  ]);
  equal([await later, batches], ["value of c", [["a", "b", "c"]]]);
  const { hits, misses, coalesced, loads, batches: figures } = cache.stats();
  equal([hits, misses, coalesced, loads, figures], [0, 3, 3, 3, { count: 1, meanSize: 3, maxSize: 3 }]);
});

test("hits do not wait for a window, and what is under way is joined", async () => {
  const { cache, batches } = batched({ batchWindow: 10 });
  cache.set("there", 1);
  let got;
  const slow = cache.getOrSet("slow");
  void cache.getOrSet("there").then((value) => (got = value));
  await settleDown();
  equal([got, batches.length], [1, 0]);
  equal(await Promise.all([slow, cache.getOrSet("slow")]), ["value of slow", "value of slow"]);
  equal(batches, [["slow"]]);
  const load = held();
  const own = cache.getOrSet("own", load);
  const joined = cache.getMany(["own", "more"]);
  await sleep(20);
  equal(batches[1], ["more"]);
  load.loads[0].resolve("its own");
  equal([await own, await joined], ["its own", ["its own", "value of more"]]);
});

test("maxBatchSize and batchWindow shape the calls", async () => {
  const { cache, batches } = batched({ maxBatchSize: 2, batchWindow: "1h" });
  await all(cache, ["a", "b", "c", "d"]);
  equal(batches, [
    ["a", "b"],
    ["c", "d"],
  ]);
  equal(cache.stats().batches, { count: 2, meanSize: 2, maxSize: 2 });
  const windowed = batched({ batchWindow: 15 });
  const first = windowed.cache.getOrSet("a");
  await sleep(2);
  equal(
    [await windowed.cache.getOrSet("b"), await first, windowed.batches],
    ["value of b", "value of a", [["a", "b"]]],
  );
});

test("the error of one key fails that key alone, and only it is loaded again", async () => {
  const { cache, batches } = batched({}, {}, async (keys) => keys.map((key) => (key === "x" ? down : key)));
  const settled = await Promise.allSettled([
    cache.getOrSet("a"),
    cache.getOrSet("x"),
    cache.getOrSet("x"),
    cache.getOrSet("b"),
  ]);
  equal(
    settled.map(({ value, reason }) => value ?? reason),
    ["a", down, down, "b"],
  );
  equal(await cache.getMany(["a", "x", "b"]), ["a", down, "b"]);
  equal([batches, cache.stats().loadFailures, cache.size], [[["a", "x", "b"], ["x"]], 2, 2]);
});

test("a throw or a wrong result fails every key, and nothing is kept, unless errorBackoff says so", async () => {
  const wrong = [
    [
      () => {
        throw down;
      },
      /^down$/,
    ],
    [
      async () => {
        throw down;
      },
      /^down$/,
    ],
    [async () => [1], /brought 1 values/],
    [async () => "ab", /brought "ab"/],
    [async () => undefined, /undefined/],
    [() => [1, 2, 3], /3 values/],
  ];
  for (const [bring, message] of wrong) {
    for (const errorBackoff of [0, 50]) {
      const { cache, batches } = batched({}, { errorBackoff }, bring);
      for (let i = 0; i < 2; i++) {
        const results = await Promise.allSettled([cache.getOrSet("a"), cache.getOrSet("b")]);
        ok(results.every(({ reason }) => message.test(reason.message)));
      }
      equal(
        [batches.length, cache.size, cache.has("a"), cache.stats().inFlight],
        [errorBackoff ? 1 : 2, errorBackoff ? 2 : 0, false, 0],
      );
    }
  }
});

test("each key has its own context: ttl, tags, skip, stale, bytes", async () => {
  const { cache, clock } = batched({}, { staleIfError: 100 }, async (keys, contexts) =>
    keys.map((key, i) => {
      const ctx = contexts[i];
      equal([ctx.key, ctx.signal.aborted], [key, false]);
      if (key === "short") ctx.ttl = 7;
      if (key === "tagged") ctx.tags = ["t"];
      if (key === "skip") ctx.skip();
      return ctx.stale === undefined ? key : `${ctx.stale} again`;
    }),
  );
  await all(cache, ["short", "tagged", "skip", "usual"], { tags: ["all"] });
  equal([cache.remainingTtl("short"), cache.has("skip"), cache.remainingTtl("usual")], [7, false, 100]);
  equal([cache.deleteByTag("t"), cache.has("tagged")], [1, false]);
  clock.pass(7);
  equal(await cache.getOrSet("short"), "short again");
  equal(cache.deleteByTag("all"), 1, "tags of this call only");
});

test("stale windows hold for keys of a batch", async () => {
  let bad = false;
  const { cache, clock, batches } = batched({}, { swr: 50, staleIfError: 100, errorBackoff: 5 }, async (keys) => {
    if (bad) throw down;
    return keys.map((key) => `${key} ${batches.length}`);
  });
  await all(cache, ["a", "b", "c"]);
  clock.pass(110);
  equal(await all(cache, ["a", "b", "c"]), ["a 1", "b 1", "c 1"]);
  await sleep(1);
  await settleDown();
  equal([batches.length, batches[1], cache.get("a"), cache.stats().refreshes], [2, ["a", "b", "c"], "a 2", 3]);
  bad = true;
  clock.pass(160);
  const got = await Promise.all(["a", "b"].map((key) => cache.getOrSet(key, undefined, { details: true })));
  equal(
    got.map(({ value, status }) => [value, status]),
    [
      ["a 2", "stale-if-error"],
      ["b 2", "stale-if-error"],
    ],
  );
  equal([await cache.getOrSet("a"), batches.length], ["a 2", 3]);
});

test("getMany makes one call for what is missing, in the order of the keys", async () => {
  const { cache, batches } = batched();
  cache.set("b", "there");
  equal(await cache.getMany(["a", "b", "c", "a"]), ["value of a", "there", "value of c", "value of a"]);
  equal([batches, await cache.getMany([]), await cache.getMany(new Set(["a"]))], [[["a", "c"]], [], ["value of a"]]);
});

test("getMany may bring its own load and options", async () => {
  const cache = new NearCache({ clock: handClock() });
  const calls = [];
  const load = (keys, contexts) => (
    calls.push([keys, contexts.length]),
    keys.map((key) => (key === 2 ? down : key * 10))
  );
  equal(await cache.getMany([1, 2, 3], load, { ttl: 50, tags: ["t"] }), [10, down, 30]);
  equal(
    [calls, cache.remainingTtl(1), cache.stats().batches.count, cache.deleteByTag("t")],
    [[[[1, 2, 3], 3]], 50, 1, 2],
  );
  equal(
    await cache.getMany([4], () => Promise.reject("no Error")).then(([error]) => [error instanceof Error, error.cause]),
    [true, "no Error"],
  );
});

test("getMany loads nothing where its list throws, and gives an Error for whatever is thrown", async () => {
  const cache = new NearCache();
  const broken = function* () {
    yield "a";
    throw new Error("the list");
  };
  let loads = 0;
  const failing = async () => {
    loads++;
    throw new Error("nobody waits for this");
  };
  await rejects(cache.getMany(broken(), failing), { message: "the list" });
  equal(loads, 0);
  const trap = () => {
    throw new Error("a trap");
  };
  const odd = [
    Object.create(null),
    { toString: trap },
    new Proxy({}, { get: trap, getPrototypeOf: trap }),
    Symbol("s"),
    undefined,
  ];
  for (const thrown of odd) {
    const [error] = await cache.getMany(["a"], () => Promise.reject(thrown));
    equal([error instanceof Error, error.cause === thrown], [true, true]);
  }
});

test("getMany rejects only where options or loader are wrong, and then loads nothing", async () => {
  // The symptom: a wrong option became each key's value.
  const { cache, batches } = batched();
  for (const [options, message] of [
    [{ ttl: -1 }, /^ttl: got -1/],
    [{ tags: "t" }, /^tags: got "t"/],
    [{ details: true }, /^details: unknown option/],
    [{ bytes: "1" }, /^bytes/],
    [{ signal: 1 }, /^signal/],
    [null, /^options: got null/],
    [{ forceFresh: 1 }, /^forceFresh/],
  ]) {
    for (const keys of [["a"], []])
      await rejects(cache.getMany(keys, undefined, options), { code: "ERR_OPTION", message });
  }
  await rejects(cache.getMany(["a"], 5), { code: "ERR_OPTION", message: "batch.load: got 5, wants a function" });
  await rejects(new NearCache().getMany(["a"]), {
    code: "ERR_OPTION",
    message: /^loader: got undefined, wants a function, or a cache/,
  });
  equal([batches, cache.stats().misses], [[], 0]);
});

test("a signal and forceFresh hold for getMany", async () => {
  const { cache, batches } = batched({ batchWindow: 5 });
  const controller = new AbortController();
  const many = cache.getMany(["a", "b"], undefined, { signal: controller.signal });
  controller.abort(down);
  equal(await many, [down, down]);
  cache.set("c", "old");
  equal(await cache.getMany(["c"], undefined, { forceFresh: true }), ["value of c"]);
  ok(batches.at(-1).includes("c"));
});

test("a namespace's batch is its own: its figures and events too", async () => {
  // The symptom: they were counted, and told, where the namespace was made.
  const { cache, batches } = batched();
  const events = [];
  cache.on("batch", ({ keys, place }) => events.push([keys, place.namespaces]));
  const inner = [];
  const n = cache.namespace("n", { batch: { load: (keys) => (inner.push(keys), keys) } });
  equal(await Promise.all([n.getOrSet("a"), n.getOrSet("b")]), ["a", "b"]);
  await settleDown();
  equal([inner, batches, n.stats().batches.count, cache.stats().batches.count], [[["a", "b"]], [], 1, 1]);
  await n.getMany(["c"], (keys) => keys);
  await cache.namespace("heir").getOrSet("d");
  await settleDown();
  equal(
    [n.stats().batches.count, cache.namespace("heir").stats().batches.count, cache.stats().batches.count],
    [2, 0, 3],
  );
  equal(events, [
    [["a", "b"], ["n"]],
    [["c"], ["n"]],
    [["d"], []],
  ]);
});

test("keys of two scopes or namespaces are never in one call, and each hears what is said of it", async () => {
  // The symptom: of one key of two users the call said tags, and only one of them had any.
  for (const batchWindow of ["microtask", 5]) {
    const calls = [];
    const load = async (keys, contexts) => {
      calls.push(keys.join());
      for (const ctx of contexts) ctx.tags = ["t"];
      return keys;
    };
    const cache = new NearCache({ batch: { batchWindow, load } });
    const x = cache.scope("x");
    const parts = [cache, x, cache.scope("y"), cache.namespace("n"), cache.scope("x")];
    const got = parts.flatMap((part) => [part.getOrSet("k"), part.getOrSet(part === x ? "l" : "m")]);
    equal(await Promise.all(got), ["k", "m", "k", "l", "k", "m", "k", "m", "k", "m"]);
    equal(calls.sort(), ["k,l,m", "k,m", "k,m", "k,m"]);
    equal([cache.deleteByTag("t"), cache.size], [9, 0]);
    equal(await x.getOrSet("k"), "k", "in a batch after others");
  }
});

test("a call that never ends holds no place once nobody waits for it", async () => {
  for (const leaves of [false, true]) {
    const left = new AbortController();
    const load = () => new Promise(() => {});
    const cache = new NearCache({ maxConcurrentLoads: 1, hardTimeout: 100, batch: { load } });
    const lost = ["a", "b"].map((key) =>
      cache.getOrSet(key, undefined, { signal: left.signal }).catch(({ message }) => message),
    );
    await sleep(5);
    if (leaves) left.abort(new Error("left"));
    for (const message of await Promise.all(lost)) ok(message.includes(leaves ? "left" : "within 100 ms"), message);
    equal([await cache.getOrSet("c", () => "C"), cache.stats().inFlight], ["C", 0]);
  }
});

test("batches that nobody waits for any more take no turn", async () => {
  for (const leaves of [false, true]) {
    const cache = new NearCache({ maxConcurrentLoads: 1, hardTimeout: 1_500, batch: { load: async (keys) => keys } });
    const slow = cache.getOrSet("slow", () => sleep(100));
    for (let key = 0; key < 3; key++) {
      const left = new AbortController();
      cache.getOrSet(key, undefined, leaves ? { signal: left.signal } : { hardTimeout: 20 }).catch(() => {});
      // A batch each.
      await sleep(1);
      if (leaves) left.abort();
    }
    await slow;
    await sleep(50);
    equal([cache.stats().inFlight, cache.stats().queued], [0, 0]);
    const start = now();
    equal([await cache.getOrSet("x", () => "X"), now() - start < 1_000], ["X", true]);
  }
});

test("a clock that throws as a batch takes its turn fails one key at the most", async () => {
  for (let at = 1; at < 8; at++) {
    let readings = -100;
    const clock = () => {
      if (++readings === at) throw new Error("clock");
      return 1_000;
    };
    const cache = new NearCache({ maxConcurrentLoads: 5, clock, batch: { load: async (keys) => keys } });
    const got = [1, 2, 3].map((key) => cache.getOrSet(key).catch(({ message }) => message));
    readings = 0;
    const failed = (await Promise.all(got)).filter((value, index) => value !== index + 1);
    ok(failed.length <= 1, `reading ${at}: ${failed}`);
  }
});

test("a wrong batch is an error that names it", () => {
  const make = (batch) => () => new NearCache({ batch });
  throws(make(null), {
    code: "ERR_OPTION",
    message: "batch: got null, wants an object like { load: async (keys) => values }",
  });
  throws(
    make(() => []),
    { code: "ERR_OPTION", message: "batch: got a function, wants an object like { load: async (keys) => values }" },
  );
  throws(make({}), { code: "ERR_OPTION", message: "batch.load: got undefined, wants a function" });
  throws(make({ load: () => [], batchWindow: "soon" }), { code: "ERR_OPTION", message: /^batchWindow: got "soon"/ });
  throws(make({ load: () => [], maxBatchSize: 0 }), { code: "ERR_OPTION", message: /^maxBatchSize: got 0/ });
  throws(make({ load: () => [], cache: true }), { code: "ERR_OPTION", message: /^batch\.cache: unknown option/ });
});

testBothWays("a batch's duration is by the cache's clock", async (world) => {
  const load = held();
  const cache = new NearCache({ batch: { load: (keys, contexts) => load(keys, contexts[0]) } });
  const durations = [];
  cache.on("batch", ({ duration }) => durations.push(duration));
  const get = cache.getOrSet("k");
  await world.pass(70);
  load.loads[0].resolve(["v"]);
  equal([await get, await world.settle(), durations], ["v", undefined, [70]]);
});
