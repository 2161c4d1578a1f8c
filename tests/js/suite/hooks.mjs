// Hooks and plugins.

import { NearCache } from "nearcache";
import { equal, handClock, held, ok, rejects, settleDown, test, throws } from "../runner.mjs";

const EVENTS = ["hit", "stale", "miss", "coalesced", "load", "error", "evict", "expire", "batch"];
const down = new Error("down");
const root = { namespaces: [], scope: undefined, scopes: [] };

/** A cache and what its hooks are told, as `[event, what was told but for the place]`. */
function told(options = {}) {
  const clock = handClock();
  const log = [];
  const plugin = Object.fromEntries(
    EVENTS.map((event) => [event, ({ place, ...rest }) => (log.push([event, rest]), equal(place, root))]),
  );
  const cache = new NearCache({ clock, ttl: 100, ...options, plugins: [plugin] });
  return { cache, clock, log, take: () => log.splice(0) };
}

test("hit and miss are told of get and getOrSet, with the cause of the miss", async () => {
  const { cache, clock, take } = told();
  cache.get("k");
  cache.set("k", 1);
  cache.get("k");
  await cache.getOrSet("k", () => 2);
  await cache.getOrSet("k", () => 2, { ttl: 5 });
  cache.peek("k");
  cache.has("k");
  equal(take(), [
    ["miss", { key: "k", cause: "absent" }],
    ["hit", { key: "k" }],
    ["hit", { key: "k" }],
    ["hit", { key: "k" }],
  ]);
  clock.pass(100);
  cache.get("k");
  equal(take(), [
    ["evict", { key: "k", value: 1, cause: "expired" }],
    ["expire", { key: "k", value: 1 }],
    ["miss", { key: "k", cause: "expired" }],
  ]);
  cache.set("k", 3);
  await cache.getOrSet("k", () => 4, { forceFresh: true });
  equal(
    take().map(([event, { cause }]) => [event, cause]),
    [
      ["miss", "forced"],
      ["evict", "replaced"],
      ["load", undefined],
    ],
  );
});

test("a key that is loading, or was deleted while it is written, is absent, not expired", async () => {
  // The symptom: "expired", because the key had a slot.
  const { cache, take } = told();
  const load = held();
  const get = cache.getOrSet("k", load);
  cache.get("k");
  cache.delete("k");
  const update = cache.update("k", load);
  cache.get("k");
  load.loads.forEach(({ resolve }) => resolve(1));
  await Promise.all([get, update]);
  equal(
    take()
      .filter(([event]) => event === "miss")
      .map(([, { cause }]) => cause),
    ["absent", "absent", "absent"],
  );
});

test("load and error are told with their duration, after the miss and before the caller hears of it", async () => {
  const { cache, clock, log, take } = told();
  const load = held();
  const gets = [cache.getOrSet("k", load).then(() => log.push("caller")), cache.getOrSet("k", load)];
  clock.pass(7);
  load.loads[0].resolve(1);
  await Promise.all(gets);
  equal(take(), [
    ["miss", { key: "k", cause: "absent" }],
    ["coalesced", { key: "k" }],
    ["load", { key: "k", duration: 7, background: false }],
    "caller",
  ]);
  await rejects(cache.getOrSet("e", () => (clock.pass(3), Promise.reject(down))));
  equal(take(), [
    ["miss", { key: "e", cause: "absent" }],
    ["error", { key: "e", duration: 3, background: false, error: down }],
  ]);
});

