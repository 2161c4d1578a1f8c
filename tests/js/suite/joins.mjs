// Gets of one key at one moment join its load alike: but for the first the class counts them by itself.

import { NearCache } from "nearcache";
import { equal, handClock, held, rejects, settleDown, sleep, test } from "../runner.mjs";

const ask = (cache, count, load) => Array.from({ length: count }, () => cache.getOrSet("k", load));
const settled = async (gets) => (await Promise.allSettled(gets)).map(({ value, reason }) => value ?? reason.code);

test("each get that joins is counted, whoever else asks between them", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = [...ask(cache, 5, load), cache.getOrSet("other", load), ...ask(cache, 5, load)];
  equal([cache.stats().coalesced, cache.stats().misses], [9, 2]);
  gets.push(...ask(cache, 5, load));
  for (const { resolve } of load.loads) resolve("v");
  equal(await settled(gets), new Array(16).fill("v"));
  equal([cache.stats().coalesced, cache.stats().misses, cache.stats().hits], [14, 2, 0]);
});

test("each get that joins times out, and is counted", async () => {
  const cache = new NearCache({ hardTimeout: 20 });
  const gets = ask(cache, 50, () => new Promise(() => {}));
  equal(await settled(gets), new Array(50).fill("ERR_TIMEOUT"));
  equal([cache.stats().timeouts, cache.stats().inFlight], [50, 0]);
});

test("each get that joins takes the stale value at its soft deadline, and is counted", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 10, staleIfError: 1000, softTimeout: 20 }).set("k", "old");
  clock.pass(11);
  const gets = ask(cache, 50, () => new Promise(() => {}));
  await sleep(40);
  equal(await settled(gets), new Array(50).fill("old"));
  equal(cache.stats().softTimeouts, 50);
});

test("who leaves takes out itself, though the others were not told of", async () => {
  const cache = new NearCache();
  const load = held();
  const controller = new AbortController();
  const leaving = cache.getOrSet("k", load, { signal: controller.signal });
  const gets = ask(cache, 5, load);
  controller.abort();
  await rejects(leaving, { name: "AbortError" });
  equal(load.loads[0].ctx.signal.aborted, false);
  load.loads[0].resolve("v");
  equal(await settled(gets), new Array(5).fill("v"));
});

for (const [what, between, wanted] of [
  ["delete", (cache) => cache.delete("k"), [2, ["v1", "v1", "v1", "v2", "v2", "v2"]]],
  ["clear", (cache) => cache.clear(), [2, ["v1", "v1", "v1", "v2", "v2", "v2"]]],
  ["set", (cache) => cache.set("k", "set"), [1, ["v1", "v1", "v1", "set", "set", "set"]]],
  [
    "a forced load",
    (cache, load) => void cache.getOrSet("k", load, { forceFresh: true }),
    [1, new Array(6).fill("v1")],
  ],
]) {
  test(`what a ${what} between two gets of one moment changes, it changes for the second`, async () => {
    const cache = new NearCache();
    const load = held();
    const before = ask(cache, 3, load);
    between(cache, load);
    const gets = [...before, ...ask(cache, 3, load)];
    load.loads.forEach(({ resolve }, i) => resolve(`v${i + 1}`));
    equal([load.loads.length, await settled(gets)], wanted);
  });
}

test("who asks after a purge by tag asks again, of all that joined at one moment", async () => {
  const cache = new NearCache();
  const load = held();
  const before = ask(cache, 3, load);
  cache.deleteByTag("t");
  const after = ask(cache, 3, load);
  load.loads[0].ctx.tags = ["t"];
  load.loads[0].resolve("before");
  await settleDown();
  load.loads[1].resolve("after");
  equal(await settled([...before, ...after]), [...new Array(3).fill("before"), ...new Array(3).fill("after")]);
  equal([load.loads.length, cache.get("k")], [2, "after"]);
});

test("two handles of one part with other deadlines don't wait alike", async () => {
  const cache = new NearCache();
  const load = () => new Promise(() => {});
  const [quick, slow] = [20, 10_000].map((hardTimeout) => cache.namespace("n", { hardTimeout }));
  const gets = [slow, slow, slow, quick, quick, slow, quick].map((handle) => handle.getOrSet("k", load));
  const quickly = settled([gets[3], gets[4], gets[6]]);
  await sleep(40);
  equal([await quickly, cache.stats().timeouts], [new Array(3).fill("ERR_TIMEOUT"), 3]);
});

