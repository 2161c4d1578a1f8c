import { NearCache } from "nearcache";
import { equal, handClock, test } from "../runner.mjs";

const abc = (options) => new NearCache({ eviction: "lru", ...options }).set("a", 1).set("b", 2).set("c", 3);

test("with lru iteration goes from the most recently used to the least", () => {
  const cache = abc();
  cache.get("a");
  const entries = [
    ["a", 1],
    ["c", 3],
    ["b", 2],
  ];
  equal([...cache], entries);
  equal([...cache.entries()], entries);
  equal([...cache.keys()], ["a", "c", "b"]);
  equal([...cache.values()], [1, 3, 2]);
  const seen = [];
  cache.forEach((value, key, self) => seen.push([key, value, self === cache]));
  equal(
    seen,
    entries.map(([key, value]) => [key, value, true]),
  );
});

test("iteration is no use and no get", () => {
  const cache = abc();
  equal([...cache].length, 3);
  equal([[...cache.keys()], cache.stats().hits], [["c", "b", "a"], 0]);
});

test("iteration leaves out what has died, also while it goes on", () => {
  const clock = handClock();
  const cache = new NearCache({ clock }).set("a", 1, { ttl: 10 }).set("b", 2).set("c", 3, { ttl: 5 });
  clock.pass(5);
  equal([...cache.keys()], ["b", "a"]);
  const keys = cache.keys();
  equal(keys.next().value, "b");
  clock.pass(5);
  equal(keys.next().done, true);
});

test("iteration leaves out keys whose first load is under way", () => {
  const cache = abc();
  void cache.getOrSet("d", () => new Promise(() => {}), { hardTimeout: 5 }).catch(() => {});
  equal([...cache.keys()], ["c", "b", "a"]);
});

test("what is deleted during iteration does not come; gets do not disturb it", () => {
  const cache = abc();
  const seen = [];
  for (const [key] of cache) {
    seen.push(key);
    cache.delete("b");
    cache.get("a");
  }
  equal(seen, ["c", "a"]);
});

test("what is set during iteration comes at most once, and does not make it endless", () => {
  const cache = abc();
  const seen = [];
  for (const [key] of cache) {
    seen.push(key);
    cache.delete(key);
    cache.set(`${key}'`, 0);
    if (seen.length > 10) break;
  }
  equal([seen.slice(0, 1), seen.length <= 6, new Set(seen).size], [["c"], true, seen.length]);
});

test("a changed value comes as it is when its turn comes", () => {
  const cache = abc();
  const seen = [];
  for (const [key, value] of cache) {
    if (key === "c") cache.set("a", "changed");
    seen.push(value);
  }
  equal(seen, [3, 2, "changed"]);
});

test("clear during iteration ends it, also where undefined is a key", () => {
  const cache = abc().set(undefined, 4);
  const seen = [];
  for (const [key] of cache) {
    seen.push(key);
    cache.clear();
  }
  equal(seen, [undefined]);
  const again = abc();
  const left = again.entries();
  left.next();
  again.clear();
  again.set(undefined, 1);
  equal([...left].length <= 1, true);
});