test("stale is told with its cause: revalidate, error, timeout", async () => {
  const { cache, clock, take } = told({
    swr: 50,
    staleIfError: 200,
    errorBackoff: 20,
    softTimeout: 3,
    hardTimeout: 500,
  });
  await cache.getOrSet("k", () => 1);
  clock.pass(100);
  take();
  equal(await cache.getOrSet("k", () => Promise.reject(down)), 1);
  await settleDown();
  equal(take(), [
    ["stale", { key: "k", cause: "revalidate" }],
    ["error", { key: "k", duration: 0, background: true, error: down }],
  ]);
  await cache.getOrSet("k", () => 2);
  equal(take(), [["stale", { key: "k", cause: "error" }]]);
  clock.pass(60);
  await cache.getOrSet("k", () => Promise.reject(down));
  equal(
    take().map(([event, { cause }]) => [event, cause]),
    [
      ["miss", "expired"],
      ["error", undefined],
      ["stale", "error"],
    ],
  );
  clock.pass(20);
  const load = held();
  equal(await cache.getOrSet("k", load), 1);
  equal(take(), [
    ["miss", { key: "k", cause: "expired" }],
    ["stale", { key: "k", cause: "timeout" }],
  ]);
  load.loads[0].resolve(2);
  await settleDown();
  equal(
    take().map(([event]) => event),
    ["evict", "load"],
  );
});

test("evict is told with value and cause, expire when the dead is met", async () => {
  const { cache, clock, take } = told({ maxEntries: 2, eviction: "lru" });
  cache.set("a", 1).set("b", 2).set("c", 3);
  equal(take(), [["evict", { key: "a", value: 1, cause: "size" }]]);
  cache.set("b", 4);
  cache.delete("b");
  equal(take(), [
    ["evict", { key: "b", value: 2, cause: "replaced" }],
    ["evict", { key: "b", value: 4, cause: "removed" }],
  ]);
  cache.set("t", 5, { tags: ["t"] });
  cache.deleteByTag("t");
  cache.expire("c");
  equal(take(), [
    ["evict", { key: "t", value: 5, cause: "removed" }],
    ["evict", { key: "c", value: 3, cause: "expired" }],
    ["expire", { key: "c", value: 3 }],
  ]);
  cache.set("d", 6).set("e", 7);
  cache.clear();
  equal(take(), [
    ["evict", { key: "e", value: 7, cause: "removed" }],
    ["evict", { key: "d", value: 6, cause: "removed" }],
  ]);
  cache.set("f", 8);
  clock.pass(100);
  await cache.getOrSet("f", () => 9);
  equal(
    take().map(([event, { value, cause }]) => [event, value ?? cause]),
    [
      ["evict", 8],
      ["expire", 8],
      ["miss", "expired"],
      ["load", undefined],
    ],
  );
});

test("failures that are remembered are hits, and leave without a word", async () => {
  const { cache, clock, take } = told({ errorBackoff: 10, maxEntries: 1 });
  await rejects(cache.getOrSet("k", () => Promise.reject(down)));
  take();
  await rejects(cache.getOrSet("k", () => 1));
  equal(take(), [["hit", { key: "k" }]]);
  clock.pass(10);
  cache.get("k");
  await rejects(cache.getOrSet("k", () => Promise.reject(down)));
  cache.set("j", 1);
  equal(
    take().map(([event]) => event),
    ["miss", "miss", "error"],
  );
});

test("batch is told with its keys, its duration and the error that it failed with", async () => {
  const { cache, take } = told({
    batch: {
      load: async (keys) =>
        keys.map((key) => {
          if (key === "x") throw down;
          return key;
        }),
    },
  });
  await Promise.all([cache.getOrSet("a"), cache.getOrSet("b")]);
  await settleDown();
  const [, { keys, duration, error }] = take().find(([event]) => event === "batch");
  ok(duration >= 0 && duration < 5000);
  equal([keys, error], [["a", "b"], undefined]);
  await rejects(cache.getOrSet("x"));
  await settleDown();
  equal(take().find(([event]) => event === "batch")[1].error, down);
});

