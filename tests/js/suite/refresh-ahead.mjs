// Refreshing ahead of the end, and spreading ends, by chance that a seed determines.

import { NearCache } from "nearcache";
import { context, equal, handClock, ok, randomFrom, settleDown, test } from "../runner.mjs";

const uniform = (seed) => {
  const random = randomFrom(seed);
  return () => random(2 ** 31) / 2 ** 31;
};

/** Of `keys` that took `delta` to load, how many a get refreshes that comes `left` before their end. */
async function refreshed({ beta, delta, left, keys = 4000, options = {} }) {
  const clock = handClock();
  const cache = new NearCache({
    clock,
    ttl: 10_000,
    random: uniform(context.seed),
    ...(beta !== undefined && { refreshAhead: beta }),
  });
  for (let key = 0; key < keys; key++) {
    const start = clock.now;
    await cache.getOrSet(
      key,
      (_, ctx) => (clock.pass(delta), options.ctx !== undefined && (ctx.refreshAhead = options.ctx), 1),
      options.call,
    );
    clock.now = start;
  }
  clock.pass(delta + 10_000 - left);
  let hits = 0;
  const before = cache.stats().refreshes;
  for (let key = 0; key < keys; key++) hits += Number((await cache.getOrSet(key, () => 2)) === 1);
  await settleDown();
  equal(hits, keys, "answered with what is there");
  const { refreshes, staleHits } = cache.stats();
  equal(staleHits, 0);
  return (refreshes - before) / keys;
}

test("refreshes ahead are as likely as XFetch says: exp(-left / (beta * delta))", async () => {
  for (const beta of [0.5, 1, 2]) {
    for (const delta of [50, 200]) {
      for (const left of [1, 50, 200, 600]) {
        const wanted = Math.exp(-left / (beta * delta));
        const got = await refreshed({ beta, delta, left, keys: 1500 });
        // Five standard deviations.
        const margin = 5 * Math.sqrt((wanted * (1 - wanted)) / 1500) + 1e-3;
        ok(
          Math.abs(got - wanted) < margin,
          `seed ${context.seed}, beta ${beta}, delta ${delta}, left ${left}: ${got}, wanted ${wanted}; it`,
        );
      }
    }
  }
});

test("the moments of refreshes of a key that is asked for each millisecond are where the formula puts them", async () => {
  const random = uniform(context.seed);
  const [delta, ttl] = [20, 1000];
  const moments = [];
  for (let n = 0; n < 300; n++) {
    const clock = handClock();
    const cache = new NearCache({ clock, ttl, refreshAhead: 1, random });
    await cache.getOrSet("k", () => (clock.pass(delta), 1));
    const end = clock.now + ttl;
    clock.now = end - 300;
    while (cache.stats().refreshes === 0 && clock.now < end) {
      clock.pass(1);
      void cache.getOrSet("k", () => 2);
    }
    moments.push(end - clock.now);
  }
  // The chance that none was due until `left`: the product of 1 - exp(-l / delta) from far off down to it.
  let survives = 1;
  let mean = 0;
  for (let left = 299; left >= 0; left--) {
    const due = Math.exp(-left / delta);
    mean += left * survives * due;
    survives *= 1 - due;
  }
  const got = moments.reduce((a, b) => a + b) / moments.length;
  ok(Math.abs(got - mean) < 8, `seed ${context.seed}: ${got} ms before the end on the average, wanted ${mean}; it`);
});

test("refreshAhead counts also where only the loader or the loading call said it", async () => {
  // The symptom: later gets did not draw, since the cache itself had no refreshAhead.
  const options = { delta: 100, left: 1, keys: 200 };
  ok((await refreshed({ ...options, options: { ctx: 5 } })) > 0.9, "by ctx");
  ok((await refreshed({ ...options, options: { call: { refreshAhead: 5 } } })) > 0.9, "by the call");
  equal(await refreshed({ ...options, beta: 5, options: { ctx: 0 } }), 0, "0 by ctx");
  equal(await refreshed({ ...options, beta: 5, options: { call: { refreshAhead: 0 } } }), 0, "0 by the call");
  equal(await refreshed(options), 0);
});

