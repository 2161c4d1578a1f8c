import { NearCache, NearCacheError } from "nearcache";
import { equal, now, ok, rejects, test, throws } from "../runner.mjs";

const DURATION = 'milliseconds from 0 on, Infinity, or a text like "250ms", "30s", "5m", "2h", "1d"';
const COUNT = "a whole number from 0 to 16777215";
const BYTES = "bytes from 0 on, or Infinity";
const FUNCTION = "a function";
const SIGNAL = "an AbortSignal";
const BOOLEAN = "true or false";
const OBJECT = "an object";
const LIFE_OPTIONS = "ttl, staleWhileRevalidate, swr, staleIfError, refreshAhead, jitter, negativeTtl, errorBackoff";
const CACHE_OPTIONS = `maxEntries, maxBytes, maxEntryBytes, ${LIFE_OPTIONS}, softTimeout, hardTimeout, sizeOf, batch, plugins, name, clock, random`;
const SET_OPTIONS = `${LIFE_OPTIONS}, bytes, tags`;
const GET_OPTIONS = `${SET_OPTIONS}, hardTimeout, signal, softTimeout, forceFresh, details`;

// What was given, how the error shows it.
const notDurations = [
  [-1, "-1"],
  [NaN, "NaN"],
  [-Infinity, "-Infinity"],
  ["", '""'],
  ["5", '"5"'],
  ["m", '"m"'],
  ["-5m", '"-5m"'],
  ["5 weeks", '"5 weeks"'],
  ["1e3ms", '"1e3ms"'],
  [null, "null"],
  [true, "true"],
  [{}, "an object"],
  [() => 1, "a function"],
  [Symbol("x"), "a symbol"],
  [5n, "a bigint"],
];
const notCounts = [
  [-1, "-1"],
  [1.5, "1.5"],
  [NaN, "NaN"],
  [16777216, "16777216"],
  ["5", '"5"'],
  [null, "null"],
  [[], "an object"],
];
const notBytes = [
  [-1, "-1"],
  [NaN, "NaN"],
  ["5kb", '"5kb"'],
  [null, "null"],
  [false, "false"],
];
const notFunctions = [
  [null, "null"],
  [5, "5"],
  [0, "0"],
  ["", '""'],
  [false, "false"],
  [{}, "an object"],
];
const notSignals = [
  [null, "null"],
  [5, "5"],
  [{}, "an object"],
  [new AbortController(), "an object"],
  ["x", '"x"'],
];
const notBooleans = [
  [null, "null"],
  [1, "1"],
  ["true", '"true"'],
  [{}, "an object"],
];
const notObjects = [
  [null, "null"],
  [5, "5"],
  ["1m", '"1m"'],
  [true, "true"],
  [() => 1, "a function"],
];

const wrong = (name, values, wants) =>
  values.map(([value, shown]) => [{ [name]: value }, `${name}: got ${shown}, wants ${wants}`]);