test("a hook that throws, or whose promise rejects, harms nothing, and others are told", async () => {
  const cache = new NearCache();
  const seen = [];
  const bad = [
    () => {
      throw down;
    },
    () => Promise.reject(down),
    async () => {
      throw down;
    },
    () => ({
      get then() {
        throw down;
      },
    }),
  ];
  for (const event of EVENTS) {
    for (const hook of bad) cache.on(event, hook);
    cache.on(event, () => seen.push(event));
  }
  cache.set("k", 1).set("k", 2);
  equal([cache.get("k"), await cache.getOrSet("j", () => 3), cache.delete("k")], [2, 3, true]);
  await rejects(cache.getOrSet("e", () => Promise.reject(down)));
  equal(seen, ["evict", "hit", "miss", "load", "evict", "miss", "error"]);
});

test("a hook may use the cache: delete the key of the event, load it, set others", async () => {
  const cache = new NearCache({ maxEntries: 3 });
  const off = [cache.on("load", ({ key }) => cache.delete(key)), cache.on("hit", ({ key }) => cache.delete(key))];
  equal([await cache.getOrSet("k", () => 1), cache.has("k")], [1, false]);
  cache.set("k", 2);
  equal([cache.get("k"), cache.has("k")], [2, false]);
  cache.set("k", 2);
  equal([await cache.getOrSet("k", () => 3), cache.has("k")], [2, false]);
  off.forEach((end) => end());

  const asked = [];
  const end = cache.on(
    "miss",
    ({ key, cause }) => cause === "absent" && asked.push(cache.getOrSet(key, () => "by the hook")),
  );
  equal(
    [await cache.getOrSet("m", async () => "loaded"), await asked[0], cache.get("m")],
    ["loaded", "loaded", "loaded"],
  );
  equal([cache.get("n"), await asked[1], cache.get("n")], [undefined, "by the hook", "by the hook"]);
  end();

  cache.clear();
  cache.on("evict", ({ key, cause }) => cause === "size" && cache.set(`${key}'`.slice(0, 3), 1));
  for (const key of "abcde") cache.set(key, 1);
  ok(cache.size <= 3);
});

test("clear with a hook that uses the cache tells of every entry", () => {
  // The symptom: 8 of 100.
  const cache = new NearCache();
  const moved = cache.namespace("moved");
  const seen = [];
  const end = cache.on("evict", ({ key }) => (seen.push(key), cache.get("nope")));
  for (let i = 0; i < 100; i++) cache.set(i, i);
  cache.clear();
  equal(seen.length, 100);
  end();
  const users = cache.namespace("users");
  users.on("evict", ({ key, value }) => moved.set(key, value));
  for (let i = 0; i < 100; i++) users.set(i, i, { tags: ["t"] });
  equal([users.deleteByTag("t"), moved.size], [100, 100]);
});

test("what hooks cause is told eight deep, each chain by itself", () => {
  const cache = new NearCache();
  const seen = [];
  cache.on("miss", ({ key: [chain, depth] }) => {
    seen.push(`${chain}${depth}`);
    cache.get([chain, depth + 1]);
  });
  cache.on("evict", ({ key }) => cache.get([key, 2]));
  cache.set("a", 1).set("b", 2);
  cache.clear();
  equal(seen.filter((one) => one.startsWith("a")).length, 7, "one for the eviction, and seven misses it causes");
  equal(seen.filter((one) => one.startsWith("b")).length, 7);
  seen.length = 0;
  cache.get(["c", 1]);
  equal(seen, ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]);
});

test("a value that is undefined is a value to hooks, too", () => {
  const events = [null, undefined].map((value) => {
    const { cache, clock, take } = told({ maxEntries: 2, eviction: "lru" });
    cache.set("a", value, { ttl: 10 });
    clock.pass(20);
    cache.get("a");
    cache.set("b", value);
    cache.delete("b");
    cache.set("c", value).set("c", 1).set("d", value);
    cache.clear();
    return take().map(([event, { key, cause }]) => [event, key, cause]);
  });
  equal(events[1], events[0]);
  equal(events[1], [
    ["evict", "a", "expired"],
    ["expire", "a", undefined],
    ["miss", "a", "expired"],
    ["evict", "b", "removed"],
    ["evict", "c", "replaced"],
    ["evict", "d", "removed"],
    ["evict", "c", "removed"],
  ]);
});