test("what was set, not loaded, is not refreshed ahead, nor is what never ends", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100, refreshAhead: 1000, random: () => 0.999999 });
  cache.set("set", 1);
  await cache.getOrSet("for ever", () => (clock.pass(50), 1), { ttl: Infinity });
  clock.pass(49);
  equal(
    [await cache.getOrSet("set", () => 2), await cache.getOrSet("for ever", () => 2), cache.stats().refreshes],
    [1, 1, 0],
  );
});

test("a refresh ahead is a hit in the background: one at a time, and the next value's life is whole", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100, refreshAhead: 1, random: () => 0.999999 });
  await cache.getOrSet("k", () => (clock.pass(50), 1));
  clock.pass(60);
  let finish;
  const slow = () => new Promise((resolve) => (finish = resolve));
  const got = await cache.getOrSet("k", slow, { details: true });
  equal(got, { value: 1, status: "hit", age: 60, ttl: 40 });
  equal([await cache.getOrSet("k", () => 3), cache.get("k"), cache.stats().loads], [1, 1, 2]);
  clock.pass(30);
  finish(2);
  await settleDown();
  equal([cache.get("k"), cache.remainingTtl("k"), cache.stats().refreshes], [2, 100, 1]);
});

test("jitter takes off at most its part of the ttl, evenly", async () => {
  for (const jitter of [0.1, 0.5, 1]) {
    const cache = new NearCache({
      clock: handClock(),
      ttl: 10_000,
      maxEntries: 5000,
      jitter,
      random: uniform(context.seed),
    });
    const ttls = [];
    for (let i = 0; i < 3000; i++) {
      if (i % 2) cache.set(i, i);
      else await cache.getOrSet(i, () => i);
      ttls.push(cache.remainingTtl(i));
    }
    const least = 10_000 * (1 - jitter);
    ok(
      ttls.every((ttl) => ttl >= Math.max(least, 1) && ttl <= 10_000),
      `from ${Math.min(...ttls)} to ${Math.max(...ttls)}: within bounds`,
    );
    for (let part = 0; part < 4; part++) {
      const low = least + (part * jitter * 10_000) / 4;
      const share = ttls.filter((ttl) => ttl >= low && ttl < low + (jitter * 10_000) / 4).length / ttls.length;
      ok(share > 0.21 && share < 0.29, `seed ${context.seed}: ${share} in part ${part} of four`);
    }
  }
});

test("jitter: the loader's, the call's, the cache's; none by default; a ttl of 0 or without end stays", async () => {
  const cache = new NearCache({ clock: handClock(), ttl: 1000, jitter: 0.5, random: () => 0.5 });
  const left = async (loader, options) => (
    await cache.getOrSet("k", loader, { forceFresh: true, ...options }),
    cache.remainingTtl("k")
  );
  equal(
    [
      await left(() => 1),
      await left(() => 1, { jitter: 0.2 }),
      await left((_, ctx) => (ctx.jitter = 1), { jitter: 0.2 }),
    ],
    [750, 900, 500],
  );
  equal([await left(() => 1, { ttl: Infinity }), await left(() => 1, { ttl: 0 })], [Infinity, undefined]);
  equal(
    new NearCache({ clock: handClock(), ttl: 7, jitter: 1, random: () => 0 }).set("k", 1).remainingTtl("k"),
    1,
    "never to nothing: the ttl",
  );
  let drawn = 0;
  await new NearCache({ ttl: 5, random: () => (drawn++, 0) }).set("k", 1).getOrSet("k", () => 2);
  equal(drawn, 1, "numbers drawn, but for how keys are hashed");
});
