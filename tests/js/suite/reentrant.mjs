// Code of the user's that runs in the midst of a call and uses the cache: a clock, a Promise subclass, a `then` that is a getter.
// What it asks for comes to its own end, and what it interrupts goes on as if nothing had been.

import { NearCache } from "nearcache";
import { context, equal, now, ok, randomFrom, rejects, sleep, test, testBothWays } from "../runner.mjs";

testBothWays("a Promise subclass may use the cache as it is made", async () => {
  const cache = new NearCache();
  class Traced extends Promise {
    constructor(begin) {
      super(begin);
      void cache.getOrSet("count", async () => 1);
    }
  }
  equal(await cache.getOrSet("a", () => Traced.resolve("A")), "A");
  equal([cache.get("a"), cache.get("count")], ["A", 1]);
});

testBothWays("what a loader brings may use the cache as it is asked for `then`", async () => {
  for (const plugins of [[], [{ miss: () => {} }]]) {
    const cache = new NearCache({ plugins });
    const using = (end) => ({
      get then() {
        void cache.getOrSet("b", () => "B");
        return end();
      },
    });
    await cache.getOrSet("a", () => using(() => undefined));
    const failing = using(() => {
      throw new Error("on purpose");
    });
    await rejects(() => cache.getOrSet("c", () => failing), { message: "on purpose" });
    equal([cache.has("a"), cache.get("b"), cache.has("c"), cache.stats().inFlight], [true, "B", false, 0]);
  }
});

testBothWays("a stale value may load another key as it is handed out", async () => {
  const cache = new NearCache({ ttl: 10, staleWhileRevalidate: 60_000 });
  let other;
  cache.set("a", {
    get then() {
      other ??= cache.getOrSet("b", () => sleep(5).then(() => "B"));
    },
  });
  await sleep(20);
  await cache.getOrSet("a", async () => "A");
  equal(await other, "B");
  await sleep(1);
  equal([cache.get("a"), cache.get("b")], ["A", "B"]);
});

testBothWays("a stale value may ask for its own key anew as it is handed out", async () => {
  const cache = new NearCache({ ttl: 10, staleWhileRevalidate: 60_000 });
  let anew;
  cache.set("a", {
    get then() {
      anew ??= cache.getOrSet("a", async () => "anew", { forceFresh: true });
    },
  });
  await sleep(20);
  ok((await cache.getOrSet("a", async () => "A")) !== "A");
  equal(await anew, "A");
});

test("who joins a load that fails at once, and leaves it, takes its error from nobody", async () => {
  for (const maxConcurrentLoads of [undefined, 3]) {
    const left = new AbortController();
    const use = () => {
      if (left.signal.aborted) return false;
      cache.getOrSet("a", () => "other", { signal: left.signal }).catch(() => {});
      left.abort();
      return false;
    };
    const cache = new NearCache({ maxConcurrentLoads, hardTimeout: 300, retry: { attempts: 2, when: use } });
    const failing = () => {
      throw new Error("origin");
    };
    await rejects(cache.getOrSet("a", failing), { message: "origin" });
    equal([left.signal.aborted, cache.stats().inFlight], [true, 0]);
  }
});

test("a clock may ask for other keys of the batch that a key is added to", async () => {
  for (const given of [{}, { batchWindow: 20 }, { batchWindow: 20, maxBatchSize: 2 }]) {
    for (let at = 1; at < 20; at++) {
      let readings = -100;
      let others = [];
      const sizes = [];
      const load = async (keys) => {
        sizes.push(keys.length);
        return keys.map((key) => `v${key}`);
      };
      const cache = new NearCache({
        hardTimeout: 300,
        clock: () => {
          if (++readings === at >> 1) others = ["x", "y", "z"].map((key) => cache.getOrSet(key));
          return 1_000;
        },
        batch: { ...given, load },
      });
      // Into a batch that is open, or a new one.
      const first = at % 2 === 0 ? cache.getOrSet("first") : "vfirst";
      readings = 0;
      equal([await cache.getOrSet("a"), await first], ["va", "vfirst"], `reading ${at >> 1}`);
      equal(await Promise.all(others), others.length === 0 ? [] : ["vx", "vy", "vz"], `reading ${at >> 1}`);
      ok(Math.max(...sizes) <= (given.maxBatchSize ?? 5), `sizes ${sizes}`);
    }
  }
});

test("a clock may end a load whose turn has come, and begin another", async () => {
  for (let at = 1; at < 10; at++) {
    let readings = -100;
    let [running, most] = [0, 0];
    const left = new AbortController();
    const stale = [];
    const load = async (key, ctx) => {
      most = Math.max(most, ++running);
      stale.push([key, ctx.stale]);
      await sleep(10);
      running--;
      return `v${key}`;
    };
    let other;
    const cache = new NearCache({
      maxConcurrentLoads: 1,
      ttl: 100,
      staleIfError: 1e6,
      hardTimeout: 400,
      clock: () => {
        if (++readings === at) {
          left.abort(new Error("left"));
          other = cache.getOrSet("z", load, { forceFresh: true });
        }
        return 1_000;
      },
    });
    cache.set("z", "old");
    const a = cache.getOrSet("a", load);
    const b = cache.getOrSet("b", load, { signal: left.signal }).catch(({ message }) => message);
    readings = 0;
    equal(await a, "va", `reading ${at}`);
    ok(["vb", "left"].includes(await b));
    if (other !== undefined) equal(await other, "vz", `reading ${at}`);
    equal([most, stale.filter(([key, value]) => key !== "z" && value !== undefined)], [1, []], `reading ${at}`);
  }
});

