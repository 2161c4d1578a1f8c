// Loads that fail and are tried again: what the contract does not say of the class.

import { NearCache } from "nearcache";
import { equal, handClock, rejects, test, testBothWays, throws } from "../runner.mjs";

const busy = new Error("busy");

/** A loader that fails so often, and writes down each attempt. */
function failing(times, attempts = []) {
  return async (_, { attempt, background }) => {
    attempts.push([attempt, background]);
    if (attempts.length <= times) throw busy;
    return "v";
  };
}

test("each attempt knows its number, and whether somebody waited when the load began", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 10, swr: 1_000, retry: { attempts: 3, delay: 0 } });
  const attempts = [];
  equal(await cache.getOrSet("k", failing(2, attempts)), "v");
  clock.pass(10);
  const behind = [];
  const refreshed = new Promise((resolve) => cache.on("load", resolve));
  equal(await cache.getOrSet("k", failing(1, behind)), "v");
  await refreshed;
  equal(attempts, [
    [1, false],
    [2, false],
    [3, false],
  ]);
  equal(behind, [
    [1, true],
    [2, true],
  ]);
  equal(cache.stats().retries, 3);
});

test("a number says how often a load is tried in all", async () => {
  const cache = new NearCache();
  const attempts = [];
  await rejects(() => cache.getOrSet("k", failing(9, attempts), { retry: 1 }), busy);
  equal(attempts.length, 1);
});

test("a rule decides by the error and the key; what it throws means no", async () => {
  const asked = [];
  const when = (error, key) => {
    asked.push([error, key]);
    if (key === "throws") throw new Error("a slip");
    return key === "yes";
  };
  const cache = new NearCache({ retry: { attempts: 2, delay: 0, when } });
  equal(await cache.getOrSet("yes", failing(1)), "v");
  await rejects(() => cache.getOrSet("no", failing(1)), busy);
  await rejects(() => cache.getOrSet("throws", failing(1)), busy);
  equal(asked, [
    [busy, "yes"],
    [busy, "no"],
    [busy, "throws"],
  ]);
});

test("wrong use of the cache is not tried again", async () => {
  const cache = new NearCache({ retry: { attempts: 3, delay: 0 }, maxBytes: 100 });
  let calls = 0;
  const weighsNothing = () => (calls++, { an: "object" });
  await rejects(() => cache.getOrSet("k", weighsNothing), { code: "ERR_BYTES" });
  equal(calls, 1);
});

test("a loader that throws at once is tried again too", async () => {
  const cache = new NearCache({ retry: { attempts: 2, delay: 0 } });
  let calls = 0;
  const load = () => {
    if (++calls === 1) throw busy;
    return "v";
  };
  equal(await cache.getOrSet("k", load), "v");
});

test("wrong options of retries are errors that name them", async () => {
  const wrong = [
    [0, "retry.attempts: got 0, wants a whole number from 1 on, or Infinity"],
    [{}, "retry.attempts: got undefined, wants a whole number from 1 on, or Infinity"],
    ["3", 'retry: got "3", wants attempts in all, or an object like { attempts: 3, delay: "100ms" }'],
    [{ attempts: 2, delay: "soon" }, /^retry\.delay: got "soon", wants milliseconds/],
    [{ attempts: 2, factor: -1 }, "retry.factor: got -1, wants a number from 0 on"],
    [{ attempts: 2, jitter: 2 }, "retry.jitter: got 2, wants a number from 0 to 1"],
    [{ attempts: 2, when: true }, "retry.when: got true, wants a function"],
    [{ attempts: 2, delays: 5 }, /^retry\.delays: unknown option, did you mean delay\?/],
    [{ times: 2 }, /^retry\.times: unknown option, did you mean attempts\?/],
  ];
  for (const [retry, message] of wrong) {
    throws(() => new NearCache({ retry }), { code: "ERR_OPTION", message });
    await rejects(() => new NearCache().getOrSet("k", () => 1, { retry }), { code: "ERR_OPTION" });
  }
});

testBothWays("a retry that nobody waits for any more has no timer", async (world) => {
  const cache = new NearCache({ retry: { attempts: 5, delay: "8s", jitter: 0 } });
  const caller = new AbortController();
  const attempts = [];
  const asked = rejects(() => cache.getOrSet("k", failing(9, attempts), { signal: caller.signal }));
  await world.pass(10);
  const retries = () => [...world.timers.values()].filter(({ at }) => at > world.now && at <= world.now + 8_000).length;
  equal(retries(), 1);
  caller.abort();
  await asked;
  await world.settle();
  equal(retries(), 0);
  await world.pass(31_000);
  equal([attempts.length, cache.stats().inFlight], [1, 0]);
});