test("a place's names are what their users gave, and never joined by what can't be read", async () => {
  const cache = new NearCache();
  const places = [];
  cache.on("miss", ({ place }) => places.push(place));
  cache.scope("a").scope("b").get(1);
  await cache.wrap(
    async function user(id) {
      return id;
    },
    { name: "users" },
  )("ann");
  equal(places, [
    { namespaces: [], scope: "a/b", scopes: ["a", "b"] },
    { namespaces: [], scope: "/users", scopes: ["", "users"] },
  ]);
});

test("a stale answer is told once for those who wait together, and not for a refresh", async () => {
  const { cache, clock, take } = told({ staleIfError: 100, swr: 5 });
  cache.set("k", 1);
  clock.pass(102);
  equal(await cache.getOrSet("k", () => Promise.reject(down)), 1);
  await settleDown();
  clock.pass(10);
  const fails = async () => {
    throw down;
  };
  take();
  equal(await Promise.all([cache.getOrSet("k", fails), cache.getOrSet("k", fails)]), [1, 1]);
  equal(
    take().map(([event, { cause }]) => [event, cause]),
    [
      ["miss", "expired"],
      ["coalesced", undefined],
      ["error", undefined],
      ["stale", "error"],
    ],
  );
});

test("a hook that causes what it is called for comes to an end, and the cache goes on", () => {
  // The symptom: the stack overflowed, maybe within the wasm.
  const cache = new NearCache().set("k", 1);
  let calls = 0;
  cache.on("hit", () => (calls++, cache.get("k"), cache.get("k")));
  equal(cache.get("k"), 1);
  ok(calls < 1000, `${calls} calls`);
  const other = new NearCache({ maxEntries: 1 });
  let n = 0;
  const end = other.on("evict", () => other.set(n++, n));
  other.set("a", 1).set("b", 2);
  end();
  equal([other.size, other.set("c", 3).get("c"), cache.get("k")], [1, 3, 1]);
});

test("on returns the way to end it, and the same function may be there twice", () => {
  const cache = new NearCache().set("k", 1);
  let calls = 0;
  const hook = () => calls++;
  const [first, second] = [cache.on("hit", hook), cache.on("hit", hook)];
  cache.get("k");
  first();
  first();
  cache.get("k");
  second();
  cache.get("k");
  equal(calls, 3);
});

test("a hook may end itself, and add others", () => {
  const cache = new NearCache().set("k", 1);
  const seen = [];
  const end = cache.on("hit", () => {
    seen.push("once");
    end();
    cache.on("hit", () => seen.push("later"));
  });
  cache.on("hit", () => seen.push("second"));
  cache.get("k");
  cache.get("k");
  equal(seen, ["once", "second", "second", "later"]);
});

test("hooks of a part are told of that part and what is within", async () => {
  const cache = new NearCache();
  const parts = {
    root: cache,
    n: cache.namespace("n"),
    nm: cache.namespace("n").namespace("m"),
    s: cache.scope("s"),
    st: cache.scope("s").scope("t"),
    ns: cache.namespace("n").scope("s"),
  };
  const seen = Object.fromEntries(
    Object.entries(parts).map(([name, part]) => {
      const keys = [];
      part.on("hit", ({ key, place }) =>
        keys.push(`${key} ${[...place.namespaces, place.scopes.join(">")].join("/")}`),
      );
      return [name, keys];
    }),
  );
  for (const [name, part] of Object.entries(parts)) part.set(name, 1).get(name);
  const [r, n, nm, s, st, ns] = ["root ", "n n/", "nm n/m/", "s s", "st s>t", "ns n/s"];
  equal(seen, { root: [r, n, nm, s, st, ns], n: [n, nm, ns], nm: [nm], s: [s, st, ns], st: [st], ns: [ns] });
});

