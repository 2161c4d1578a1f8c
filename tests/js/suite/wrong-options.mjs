// Options that are refused, and what is said of each.

import { NearCache } from "nearcache";

const DURATION = 'milliseconds from 0 on, Infinity, or a string like "250ms", "30s", "5m", "2h", "1d"';
const COUNT = "a whole number from 0 to 16777215";
export const BYTES = "bytes from 0 on, or Infinity";
const FUNCTION = "a function";
const SIGNAL = "an AbortSignal";
const BOOLEAN = "true or false";
const OBJECT = "an object";
const LIFE_OPTIONS =
  "ttl, idleTtl, staleWhileRevalidate, swr, staleIfError, refreshAhead, jitter, negativeTtl, errorBackoff";
export const CACHE_OPTIONS = `maxEntries, maxBytes, maxEntryBytes, eviction, clone, maxConcurrentLoads, loadsPerSecond, maxQueuedLoads, purgeStaleEvery, ${LIFE_OPTIONS}, softTimeout, hardTimeout, retry, validate, keepLoading, sizeOf, batch, tiers, plugins, name, clock, random`;
const SET_OPTIONS = `${LIFE_OPTIONS}, bytes, tags`;
const GET_OPTIONS = `${SET_OPTIONS}, hardTimeout, signal, softTimeout, forceFresh, retry, validate, keepLoading, priority, details`;

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
  [[], "an array"],
];
export const notBytes = [
  [-1, "-1"],
  [NaN, "NaN"],
  ["5kb", '"5kb"'],
  [null, "null"],
  [false, "false"],
];
export const notFunctions = [
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

export const wrongForCache = [
  ...wrong("maxEntries", [...notCounts, [Infinity, "Infinity"]], COUNT),
  ...wrong("maxBytes", notBytes, BYTES),
  ...wrong("maxEntryBytes", notBytes, BYTES),
  ...wrong(
    "clone",
    [
      ["json", '"json"'],
      [true, "true"],
      [null, "null"],
    ],
    '"structured"',
  ),
  ...wrong(
    "eviction",
    [
      [null, "null"],
      [1, "1"],
      ["LRU", '"LRU"'],
    ],
    '"adaptive" or "lru"',
  ),
  ...wrong("sizeOf", notFunctions, FUNCTION),
  ...wrong("clock", notFunctions, FUNCTION),
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("hardTimeout", notDurations, DURATION),
  [{ max: 5 }, `max: unknown option, did you mean maxEntries? Known are ${CACHE_OPTIONS}`],
  [{ maxentries: 5 }, `maxentries: unknown option, did you mean maxEntries? Known are ${CACHE_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];
export const wrongForSet = [
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("bytes", notBytes, BYTES),
  [{ tll: 5 }, `tll: unknown option, did you mean ttl? Known are ${SET_OPTIONS}`],
  [{ hardTimeout: 5 }, `hardTimeout: unknown option. Known are ${SET_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];
export const wrongForGet = [
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
const ARRAY = "an array of strings";
const NAME = "a non-empty string without U+0000 and lone surrogates";
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
export const wrongEntry = [
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
export const wrongByCall = {
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