const wrongForCache = [
  ...wrong("maxEntries", [...notCounts, [Infinity, "Infinity"]], COUNT),
  ...wrong("maxBytes", notBytes, BYTES),
  ...wrong("maxEntryBytes", notBytes, BYTES),
  ...wrong("sizeOf", notFunctions, FUNCTION),
  ...wrong("clock", notFunctions, FUNCTION),
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("hardTimeout", notDurations, DURATION),
  [{ max: 5 }, `max: unknown option, did you mean maxEntries? Known are ${CACHE_OPTIONS}`],
  [{ maxentries: 5 }, `maxentries: unknown option, did you mean maxEntries? Known are ${CACHE_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];
const wrongForSet = [
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("bytes", notBytes, BYTES),
  [{ tll: 5 }, `tll: unknown option, did you mean ttl? Known are ${SET_OPTIONS}`],
  [{ hardTimeout: 5 }, `hardTimeout: unknown option. Known are ${SET_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];
const wrongForGet = [
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("bytes", notBytes, BYTES),
  ...wrong("hardTimeout", notDurations, DURATION),
  ...wrong("signal", notSignals, SIGNAL),
  ...wrong("forceFresh", notBooleans, BOOLEAN),
  [{ timeout: 5 }, `timeout: unknown option, did you mean hardTimeout? Known are ${GET_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];

const FRACTION = "a number from 0 to 1";
const FACTOR = "a number from 0 on";
const ARRAY = "an array of texts";
const NAME = "a text that is not empty and has no U+0000";
const notFractions = [
  [-0.1, "-0.1"],
  [1.1, "1.1"],
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  ["0.5", '"0.5"'],
  [null, "null"],
  [true, "true"],
];
const notFactors = [
  [-1, "-1"],
  [NaN, "NaN"],
  [Infinity, "Infinity"],
  ["1", '"1"'],
  [null, "null"],
  [{}, "an object"],
];
const notArrays = [
  ["t", '"t"'],
  [null, "null"],
  [5, "5"],
  [{}, "an object"],
  [new Set(), "an object"],
];
const notBackoffs = notDurations.filter(([value]) => typeof value !== "function");

// What a value's life takes, wherever it is said.
const wrongLife = [
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("staleWhileRevalidate", notDurations, DURATION),
  ...wrong("staleIfError", notDurations, DURATION),
  ...wrong("negativeTtl", notDurations, DURATION),
  ...wrong("errorBackoff", notBackoffs, DURATION),
  ...wrong("refreshAhead", notFactors, FACTOR),
  ...wrong("jitter", notFractions, FRACTION),
  ...wrong("swr", notDurations, DURATION),
  [{ swr: 5, staleWhileRevalidate: 5 }, "swr: got staleWhileRevalidate as well, wants one of the two names"],
];
const wrongWait = [...wrong("softTimeout", notDurations, DURATION), ...wrong("hardTimeout", notDurations, DURATION)];
const wrongEntry = [
  ...wrongLife,
  ...wrong("bytes", notBytes, BYTES),
  ...wrong("tags", notArrays, ARRAY),
  ...[
    ["", '""'],
    [5, "5"],
    [null, "null"],
    ["a\0b", '"a\\u0000b"'],
  ].map(([tag, shown]) => [{ tags: ["good", tag] }, `tags[1]: got ${shown}, wants ${NAME}`]),
];
const unknown = (names) =>
  Object.keys(names).map((name) => [
    { [name]: names[name] },
    new RegExp(`^${name}: unknown option[^]* Known are ttl, `),
  ]);
const wrongByCall = {
  "new NearCache": [
    (options) => new NearCache(options),
    [
      ...wrongLife,
      ...wrongWait,
      ...wrong("sizeOf", notFunctions, FUNCTION),
      ...wrong("random", notFunctions, FUNCTION),
      ...wrong("clock", notFunctions, FUNCTION),
      ...[
        [null, "null"],
        [{}, "an object"],
        ["p", '"p"'],
      ].map(([plugins, shown]) => [{ plugins }, `plugins: got ${shown}, wants an array of plugins`]),
      [{ tags: [] }, /^tags: unknown option/],
    ],
  ],
  namespace: [
    (options) => new NearCache().namespace("n", options),
    [
      ...wrongLife,
      ...wrongWait,
      ...wrong("sizeOf", notFunctions, FUNCTION),
      ...unknown({ maxEntries: 1, maxBytes: 1, maxEntryBytes: 1, clock: Date.now, random: Math.random, plugins: [] }),
      [null, "options: got null, wants an object"],
    ],
  ],
  set: [
    (options) => new NearCache().set("k", 1, options),
    [
      ...wrongEntry,
      ...unknown({ softTimeout: 1, hardTimeout: 1, signal: 1, forceFresh: true, details: true, sizeOf: () => 1 }),
    ],
  ],
  getOrSet: [
    (options) => new NearCache().getOrSet("k", () => 1, options),
    [
      ...wrongEntry,
      ...wrongWait,
      ...wrong("details", notBooleans, BOOLEAN),
      ...wrong("forceFresh", notBooleans, BOOLEAN),
      ...unknown({ sizeOf: () => 1, batch: {} }),
    ],
  ],
  getMany: [
    (options) => new NearCache().getMany(["k"], (keys) => keys, options),
    [...wrongEntry, ...wrongWait, ...unknown({ details: true })],
  ],
  update: [
    (options) => new NearCache().update("k", () => 1, options),
    [
      ...wrongEntry,
      ...wrong("hardTimeout", notDurations, DURATION),
      ...wrong("signal", notSignals, SIGNAL),
      ...unknown({ softTimeout: 1, forceFresh: true, details: true }),
    ],
  ],
};
for (const [call, [make, cases]] of Object.entries(wrongByCall)) {
  test(`every wrong option of ${call} is an error that names it`, async () => {
    for (const [options, message] of cases) {
      await rejects(async () => make(options), { code: "ERR_OPTION", message });
    }
  });
}

test("every wrong word of a loader is an error that names it, and nothing is stored", async () => {
  const words = ["ttl", "staleWhileRevalidate", "staleIfError", "refreshAhead", "jitter", "bytes", "tags"];
  for (const [options, message] of wrongEntry) {
    const [word] = Object.keys(options);
    if (!words.includes(word) || Object.keys(options).length > 1) continue;
    for (const begin of ["getOrSet", "update"]) {
      const cache = new NearCache();
      await rejects(
        cache[begin]("k", (_, ctx) => Object.assign(ctx, options)),
        { code: "ERR_OPTION", message: `ctx.${message}` },
      );
      equal([cache.size, cache.stats().inFlight], [0, 0]);
    }
  }
});

test("a word that a loader may not set is an error where it sets it, and so is a slip", async () => {
  const cache = new NearCache();
  for (const begin of ["getOrSet", "update"]) {
    let reached = false;
    const load = async (_, ctx) => {
      ctx.swrr = 1;
      reached = true;
    };
    await rejects(cache[begin]("k", load), {
      code: "ERR_OPTION",
      message: /^ctx\.swrr: unknown property, did you mean swr\? Known are ttl, staleWhileRevalidate, swr, [^]*bytes$/,
    });
    for (const word of ["tag", "skipp", "negativeTtl", "toString"]) {
      const set = (_, ctx) => Object.assign(ctx, { [word]: 1 });
      await rejects(cache[begin]("k", set), { code: "ERR_OPTION", message: new RegExp(`^ctx\\.${word}: `) });
    }
    equal([reached, cache.size], [false, 0]);
  }
});

test("a loader's swr is its staleWhileRevalidate, alone or beside its ttl", async () => {
  let now = 0;
  const cache = new NearCache({ clock: () => now, ttl: 10 });
  await cache.getOrSet("alone", (_, ctx) => ((ctx.swr = "1s"), 1));
  await cache.getOrSet("beside", (_, ctx) => (Object.assign(ctx, { ttl: 10, swr: 1_000 }), 1));
  now = 100;
  for (const key of ["alone", "beside"]) {
    equal((await cache.getOrSet(key, () => 2, { details: true })).status, "stale");
  }
  const both = (_, ctx) => Object.assign(ctx, { swr: 1, staleWhileRevalidate: 1 });
  await rejects(cache.getOrSet("both", both), {
    message: "ctx.swr: got staleWhileRevalidate as well, wants one of the two names",
  });
});

test("an unknown option is told by the name it may be a slip or another library's word for", () => {
  const meant = {
    maxSize: "did you mean maxEntries or maxBytes?",
    maxAge: "did you mean ttl?",
    ttlMs: "did you mean ttl?",
    stdTTL: "did you mean ttl?",
    max_entries: "did you mean maxEntries?",
    maxEntrys: "did you mean maxEntries?",
    sizeCalculation: "did you mean sizeOf?",
    stale: "did you mean staleWhileRevalidate?",
    timeout: "did you mean hardTimeout?",
    ramdom: "did you mean random?",
    updateAgeOnGet: "a get never lengthens a lifetime.",
    dispose: 'use on("evict") and on("expire").',
    fetchMethod: "give getOrSet the loader.",
  };
  for (const [name, hint] of Object.entries(meant)) {
    const message = `${name}: unknown option, ${hint} Known are ${CACHE_OPTIONS}`;
    throws(() => new NearCache({ [name]: 1 }), { code: "ERR_OPTION", message });
  }
  for (const name of ["x", "", "anything", "__proto__x", "toString"]) {
    const message = `${name}: unknown option. Known are ${CACHE_OPTIONS}`;
    throws(() => new NearCache({ [name]: 1 }), { code: "ERR_OPTION", message });
  }
});

test("the ends of what a life may be are allowed, in numbers and texts", async () => {
  const least = {
    ttl: 0,
    staleWhileRevalidate: 0,
    staleIfError: 0,
    refreshAhead: 0,
    jitter: 0,
    negativeTtl: 0,
    errorBackoff: 0,
  };
  const most = {
    ttl: Infinity,
    staleWhileRevalidate: Infinity,
    staleIfError: Infinity,
    refreshAhead: 1e300,
    jitter: 1,
    negativeTtl: Infinity,
    errorBackoff: Infinity,
  };
  const texts = {
    ttl: "1d",
    staleWhileRevalidate: "1h",
    staleIfError: "1.5m",
    refreshAhead: 1,
    jitter: 0.5,
    negativeTtl: "1s",
    errorBackoff: "1ms",
  };
  for (const life of [least, most, texts]) {
    const cache = new NearCache({ ...life, softTimeout: Infinity });
    cache.namespace("n", { ...life, softTimeout: 0 }).set("k", 1, { ...life, tags: [], bytes: 0 });
    equal(
      await cache.getOrSet("k", (_, ctx) => (Object.assign(ctx, { ...life, negativeTtl: undefined, tags: [] }), 1), {
        ...life,
        softTimeout: "1h",
      }),
      1,
    );
    equal(await cache.update("k", () => 1, life), 1);
    equal(await cache.getMany([1], (keys) => keys, life), [1]);
  }
});

test("a wrong option of a cache is an error that names it, what it got and what it wants", () => {
  for (const [options, message] of wrongForCache) {
    const error = throws(() => new NearCache(options), { name: "NearCacheError", code: "ERR_OPTION", message });
    ok(error instanceof NearCacheError && error instanceof Error);
  }
});

test("a wrong option of set is an error, and nothing changes", () => {
  const cache = new NearCache().set("k", "old");
  for (const [options, message] of wrongForSet)
    throws(() => cache.set("k", "new", options), { code: "ERR_OPTION", message });
  equal([cache.get("k"), cache.size], ["old", 1]);
});

test("a wrong option of getOrSet rejects, does not throw, and no load begins", async () => {
  const cache = new NearCache().set("there", 1);
  let calls = 0;
  for (const [options, message] of wrongForGet) {
    for (const key of ["k", "there"]) {
      const promise = cache.getOrSet(key, () => ++calls, options);
      await rejects(promise, { code: "ERR_OPTION", message });
    }
  }
  const { misses, hits, inFlight } = cache.stats();
  equal([calls, misses, hits, inFlight], [0, 0, 0, 0]);
});

test("a loader that is no function rejects", async () => {
  const cache = new NearCache();
  for (const [loader, shown] of [[undefined, "undefined"], ...notFunctions]) {
    await rejects(cache.getOrSet("k", loader), {
      code: "ERR_OPTION",
      message: `loader: got ${shown}, wants a function${loader === undefined ? ", or a cache that was made with `batch`" : ""}`,
    });
  }
});

test("what sizeOf returns is checked too", async () => {
  for (const [size, shown] of [...notBytes, [undefined, "a undefined"]].slice(0, -1)) {
    const cache = new NearCache({ maxBytes: 10, sizeOf: () => size });
    throws(() => cache.set("k", 1), { code: "ERR_OPTION", message: `sizeOf: got ${shown}, wants ${BYTES}` });
    await rejects(
      cache.getOrSet("k", () => 1),
      { code: "ERR_OPTION", message: `sizeOf: got ${shown}, wants ${BYTES}` },
    );
    equal([cache.size, cache.stats().inFlight], [0, 0]);
  }
});

test("an error of sizeOf is passed on as it is", async () => {
  const error = new Error("no scales");
  const cache = new NearCache({
    maxBytes: 10,
    sizeOf() {
      throw error;
    },
  });
  equal(
    throws(() => cache.set("k", 1)),
    error,
  );
  equal(await rejects(cache.getOrSet("k", () => 1)), error);
  equal([cache.size, cache.stats().inFlight], [0, 0]);
});

test("undefined means that an option is left out", async () => {
  const cache = new NearCache({
    maxEntries: undefined,
    maxBytes: undefined,
    maxEntryBytes: undefined,
    sizeOf: undefined,
    ttl: undefined,
    hardTimeout: undefined,
    clock: undefined,
  });
  cache.set("k", 1, { ttl: undefined, bytes: undefined }).set("j", 1, undefined);
  const options = {
    ttl: undefined,
    bytes: undefined,
    hardTimeout: undefined,
    forceFresh: undefined,
    signal: undefined,
  };
  equal(
    [await cache.getOrSet("k", () => 2, options), await cache.getOrSet("l", () => 2, options), cache.remainingTtl("l")],
    [1, 2, Infinity],
  );
});

test("the ends of what is allowed are allowed", () => {
  new NearCache({ maxEntries: 0, maxBytes: 0, maxEntryBytes: 0, ttl: 0, hardTimeout: 0 });
  new NearCache({
    maxEntries: 16777215,
    maxBytes: Infinity,
    maxEntryBytes: Infinity,
    ttl: Infinity,
    hardTimeout: Infinity,
  });
  new NearCache({ maxEntryBytes: 5 }).set("k", "a");
});

test("an error shows keys of every kind, and short", async () => {
  const shown = async (key) => {
    const cache = new NearCache();
    return (await rejects(cache.getOrSet(key, () => cache.getOrSet(key, () => 1)))).message;
  };
  ok((await shown(Symbol("s"))).startsWith("the loader of Symbol(s) asked"));
  ok((await shown({})).startsWith("the loader of [object Object] asked"));
  ok((await shown(Object.create(null))).startsWith("the loader of object asked"));
  ok((await shown("x".repeat(1000))).length < 250);
  ok((await shown(undefined)).startsWith("the loader of undefined asked"));
});
