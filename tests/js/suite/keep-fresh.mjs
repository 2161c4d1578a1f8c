import { NearCache } from "nearcache";
import { context, equal, held, ok, rejects, settleDown, sleep, test, throws } from "../runner.mjs";

const inWorker = () => context.runtime === "workerd";

/** A loader that counts its calls. */
function counter() {
  const loader = async () => ++loader.calls;
  loader.calls = 0;
  return loader;
}

/** Waits until it holds, but not forever. */
async function until(condition, what) {
  for (let i = 0; i < 400 && !condition(); i++) await sleep(5);
  ok(condition(), what);
}

test("keys are loaded anew every so often, until it is stopped", async () => {
  const cache = new NearCache();
  const loader = counter();
  const keeper = cache.keepFresh([{ key: "a", loader }], { every: 10, timers: true });
  equal([loader.calls, cache.has("a")], [0, false], "the first round comes after `every`");
  await until(() => loader.calls >= 3, "three rounds");
  equal(cache.get("a"), loader.calls);
  cache.delete("a");
  const before = loader.calls;
  await until(() => loader.calls > before, "what has gone is loaded again");
  keeper.stop();
  await settleDown();
  const { calls } = loader;
  await sleep(50);
  equal(loader.calls, calls);
  keeper.stop();
});

test("a keeper is disposable", async () => {
  const loader = counter();
  const keeper = new NearCache().keepFresh([{ key: "a", loader }], { every: 5, timers: true });
  equal([typeof keeper[Symbol.dispose], keeper[Symbol.dispose]()], ["function", undefined]);
  await sleep(30);
  equal(loader.calls, 0);
});

test("rounds never overlap, and the next one comes after a slow one", async () => {
  const cache = new NearCache();
  const load = held();
  const keeper = cache.keepFresh([{ key: "a", loader: load }], { every: 5, timers: true });
  await until(() => load.loads.length === 1, "the first round");
  await sleep(50);
  equal(load.loads.length, 1);
  load.loads[0].resolve(1);
  await until(() => load.loads.length === 2, "the second");
  keeper.stop();
  load.loads[1].resolve(2);
  await sleep(30);
  equal([load.loads.length, cache.get("a")], [2, 2], "a round under way when it was stopped ends");
});

test("run does one round, over values that are there, which stay if it fails", async () => {
  const cache = new NearCache().set("a", "old").set("b", "old");
  const error = new Error("no");
  const entries = new Map([
    ["a", async () => "new"],
    ["b", () => Promise.reject(error)],
  ]);
  const keeper = cache.keepFresh(entries, { every: "1h", timers: false });
  equal(await keeper.run(), { loaded: 1, failed: [{ key: "b", error }] });
  equal([cache.get("a"), cache.get("b")], ["new", "old"]);
});

test("an entry's options hold in every round, but for forceFresh", async () => {
  const cache = new NearCache().set("a", "old");
  const keeper = cache.keepFresh([{ key: "a", loader: () => "new", options: { ttl: "1m", forceFresh: false } }], {
    every: "1h",
    timers: false,
  });
  await keeper.run();
  equal([cache.get("a"), cache.remainingTtl("a") <= 60_000], ["new", true]);
});

test("a list may be made anew for each round", async () => {
  const cache = new NearCache();
  let keys = ["a"];
  const keeper = cache.keepFresh(() => keys.map((key) => ({ key })), {
    every: "1h",
    loader: async (key) => key,
    timers: false,
  });
  equal((await keeper.run()).loaded, 1);
  keys = ["b", "c"];
  equal([(await keeper.run()).loaded, [...cache.keys()]], [2, ["c", "b", "a"]]);
  keys = undefined;
  await rejects(keeper.run(), { name: "TypeError" });
  equal(await ((keys = []), keeper.run()), { loaded: 0, failed: [] });
});

test("run is the round under way, where one can last; in a Worker it may be another request's, and loads are shared", async () => {
  const cache = new NearCache();
  const load = held();
  let lists = 0;
  const keeper = cache.keepFresh(() => (lists++, [{ key: "a", loader: load }]), { every: "1h", timers: false });
  const rounds = [keeper.run(), keeper.run()];
  await settleDown();
  equal([lists, load.loads.length], [inWorker() ? 2 : 1, 1]);
  load.loads[0].resolve(1);
  equal(await Promise.all(rounds), [
    { loaded: 1, failed: [] },
    { loaded: 1, failed: [] },
  ]);
});

