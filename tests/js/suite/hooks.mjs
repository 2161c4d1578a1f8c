// Hooks: functions that are called with events, may use the cache, and can harm nothing.

import { NearCache } from "nearcache";
import { equal, ok, rejects, test, throws } from "../runner.mjs";

const EVENTS = ["hit", "stale", "miss", "coalesced", "load", "error", "insert", "evict", "expire", "batch"];
const down = new Error("down");

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
  equal(seen, ["insert", "evict", "insert", "hit", "miss", "insert", "load", "evict", "miss", "error"]);
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
  equal(cache.size, 3);
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

test("an event that is none is refused by name, also where every object has that name", () => {
  const known = "hit, stale, miss, coalesced, load, error, insert, evict, expire, batch";
  for (const event of ["constructor", "toString", "__proto__", "hits", Symbol("hit"), undefined]) {
    const { code, message } = throws(() => new NearCache().on(event, () => {}));
    equal(
      [code, message.startsWith(`${String(event)}: unknown event`), message.endsWith(`Known are ${known}`)],
      ["ERR_OPTION", true, true],
    );
  }
  class Counts {
    hit() {}
  }
  new NearCache().use(new Counts());
});
