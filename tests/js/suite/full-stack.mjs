// Who uses the cache where the stack has no room left, by recursing without end, gets the engine's RangeError. It may come at
// any place between what the core answers and what is done about it. Nobody else may be left waiting for that.

import { DataLoader, NearCache } from "nearcache";
import { equal, sleep, test } from "../runner.mjs";

const USES = 1_000;
/** How many arguments the calls on the stack have, so that its end comes at other places. */
const SIZES = [0, 1, 2, 5];
const load = async (key) => `v${key}`;

/** Calls `use` with so many numbers, the first where the stack is full and each further one a call above. */
function whereTheStackIsFull(size, use) {
  const { error } = console;
  // Of a core that was replaced because the stack had no room within it.
  console.error = () => {};
  let used = 0;
  const uses = [];
  (function recurse(...rest) {
    try {
      recurse(...rest);
    } catch {}
    if (used === USES) return;
    try {
      uses.push(use(used++));
    } catch {}
  })(...new Array(size).fill(size));
  console.error = error;
  // Not before: who runs the program may have no room to note that somebody cares.
  for (const one of uses) one.catch(() => {});
}

/** The keys whose value is not there, or another's. */
function wrong(got) {
  return Array.from({ length: USES }, (_, key) => key).filter((key) => got[key] !== `v${key}`);
}

for (const [how, use, again = use] of [
  ["getOrSet", (cache, key) => cache.getOrSet(key, load)],
  ["getOrSet with a soft timeout", (cache, key) => cache.getOrSet(key, load, { softTimeout: 500 })],
  ["a loader that answers at once", (cache, key) => cache.getOrSet(key, () => `v${key}`)],
  ["update", (cache, key) => cache.update(key, load), (cache, key) => cache.getOrSet(key, load)],
  ["compute", (cache, key) => cache.compute(key, () => `v${key}`)],
]) {
  for (const [which, options] of [
    ["a cache", {}],
    ["a cache that tells of misses", { plugins: [{ miss: () => {} }] }],
    ["a cache that limits loads", { maxConcurrentLoads: 100 }],
  ]) {
    const title = `where the stack was full nobody waits for what never began: ${how}, ${which}`;
    test(title, { realTime: "real timers take more of the stack" }, async () => {
      for (const size of SIZES) {
        const cache = new NearCache({ maxEntries: 2 * USES, ...options });
        whereTheStackIsFull(size, (key) => use(cache, key));
        await sleep(5);
        const got = [];
        for (let key = 0; key < USES; key++) again(cache, key).then((value) => (got[key] = value));
        await sleep(1);
        for (let i = 0; i < 200 && cache.size < USES; i++) await sleep(1);
        equal(wrong(got), [], `what was not got after ${size} arguments`);
        const { inFlight, queued, entries } = cache.stats();
        equal([inFlight, queued, entries], [0, 0, USES]);
      }
    });
  }
}

test("where the stack was full a DataLoader remembers no key that nobody loads", { realTime: "as above" }, async () => {
  for (const size of SIZES) {
    const loader = new DataLoader(async (keys) => keys.map((key) => `v${key}`));
    whereTheStackIsFull(size, (key) => loader.load(key));
    await sleep(5);
    const got = [];
    for (let key = 0; key < USES; key++) loader.load(key).then((value) => (got[key] = value));
    await sleep(20);
    equal(wrong(got), [], `what was not got after ${size} arguments`);
  }
});
