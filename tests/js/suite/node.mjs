// What only Node can show: what is collected, and how a cache is logged.

import { spawnSync } from "node:child_process";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { NearCache } from "nearcache";
import { packageByClock } from "../fresh.mjs";
import { busy, equal, ok, sleep, test, throws } from "../runner.mjs";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

test("keys and values that are objects are not kept after they left", { realTime: "V8 calls finalizers" }, async () => {
  const cache = new NearCache({ maxEntries: 2 });
  const gone = new Set();
  const registry = new FinalizationRegistry((name) => gone.add(name));
  const fill = () => {
    for (let i = 0; i < 50; i++) {
      const [key, value] = [{ i }, { i }];
      registry.register(key, `key ${i}`);
      registry.register(value, `value ${i}`);
      cache.set(key, value);
    }
  };
  fill();
  for (let i = 0; i < 40 && gone.size < 96; i++) {
    collect();
    await sleep(5);
  }
  equal([gone.size, cache.size], [96, 2]);
});

test("a key that nobody computes any more is not kept", { realTime: "V8 calls finalizers" }, async () => {
  const cache = new NearCache();
  let gone = 0;
  const registry = new FinalizationRegistry(() => gone++);
  const compute = async (next) => {
    const key = {};
    registry.register(key);
    await cache.compute(key, next).catch(() => {});
  };
  for (let i = 0; i < 25; i++) {
    await compute(() => undefined);
    await compute(() => Promise.reject(new Error("down")));
  }
  for (let i = 0; i < 40 && gone < 48; i++) {
    collect();
    await sleep(5);
  }
  // Of the last ones the promise may be held still.
  equal([gone >= 48, cache.size], [true, 0], `${gone} of 50`);
});

test("a key whose computation never ends is not kept for ever", { realTime: "V8 calls finalizers" }, async () => {
  let now = 1_000_000;
  const cache = new NearCache({ clock: () => now, hardTimeout: Infinity });
  let gone = 0;
  const registry = new FinalizationRegistry(() => gone++);
  const compute = () => {
    const key = {};
    registry.register(key);
    void cache.compute(key, () => new Promise(() => {}));
  };
  for (let i = 0; i < 20; i++) compute();
  // Each looks at one key, and takes the place of one that was given up.
  for (let i = 0; i < 40 && gone < 18; i++) {
    now += 900_000;
    await Promise.all(Array.from({ length: 30 }, (_, i) => cache.compute(i, async () => undefined)));
    collect();
    await sleep(5);
  }
  equal(gone >= 18, true, `${gone} of 20`);
});

test(
  "parts of a cache that are asked for again and again take no room",
  { realTime: "it looks at memory" },
  async () => {
    const cache = new NearCache();
    const held = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const use = (times) => {
      for (let i = 0; i < times; i++) cache.namespace("users", { ttl: "1m" }).scope(`user ${i}`).get("k");
    };
    use(1_000);
    const before = held();
    use(20_000);
    const grown = held() - before;
    equal(grown < 1_000_000, true, `${grown} bytes`);
  },
);

test("a reading of the clock serves no tick that follows", { realTime: "the host's clock is read" }, async () => {
  const cache = new NearCache({ ttl: 5_100 });
  // Not from a promise job, after which ticks come last.
  await new Promise((resolve) => {
    setTimeout(() => {
      cache.set("a", "old");
      for (let i = 0; i < 200; i++) cache.get("a");
      process.nextTick(() => {
        busy(5_200);
        resolve(cache.get("a"));
      });
    });
  }).then((got) => equal(got, undefined));
});

test("a program ends when its loads have, in a full cache too", { realTime: "a process of its own" }, () => {
  const program = `
    import { NearCache } from "nearcache";
    const cache = new NearCache({ maxEntries: 2, hardTimeout: "1h" });
    for (let i = 0; i < 20; i++) await cache.getOrSet(i, async () => i);
    for (let i = 0; i < 20; i++) await cache.getOrSet(-1 - i, () => i);`;
  const { status, signal } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    timeout: 8_000,
  });
  equal([status, signal], [0, null]);
});

test("console.log shows what a cache is and holds", () => {
  const cache = new NearCache({ name: "users" }).set("k", "ab");
  equal(inspect(cache), cache[Symbol.for("nodejs.util.inspect.custom")]());
});

test("a cache that nobody holds is collected while its timer runs", { realTime: "V8 calls finalizers" }, async () => {
  let gone = 0;
  const registry = new FinalizationRegistry(() => gone++);
  const make = () => {
    const value = {};
    registry.register(value);
    new NearCache({ ttl: "1h", purgeStaleEvery: "1s" }).set("k", value);
  };
  for (let i = 0; i < 5; i++) make();
  for (let i = 0; i < 40 && gone < 5; i++) {
    collect();
    await sleep(5);
  }
  equal(gone, 5);
});

test(
  "a cache whose loads have ended is collected before their deadlines",
  { realTime: "V8 calls finalizers" },
  async () => {
    // The symptom: each lived until its hardTimeout, held by the timer.
    let gone = 0;
    const registry = new FinalizationRegistry(() => gone++);
    const use = async () => {
      const cache = new NearCache({ hardTimeout: "1h", softTimeout: "30m" });
      const value = {};
      registry.register(value);
      await Promise.all([cache.getOrSet("k", async () => value), cache.getOrSet("k", async () => value)]);
      await cache.getOrSet("fails", async () => Promise.reject(new Error("down"))).catch(() => {});
    };
    for (let i = 0; i < 5; i++) await use();
    for (let i = 0; i < 40 && gone < 5; i++) {
      collect();
      await sleep(5);
    }
    equal(gone, 5);
  },
);

test(
  "a reading of the clock serves nothing after the run of code that made it, however long the process slept",
  { realTime: "a clock of its own stands in for the runtime's" },
  async () => {
    // The symptom: with a ttl of 6 s the old values 24.7 s later, since what ended the reading did not wake the process.
    let [time, reads] = [1_700_000_000_000, 0];
    const { NearCache, leave } = await packageByClock(() => (reads++, time));
    try {
      const cache = new NearCache({ ttl: "6s" });
      const keys = Array.from({ length: 20 }, (_, i) => i);
      for (let extra = 0; extra < 70; extra += 3) {
        for (const key of keys) cache.set(key, "old");
        reads = 0;
        for (let i = 0; i < 1000 + extra; i++) equal(cache.get(i % 20), "old");
        ok(reads < 500, `that readings are spared: ${reads} in ${1000 + extra} gets`);
        await undefined;
        time += 24_700;
        const got = keys.map((key) => cache.get(key));
        equal([got, cache.has(0), [...cache.keys()]], [keys.map(() => undefined), false, []], `${extra} gets more`);
        equal(await cache.getOrSet(0, () => "anew"), "anew");
      }
    } finally {
      leave();
    }
  },
);

// Elsewhere a text may be as long as that.
test("tags that are too long for one text take nothing else with them", () => {
  const cache = new NearCache();
  const long = "x".repeat(2 ** 28);
  cache.set("kept", 1);
  throws(() => cache.set("a", 1, { tags: [long, long, long] }), { name: "RangeError" });
  cache.set("b", 2);
  equal([...cache.keys()].sort(), ["b", "kept"]);
});
