// Writing through: the source first, and nothing in the cache that the source may not have.

import { NearCache } from "nearcache";
import {
  context,
  equal,
  handClock,
  held,
  never,
  ok,
  randomFrom,
  rejects,
  settleDown,
  sleep,
  test,
  testBothWays,
  throws,
} from "../runner.mjs";

const down = new Error("down");
const workerd = () => context.runtime === "workerd";

test("update writes to the source, then stores what the source has, and returns it", async () => {
  const cache = new NearCache({ clock: handClock(), ttl: 100 }).set("k", "old");
  const write = held();
  const update = cache.update("k", write);
  equal([write.loads[0].key, write.loads[0].ctx.stale, cache.get("k")], ["k", "old", workerd() ? undefined : "old"]);
  write.loads[0].resolve("new");
  equal([await update, cache.get("k"), cache.remainingTtl("k"), cache.stats().inserts], ["new", "new", 100, 2]);
  equal(await cache.update("sync", () => 1), 1);
  equal([cache.get("sync"), cache.stats().loads, cache.stats().misses >= 0], [1, 0, true]);
});

test("a writer that throws, at once or later, deletes the key, and the error is the caller's", async () => {
  for (const writer of [
    () => {
      throw down;
    },
    () => Promise.reject(down),
    async () => {
      await settleDown();
      throw down;
    },
  ]) {
    for (const cache of [new NearCache(), new NearCache().set("k", "old")]) {
      equal(await rejects(cache.update("k", writer)), down);
      equal([cache.has("k"), cache.size], [false, 0]);
      equal(await cache.getOrSet("k", () => "loaded"), "loaded");
    }
  }
});

test("what can't be stored after the write is deleted: skip, ttl 0, unknown bytes, a wrong ctx", async () => {
  const cases = [
    [(_, ctx) => (ctx.skip(), "v"), undefined],
    [(_, ctx) => ((ctx.ttl = 0), "v"), undefined],
    [() => "x".repeat(100), undefined],
    [() => ({}), "ERR_BYTES"],
    [(_, ctx) => ((ctx.ttl = -1), "v"), "ERR_OPTION"],
    [(_, ctx) => ((ctx.tags = "t"), "v"), "ERR_OPTION"],
  ];
  for (const [writer, code] of cases) {
    const cache = new NearCache({ maxBytes: 50 }).set("k", "old");
    if (code) await rejects(cache.update("k", writer), { code });
    else await cache.update("k", writer);
    equal([cache.has("k"), cache.size, cache.stats().bytes], [false, 0, 0]);
  }
});

test("a caller that leaves before the end, by a deadline or a signal, leaves no value behind", async () => {
  for (const how of ["hardTimeout", "signal"]) {
    const cache = new NearCache().set("k", "old");
    const write = held();
    const controller = new AbortController();
    const update = cache.update("k", write, how === "signal" ? { signal: controller.signal } : { hardTimeout: 5 });
    const { signal } = write.loads[0].ctx;
    controller.abort(down);
    const error = await rejects(update);
    ok(how === "signal" ? error === down : error.code === "ERR_TIMEOUT" && error.key === "k");
    equal([signal.aborted, cache.has("k")], [true, false]);
    equal(
      [await cache.getOrSet("k", () => "meanwhile"), cache.has("k")],
      ["meanwhile", false],
      "loaded while it is written",
    );
    cache.set("k", "set");
    write.loads[0].resolve("late");
    await settleDown();
    equal([cache.has("k"), cache.size], [false, 0]);
  }
});

test("a signal that has aborted already stops the write before it begins", async () => {
  const cache = new NearCache().set("k", "old");
  const write = held();
  equal(await rejects(cache.update("k", write, { signal: AbortSignal.abort(down) })), down);
  equal([write.loads.length, cache.get("k")], [0, "old"]);
});

