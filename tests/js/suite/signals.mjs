import { NearCache } from "nearcache";
import { equal, held, rejects, settleDown, sleep, test } from "../runner.mjs";

test("a signal takes out its caller with its reason, and nobody else", async () => {
  const cache = new NearCache();
  const load = held();
  const [a, b] = [new AbortController(), new AbortController()];
  const gets = [
    cache.getOrSet("k", load, { signal: a.signal }),
    cache.getOrSet("k", load, { signal: b.signal }),
    cache.getOrSet("k", load),
  ];
  const reason = new Error("b leaves");
  b.abort(reason);
  equal(await rejects(gets[1]), reason);
  a.abort();
  await rejects(gets[0], { name: "AbortError" });
  await settleDown();
  equal(load.loads[0].ctx.signal.aborted, false);
  load.loads[0].resolve("v");
  equal([await gets[2], cache.get("k"), load.loads.length], ["v", "v", 1]);
});

test("when the last caller leaves, ctx.signal aborts and nothing is stored", async () => {
  const cache = new NearCache();
  const load = held();
  const [a, b] = [new AbortController(), new AbortController()];
  const gets = [cache.getOrSet("k", load, { signal: a.signal }), cache.getOrSet("k", load, { signal: b.signal })];
  const { signal } = load.loads[0].ctx;
  let heard = 0;
  signal.addEventListener("abort", () => heard++);
  a.abort();
  await settleDown();
  equal([signal.aborted, heard], [false, 0]);
  b.abort();
  await Promise.allSettled(gets);
  await settleDown();
  equal([signal.aborted, heard, cache.stats().inFlight, cache.stats().loadsAbandoned], [true, 1, 0, 1]);
  load.loads[0].resolve("late");
  await settleDown();
  equal([cache.has("k"), cache.size], [false, 0]);
});

test("ctx.signal is aborted also for a loader that first looks at it afterwards", async () => {
  const cache = new NearCache();
  const load = held();
  const controller = new AbortController();
  const get = cache.getOrSet("k", load, { signal: controller.signal });
  controller.abort();
  await rejects(get);
  await settleDown();
  equal(load.loads[0].ctx.signal.aborted, true);
});

test("after the last has left, the next to ask loads anew", async () => {
  const cache = new NearCache();
  const load = held();
  const controller = new AbortController();
  const left = cache.getOrSet("k", load, { signal: controller.signal });
  controller.abort();
  const next = cache.getOrSet("k", load);
  await rejects(left);
  equal(load.loads.length, 2);
  load.loads[1].resolve("second");
  equal(await next, "second");
  load.loads[0].resolve("first");
  await settleDown();
  equal(cache.get("k"), "second");
});

test("a signal that was aborted before keeps the loader from being called", async () => {
  const cache = new NearCache();
  const load = held();
  const reason = new Error("long ago");
  equal(await rejects(cache.getOrSet("k", load, { signal: AbortSignal.abort(reason) })), reason);
  await rejects(cache.getOrSet("k", load, { signal: AbortSignal.abort() }), { name: "AbortError" });
  equal([load.loads.length, cache.stats().inFlight, cache.stats().misses], [0, 0, 0]);
});

test("a signal that the loader itself aborts takes its caller out", async () => {
  const cache = new NearCache();
  const controller = new AbortController();
  const reason = new Error("by the loader");
  const get = cache.getOrSet("k", () => (controller.abort(reason), new Promise(() => {})), {
    signal: controller.signal,
    hardTimeout: 500,
  });
  equal(await rejects(get), reason);
  equal(cache.stats().inFlight, 0);
});

test("a signal that aborts after the value came changes nothing", async () => {
  const cache = new NearCache();
  const controller = new AbortController();
  equal(await cache.getOrSet("k", async () => 1, { signal: controller.signal }), 1);
  controller.abort();
  await settleDown();
  equal([cache.get("k"), cache.stats().loadsAbandoned], [1, 0]);
});

test("a leader who leaves leaves the load to its followers", async () => {
  const cache = new NearCache();
  const load = held();
  const controller = new AbortController();
  const leader = cache.getOrSet("k", load, { signal: controller.signal, hardTimeout: 30 });
  const follower = cache.getOrSet("k", load);
  controller.abort();
  await rejects(leader, { name: "AbortError" });
  await sleep(50);
  equal([load.loads.length, load.loads[0].ctx.signal.aborted], [1, false]);
  load.loads[0].resolve("v");
  equal([await follower, cache.stats().timeouts], ["v", 0]);
});

test("a caller who left is not counted again when the load fails or its deadline comes", async () => {
  const cache = new NearCache();
  const load = held();
  const controller = new AbortController();
  const leader = cache.getOrSet("k", load, { hardTimeout: 40 });
  const left = cache.getOrSet("k", load, { signal: controller.signal, hardTimeout: 40 });
  const patient = cache.getOrSet("k", load, { hardTimeout: 2000 });
  controller.abort();
  await rejects(left, { name: "AbortError" });
  await rejects(leader, { code: "ERR_TIMEOUT" });
  await sleep(20);
  equal(
    [load.loads.length, cache.stats().timeouts, cache.stats().inFlight, load.loads[0].ctx.signal.aborted],
    [1, 1, 1, false],
  );
  load.loads[0].resolve("v");
  equal(await patient, "v");
});

test("one signal may serve many calls", async () => {
  const cache = new NearCache();
  const load = held();
  const controller = new AbortController();
  const gets = Array.from({ length: 30 }, (_, i) => cache.getOrSet(i % 3, load, { signal: controller.signal }));
  controller.abort();
  const results = await Promise.allSettled(gets);
  await settleDown();
  equal(
    results.every(({ reason }) => reason?.name === "AbortError"),
    true,
  );
  equal([load.loads.every(({ ctx }) => ctx.signal.aborted), cache.stats().inFlight], [true, 0]);
});

test("a listener of ctx.signal may use the cache", async () => {
  const cache = new NearCache();
  const controller = new AbortController();
  let again;
  const get = cache.getOrSet(
    "k",
    (_, ctx) => {
      ctx.signal.addEventListener(
        "abort",
        () => (again = cache.set("other", 1).getOrSet("k", () => "from the listener")),
      );
      return new Promise(() => {});
    },
    { signal: controller.signal },
  );
  controller.abort();
  await rejects(get, { name: "AbortError" });
  await settleDown();
  equal([await again, cache.get("other"), cache.get("k")], ["from the listener", 1, "from the listener"]);
});

test("one signal for many keys is one listener, and no warning of a leak", async () => {
  const cache = new NearCache();
  const controller = new AbortController();
  const { signal } = controller;
  let added = 0;
  const { addEventListener } = signal;
  signal.addEventListener = (...words) => (added++, addEventListener.apply(signal, words));
  const load = held();
  const gets = Array.from({ length: 30 }, (_, i) => cache.getOrSet(i, load, { signal }).catch((error) => error));
  load.loads[0].resolve("loaded");
  equal([await gets[0], added], ["loaded", 1]);
  controller.abort("gone");
  equal(await Promise.all(gets), ["loaded", ...new Array(29).fill("gone")]);
  await settleDown();
  equal([load.loads[0].ctx.signal.aborted, load.loads[29].ctx.signal.aborted], [false, true]);
});
