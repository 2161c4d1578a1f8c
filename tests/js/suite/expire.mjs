// expire: a value is stale from now on.

import { NearCache } from "nearcache";
import { equal, handClock, held, rejects, settleDown, test } from "../runner.mjs";
import { details, down, fails, warm } from "./stale-value.mjs";

test("expire begins the stale windows, of a value without an end of its own too", async () => {
  // The symptom: with an infinite ttl, expire deleted the value though the cache has stale windows.
  for (const ttl of [100, Infinity]) {
    const { cache, clock } = await warm({ ttl, staleWhileRevalidate: 20, staleIfError: 40 });
    clock.pass(7);
    equal([cache.expire("k"), cache.expire("k"), cache.get("k"), cache.size], [true, false, undefined, 1]);
    equal(await details(cache, fails), { value: "old", status: "stale", age: 7, ttl: 0 });
    await settleDown();
    clock.pass(20);
    equal(await details(cache, fails), { value: "old", status: "stale-if-error", age: 27, ttl: 0 });
    clock.pass(20);
    equal(await rejects(details(cache, fails)), down);
    equal(cache.size, 0);
  }
});

test("expire removes what has no stale windows", async () => {
  const { cache } = await warm({});
  equal([cache.expire("k"), cache.size, cache.expire("nothing")], [true, 0, false]);
});

test("expire supersedes a first load, and its key does not stay behind", async () => {
  // The symptom: the key stayed in the map for ever.
  const cache = new NearCache({ clock: handClock() });
  const load = held();
  const get = cache.getOrSet("k", load);
  equal(cache.expire("k"), false);
  const again = cache.getOrSet("k", load);
  equal(load.loads.length, 2);
  load.loads[0].resolve(1);
  equal([await get, cache.get("k")], [1, undefined]);
  load.loads[1].resolve(2);
  equal([await again, cache.get("k")], [2, 2]);
  const scope = cache.scope("s");
  const scoped = scope.getOrSet("k", load);
  scope.expire("k");
  load.loads[2].resolve(3);
  equal([await scoped, scope.get("k"), cache.stats().inFlight], [3, undefined, 0]);
});
