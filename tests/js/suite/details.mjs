// details: an answer with its status, age and remaining ttl.

import { NearCache } from "nearcache";
import { equal, handClock, held, never, settleDown, test } from "../runner.mjs";
import { details, fails, warm } from "./stale-value.mjs";

test("details tell the status, age and ttl of every answer", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100, staleWhileRevalidate: 50, staleIfError: 90 });
  const load = held();
  const first = [details(cache, load), details(cache, load)];
  clock.pass(5);
  load.loads[0].resolve("v");
  equal(await Promise.all(first), [
    { value: "v", status: "miss", age: 0, ttl: 100 },
    { value: "v", status: "coalesced", age: 0, ttl: 100 },
  ]);
  clock.pass(30);
  equal(await details(cache, never), { value: "v", status: "hit", age: 30, ttl: 70 });
  clock.pass(80);
  equal(await details(cache, fails), { value: "v", status: "stale", age: 110, ttl: 0 });
  await settleDown();
  clock.pass(60);
  equal(await details(cache, fails), { value: "v", status: "stale-if-error", age: 170, ttl: 0 });
  equal(await cache.getOrSet("skip", (_, ctx) => (ctx.skip(), 1), { details: true }), {
    value: 1,
    status: "miss",
    age: 0,
    ttl: 0,
  });
  equal(await cache.getOrSet("for ever", () => 1, { details: true, ttl: Infinity }), {
    value: 1,
    status: "miss",
    age: 0,
    ttl: Infinity,
  });
  clock.pass(3);
  equal(await cache.getOrSet("for ever", never, { details: true }), { value: 1, status: "hit", age: 3, ttl: Infinity });
  equal(await cache.getOrSet("for ever", never, { details: false }), 1);
});

test("details of a stale value are its own, though its refresh is quick", async () => {
  // The symptom: age 0, because the refresh had replaced the value before the caller was told.
  for (const quick of [() => "new", async () => "new"]) {
    const { cache, clock } = await warm({ staleWhileRevalidate: 50 });
    clock.pass(110);
    equal(await details(cache, quick), { value: "old", status: "stale", age: 110, ttl: 0 });
  }
});

test("details of a hit are as of the get, whatever is done right after it", async () => {
  const { cache, clock } = await warm({});
  clock.pass(10);
  const get = details(cache, never);
  cache.delete("k");
  equal(await get, { value: "old", status: "hit", age: 10, ttl: 90 });
});
