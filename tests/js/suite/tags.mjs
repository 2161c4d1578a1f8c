// Purging by tag.

import { NearCache } from "nearcache";
import { context, equal, handClock, held, ok, randomFrom, settleDown, test, throws } from "../runner.mjs";

const fresh = (cache) => [...cache.keys()].sort();

test("deleteByTag removes what bears the tag, by whoever said so, and counts it", async () => {
  const cache = new NearCache();
  cache
    .set("set", 1, { tags: ["t", "u"] })
    .set("other", 1, { tags: ["u"] })
    .set("none", 1);
  await cache.getOrSet("call", () => 1, { tags: ["t"] });
  await cache.getOrSet("ctx", (_, ctx) => ((ctx.tags = ["t"]), 1));
  await cache.getOrSet("both", (_, ctx) => ((ctx.tags = ["t"]), 1), { tags: ["u", "t", "t"] });
  await cache.update("update", () => 1, { tags: ["t"] });
  await cache.update("writer", (_, ctx) => ((ctx.tags = ["t"]), 1));
  equal([cache.deleteByTag("nothing"), cache.deleteByTag("t"), cache.deleteByTag("t")], [0, 6, 0]);
  equal(fresh(cache), ["none", "other"]);
  equal([cache.deleteByTag("u"), fresh(cache), cache.stats().evictions.removed], [1, ["none"], 7]);
});

test("the call's tags and the loader's are both borne", async () => {
  for (const tag of ["call", "ctx"]) {
    const cache = new NearCache();
    await cache.getOrSet("k", (_, ctx) => ((ctx.tags = ["ctx"]), 1), { tags: ["call"] });
    equal([cache.deleteByTag(tag), cache.size], [1, 0]);
  }
});

test("expireByTag begins the stale windows, and counts what was fresh", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100 });
  cache
    .set("soft", 1, { tags: ["t"], staleWhileRevalidate: 50 })
    .set("hard", 1, { tags: ["t"] })
    .set("other", 1);
  cache.set("stale", 1, { tags: ["t"], ttl: 5, staleWhileRevalidate: 500 });
  clock.pass(10);
  equal([cache.expireByTag("t"), cache.expireByTag("t"), fresh(cache), cache.size], [2, 0, ["other"], 3]);
  equal((await cache.getOrSet("soft", () => 2, { details: true })).status, "stale");
  equal((await cache.getOrSet("hard", () => 2, { details: true })).status, "miss");
  equal(cache.deleteByTag("t"), 1, "what is not yet overwritten");
});

test("a load that turns out to bear a tag that was purged meanwhile goes to those who asked before the purge, and is not stored", async () => {
  for (const purge of ["deleteByTag", "expireByTag"]) {
    for (const [call, ctx] of [
      [["t"], undefined],
      [undefined, ["t"]],
      [["a"], ["b", "t"]],
    ]) {
      const cache = new NearCache({ staleWhileRevalidate: 100 });
      const load = held();
      const get = cache.getOrSet("k", load, { ...(call && { tags: call }) });
      cache[purge]("t");
      const later = cache.getOrSet("k", load);
      const detailed = cache.getOrSet("k", load, { details: true });
      equal(load.loads.length, 1, "loads: whoever asks after the purge joins the first");
      load.loads[0].ctx.tags = ctx;
      load.loads[0].resolve("before");
      equal([await get, cache.has("k")], ["before", false]);
      equal(load.loads.length, 2, "loads: those who asked after the purge ask again");
      load.loads[1].resolve("after");
      equal([await later, cache.get("k"), (await detailed).value], ["after", "after", "after"]);
      const { misses, coalesced, loads } = cache.stats();
      equal([misses + coalesced, loads], [3, 2], "each get is counted once");
    }
  }
});

test("a load alone with its key is stored after a purge of another tag, and not after one of its own", async () => {
  for (const [tag, stored] of [
    ["other", true],
    ["t", false],
  ]) {
    const cache = new NearCache();
    const load = held();
    const get = cache.getOrSet("k", load, { tags: ["t"] });
    cache.deleteByTag(tag);
    load.loads[0].resolve(1);
    equal([await get, cache.has("k"), cache.size], [1, stored, Number(stored)]);
  }
});

test("a refresh and an update under way obey a purge as well", async () => {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 10, staleWhileRevalidate: 1000 });
  const load = held();
  await cache.getOrSet("k", () => "old");
  clock.pass(11);
  equal(await cache.getOrSet("k", load, { tags: ["t"] }), "old");
  cache.deleteByTag("t");
  load.loads[0].resolve("refreshed");
  await settleDown();
  equal(cache.has("k"), false);
  const update = cache.update("u", load);
  cache.deleteByTag("t");
  load.loads[1].ctx.tags = ["t"];
  load.loads[1].resolve("written");
  equal([await update, cache.has("u")], ["written", false]);
});

test("purges of more tags than are remembered beat every tagged load under way, and no other", async () => {
  const cache = new NearCache();
  const load = held();
  const gets = [
    cache.getOrSet("tagged", load, { tags: ["t0"] }),
    cache.getOrSet("last", load, { tags: ["t1999"] }),
    cache.getOrSet("plain", load),
  ];
  for (let i = 0; i < 2000; i++) cache.deleteByTag(`t${i}`);
  for (const { resolve } of load.loads) resolve(1);
  await Promise.all(gets);
  equal([cache.has("tagged"), cache.has("last"), cache.has("plain")], [false, false, true]);
});