// Some of its readings are a get's first, some its second.
for (const tick of [20, 21, 22]) {
  test(`a clock that uses the cache when it is read for the ${tick}th time is heeded`, async () => {
    let ticks = 0;
    const load = held();
    const [before, after] = [[], []];
    let gets = before;
    const cache = new NearCache({
      clock: () => {
        if (++ticks === tick) {
          cache.delete("k");
          gets = after;
        }
        return 1_000;
      },
    });
    for (let i = 0; i < 40; i++) {
      const get = cache.getOrSet("k", load);
      gets.push(get);
    }
    load.loads.forEach(({ resolve }, i) => resolve(`v${i + 1}`));
    equal(load.loads.length, 2);
    equal([...new Set(await settled(before))], ["v1"]);
    equal([...new Set(await settled(after))], ["v2"]);
  });
}

test("in a Worker each waits for itself, in its own request", { requestBound: true }, async (world) => {
  const cache = new NearCache();
  const load = held();
  world.as("leader", () => cache.getOrSet("k", load));
  world.as("dies", () => ask(cache, 3, load)).forEach((get) => get.catch(() => {}));
  const gets = world.as("lives", () => ask(cache, 3, load));
  world.kill("dies");
  load.loads[0].resolve("v");
  equal(await settled(gets), ["v", "v", "v"]);
});

test("gets at two moments have two deadlines", async () => {
  const cache = new NearCache({ hardTimeout: 20 });
  const load = held();
  const first = ask(cache, 3, load);
  await sleep(5);
  const second = ask(cache, 3, load);
  const timedOut = settled(first);
  await sleep(17);
  equal([await timedOut, cache.stats().timeouts], [new Array(3).fill("ERR_TIMEOUT"), 3]);
  load.loads[0].resolve("v");
  equal(await settled(second), ["v", "v", "v"]);
});

test("a rule for what is stored is asked at each get that joins", async () => {
  let asked = 0;
  const cache = new NearCache({ ttl: 10, staleIfError: 1000, validate: () => ++asked > 0 }).set("k", "old");
  await sleep(11);
  const load = held();
  const gets = ask(cache, 5, load);
  equal(asked, 5);
  load.loads[0].resolve("new");
  equal(await settled(gets), new Array(5).fill("new"));
});

test("chance is asked at each get that joins, where any value may be refreshed ahead", async () => {
  let drawn = 0;
  const cache = new NearCache({ refreshAhead: 1, random: () => (drawn++, 0.5) });
  // One chose how keys are hashed.
  equal(drawn, 1);
  drawn = 0;
  const load = held();
  const gets = ask(cache, 5, load);
  // The first one begins the first load.
  equal(drawn, 4);
  load.loads[0].resolve("v");
  equal(await settled(gets), new Array(5).fill("v"));
});

test("a loader that asks for a key others join at that moment waits for it", async () => {
  const cache = new NearCache();
  const load = held();
  const outer = (key) => cache.getOrSet("k", load).then((value) => key + value);
  const gets = ask(cache, 3, load);
  const inner = cache.getOrSet("outer", outer);
  load.loads[0].resolve("v");
  equal(await settled([...gets, inner]), ["v", "v", "v", "outerv"]);
});

test("a loader that asks for its own key is told so, though a load that it began has joined it just before", async () => {
  const cache = new NearCache({ ttl: 10, staleWhileRevalidate: 1000, hardTimeout: 2000 }).set("b", "old");
  await sleep(11);
  const itself = (key) => {
    cache.getOrSet("b", () => cache.getOrSet(key, itself));
    return cache.getOrSet(key, itself);
  };
  await rejects(cache.getOrSet("a", itself), { code: "ERR_RECURSIVE_LOAD", key: "a" });
});

test("each get that joins makes a load that could wait one that is needed", async () => {
  const cache = new NearCache({ maxConcurrentLoads: 1, maxQueuedLoads: 1 });
  const load = held();
  const controller = new AbortController();
  let gets;
  const leaving = (key, ctx) => {
    // Here the core has freed a place, and nobody has begun in it. The first finds the line full, the second does not.
    ctx.signal.addEventListener("abort", () => (gets = ask(cache, 2, load)));
    return load(key, ctx);
  };
  const left = cache.getOrSet("left", leaving, { signal: controller.signal });
  gets = [cache.getOrSet("waits", load), cache.getOrSet("k", load, { priority: "low" })];
  controller.abort();
  await rejects(left, { name: "AbortError" });
  await rejects(cache.getOrSet("more", load), { code: "ERR_QUEUE_FULL" });
  load.loads[1].resolve("v");
  await settleDown();
  load.loads[2].resolve("v");
  equal(await settled(gets), ["v", "v"]);
});

test("a hook hears of each get that joins, from when it is there", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = ask(cache, 5, load);
  let heard = 0;
  const stop = cache.on("coalesced", () => heard++);
  gets.push(...ask(cache, 5, load));
  stop();
  gets.push(...ask(cache, 5, load));
  load.loads[0].resolve("v");
  await settled(gets);
  equal([heard, cache.stats().coalesced], [5, 14]);
});
