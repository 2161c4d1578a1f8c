import { NearCache } from "nearcache";
import { equal, held, ok, rejects, settleDown, sleep, test } from "../runner.mjs";

const loader = async (key) => key.toUpperCase();
const list = (keys, more) => Array.from(keys, (key) => ({ key, loader, ...more }));

test("a warm-up loads a Map of loaders, a list, what comes bit by bit, and keys with one loader for all", async () => {
  async function* later() {
    for (const entry of list("gh")) yield await entry;
  }
  const cache = new NearCache();
  const done = { failed: [] };
  equal(
    await cache.warmup(
      new Map([
        ["a", loader],
        ["b", loader],
      ]),
    ),
    { loaded: 2, ...done },
  );
  equal(await cache.warmup(list("cd")), { loaded: 2, ...done });
  equal(await cache.warmup(new Set(list("ef"))), { loaded: 2, ...done });
  equal(await cache.warmup(later()), { loaded: 2, ...done });
  equal(await cache.warmup([{ key: "i" }, { key: "j", loader: () => "own" }], { loader }), { loaded: 2, ...done });
  equal(await cache.warmup([]), { loaded: 0, ...done });
  equal([...cache].map(([, value]) => value).reverse(), [..."ABCDEFGHI", "own"]);
});

test("what is there already is not loaded again, unless forceFresh says so", async () => {
  const cache = new NearCache().set("a", "there").set("b", "there");
  const result = await cache.warmup([
    ...list("a"),
    ...list("b", { options: { forceFresh: true } }),
    ...list("c", { options: { ttl: "1m" } }),
  ]);
  equal([result.loaded, cache.get("a"), cache.get("b"), cache.get("c")], [3, "there", "B", "C"]);
  ok(cache.remainingTtl("c") <= 60_000);
});

test("a key that fails is reported and stops nothing", async () => {
  const cache = new NearCache();
  const error = new Error("no");
  const fails = async () => Promise.reject(error);
  const result = await cache.warmup([
    { key: "a", loader: fails },
    ...list("b"),
    { key: "c" },
    ...list("d", { options: { tll: 1 } }),
    ...list("e"),
  ]);
  equal(
    [result.loaded, result.failed.map(({ key }) => key), result.failed[0].error === error],
    [2, ["a", "c", "d"], true],
  );
  equal(
    result.failed[1].error.message,
    "loader: got undefined, wants a function, or a cache that was made with `batch`",
  );
  equal([cache.get("b"), cache.get("e")], ["B", "E"]);
});

test("at most `concurrency` loads are under way, and the list is asked no sooner than needed", async () => {
  const cache = new NearCache();
  const load = held();
  let asked = 0;
  function* endless() {
    for (; asked < 7;) yield { key: asked++, loader: load };
  }
  const warmup = cache.warmup(endless(), { concurrency: 3 });
  await settleDown();
  equal([load.loads.length, asked, cache.stats().inFlight], [3, 3, 3]);
  load.loads[1].resolve(1);
  await settleDown();
  equal([load.loads.length, asked, cache.stats().inFlight], [4, 4, 3]);
  for (let i = 0; i < 7; i++) {
    load.loads[i].resolve(i);
    await settleDown();
  }
  equal([await warmup, load.loads.length], [{ loaded: 7, failed: [] }, 7]);
});

test("ten are under way by default", async () => {
  const cache = new NearCache();
  const load = held();
  const warmup = cache.warmup(Array.from({ length: 30 }, (_, key) => ({ key, loader: load })));
  await settleDown();
  equal(load.loads.length, 10);
  while (cache.stats().inFlight > 0) {
    for (const { resolve } of load.loads) resolve(1);
    await settleDown();
  }
  equal((await warmup).loaded, 30);
});

test("onProgress is told of every key, and harms nothing when it throws or rejects", async () => {
  const cache = new NearCache();
  const told = [];
  const fails = () => {
    throw new Error("no");
  };
  const onProgress = ({ error, ...rest }) => told.push({ ...rest, ...(error && { error: error.message }) });
  await cache.warmup([...list("a"), { key: "b", loader: fails }, ...list("c")], { concurrency: 1, onProgress });
  equal(told, [
    { done: 1, total: 3, key: "a" },
    { done: 2, total: 3, key: "b", error: "no" },
    { done: 3, total: 3, key: "c" },
  ]);
  await cache.warmup(new Map([["d", loader]]), { onProgress });
  await cache.warmup(list("e").values(), { onProgress });
  equal([told[3].total, told[4].total], [1, undefined]);
  for (const onProgress of [fails, async () => fails()])
    equal(
      await cache
        .warmup([...list("ab"), { key: "x", loader: fails }], { onProgress })
        .then(({ loaded, failed }) => [loaded, failed.length]),
      [2, 1],
    );
});

