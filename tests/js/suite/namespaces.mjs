// Parts of a cache: namespaces with their own ways and figures, scopes that keep tenants apart.

import { NearCache } from "nearcache";
import { equal, handClock, held, rejects, settleDown, test, throws } from "../runner.mjs";

test("a key in one part is not met in another", async () => {
  const root = new NearCache();
  const parts = [
    root,
    root.namespace("a"),
    root.namespace("b"),
    root.namespace("a").namespace("b"),
    root.scope("a"),
    root.scope("b"),
    root.namespace("a").scope("b"),
    root.scope("a").scope("b"),
  ];
  for (const [i, part] of parts.entries()) {
    equal(
      [part.get("k"), part.has("k"), part.peek("k"), part.remainingTtl("k"), part.delete("k"), part.expire("k")],
      [undefined, false, undefined, undefined, false, false],
    );
    equal(await part.getOrSet("k", () => i), i);
  }
  equal(
    parts.map((part) => part.get("k")),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
  equal(
    parts.map((part) => [...part]),
    parts.map((_, i) => [["k", i]]),
  );
  parts[3].delete("k");
  equal(
    parts.map((part) => part.get("k")),
    [0, 1, 2, undefined, 4, 5, 6, 7],
  );
});

test("loads of one key in different parts are different loads, and purges beat their own", async () => {
  const root = new NearCache();
  const load = held();
  const [a, b] = [root.namespace("a"), root.scope("b")];
  const gets = [root, a, b].map((part) => part.getOrSet("k", load));
  equal(load.loads.length, 3);
  a.delete("k");
  b.clear();
  load.loads.forEach(({ resolve }, i) => resolve(i));
  equal(await Promise.all(gets), [0, 1, 2]);
  equal([root.get("k"), a.get("k"), b.get("k")], [0, undefined, undefined]);
});

test("the same name is the same part, with the same figures", () => {
  const root = new NearCache();
  root.namespace("a").set("k", 1);
  root.namespace("a").namespace("b").set("k", 2);
  root.scope("s").set("k", 3);
  equal(
    [root.namespace("a").get("k"), root.namespace("a").namespace("b").get("k"), root.scope("s").get("k")],
    [1, 2, 3],
  );
  equal(
    [root.namespace("a").stats().hits, root.namespace("a").namespace("b").stats().hits, root.stats().hits],
    [1, 1, 3],
  );
});

test("a scope in a namespace is the namespace in the scope", () => {
  const root = new NearCache();
  root.namespace("n").scope("s").set("k", 1);
  equal(root.scope("s").namespace("n").get("k"), 1);
});

test("parts share the bounds: the least recently used goes, wherever it is", () => {
  const root = new NearCache({ maxEntries: 3, maxBytes: 100, eviction: "lru" });
  const [a, s] = [root.namespace("a"), root.scope("s")];
  root.set("k", 1, { bytes: 10 });
  a.set("k", 2, { bytes: 10 });
  s.set("k", 3, { bytes: 10 });
  root.get("k");
  s.set("j", 4, { bytes: 10 });
  equal([root.has("k"), a.has("k"), s.has("k"), s.has("j"), root.size, a.size], [true, false, true, true, 3, 0]);
  a.set("big", 5, { bytes: 90 });
  equal(
    [root.stats().bytes <= 100, a.get("big"), a.stats().bytes, a.stats().evictions.size, root.stats().evictions.size],
    [true, 5, 90, 1, 3],
  );
});

test("a namespace has defaults of its own, over those of the part around it", async () => {
  const clock = handClock();
  const root = new NearCache({ clock, ttl: 10, swr: 5 });
  const a = root.namespace("a", { ttl: 20 });
  const b = a.namespace("b", { negativeTtl: 3 });
  const ttl = (part, value = 1, options = {}) => part.set("k", value, options).remainingTtl("k");
  equal(
    [
      ttl(root),
      ttl(a),
      ttl(b),
      ttl(b, null),
      ttl(a, null),
      ttl(b, 1, { ttl: 7 }),
      ttl(a.scope("s")),
      ttl(root.namespace("a")),
    ],
    [10, 20, 20, 3, 20, 7, 20, 10],
  );
  a.set("k", 1);
  clock.pass(22);
  equal((await a.getOrSet("k", () => 2, { details: true })).status, "stale");
  const sized = new NearCache({ maxBytes: 100 }).namespace("s", { sizeOf: () => 30 });
  equal(sized.set("k", {}).stats().bytes, 30);
});

test("a namespace's clear leaves what is not in it", async () => {
  const root = new NearCache();
  const a = root.namespace("a");
  const load = held();
  root.set("k", 0);
  a.set("k", 1);
  a.scope("s").set("k", 2);
  a.namespace("b").set("k", 3);
  root.namespace("c").set("k", 4);
  const gets = [a.getOrSet("loading", load), root.getOrSet("loading", load)];
  a.clear();
  equal(
    [root.size, a.size, a.namespace("b").size, a.scope("s").get("k"), root.get("k"), root.namespace("c").get("k")],
    [2, 0, 0, undefined, 0, 4],
  );
  load.loads.forEach(({ resolve }) => resolve(1));
  await Promise.all(gets);
  equal([a.has("loading"), root.has("loading")], [false, true]);
});

test("the root's clear empties every part", async () => {
  const root = new NearCache({ errorBackoff: 1e6 });
  const parts = [
    root,
    root.namespace("a"),
    root.namespace("a").namespace("b"),
    root.scope("s"),
    root.namespace("a").scope("s"),
  ];
  for (const part of parts) {
    part.set("k", 1, { tags: ["t"] });
    await rejects(part.getOrSet("fails", () => Promise.reject(new Error("no"))));
  }
  root.clear();
  equal(
    parts.map((part) => [part.size, part.has("k"), [...part]]),
    parts.map(() => [0, false, []]),
  );
  for (const part of parts) part.set("k", 2);
  equal([parts.map((part) => part.get("k")), root.size, parts[1].size, parts[2].size], [[2, 2, 2, 2, 2], 5, 3, 1]);
});

test("there may be 255 namespaces, nested ones included, and an unlimited number of scopes", () => {
  const root = new NearCache();
  for (let i = 0; i < 127; i++) root.namespace(`n${i}`).namespace("inner");
  root.namespace("last").set("k", 1);
  throws(() => root.namespace("one more"), {
    code: "ERR_OPTION",
    message: "namespace: got one too many, wants at most 255 of them in a cache",
  });
  equal([root.namespace("last").get("k"), root.namespace("n5").namespace("inner").size], [1, 0]);
  for (let i = 0; i < 10_000; i++) root.scope(`s${i}`).set("k", i);
  equal([root.scope("s9999").get("k"), root.size], [9999, 10_000]);
});

test("a namespace without tiers may be made in a cache that has none", () => {
  const root = new NearCache();
  const part = root.namespace("part", { tiers: [] });
  part.set("k", 1);
  equal([part.get("k"), root.namespace("part").get("k"), root.get("k")], [1, 1, undefined]);
  throws(() => root.namespace("other", { tiers: ["far"] }), {
    code: "ERR_OPTION",
    message: "tiers: got an array, wants a list of the cache's tiers: none",
  });
});

test("a namespace that is refused for its options is not made", () => {
  const root = new NearCache();
  for (let i = 0; i < 300; i++)
    throws(() => root.namespace("wrong", { ttl: -1 }), { code: "ERR_OPTION", message: /^ttl: got -1/ });
  for (let i = 0; i < 255; i++) root.namespace(`n${i}`);
});

test("wrong names of namespaces and scopes are errors", () => {
  const root = new NearCache();
  // The last was one name with "a\ud801", so that one namespace gave out another's values.
  for (const wrong of ["", undefined, null, 5, {}, "a\0b", "a\ud800"]) {
    throws(() => root.namespace(wrong), {
      code: "ERR_OPTION",
      message: /^namespace: got .*, wants a non-empty string without U\+0000 and lone surrogates$/,
    });
    throws(() => root.scope(wrong), { code: "ERR_OPTION", message: /^scope: got / });
  }
});

test("names that look alike are different parts", () => {
  const root = new NearCache();
  const parts = [
    root.scope("a/b"),
    root.scope("a").scope("b"),
    root.namespace("a").scope("b"),
    root.namespace("a/b"),
    root.namespace("__proto__"),
    root.scope("__proto__"),
  ];
  for (const [i, part] of parts.entries()) part.set("k", i, { tags: ["b", "t"] });
  equal(
    parts.map((part) => part.get("k")),
    [0, 1, 2, 3, 4, 5],
  );
  equal([parts[1].deleteByTag("t"), parts[3].deleteByTag("t"), parts[4].deleteByTag("t")], [1, 1, 1]);
  equal(
    parts.map((part) => part.has("k")),
    [true, false, true, false, false, true],
  );
});

test("iteration of a part is its own, in the order of use", () => {
  const root = new NearCache({ eviction: "lru" });
  const [a, s] = [root.namespace("a"), root.scope("s")];
  for (const key of [1, 2, 3]) for (const part of [root, a, s]) part.set(key, key);
  a.get(1);
  equal(
    [[...root.keys()], [...a.keys()], [...s.keys()], [...a.values()]],
    [
      [3, 2, 1],
      [1, 3, 2],
      [3, 2, 1],
      [1, 3, 2],
    ],
  );
  let seen = 0;
  s.forEach((_, key, cache) => (seen++, cache.delete(key)));
  equal([seen, s.size, root.size, a.size], [3, 0, 6, 3]);
});

test("figures are counted where the key is", async () => {
  const root = new NearCache();
  const a = root.namespace("a");
  await a.getOrSet("k", () => 1);
  await a.scope("s").getOrSet("k", () => 1);
  a.get("k");
  a.get("nothing");
  a.delete("k");
  root.get("nothing");
  const figures = ({ hits, misses, loads, inserts, evictions, entries }) => [
    hits,
    misses,
    loads,
    inserts,
    evictions.removed,
    entries,
  ];
  equal(
    [figures(a.stats()), figures(root.stats())],
    [
      [1, 3, 2, 2, 1, 1],
      [1, 4, 2, 2, 1, 1],
    ],
  );
});

test("a scope that holds nothing costs nothing", async () => {
  const { Namespace, Partition, userScope } = await import("../../../pkg/dist/partitions.js");
  const namespace = new Namespace(0, 0, []);
  const scope = new Partition(namespace, [userScope("s")]);
  scope.delete("k");
  equal([scope.get("k"), scope.size, namespace.scopes.size], [undefined, 0, 0]);
  scope.set("k", 1, 7);
  scope.set("j", 2, 7);
  equal([scope.get("k"), scope.size, namespace.scopes.size, scope.number()], [1, 2, 1, 7]);
  scope.delete("k");
  equal(namespace.scopes.size, 1);
  scope.delete("j");
  equal(namespace.scopes.size, 0);
});

test("the size of a part counts all that lies within it, and of a scope what is in it alone", () => {
  const root = new NearCache();
  const parts = [root, root.namespace("n"), root.namespace("n").namespace("m"), root.scope("s")];
  parts.push(root.scope("s").scope("t"), root.namespace("n").scope("s"), root.scope("other"));
  for (const part of parts) part.set("k", 1);
  equal(
    parts.map((part) => part.size),
    [7, 3, 1, 3, 1, 1, 1],
  );
});

test("a scope's clear reaches the namespaces inside it, as a namespace's reaches its scopes", () => {
  const root = new NearCache();
  root.scope("u").namespace("n").set("k", 1);
  root.namespace("n").scope("u").set("j", 2);
  equal([...root.scope("u").namespace("n").keys()].sort(), ["j", "k"], "the two commute");
  root.namespace("n").set("stays", 3);
  root.scope("u").clear();
  equal([root.size, root.namespace("n").scope("u").has("k"), root.namespace("n").has("stays")], [1, false, true]);
});

test("a scope's last key may make way for its next one", () => {
  const s = new NearCache({ maxEntries: 1 }).scope("s");
  for (let i = 0; i < 10; i++) equal([s.set(i, i).get(i), s.size], [i, 1]);
});

test("names of scopes that hold odd characters are never taken for each other", () => {
  const root = new NearCache();
  const names = [["a", "b"], ["a/b"], ["a\u0001b"], ["a\u00011b"], ["a\u00010b"], ["a"]];
  const scopes = names.map((path) => path.reduce((part, name) => part.scope(name), root));
  scopes.forEach((scope, i) => scope.set("k", i));
  equal(
    scopes.map((scope) => scope.get("k")),
    [0, 1, 2, 3, 4, 5],
  );
});

test("update and getMany work in parts as anywhere", async () => {
  const root = new NearCache();
  const s = root.namespace("n").scope("s");
  equal(await s.update("k", () => 1), 1);
  equal([await s.getMany(["k", "j"], (keys) => keys.map(() => 2)), root.size, root.has("k")], [[1, 2], 2, false]);
  await settleDown();
});

test("any number of parts with ways of their own cost the same, and each keeps to its own", async () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: 10, staleWhileRevalidate: 5, maxEntries: 1_000, clock });
  const first = cache.namespace("first", { ttl: 100 });
  const inner = first.namespace("inner", { staleWhileRevalidate: 50, retry: { attempts: 2, delay: 7 } });
  const retried = inner.namespace("retried", { idleTtl: 90 });
  const began = performance.now();
  for (let i = 0; i < 100_000; i++) cache.namespace("many", { ttl: 1_000 + i }).set(i % 500, i);
  // It took a minute when each was compared with all others.
  equal(performance.now() - began < 15_000, true);
  const many = cache.namespace("many", { ttl: 5_000 });
  equal([many.remainingTtl(499), many.remainingTtl(0)], [100_999, 100_500]);
  const left = [];
  for (const part of [cache, first, inner, retried]) {
    part.set("k", 1);
    await part.getOrSet("l", () => 1);
    left.push([part.remainingTtl("k"), part.remainingTtl("l")]);
  }
  equal(left, [
    [10, 10],
    [100, 100],
    [100, 100],
    [90, 90],
  ]);
  clock.pass(20);
  equal([cache.get("k"), first.get("k"), inner.get("k")], [undefined, 1, 1]);
  clock.pass(85);
  const stale = await inner.getOrSet("l", () => 2, { details: true });
  equal([stale.value, stale.status], [1, "stale"]);
});

test("a part keeps to what those around it say where it says nothing", async () => {
  const cache = new NearCache({ retry: { attempts: 3, delay: 0 } });
  const tried = async (part) => {
    let times = 0;
    const fail = () => (times++, Promise.reject(new Error("no")));
    await part.getOrSet("k", fail).catch(() => {});
    return times;
  };
  equal(await tried(cache.namespace("a", { ttl: 5 })), 3);
  equal(await tried(cache.namespace("b", { retry: 1 }).namespace("c", { ttl: 5 })), 1);
});
