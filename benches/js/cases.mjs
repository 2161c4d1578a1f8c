// What is measured. Keys are 48-character URLs built beforehand, drawn by Zipf(1.0).

import { heapBytes, outerBytes, settle } from "./settled.mjs";

const KEYS = 100_000;
const ENTRIES = 10_000;
const OPS = 1_000_000;

// As a request's url is: in one piece. What a template gives is a tree of strings, which V8 makes one of when somebody reads
// its characters, and of which its garbage collector then leaves two in the place of one, so that a Map has to compare them.
export const urls = (n) =>
  Array.from({ length: n }, (_, i) =>
    Buffer.from(`https://api.example.com/v1/things/${String(i).padStart(14, "0")}`).toString("latin1"),
  );

/** `count` indexes below `n`, the same for every contender. */
function zipf(n, count) {
  const cumulative = new Float64Array(n);
  let sum = 0;
  for (let i = 0; i < n; i++) cumulative[i] = sum += 1 / (i + 1);
  let seed = 42;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  return Uint32Array.from({ length: count }, () => {
    const at = random() * sum;
    let low = 0;
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] < at) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/**
 * The least CPU time of several runs after warming up, of all threads of the process; nanoseconds for each of `ops`. What else
 * a machine does takes wall time, and some CPU time by the memory that it pushes out of the caches: the least has least of it.
 */
async function timed(ops, run) {
  for (let i = 0; i < 5; i++) await run();
  const times = [];
  for (let i = 0; i < 9; i++) {
    const start = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(start);
    times.push(((user + system) * 1_000) / ops);
  }
  return Math.min(...times);
}

const load = async (key) => key;
const loadBatch = async (keys) => keys.slice();

export const cases = {
  "get, set on miss": async (contender) => {
    const { get, set } = (await contender()).make(ENTRIES);
    const keys = urls(KEYS);
    const draws = zipf(KEYS, OPS);
    const time = await timed(OPS, () => {
      for (let i = 0; i < OPS; i++) {
        const key = keys[draws[i]];
        if (get(key) === undefined) set(key, i);
      }
    });
    let hits = 0;
    for (let i = 0; i < OPS; i++) {
      const key = keys[draws[i]];
      if (get(key) === undefined) set(key, i);
      else hits++;
    }
    return [time, (100 * hits) / OPS];
  },
  hit: async (contender) => {
    const { get, set } = (await contender()).make(ENTRIES);
    const keys = urls(ENTRIES);
    const draws = zipf(ENTRIES, OPS);
    keys.forEach((key, i) => set(key, i));
    let sum = 0;
    const result = await timed(OPS, () => {
      for (let i = 0; i < OPS; i++) sum += get(keys[draws[i]]);
    });
    if (!(sum > 0)) throw new Error("not every get was a hit");
    return result;
  },
  "set that evicts": async (contender) => {
    const { set } = (await contender()).make(ENTRIES);
    const keys = urls(KEYS);
    return timed(KEYS * 4, () => {
      for (let round = 0; round < 4; round++) for (let i = 0; i < KEYS; i++) set(keys[i], i);
    });
  },
  "await hit, one hot key": async (contender) => {
    const { fetch } = (await contender()).make(ENTRIES, load);
    await fetch("hot");
    return timed(OPS, async () => {
      for (let i = 0; i < OPS; i++) await fetch("hot");
    });
  },
  "await hit, Zipf": async (contender) => {
    const { fetch } = (await contender()).make(ENTRIES, load);
    const keys = urls(ENTRIES);
    const draws = zipf(ENTRIES, OPS);
    for (const key of keys) await fetch(key);
    return timed(OPS, async () => {
      for (let i = 0; i < OPS; i++) await fetch(keys[draws[i]]);
    });
  },
  "await wrapped hit, Zipf": async (contender) => {
    const wrapped = (await contender()).wrap(ENTRIES, load);
    const keys = urls(ENTRIES);
    const draws = zipf(ENTRIES, OPS);
    for (const key of keys) await wrapped(key);
    return timed(OPS, async () => {
      for (let i = 0; i < OPS; i++) await wrapped(keys[draws[i]]);
    });
  },
  "await miss, trivial loader": async (contender) => {
    const { fetch } = (await contender()).make(ENTRIES, load);
    const keys = urls(KEYS);
    return timed(KEYS, async () => {
      for (let i = 0; i < KEYS; i++) await fetch(keys[i]);
    });
  },
  "1,000 gets of one cold key": async (contender) => {
    const { fetch } = (await contender()).make(ENTRIES, load);
    const keys = urls(KEYS);
    let next = 0;
    return timed(100, async () => {
      for (let round = 0; round < 100; round++) {
        const key = keys[next++];
        const waiting = new Array(1_000);
        for (let i = 0; i < 1_000; i++) waiting[i] = fetch(key);
        await Promise.all(waiting);
      }
    });
  },
  "1,000 keys in one tick, cold": async (contender) => {
    const { make } = await contender();
    const keys = urls(1_000);
    return timed(500_000, async () => {
      for (let round = 0; round < 500; round++) await make(keys.length, loadBatch).fetchAll(keys);
    });
  },
  "1,000 keys in one tick, warm": async (contender) => {
    const { fetchAll } = (await contender()).make(ENTRIES, loadBatch);
    const keys = urls(1_000);
    await fetchAll(keys);
    return timed(500_000, async () => {
      for (let round = 0; round < 500; round++) await fetchAll(keys);
    });
  },
  "bytes per entry": async (contender) => {
    const contended = await contender();
    const keys = urls(ENTRIES);
    // Hash each string first, so that its hash is nobody's cost, and let lazily made things be made.
    const warm = contended.make(16);
    keys.forEach((key, i) => warm.set(key, i));
    settle();
    const before = heapBytes() + outerBytes();
    const { cache, set } = contended.make(ENTRIES);
    keys.forEach((key, i) => set(key, i));
    settle();
    const after = heapBytes() + outerBytes();
    // flru does not tell.
    if ((cache.size ?? ENTRIES) !== ENTRIES) throw new Error("not full");
    return (after - before) / ENTRIES;
  },
};