test("a signal ends it with its reason, begins nothing more, and takes it out of the loads under way", async () => {
  const cache = new NearCache();
  const load = held();
  const controller = new AbortController();
  const told = [];
  let closed = false;
  function* keys() {
    try {
      for (let key = 0; ; key++) yield { key, loader: load };
    } finally {
      closed = true;
    }
  }
  const options = { concurrency: 2, signal: controller.signal, onProgress: (progress) => told.push(progress) };
  const warmup = cache.warmup(keys(), options);
  await settleDown();
  const other = cache.getOrSet(1, load);
  controller.abort(new Error("enough"));
  await rejects(warmup, { message: "enough" });
  await settleDown();
  equal(
    [load.loads.map(({ ctx }) => ctx.signal.aborted), cache.stats().inFlight, told, closed],
    [[true, false], 1, [], true],
  );
  load.loads[1].resolve("v");
  equal(await other, "v");
  await rejects(cache.warmup(list("a"), options), { message: "enough" });
  equal(cache.has("a"), false);
});

test("an entry's own signal ends that entry alone", async () => {
  const cache = new NearCache();
  const own = new AbortController();
  const whole = new AbortController();
  const load = held();
  const warmup = cache.warmup([{ key: 1, loader: load, options: { signal: own.signal } }, ...list("a")], {
    signal: whole.signal,
  });
  await settleDown();
  own.abort(new Error("this one"));
  const { loaded, failed } = await warmup;
  equal([loaded, failed[0].error.message], [1, "this one"]);
});

test("an error of the list itself ends it, and the loads under way go on", async () => {
  const cache = new NearCache();
  const load = held();
  async function* broken() {
    yield { key: "a", loader: load };
    throw new Error("no more keys");
  }
  await rejects(cache.warmup(broken()), { message: "no more keys" });
  load.loads[0].resolve(1);
  await settleDown();
  equal(cache.get("a"), 1);
});

test("a wrong option of a warm-up, or a wrong entry, is an error that names it", async () => {
  const cache = new NearCache();
  const names = "concurrency, loader, onProgress, signal";
  for (const [options, message] of [
    [{ concurrency: 0 }, "concurrency: got 0, wants a whole number from 1 on"],
    [{ concurrency: Infinity }, "concurrency: got Infinity, wants a whole number from 0 to 16777215"],
    [{ loader: 5 }, "loader: got 5, wants a function"],
    [{ onProgress: {} }, "onProgress: got an object, wants a function"],
    [{ signal: {} }, "signal: got an object, wants an AbortSignal"],
    [{ concurency: 5 }, `concurency: unknown option, did you mean concurrency? Known are ${names}`],
    [null, "options: got null, wants an object"],
  ]) {
    await rejects(cache.warmup(list("a"), options), { code: "ERR_OPTION", message });
  }
  for (const [entries, shown] of [
    [undefined, "undefined"],
    [{}, "an object"],
    ["ab", '"ab"'],
    [null, "null"],
  ]) {
    await rejects(cache.warmup(entries), {
      code: "ERR_OPTION",
      message: `entries: got ${shown}, wants a Map from keys to loaders, or a list of {key, loader, options}`,
    });
  }
  await rejects(cache.warmup([{ key: 1, laoder: loader }]), {
    code: "ERR_OPTION",
    message: "entry.laoder: unknown option, did you mean loader? Known are key, loader, options",
  });
  await rejects(cache.warmup(["ada"], { loader }), {
    code: "ERR_OPTION",
    message: 'entry: got "ada", wants an object',
  });
  equal(cache.size, 0);
});

test("an entry whose getter throws is the list's own error, and no rejection that nobody handles", async () => {
  const cache = new NearCache();
  const broken = {
    get key() {
      throw new Error("a getter");
    },
  };
  async function* list() {
    yield { key: "a", loader: () => 1 };
    yield broken;
    await sleep(20);
    yield { key: "b", loader: () => 2 };
  }
  await rejects(cache.warmup(list()), { message: "a getter" });
  equal(cache.get("a"), 1);
});

test("what a warm-up keeps does not grow with the keys that pass while one load is slow", async () => {
  // Only where a collection can be asked for is it known what is kept.
  const kept = () => (globalThis.gc === undefined ? 0 : (globalThis.gc(), process.memoryUsage().heapUsed));
  const cache = new NearCache({ maxEntries: 10 });
  const slow = held();
  const both = new AbortController();
  let before;
  function* entries() {
    yield { key: "slow", loader: slow, options: { signal: both.signal } };
    for (let i = 0; i < 40_000; i++) {
      if (i === 10_000) before = kept();
      yield { key: i, loader: () => i, options: { signal: both.signal } };
    }
    ok(kept() - before < 4e6, `${kept() - before} bytes more`);
    slow.loads[0].resolve(1);
  }
  const { signal } = new AbortController();
  equal(await cache.warmup(entries(), { concurrency: 2, signal }), { loaded: 40_001, failed: [] });
});
