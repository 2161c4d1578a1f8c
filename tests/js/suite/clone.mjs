// clone: "structured": nobody's change of a value reaches another.

import { NearCache } from "nearcache";
import { equal, handClock, held, ok, rejects, test, throws } from "../runner.mjs";

const made = (options) => new NearCache({ clone: "structured", clock: handClock(), ...options });
const changed = (value) => Object.assign(value, { n: "changed" });

test("what is handed out by any call is a copy, and so is what is stored", async () => {
  const cache = made({ ttl: 10, staleWhileRevalidate: 10 });
  const mine = { n: 1, at: new Date(5), in: new Map([["a", [1]]]) };
  cache.set("k", mine);
  changed(mine);
  mine.in.get("a").push(2);
  const out = [
    () => cache.get("k"),
    () => cache.peek("k"),
    () => cache.peek("k", { allowStale: true }),
    () => cache.find(() => true),
    () => cache.getAllPresent(["k"]).get("k"),
    () => [...cache.values()][0],
    () => [...cache.entries()][0][1],
    () => cache.getOrSet("k", held()),
    () => cache.getOrSet("k", held(), { ttl: 5 }),
    async () => (await cache.getOrSet("k", held(), { details: true })).value,
    async () => (await cache.getMany(["k"], held()))[0],
    async () => {
      let seen;
      await cache.compute("k", (value) => structuredClone((seen = value)));
      return seen;
    },
    () => cache.update("k", (_, { stale }) => stale ?? { n: 1, at: new Date(5), in: new Map([["a", [1]]]) }),
  ];
  for (const call of out) {
    const value = await call();
    equal([value.n, value.at.getTime(), value.in.get("a")], [1, 5, [1]], String(call));
    changed(value);
  }
  cache.forEach(changed);
  cache.deleteWhere((value) => changed(value) === undefined);
  equal(cache.pop("k").n, 1);
});

test("those who share a load get a copy each, and so do those who get a stale value", async () => {
  let now = 0;
  const cache = made({ clock: () => now, ttl: 10, staleWhileRevalidate: 10 });
  const load = held();
  const asked = [cache.getOrSet("k", load), cache.getOrSet("k", load), cache.getOrSet("k", load, { details: true })];
  const theirs = { n: 1 };
  load.loads[0].resolve(theirs);
  const [one, two, { value: three }] = await Promise.all(asked);
  for (const value of [theirs, one, two, three]) {
    equal(value.n, 1);
    changed(value);
  }
  equal(cache.get("k").n, 1);
  now = 15;
  const stale = held();
  const value = await cache.getOrSet("k", stale);
  equal(value.n, 1);
  changed(value);
  equal([cache.peek("k", { allowStale: true }).n, stale.loads[0].ctx.stale.n], [1, 1]);
});

test("what can't be cloned is refused, and what was there stays", async () => {
  const cache = made().set("k", { n: 1 });
  for (const value of [() => 1, Symbol("s"), { f() {} }, new WeakMap()]) {
    const error = throws(() => cache.set("k", value));
    equal([error.code, error.key], ["ERR_CLONE", "k"]);
    ok(error.message.includes("structured"));
    equal((await rejects(cache.getOrSet("new", () => value))).code, "ERR_CLONE");
    equal((await rejects(cache.compute("k", () => value))).code, "ERR_CLONE");
  }
  equal([cache.get("k"), cache.size], [{ n: 1 }, 1]);
  for (const value of [1, "s", null, 1n, true]) equal(cache.set("k", value).get("k"), value);
});

test("without it the value itself is shared, and hits are counted alike with it", () => {
  const value = { n: 1 };
  ok(new NearCache().set("k", value).get("k") === value);
  const cache = made().set("k", value);
  cache.get("k");
  cache.get("absent");
  const { hits, misses } = cache.stats();
  equal([hits, misses], [1, 1]);
});

test("each attempt of a load is shown a copy of its own", async () => {
  let now = 0;
  const cache = made({ clock: () => now, ttl: 10, staleIfError: 1_000, retry: { attempts: 3, delay: 0 } });
  cache.set("k", { n: 1, at: new Date(5), in: new Map() });
  now = 20;
  const shown = [];
  const load = async (_, { attempt, stale }) => {
    shown.push(stale.n);
    changed(stale);
    if (attempt < 3) throw new Error("down");
    return stale;
  };
  await cache.getOrSet("k", load);
  equal(shown, [1, 1, 1]);
});