test("evict and expire tell the place of the key", () => {
  const cache = new NearCache({ maxEntries: 1, clock: handClock() });
  const places = [];
  cache.on("evict", ({ key, place }) => places.push([key, place.namespaces, place.scope]));
  cache.set("a", 1);
  cache.namespace("n").set("a", 2);
  cache.scope("s").set("a", 3);
  cache.namespace("n").scope("s").set("a", 4);
  cache.clear();
  equal(places, [
    ["a", [], undefined],
    ["a", ["n"], undefined],
    ["a", [], "s"],
    ["a", ["n"], "s"],
  ]);
});

/** Warns of loads that take long. */
function slowLoads(limit, warn) {
  return { load: ({ key, duration }) => duration > limit && warn(`${key} took ${duration} ms`) };
}

test("a plugin that warns of slow loads is an object with one hook", async () => {
  const clock = handClock();
  const warnings = [];
  const cache = new NearCache({ clock, plugins: [slowLoads(100, (text) => warnings.push(text))] });
  await cache.getOrSet("quick", () => clock.pass(100));
  await cache.getOrSet("slow", () => clock.pass(101));
  equal(warnings, ["slow took 101 ms"]);
});

test("a plugin keeps its this, and may be an object of a class", () => {
  class Counter {
    #hits = 0;
    hit() {
      this.#hits++;
    }
    get hits() {
      return this.#hits;
    }
  }
  const counter = new Counter();
  const cache = new NearCache({ plugins: [counter] }).set("k", 1);
  cache.get("k");
  const end = cache.use(new Counter());
  cache.get("k");
  end();
  equal(counter.hits, 2);
});

test("a plugin may have fields and methods that are no hooks", () => {
  class Metrics {
    hits = 0;
    names = ["a"];
    onReport = () => {};
    hit() {
      this.hits++;
    }
    misses() {
      return 0;
    }
    miss() {}
    report() {
      return this.hits;
    }
    get error() {
      throw new Error("not to be read before there is one");
    }
  }
  const metrics = new (class extends Metrics {
    get error() {
      return undefined;
    }
  })();
  const plain = { hits: 0, hit: () => plain.hits++, version: "1", reset: () => {} };
  new NearCache({ plugins: [metrics, plain, {}] }).set("k", 1).get("k");
  equal([metrics.report(), plain.hits], [1, 1]);
});

test("a plugin's hook with a slip in its name is an error, also in a class", () => {
  const cache = new NearCache();
  class Slip {
    hit() {}
    expired() {}
  }
  for (const [plugin, message] of [
    [new Slip(), /^expired: unknown event, did you mean expire\? Known are hit, /],
    [{ hit() {}, onMiss() {} }, /^onMiss: unknown event, did you mean miss\?/],
    [{ evicted() {} }, /^evicted: unknown event, did you mean evict\?/],
    [{ start() {}, stop() {} }, /^start: unknown event\. Known are hit, /],
  ]) {
    throws(() => cache.use(plugin), { code: "ERR_OPTION", message });
  }
});

test("wrong hooks and plugins are errors that name them", () => {
  const cache = new NearCache();
  const names = EVENTS.join(", ");
  throws(() => cache.on("hits", () => {}), {
    code: "ERR_OPTION",
    message: `hits: unknown event, did you mean hit? Known are ${names}`,
  });
  for (const hook of [undefined, null, 5, {}])
    throws(() => cache.on("hit", hook), { code: "ERR_OPTION", message: /got .*, wants a function/ });
  throws(() => cache.use({ hit: 5 }), { code: "ERR_OPTION", message: "hit: got 5, wants a function" });
  throws(() => cache.use(null), { code: "ERR_OPTION", message: "plugin: got null, wants an object" });
  throws(() => new NearCache({ plugins: {} }), {
    code: "ERR_OPTION",
    message: "plugins: got an object, wants an array of plugins",
  });
  throws(() => new NearCache({ plugins: [{ hot: () => {} }] }), {
    code: "ERR_OPTION",
    message: /^hot: unknown event, did you mean hit\?/,
  });
  cache.set("k", 1).get("k");
});
