// Events: what is told when, with which causes and of which place.

import { NearCache } from "nearcache";
import { equal, handClock, held, ok, rejects, settleDown, test } from "../runner.mjs";

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
