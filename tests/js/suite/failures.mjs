// Loads that fail: the last good value in their place, and how long a failure is remembered.

import { NearCache } from "nearcache";
import { equal, handClock, held, never, rejects, settleDown, test } from "../runner.mjs";
import { details, down, fails, warm } from "./stale-value.mjs";

test("a refresh that fails is not begun again before errorBackoff has passed", async () => {
  const { cache, clock } = await warm({ staleWhileRevalidate: 500, errorBackoff: 30 });
  clock.pass(100);
  let calls = 0;
  const failing = () => (calls++, fails());
  for (let i = 0; i < 90; i++) {
    equal(await cache.getOrSet("k", failing), "old");
    await settleDown();
    clock.pass(1);
  }
  equal([calls, cache.stats().staleHits], [3, 90]);
});

test("within staleIfError a failed load gives the last good value, to all who waited", async () => {
  const { cache, clock } = await warm({ staleIfError: 50 });
  clock.pass(120);
  const load = held();
  const gets = [details(cache, load), details(cache, load), cache.getOrSet("k", load)];
  equal(load.loads.length, 1);
  load.loads[0].reject(down);
  const stale = { value: "old", status: "stale-if-error", age: 120, ttl: 0 };
  equal(await Promise.all(gets), [stale, stale, "old"]);
  const { rescues, loadFailures, misses, coalesced } = cache.stats();
  equal([rescues, loadFailures, misses, coalesced], [1, 1, 2, 2]);
});

test("after staleIfError the error is the caller's", async () => {
  const { cache, clock } = await warm({ staleIfError: 50 });
  clock.pass(149);
  equal(await cache.getOrSet("k", fails), "old");
  clock.pass(1);
  equal(await rejects(cache.getOrSet("k", fails)), down);
});

test("a load that outlasts staleIfError does not bring a value past its last moment", async () => {
  const { cache, clock } = await warm({ staleIfError: 50 });
  clock.pass(149);
  const load = held();
  const get = cache.getOrSet("k", load);
  clock.pass(1);
  load.loads[0].reject(down);
  equal(await rejects(get), down);
});

test("a failing origin is asked once in each errorBackoff, whatever is there", async () => {
  for (const staleIfError of [0, Infinity]) {
    const { cache, clock } = await warm({ staleIfError, errorBackoff: "10ms" });
    clock.pass(100);
    let calls = 0;
    for (let i = 0; i < 95; i++) {
      const get = cache.getOrSet("k", () => (calls++, fails()));
      if (staleIfError) equal(await get, "old");
      else equal(await rejects(get), down);
      clock.pass(1);
    }
    equal(calls, 10, `calls with staleIfError ${staleIfError}`);
  }
});

test("within errorBackoff the last good value is stale, not a miss", async () => {
  const { cache, clock } = await warm({ staleIfError: 50, errorBackoff: 20 });
  clock.pass(100);
  await cache.getOrSet("k", fails);
  clock.pass(5);
  equal(await details(cache, never), { value: "old", status: "stale", age: 105, ttl: 0 });
  clock.pass(15);
  equal(await details(cache, () => "new"), { value: "new", status: "miss", age: 0, ttl: 100 });
});

test("a remembered error ends with its time, with delete, expire, set, clear and forceFresh", async () => {
  for (const [end, after] of [
    [({ clock }) => clock.pass(50), "new"],
    [({ cache }) => cache.delete("k"), "new"],
    [({ cache }) => cache.expire("k"), "new"],
    [({ cache }) => cache.clear(), "new"],
    [({ cache }) => cache.set("k", "set"), "set"],
    [({ cache }) => cache.getOrSet("k", () => "forced", { forceFresh: true }), "forced"],
  ]) {
    const clock = handClock();
    const cache = new NearCache({ clock, errorBackoff: 50 });
    equal(await rejects(cache.getOrSet("k", fails)), down);
    clock.pass(49);
    const again = await Promise.allSettled([cache.getOrSet("k", never), cache.getOrSet("k", never)]);
    equal(
      again.map(({ reason }) => reason),
      [down, down],
    );
    equal(
      [cache.get("k"), cache.peek("k"), cache.has("k"), [...cache], cache.size],
      [undefined, undefined, false, [], 1],
    );
    await end({ cache, clock });
    equal(await cache.getOrSet("k", () => "new"), after);
  }
});

test("errorBackoff may be decided by the error and the key, and a rule that throws or is wrong is no backoff", async () => {
  const clock = handClock();
  const told = [];
  const rule = (error, key) => {
    told.push([error, key]);
    return (
      { slow: "20ms", none: undefined, wrong: "a while", bad: -1 }[key] ??
      (key === "throws" ? fails.call.nothing.here : undefined)
    );
  };
  const cache = new NearCache({ clock, errorBackoff: rule });
  for (const [key, calls] of [
    ["slow", 1],
    ["none", 3],
    ["wrong", 3],
    ["bad", 3],
    ["throws", 3],
  ]) {
    let made = 0;
    for (let i = 0; i < 3; i++) equal(await rejects(cache.getOrSet(key, () => (made++, fails()))), down);
    equal(made, calls, `calls of ${key}`);
  }
  equal(told[0], [down, "slow"]);
});

test("errorBackoff: the loader's word before the call's before the cache's", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, errorBackoff: 10 });
  const lasts = async (key, loader, options) => {
    await rejects(cache.getOrSet(key, loader, options));
    for (let i = 0; ; i++, clock.pass(1)) {
      if ((await cache.getOrSet(key, () => "new").catch(() => "error")) === "new") return i;
    }
  };
  equal(await lasts("cache", fails), 10);
  equal(await lasts("call", fails, { errorBackoff: 20 }), 20);
  equal(await lasts("rule", fails, { errorBackoff: () => 25 }), 25);
  equal(
    await lasts(
      "ctx",
      (_, ctx) => {
        ctx.errorBackoff = "30ms";
        throw down;
      },
      { errorBackoff: 20 },
    ),
    30,
  );
  equal(
    await lasts("none", (_, ctx) => {
      ctx.errorBackoff = 0;
      throw down;
    }),
    0,
  );
});

test("remembered errors are entries: they are bounded, and a cache without room remembers none", async () => {
  const cache = new NearCache({ maxEntries: 3, eviction: "lru", errorBackoff: Infinity, clock: handClock() });
  for (let i = 0; i < 10; i++) await rejects(cache.getOrSet(i, fails));
  equal([cache.size, cache.stats().evictions.size], [3, 0]);
  let calls = 0;
  for (let i = 9; i >= 0; i--) await rejects(cache.getOrSet(i, () => (calls++, fails())));
  equal(calls, 7);
  const none = new NearCache({ maxEntries: 0, errorBackoff: Infinity });
  for (let i = 0; i < 2; i++) await rejects(none.getOrSet(1, () => (calls++, fails())));
  equal([calls, none.size], [9, 0]);
});

test("a forced load that fails within staleIfError gives what is there, fresh or stale", async () => {
  for (const ttl of [100, Infinity]) {
    const { cache, clock } = await warm({ ttl, staleIfError: 50 });
    clock.pass(10);
    const got = await details(cache, fails, { forceFresh: true });
    equal(got, { value: "old", status: "stale-if-error", age: 10, ttl: ttl - 10 });
    equal(cache.get("k"), "old");
  }
  const { cache } = await warm({});
  equal(await rejects(cache.getOrSet("k", fails, { forceFresh: true })), down);
  equal(cache.get("k"), "old");
});