test("a clock may end a computation that it is read for", async () => {
  for (let at = 1; at < 6; at++) {
    let readings = -100;
    const left = new AbortController();
    const cache = new NearCache({
      clock: () => {
        if (++readings === at) left.abort(new Error("left"));
        return 1_000;
      },
    });
    readings = 0;
    const end = await cache
      .compute("a", () => sleep(5).then(() => "A"), { signal: left.signal })
      .catch((error) => error);
    ok(end === "A" || end.message === "left", String(end));
    readings = -100;
    await sleep(20);
    // What was computed for nobody keeps nothing from being stored.
    cache.delete("a");
    equal([await cache.getOrSet("a", () => "L"), cache.has("a")], ["L", true], `reading ${at}`);
  }
});

test("a clock may load, remove and store where loads are limited", async () => {
  for (let at = 1; at < 12; at++) {
    let [time, readings] = [0, -100];
    const cache = new NearCache({
      maxConcurrentLoads: 5,
      ttl: 1_000,
      clock: () => {
        if (++readings === at) {
          void cache.getOrSet("b", () => sleep(2).then(() => "B"));
          cache.delete("c");
          cache.set("d", "D");
        }
        return time;
      },
    });
    cache.set("a", "old").set("c", "C");
    time += 2_000;
    readings = 0;
    equal(await cache.getOrSet("a", () => sleep(1).then(() => "A")), "A");
    await sleep(5);
    for (let key = 0; readings < at; key++) cache.get(key);
    await sleep(5);
    equal(
      [cache.get("a"), cache.get("b"), cache.get("c"), cache.get("d")],
      ["A", "B", undefined, "D"],
      `reading ${at}`,
    );
  }
});

test("a batch ends though a clock throws", async () => {
  let fails = false;
  const clock = () => {
    if (fails) throw new RangeError("on purpose");
    return 1_000;
  };
  const load = async (keys) => {
    fails = false;
    return keys;
  };
  const cache = new NearCache({ clock, batch: { load } });
  const got = cache.getOrSet(1);
  fails = true;
  await rejects(() => cache.getOrSet(2), { message: "on purpose" });
  equal(await got, 1);
});

testBothWays("random code of the user's uses the cache in the midst of it", async () => {
  for (let seed = context.seed; seed < context.seed + 20; seed++) await walk(seed);
});

async function walk(seed) {
  const random = randomFrom(seed);
  const pick = (list) => list[random(list.length)];
  const wrong = [];
  let [depth, left, isOver] = [0, 400, false];
  const settled = [];
  /** Uses the cache now and then, unless that has been done enough. */
  const use = (cache, often) => {
    if (isOver || depth > 3 || random(100) >= often || left-- < 0) return;
    depth++;
    try {
      step(cache);
    } catch (error) {
      if (error.message !== "on purpose") throw error;
    } finally {
      depth--;
    }
  };
  class Using extends Promise {
    constructor(begin) {
      super(begin);
      use(cache, 10);
    }
  }
  const valueOf = (key) => {
    const value = { key };
    const then = () => use(cache, 20);
    return random(3) === 0 ? Object.defineProperty(value, "then", { get: then }) : value;
  };
  const load = (key) => {
    use(cache, 40);
    if (random(10) === 0) throw new RangeError("on purpose");
    return pick([
      () => valueOf(key),
      () => Promise.resolve({ key }),
      () => Using.resolve({ key }),
      () => sleep(random(5)).then(() => ({ key })),
      () => Promise.reject(new Error("on purpose")),
    ])();
  };
  const check = (key, value) => {
    if (value !== undefined && value?.key !== key) wrong.push([key, String(value?.key ?? value)].join());
  };
  const step = (cache) => {
    const key = random(8);
    pick([
      () => settled.push(cache.getOrSet(key, load).then((value) => check(key, value), ignore)),
      () => settled.push(cache.getOrSet(key, load, { forceFresh: true }).then((value) => check(key, value), ignore)),
      () => settled.push(cache.compute(key, () => load(key)).catch(ignore)),
      () => check(key, cache.get(key)),
      () => cache.set(key, { key }),
      () => cache.delete(key),
      () => cache.expire(key),
    ])();
  };
  const lives = pick([{}, { ttl: 5 }, { ttl: 5, staleWhileRevalidate: 20 }, { ttl: 5, staleIfError: 20 }]);
  const limits = pick([{}, { maxConcurrentLoads: 2 }]);
  const clock = pick([undefined, () => (use(cache, 5), now())]);
  const sizeOf = pick([undefined, () => (use(cache, 10), 1)]);
  const validate = pick([undefined, () => (use(cache, 10), random(10) !== 0)]);
  const hook = () => use(cache, 20);
  const plugins = pick([[], [{ miss: hook, load: hook, evict: hook }]]);
  const maxEntries = pick([2, 4, 100]);
  const maxBytes = sizeOf === undefined ? Infinity : 4;
  const cache = new NearCache({ maxEntries, maxBytes, sizeOf, validate, plugins, clock, ...lives, ...limits });
  for (let i = 0; i < 60; i++) {
    use(cache, 100);
    if (random(4) === 0) await sleep(random(8));
  }
  isOver = true;
  for (let count = -1; count < settled.length;) {
    count = settled.length;
    await Promise.all(settled);
  }
  await sleep(30);
  for (const [key, value] of cache.entries()) check(key, value);
  equal([wrong, cache.stats().inFlight], [[], 0], `seed ${seed}`);
  ok(cache.size <= 100);
}

const ignore = () => {};