test("what a load brings that ran during the write is passed on and not stored", async () => {
  for (const order of ["before", "during"]) {
    for (const loadEndsFirst of [true, false]) {
      const cache = new NearCache();
      const load = held();
      const write = held();
      let get = order === "before" ? cache.getOrSet("k", load) : undefined;
      const update = cache.update("k", write);
      get ??= cache.getOrSet("k", load);
      const ends = [
        () => (load.loads[0].resolve("read"), settleDown()),
        () => (write.loads[0].resolve("written"), settleDown()),
      ];
      for (const end of loadEndsFirst ? ends : ends.reverse()) await end();
      equal([await get, await update, cache.get("k"), cache.size], ["read", "written", "written", 1]);
    }
  }
});

test("two updates at once leave nothing, since nobody knows whose came last", async () => {
  for (const first of [0, 1]) {
    const cache = new NearCache();
    const write = held();
    const updates = [cache.update("k", write), cache.update("k", write)];
    write.loads[first].resolve(first);
    await settleDown();
    equal(cache.has("k"), false);
    write.loads[1 - first].resolve(1 - first);
    equal([await Promise.all(updates), cache.has("k"), cache.size], [[0, 1], false, 0]);
    equal([await cache.update("k", () => 3), cache.get("k")], [3, 3]);
  }
});

for (const [how, meanwhile] of Object.entries({
  set: (cache) => cache.set("k", "set"),
  delete: (cache) => cache.delete("k"),
  expire: (cache) => cache.expire("k"),
  clear: (cache) => cache.clear(),
  deleteByTag: (cache) => cache.deleteByTag("t"),
  expireByTag: (cache) => cache.expireByTag("t"),
})) {
  test(`${how} during an update: the key is gone at the end`, async () => {
    const cache = new NearCache().set("k", "old", { tags: ["t"] });
    const write = held();
    const update = cache.update("k", write, { tags: ["t"] });
    meanwhile(cache);
    write.loads[0].resolve("written");
    equal([await update, cache.has("k"), cache.size], ["written", false, 0]);
  });
}

test("a writer may use the cache, its own key included", async () => {
  const cache = new NearCache().set("k", "old");
  const got = await cache.update("k", async (key) => `${await cache.getOrSet(key, () => "loaded")} and new`);
  equal([got, cache.get("k")], [`${workerd() ? "loaded" : "old"} and new`, got]);
});

test("wrong options of update reject and write nothing", async () => {
  const cache = new NearCache().set("k", "old");
  const write = held();
  for (const options of [
    null,
    5,
    { ttl: -1 },
    { tags: "t" },
    { tags: [""] },
    { forceFresh: true },
    { softTimeout: 1 },
    { details: true },
    { signal: {} },
    { jitter: 2 },
  ]) {
    await rejects(cache.update("k", write, options), { code: "ERR_OPTION" });
  }
  for (const writer of [undefined, null, "v"])
    await rejects(cache.update("k", writer), { code: "ERR_OPTION", message: /^writer: got / });
  equal([write.loads.length, cache.get("k")], [0, "old"]);
});

test("a failed load's memory does not outlive an update", async () => {
  const cache = new NearCache({ errorBackoff: Infinity });
  const write = held();
  await rejects(cache.getOrSet("k", () => Promise.reject(down)));
  const update = cache.update("k", write);
  if (!workerd()) equal(await rejects(cache.getOrSet("k", () => "v")), down);
  write.loads[0].resolve("written");
  equal([await update, await cache.getOrSet("k", () => "v")], ["written", "written"]);
});

