import { NearCache } from "nearcache";
import { context, equal, held, now, rejects, settleDown, test, throws } from "../runner.mjs";

const inWorker = () => context.runtime === "workerd";

/** A loader that counts its calls. */
function counter() {
  const loader = async () => ++loader.calls;
  loader.calls = 0;
  return loader;
}

test("keys are loaded anew every so often, until it is stopped", async (world) => {
  const cache = new NearCache();
  const loader = counter();
  const keeper = cache.keepFresh([{ key: "a", loader }], { every: 10, timers: true });
  await world.pass(9);
  equal([loader.calls, cache.has("a")], [0, false], "the first round comes after `every`");
  await world.pass(21);
  equal([loader.calls, cache.get("a")], [3, 3]);
  cache.delete("a");
  await world.pass(10);
  equal([loader.calls, cache.get("a")], [4, 4], "what has gone is loaded again");
  keeper.stop();
  await world.pass(50);
  equal(loader.calls, 4);
  keeper.stop();
});

test("a keeper is disposable", async (world) => {
  const loader = counter();
  const keeper = new NearCache().keepFresh([{ key: "a", loader }], { every: 5, timers: true });
  equal([typeof keeper[Symbol.dispose], keeper[Symbol.dispose]()], ["function", undefined]);
  await world.pass(30);
  equal(loader.calls, 0);
});

test("rounds are counted from begin to begin, and never overlap: the next one waits for a slow one's end", async (world) => {
  const cache = new NearCache();
  const load = held();
  const start = now();
  const began = [];
  const loader = (key, ctx) => (began.push(now() - start), load(key, ctx));
  const keeper = cache.keepFresh([{ key: "a", loader }], { every: 100, timers: true });
  await world.pass(130);
  load.loads[0].resolve(1);
  await world.pass(70);
  equal(began, [100, 200]);
  await world.pass(250);
  equal(began, [100, 200]);
  load.loads[1].resolve(2);
  await world.pass(5);
  equal(began.length, 3);
  keeper.stop();
  load.loads[2].resolve(3);
  await world.pass(300);
  equal([began.length, cache.get("a")], [3, 3], "a round under way when it was stopped ends");
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

test("no timer is started where timers end with the request, unless one says so", async (world) => {
  const loader = counter();
  const keeper = new NearCache().keepFresh([{ key: "a", loader }], { every: 5 });
  await world.pass(50);
  keeper.stop();
  equal(loader.calls, inWorker() ? 0 : 10);
});

test("onError is told of keys and lists that fail in a timer's round, which goes on even if onError throws", async (world) => {
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
  await world.pass(15);
  keeper.stop();
  equal([told, cache.get("b")], [[["no", "a"], ["no list"], ["no", "a"]], 3]);
});

const inOne = { requestBound: false };
test("a round that run began tells onError of no failure, even if a timer joins it", inOne, async (world) => {
  const load = held();
  const told = [];
  const keeper = new NearCache().keepFresh([{ key: "a" }], {
    every: 5,
    loader: load,
    onError: (error, key) => told.push([error.message, key]),
    timers: true,
  });
  const round = keeper.run();
  await world.pass(5);
  load.loads[0].reject(new Error("no"));
  equal([(await round).failed.length, told, load.loads.length], [1, [], 1]);
  await world.pass(5);
  load.loads[1].reject(new Error("no"));
  await world.pass(0);
  equal(told, [["no", "a"]]);
  keeper.stop();
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

const PROCESS = { realTime: "the runtime's own timer would hold the process" };
test("a keeper holds no process: this one is never stopped, and the suite ends", PROCESS, () => {
  new NearCache().keepFresh([], { every: "1h" });
});

test("a time longer than timers run is no shorter for it", async (world) => {
  const loader = counter();
  const entries = [{ key: "a", loader }];
  const keeper = new NearCache().keepFresh(entries, { every: "30d", timers: true });
  await world.pass(30 * 86_400_000 - 1);
  equal(loader.calls, 0);
  await world.pass(1);
  equal(loader.calls, 1);
  keeper.stop();
  const timers = world.timers.size;
  new NearCache().keepFresh(entries, { every: Infinity, timers: true });
  equal(world.timers.size, timers);
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