test("no timer is started where timers end with the request, unless one says so", async () => {
  const loader = counter();
  const keeper = new NearCache().keepFresh([{ key: "a", loader }], { every: 5 });
  await sleep(50);
  keeper.stop();
  equal(loader.calls > 0, !inWorker());
});

test("onError is told of keys and lists that fail in a timer's round, which goes on even if onError throws", async () => {
  const cache = new NearCache();
  const told = [];
  let rounds = 0;
  const entries = () => {
    if (++rounds === 2) throw new Error("no list");
    return [
      { key: "a", loader: () => Promise.reject(new Error("no")) },
      { key: "b", loader: () => rounds },
    ];
  };
  const onError = (error, ...key) => {
    told.push([error.message, ...key]);
    throw new Error("onError threw");
  };
  const keeper = cache.keepFresh(entries, { every: 5, onError, timers: true });
  await until(() => told.length >= 3, "three errors");
  keeper.stop();
  equal(told.slice(0, 3), [["no", "a"], ["no list"], ["no", "a"]]);
  await until(() => cache.get("b") >= 3, "the other key's value");
});

test("a round keeps to its concurrency", async () => {
  const cache = new NearCache();
  const load = held();
  const keeper = cache.keepFresh(
    [1, 2, 3].map((key) => ({ key })),
    { every: "1h", loader: load, concurrency: 2, timers: false },
  );
  const round = keeper.run();
  await settleDown();
  equal(load.loads.length, 2);
  load.loads[0].resolve(1);
  load.loads[1].resolve(1);
  await settleDown();
  load.loads[2].resolve(1);
  equal((await round).loaded, 3);
});

test("a keeper holds no process: this one is never stopped, and the suite ends", () => {
  new NearCache().keepFresh([], { every: "1h" });
});

test("a time longer than timers run is no shorter for it", async () => {
  const real = globalThis.setTimeout;
  const set = [];
  globalThis.setTimeout = (callback, wait) => {
    set.push({ callback, wait });
    return real(() => {}, 0);
  };
  try {
    const loader = counter();
    const entries = [{ key: "a", loader }];
    const keeper = new NearCache().keepFresh(entries, { every: "30d", timers: true });
    set[0].callback();
    await settleDown();
    equal([loader.calls, set.map(({ wait }) => wait)], [0, [2 ** 31 - 1, 30 * 86_400_000 - (2 ** 31 - 1)]]);
    set[1].callback();
    await settleDown();
    equal(loader.calls, 1);
    keeper.stop();
    const before = set.length;
    new NearCache().keepFresh(entries, { every: Infinity, timers: true });
    equal(set.length, before);
  } finally {
    globalThis.setTimeout = real;
  }
});

test("a wrong option of keepFresh is an error that names it", () => {
  const cache = new NearCache();
  const entries = [{ key: 1, loader: () => 1 }];
  const good = { every: "1m" };
  for (const [given, options, message] of [
    [entries, { every: 0 }, "every: got 0, wants more than that"],
    [entries, {}, /^every: got a undefined, wants milliseconds|^every: got undefined, wants milliseconds/],
    [entries, { ...good, concurrency: 0 }, "concurrency: got 0, wants a whole number from 1 on"],
    [entries, { ...good, onError: 5 }, "onError: got 5, wants a function"],
    [entries, { ...good, timers: 1 }, "timers: got 1, wants true or false"],
    [entries, { ...good, loader: 1 }, "loader: got 1, wants a function"],
    [
      entries,
      { ...good, tiemrs: true },
      "tiemrs: unknown option, did you mean timers? Known are every, concurrency, loader, onError, timers",
    ],
    [entries, undefined, "options: got undefined, wants an object"],
    [
      entries.values(),
      good,
      "entries: got what can be walked only once, wants a list, a Map, or a function that returns one",
    ],
    [
      (async function* () {})(),
      good,
      "entries: got what can be walked only once, wants a list, a Map, or a function that returns one",
    ],
    [5, good, "entries: got 5, wants a Map from keys to loaders, or a list of {key, loader, options}"],
  ]) {
    throws(() => cache.keepFresh(given, options), { code: "ERR_OPTION", message });
  }
});