test("whatever runs at once, what the cache holds in the end is what the source last got", async () => {
  const random = randomFrom(context.seed);
  for (let round = 0; round < 400; round++) {
    const clock = handClock();
    const cache = new NearCache({
      clock,
      maxEntries: random(4) === 0 ? 1 : 100,
      ttl: [20, Infinity][random(2)],
      staleWhileRevalidate: [0, 30][random(2)],
      staleIfError: [0, 30][random(2)],
      errorBackoff: [0, 10][random(2)],
      hardTimeout: Infinity,
    });
    const views = [cache, cache.namespace("n"), cache.scope("s")];
    const source = new Map();
    const open = [];
    const pending = [];
    const trace = [];
    let version = 0;
    // Each load and write goes through: asked, then at the source, then home.
    const step = () => new Promise((go) => open.push(go));
    const load = (at) => async (key, ctx) => {
      await step();
      const value = source.get(`${at}:${key}`);
      ctx.tags = [`t${random(2)}`];
      await step();
      if (random(5) === 0) throw down;
      return value ?? "none";
    };
    const write = (at) => async (key, ctx) => {
      await step();
      const lost = random(5) === 0;
      const value = `v${++version}`;
      if (!lost || random(2)) source.set(`${at}:${key}`, value);
      ctx.tags = [`t${random(2)}`];
      await step();
      if (lost) throw down;
      return value;
    };
    for (let i = 0; i < 40; i++) {
      const at = random(3);
      const view = views[at];
      const key = random(2);
      const op = random(13);
      trace.push([at, key, op].join(":"));
      switch (op) {
        case 0:
        case 1:
        case 2:
          pending.push(view.getOrSet(key, load(at), { forceFresh: random(4) === 0 }).catch(() => {}));
          break;
        case 3:
        case 4: {
          const controller = new AbortController();
          pending.push(view.update(key, write(at), { signal: controller.signal }).catch(() => {}));
          if (random(4) === 0) open.push(() => controller.abort(down));
          break;
        }
        case 5:
          view.delete(key);
          break;
        case 6:
          view.expire(key);
          break;
        case 7:
          [view.deleteByTag, view.expireByTag][random(2)].call(view, `t${random(2)}`);
          break;
        case 8:
          if (random(3) === 0) view.clear();
          break;
        case 9:
          clock.pass(random(15));
          break;
        default:
          for (let n = random(4); n > 0 && open.length > 0; n--) {
            open.splice(random(open.length), 1)[0]();
            await settleDown();
          }
      }
    }
    while (open.length > 0) {
      open.splice(random(open.length), 1)[0]();
      await settleDown();
    }
    await Promise.all(pending);
    for (const at of [0, 1, 2]) {
      for (const [key, value] of views[at]) {
        const wanted = source.get(`${at}:${key}`) ?? "none";
        ok(
          value === wanted,
          `seed ${context.seed}, round ${round}, ${trace.join(" ")}: ${at}:${key} is ${value}, the source has ${wanted}; that`,
        );
      }
    }
    equal([cache.stats().inFlight, cache.size <= cache.stats().entries], [0, true]);
  }
});

test("every order of the ends of an update, a load and a second of either ends with what the source has", async () => {
  const orders = (list) =>
    list.length < 2 ? [list] : list.flatMap((one, i) => orders(list.toSpliced(i, 1)).map((rest) => [one, ...rest]));
  // Each is begun, gets to the source, and comes home: all interleavings of three of them.
  const steps = ["a", "a", "a", "b", "b", "b", "c", "c", "c"];
  const all = new Set();
  const weave = (left, done) => {
    if (done.length === steps.length) return void all.add(done);
    for (const name of "abc") if (left[name] > 0) weave({ ...left, [name]: left[name] - 1 }, done + name);
  };
  weave({ a: 3, b: 3, c: 3 }, "");
  equal([all.size, orders([1, 2, 3]).length], [1680, 6]);
  for (const kinds of [
    ["update", "load", "load"],
    ["update", "update", "load"],
    ["update", "delete", "load"],
    ["update", "update", "delete"],
  ]) {
    for (const order of all) {
      const cache = new NearCache({ hardTimeout: Infinity });
      let source = 0;
      let version = 0;
      const at = {};
      for (const name of order) {
        const kind = kinds["abc".indexOf(name)];
        if (kind === "delete") {
          cache.delete("k");
          continue;
        }
        if (at[name] === undefined) {
          at[name] = {};
          const job = () => new Promise((resolve) => (at[name].home = resolve));
          (kind === "load" ? cache.getOrSet("k", job) : cache.update("k", job)).catch(() => {});
        } else if (at[name].value === undefined) at[name].value = kind === "load" ? source : (source = ++version);
        else {
          at[name].home?.(at[name].value);
          for (let i = 0; i < 4; i++) await undefined;
        }
      }
      await settleDown();
      const held = cache.peek("k");
      ok(
        held === undefined || held === source,
        `${kinds}, ${order}: the cache holds ${held}, the source ${source}; agreement`,
      );
    }
  }
});

