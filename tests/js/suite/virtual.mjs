// The driver in virtual time, as it is in Node and as it is in a Worker. Runs in Node alone, which stands for both.

import { equal, held, ok, rejects, test } from "../runner.mjs";
import { virtualWorld } from "../virtual.mjs";

const down = new Error("down");
const never = () => new Promise(() => {});

for (const requestBound of [false, true]) {
  const where = requestBound ? "in a Worker" : "in Node";
  const inWorld = (title, body) =>
    test(`${where}: ${title}`, async () => {
      const world = await virtualWorld({ requestBound });
      await world.watching(() => body(world));
    });

  inWorld("a wait ends on the millisecond of its hardTimeout", async (world) => {
    const cache = new world.NearCache({ hardTimeout: 1000 });
    let code;
    cache.getOrSet("k", never).catch((error) => (code = error.code));
    await world.pass(999);
    equal([code, cache.stats().inFlight], [undefined, 1]);
    await world.pass(1);
    equal([code, cache.stats().inFlight, cache.stats().timeouts], ["ERR_TIMEOUT", 0, 1]);
  });

  inWorld(
    "a stale value is handed out on the millisecond of softTimeout, and the load ends at hardTimeout",
    async (world) => {
      const cache = new world.NearCache({ ttl: 100, staleIfError: "1h", softTimeout: 50, hardTimeout: 1000 }).set(
        "k",
        "old",
      );
      await world.pass(100);
      const load = held();
      const got = [];
      for (let i = 0; i < 2; i++) cache.getOrSet("k", load, { details: true }).then((details) => got.push(details));
      await world.pass(49);
      equal(got, []);
      await world.pass(1);
      equal(got, new Array(2).fill({ value: "old", status: "stale-on-timeout", age: 150, ttl: 0 }));
      await world.pass(949);
      equal([load.loads.length, load.loads[0].ctx.signal.aborted], [1, false]);
      await world.pass(1);
      equal([load.loads[0].ctx.signal.aborted, cache.stats().softTimeouts, cache.stats().timeouts], [true, 2, 0]);
    },
  );

  inWorld("a clock that is set back puts no deadline off", async (world) => {
    // The symptom: whoever waited before was rejected when the clock had caught up.
    const cache = new world.NearCache({ hardTimeout: 200 });
    const codes = [];
    cache.getOrSet("a", never).catch((error) => codes.push(`a ${error.code}`));
    world.setClock(world.now - 3_600_000);
    cache.getOrSet("b", never).catch((error) => codes.push(`b ${error.code}`));
    await world.pass(201);
    equal(codes.sort(), ["a ERR_TIMEOUT", "b ERR_TIMEOUT"]);
  });

  inWorld("a clock that is set back puts no refresh off", async (world) => {
    // The symptom: after a failed refresh there was none until the clock had caught up.
    const cache = new world.NearCache({ ttl: 10, swr: Infinity }).set("k", "old");
    await world.pass(100);
    equal(await cache.getOrSet("k", () => Promise.reject(down)), "old");
    await world.settle();
    world.setClock(world.now - 50);
    let loads = 0;
    equal(await cache.getOrSet("k", async () => (loads++, "new")), "old");
    await world.settle();
    equal([loads, cache.get("k")], [1, "new"]);
  });

  inWorld("a timer that rings late hands out nothing past its time", async (world) => {
    const cache = new world.NearCache({ ttl: "6s" });
    for (let i = 0; i < 100; i++) cache.set(i, "old").get(i);
    world.now += 24_700;
    equal([cache.get(1), cache.has(2), await cache.getOrSet(3, () => "new")], [undefined, false, "new"]);
  });

  inWorld("a write-through is given up half a minute after its deadline", async (world) => {
    const cache = new world.NearCache({ hardTimeout: 1000 });
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

  inWorld(
    "a write-through without a deadline is given up after a quarter of an hour and half a minute",
    async (world) => {
      const cache = new world.NearCache({ hardTimeout: Infinity });
      cache.update("k", never);
      await world.pass(929_000);
      for (let i = 0; i < 4; i++) cache.get("sweeps");
      equal([await cache.getOrSet("k", () => 1), cache.has("k")], [1, false]);
      await world.pass(1_001);
      for (let i = 0; i < 4; i++) cache.get("sweeps");
      equal([await cache.getOrSet("k", () => 1), cache.has("k")], [1, true]);
    },
  );

  inWorld("a negative value that is set lives for negativeTtl, unless that set names a ttl", async (world) => {
    const cache = new world.NearCache({ ttl: 1000, negativeTtl: 10 });
    cache.set("null", null).set("undefined", undefined).set("named", null, { ttl: 500 }).set("value", 1);
    cache.set("call", null, { negativeTtl: 20 });
    await cache.update("written", () => null);
    const left = ["null", "undefined", "named", "value", "call", "written"].map((key) => cache.remainingTtl(key));
    equal(left, [10, 10, 500, 1000, 20, 10]);
  });

  inWorld("a batch's duration is by the cache's clock", async (world) => {
    const load = held();
    const cache = new world.NearCache({ batch: { load: (keys, contexts) => load(keys, contexts[0]) } });
    const durations = [];
    cache.on("batch", ({ duration }) => durations.push(duration));
    const get = cache.getOrSet("k");
    await world.pass(70);
    load.loads[0].resolve(["v"]);
    equal([await get, await world.settle(), durations], ["v", undefined, [70]]);
  });

  inWorld("after the wasm has failed the cache goes on empty, and says so once", async (world) => {
    // The symptom: "recursive use of an object" from every later call, for ever, and no loader was called.
    const told = [];
    const { error: log } = console;
    console.error = (...words) => told.push(words);
    try {
      const cache = new world.NearCache({ ttl: 1000, maxEntries: 100_000 });
      const inner = cache.namespace("inner", { ttl: 50 });
      const scope = inner.scope("s");
      cache.set("before", 1);
      const load = held();
      const waiting = [cache.getOrSet("k", load), cache.getOrSet("k", load), scope.getOrSet("k", load)];
      const write = held();
      const update = cache.update("w", write);
      world.exhaustMemory();
      let n = 0;
      while (world.instances === 1) cache.set(`key ${n++}`, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
      equal([told.length, cache.get("before"), cache.has("key 0")], [1, undefined, false]);
      equal([cache.set("after", 1).get("after"), cache.remainingTtl("after")], [1, 1000]);
      equal([scope.set("j", 2).get("j"), scope.remainingTtl("j"), inner.size, scope.size], [2, 50, 1, 1]);
      load.loads.forEach(({ resolve }, i) => resolve(`value ${i}`));
      equal(await Promise.all(waiting), ["value 0", "value 0", "value 1"], "waiters of loads under way");
      equal([cache.has("k"), scope.has("k")], [false, false], "what they brought");
      write.loads[0].resolve("written");
      equal([await update, cache.has("w")], ["written", false]);
      equal(await cache.getOrSet("k", async () => "anew"), "anew");
      equal([cache.get("k"), cache.stats().inFlight], ["anew", 0]);
      equal([told.length, /wasm/.test(told[0][0]), world.instances], [1, true, 2]);
    } finally {
      console.error = log;
    }
  });

  inWorld("a get whose own call breaks the wasm is answered by its loader", async (world) => {
    const told = [];
    const { error: log } = console;
    console.error = (...words) => told.push(words);
    try {
      const cache = new world.NearCache({ maxEntries: 100_000 });
      world.exhaustMemory();
      for (let i = 0; world.instances === 1; i++) {
        equal(await cache.getOrSet(i, async (_, ctx) => ((ctx.tags = [`${i} ${"y".repeat(5000)}`]), i)), i);
      }
      equal([told.length, await cache.getOrSet("k", () => "v"), cache.get("k")], [1, "v", "v"]);
    } finally {
      console.error = log;
    }
  });

  inWorld("who waits for a load under a wasm that failed is not left without a deadline", async (world) => {
    const { error: log } = console;
    console.error = () => {};
    try {
      const cache = new world.NearCache({ hardTimeout: 1000, maxEntries: 100_000 });
      const codes = [];
      for (let i = 0; i < 2; i++) cache.getOrSet("k", never).catch((error) => codes.push(error.code));
      world.exhaustMemory();
      for (let n = 0; world.instances === 1; n++) cache.set(n, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
      await world.pass(1000);
      equal(codes, ["ERR_TIMEOUT", "ERR_TIMEOUT"]);
    } finally {
      console.error = log;
    }
  });
}

const inNode = (title, body) =>
  test(`in Node: ${title}`, async () => {
    const world = await virtualWorld();
    await world.watching(() => body(world));
  });

inNode("a cache without loads under way holds no timer of its own", async (world) => {
  const cache = new world.NearCache();
  for (let i = 0; i < 10; i++) await cache.getOrSet(i, async () => i);
  ok(world.timers.length <= 1, "one timer for all");
  await world.pass(60_000);
  equal(world.timers, [], "and none set anew when it rings");
});

inNode("keepFresh's rounds are told from begin to begin, and never overlap", async (world) => {
  const start = world.now;
  const began = [];
  const cache = new world.NearCache();
  const load = held();
  const keeper = cache.keepFresh(
    [{ key: "k", loader: (key, ctx) => (began.push(world.now - start), load(key, ctx)) }],
    {
      every: 100,
    },
  );
  await world.pass(130);
  load.loads[0].resolve(1);
  await world.pass(70);
  equal(began, [100, 200]);
  await world.pass(250);
  equal(began, [100, 200], "the next waits for the end of the one before");
  load.loads[1].resolve(2);
  await world.pass(5);
  equal(began.length, 3);
  keeper.stop();
});

const inWorker = (title, body) =>
  test(`in a Worker: ${title}`, async () => {
    const world = await virtualWorld({ requestBound: true });
    await world.watching(() => body(world));
  });

inWorker("a follower takes the lead when the leader's request ends, and the others follow it", async (world) => {
  const cache = new world.NearCache({ hardTimeout: 1000 });
  const load = held();
  world.inRequest("leader", () => cache.getOrSet("k", load)).catch(() => {});
  const followers = ["one", "two", "three"].map((name) =>
    world.inRequest(name, () => cache.getOrSet("k", load, { details: true })),
  );
  await world.pass(10);
  world.endRequest("leader");
  await world.settle();
  equal(load.loads.length, 2, "loads: the leader's and one more");
  load.loads[1].resolve("v");
  const got = await Promise.all(followers);
  equal(
    got.map(({ value, status }) => [value, status]),
    // The leader asks again, too, and is first: unlike a runtime, the world lets what is left of it run.
    new Array(3).fill(["v", "coalesced"]),
  );
  const { misses, coalesced, loads, loadsAbandoned } = cache.stats();
  equal([misses + coalesced, loads, loadsAbandoned], [4, 2, 1]);
});

inWorker("who asks again because a load was lost does so within its first deadline", async (world) => {
  const cache = new world.NearCache();
  const start = world.now;
  const codes = [];
  world.inRequest("leader", () => cache.getOrSet("k", never)).catch(() => {});
  const follow = () => cache.getOrSet("k", never, { hardTimeout: 100 });
  world.inRequest("follower", follow).catch(({ code }) => codes.push([code, world.now - start]));
  await world.pass(60);
  world.endRequest("leader");
  await world.pass(39);
  equal(codes, []);
  await world.pass(1);
  equal(codes, [["ERR_TIMEOUT", 100]]);
});

inWorker("a key whose batch is lost is tried in ten batches, and no more", async (world) => {
  let calls = 0;
  const cache = new world.NearCache({
    hardTimeout: Infinity,
    batch: { load: () => (calls++, never()), batchWindow: 10 },
  });
  world.inRequest("opener", () => cache.getOrSet("x")).catch(() => {});
  let code;
  world.inRequest("joiner", () => cache.getOrSet("y")).catch((error) => (code = error.code));
  await world.pass(10);
  equal(calls, 1);
  world.endRequest("opener");
  for (let batch = 2; batch <= 10; batch++) {
    await world.pass(10);
    equal([code, calls], [undefined, batch]);
    // A continuation of the joiner's opened it, which the world can't tell.
    world.endRequest(undefined);
  }
  await world.settle();
  equal([code, calls], ["ERR_LOAD_LOST", 10]);
});

inWorker("a load whose waiters have all gone without a word is told to stop", async (world) => {
  const cache = new world.NearCache({ hardTimeout: 1000 });
  const load = held();
  world.inRequest("leader", () => cache.getOrSet("k", load)).catch(() => {});
  const { signal } = load.loads[0].ctx;
  // Its timers have died with its request.
  world.dropTimers();
  await world.pass(1001);
  equal(signal.aborted, false);
  for (let i = 0; i < 4; i++) cache.get("sweeps");
  await world.settle();
  equal([signal.aborted, cache.stats().inFlight, cache.stats().loadsAbandoned], [true, 0, 1]);
});