test("tags are those of the value that is there", async () => {
  const cache = new NearCache();
  cache.set("k", 1, { tags: ["old"] }).set("k", 2, { tags: ["new"] });
  equal([cache.deleteByTag("old"), cache.get("k")], [0, 2]);
  await cache.getOrSet("k", () => 3, { forceFresh: true });
  equal([cache.deleteByTag("new"), cache.get("k")], [0, 3]);
  cache.set("k", 4, { tags: ["t"] }).delete("k");
  cache.set("k", 5);
  equal([cache.deleteByTag("t"), cache.get("k")], [0, 5]);
  cache.set("k", 6, { tags: ["t"] }).clear();
  cache.set("k", 7);
  equal([cache.deleteByTag("t"), cache.get("k")], [0, 7]);
});

test("what was evicted bears no tag any more", () => {
  const cache = new NearCache({ maxEntries: 2 });
  for (let i = 0; i < 10; i++) cache.set(i, i, { tags: ["t", `n${i}`] });
  equal([cache.deleteByTag("n3"), cache.deleteByTag("t"), cache.size], [0, 2, 0]);
});

test("random tags agree with a plain map", () => {
  const random = randomFrom(context.seed);
  const cache = new NearCache({ maxEntries: 1000 });
  const model = new Map();
  for (let step = 0; step < 20_000; step++) {
    const key = random(300);
    const tags = Array.from({ length: random(6) }, () => `t${random(40)}`);
    const hit = (tag) => [...model].filter(([, borne]) => borne.includes(tag)).map(([k]) => k);
    switch (random(8)) {
      case 0: {
        const tag = `t${random(40)}`;
        const keys = hit(tag);
        equal(
          random(2) ? cache.deleteByTag(tag) : cache.expireByTag(tag),
          keys.length,
          `seed ${context.seed}, step ${step}: hit`,
        );
        for (const k of keys) model.delete(k);
        break;
      }
      case 1:
        equal(cache.delete(key), model.delete(key));
        break;
      default:
        cache.set(key, step, { tags });
        model.set(key, tags);
    }
    if (step % 500 === 0) equal(fresh(cache), [...model.keys()].sort(), `seed ${context.seed}, step ${step}: keys`);
  }
});

test("a purge costs what it hits", { realTime: "it is measured" }, () => {
  const cost = (entries) => {
    const cache = new NearCache({ maxEntries: 100_000 });
    for (let i = 0; i < entries; i++) cache.set(i, i, { tags: [`t${i}`] });
    const start = performance.now();
    for (let i = 0; i < 2_000; i++) equal(cache.deleteByTag(`t${i}`), 1);
    return performance.now() - start;
  };
  // The least of several: whatever else runs only adds to it. By a look at each entry it would be 25 times as much.
  let [few, many] = [Infinity, Infinity];
  for (let i = 0; i < 3; i++) [few, many] = [Math.min(few, cost(2_000)), Math.min(many, cost(50_000))];
  ok(many < 6 * few + 20, `${few} ms among 2,000, ${many} ms among 50,000`);
});

test("within a part of the cache a purge hits that part and what is within; from the root, all", () => {
  const fill = () => {
    const root = new NearCache();
    const parts = {
      root,
      n: root.namespace("n"),
      nm: root.namespace("n").namespace("m"),
      s: root.scope("s"),
      ns: root.namespace("n").scope("s"),
      st: root.scope("s").scope("t"),
      other: root.namespace("o"),
    };
    for (const [name, part] of Object.entries(parts)) part.set("k", name, { tags: ["t"] });
    return parts;
  };
  const within = {
    root: ["root", "n", "nm", "s", "ns", "st", "other"],
    n: ["n", "nm", "ns"],
    nm: ["nm"],
    s: ["s", "ns", "st"],
    ns: ["ns"],
    st: ["st"],
    other: ["other"],
  };
  for (const [name, hit] of Object.entries(within)) {
    for (const purge of ["deleteByTag", "expireByTag", "clear"]) {
      const parts = fill();
      const count = parts[name][purge]("t");
      if (purge !== "clear") equal(count, hit.length, `${name}.${purge}`);
      equal(
        Object.keys(parts).filter((part) => !parts[part].has("k")),
        Object.keys(parts).filter((part) => hit.includes(part)),
        `${name}.${purge} hit`,
      );
    }
  }
});

test("a wrong tag is an error", () => {
  const cache = new NearCache();
  for (const purge of ["deleteByTag", "expireByTag"]) {
    for (const tag of [undefined, null, "", 5, "a\0b", ["t"]])
      throws(() => cache[purge](tag), { code: "ERR_OPTION", message: /^tag: got .*, wants a non-empty string/ });
  }
});

test("5,000 tags on one entry are borne and purged", () => {
  // The symptom: 108 ms, since each was compared with all before it.
  const tags = Array.from({ length: 5_000 }, (_, i) => `tag ${i}`);
  const cache = new NearCache().set("k", 1, { tags: [...tags, ...tags] }).set("j", 2, { tags: tags.slice(4_999) });
  equal([cache.deleteByTag("tag 4999"), cache.deleteByTag("tag 0"), cache.size], [2, 0, 0]);
});