test("a signal that aborts after an update's end changes nothing", async () => {
  const cache = new NearCache();
  const controller = new AbortController();
  await cache.update("k", async () => 1, { signal: controller.signal });
  controller.abort();
  equal(cache.get("k"), 1);
});

test("an update's timer does not ring after its end", async () => {
  const cache = new NearCache();
  equal(await cache.update("k", async () => 1, { hardTimeout: 5 }), 1);
  await sleep(15);
  equal(cache.get("k"), 1);
  throws(() => cache.set("k", 1, { ttl: -1 }), { code: "ERR_OPTION" });
});

testBothWays("a write-through is given up half a minute after its deadline", async (world) => {
  const cache = new NearCache({ hardTimeout: 1000 });
  const write = held();
  await Promise.all([rejects(cache.update("k", write), { code: "ERR_TIMEOUT" }), world.pass(1000)]);
  equal(
    [await cache.getOrSet("k", () => "loaded"), cache.has("k")],
    ["loaded", false],
    "while it may still be written",
  );
  await world.pass(30_001);
  for (let i = 0; i < 4; i++) cache.get("sweeps");
  equal([await cache.getOrSet("k", () => "loaded"), cache.get("k")], ["loaded", "loaded"]);
  const other = held();
  const update = cache.update("other", other);
  write.loads[0].resolve("late");
  await world.settle();
  equal(cache.get("k"), undefined, "what its writer brings too late makes what is there doubtful");
  other.loads[0].resolve("stored");
  equal([await update, cache.get("other")], ["stored", "stored"], "it ends nobody else's write");
});

testBothWays(
  "a write-through without a deadline is given up after a quarter of an hour and half a minute",
  async (world) => {
    const cache = new NearCache({ hardTimeout: Infinity });
    cache.update("k", never);
    await world.pass(929_000);
    for (let i = 0; i < 4; i++) cache.get("sweeps");
    equal([await cache.getOrSet("k", () => 1), cache.has("k")], [1, false]);
    await world.pass(1_001);
    for (let i = 0; i < 4; i++) cache.get("sweeps");
    equal([await cache.getOrSet("k", () => 1), cache.has("k")], [1, true]);
  },
);

testBothWays("a write-through that was given up deletes its key once, and again at its writer's end", async (world) => {
  for (const endedBy of ["abort", "deadline"]) {
    const cache = new NearCache();
    const caller = new AbortController();
    const write = held();
    const update = rejects(() => cache.update("k", write, { signal: caller.signal, hardTimeout: 50 }));
    cache.set("k", "older");
    if (endedBy === "abort") caller.abort();
    else await world.pass(50);
    await update;
    equal(cache.get("k"), undefined, endedBy);
    cache.set("k", "newer");
    if (endedBy === "abort") await world.pass(60);
    else caller.abort();
    await world.settle();
    equal(cache.get("k"), "newer", `${endedBy}: what was set since is not its to delete`);
    write.loads[0].resolve("late");
    await world.settle();
    equal(cache.get("k"), undefined, "what its writer brings too late makes what is there doubtful");
  }
});
