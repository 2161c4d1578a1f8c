import { NearCache, NearCacheError } from "nearcache";
import { equal, ok, rejects, test, throws } from "../runner.mjs";

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
const notDurations = [[-1, "-1"], [NaN, "NaN"], [-Infinity, "-Infinity"], ["", '""'], ["5", '"5"'], ["m", '"m"'], ["-5m", '"-5m"'], ["5 weeks", '"5 weeks"'],
  ["1e3ms", '"1e3ms"'], [null, "null"], [true, "true"], [{}, "an object"], [() => 1, "a function"], [Symbol("x"), "a symbol"], [5n, "a bigint"]];
const notCounts = [[-1, "-1"], [1.5, "1.5"], [NaN, "NaN"], [16777216, "16777216"], ["5", '"5"'], [null, "null"], [[], "an object"]];
const notBytes = [[-1, "-1"], [NaN, "NaN"], ["5kb", '"5kb"'], [null, "null"], [false, "false"]];
const notFunctions = [[null, "null"], [5, "5"], [0, "0"], ["", '""'], [false, "false"], [{}, "an object"]];
const notSignals = [[null, "null"], [5, "5"], [{}, "an object"], [new AbortController(), "an object"], ["x", '"x"']];
const notBooleans = [[null, "null"], [1, "1"], ["true", '"true"'], [{}, "an object"]];
const notObjects = [[null, "null"], [5, "5"], ["1m", '"1m"'], [true, "true"], [() => 1, "a function"]];

const wrong = (name, values, wants) => values.map(([value, shown]) => [{ [name]: value }, `${name}: got ${shown}, wants ${wants}`]);

const wrongForCache = [
  ...wrong("maxEntries", [...notCounts, [Infinity, "Infinity"]], COUNT),
  ...wrong("maxBytes", notBytes, BYTES),
  ...wrong("maxEntryBytes", notBytes, BYTES),
  ...wrong("sizeOf", notFunctions, FUNCTION),
  ...wrong("clock", notFunctions, FUNCTION),
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("hardTimeout", notDurations, DURATION),
  [{ max: 5 }, `max: got an option of that name, wants one of ${CACHE_OPTIONS}`],
  [{ maxentries: 5 }, `maxentries: got an option of that name, wants one of ${CACHE_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];
const wrongForSet = [
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("bytes", notBytes, BYTES),
  [{ tll: 5 }, `tll: got an option of that name, wants one of ${SET_OPTIONS}`],
  [{ hardTimeout: 5 }, `hardTimeout: got an option of that name, wants one of ${SET_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];
const wrongForGet = [
  ...wrong("ttl", notDurations, DURATION),
  ...wrong("bytes", notBytes, BYTES),
  ...wrong("hardTimeout", notDurations, DURATION),
  ...wrong("signal", notSignals, SIGNAL),
  ...wrong("forceFresh", notBooleans, BOOLEAN),
  [{ timeout: 5 }, `timeout: got an option of that name, wants one of ${GET_OPTIONS}`],
  ...notObjects.map(([value, shown]) => [value, `options: got ${shown}, wants ${OBJECT}`]),
];

test("a wrong option of a cache is an error that names it, what it got and what it wants", () => {
  for (const [options, message] of wrongForCache) {
    const error = throws(() => new NearCache(options), { name: "NearCacheError", code: "ERR_OPTION", message });
    ok(error instanceof NearCacheError && error instanceof Error);
  }
});

test("a wrong option of set is an error, and nothing changes", () => {
  const cache = new NearCache().set("k", "old");
  for (const [options, message] of wrongForSet) throws(() => cache.set("k", "new", options), { code: "ERR_OPTION", message });
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
    await rejects(cache.getOrSet("k", loader), { code: "ERR_OPTION", message: `loader: got ${shown}, wants a function${loader === undefined ? ", or a cache that was made with `batch`" : ""}` });
  }
});

test("what sizeOf returns is checked too", async () => {
  for (const [size, shown] of [...notBytes, [undefined, "a undefined"]].slice(0, -1)) {
    const cache = new NearCache({ maxBytes: 10, sizeOf: () => size });
    throws(() => cache.set("k", 1), { code: "ERR_OPTION", message: `sizeOf: got ${shown}, wants ${BYTES}` });
    await rejects(cache.getOrSet("k", () => 1), { code: "ERR_OPTION", message: `sizeOf: got ${shown}, wants ${BYTES}` });
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
  equal(throws(() => cache.set("k", 1)), error);
  equal(await rejects(cache.getOrSet("k", () => 1)), error);
  equal([cache.size, cache.stats().inFlight], [0, 0]);
});

test("undefined means that an option is left out", async () => {
  const cache = new NearCache({ maxEntries: undefined, maxBytes: undefined, maxEntryBytes: undefined, sizeOf: undefined, ttl: undefined, hardTimeout: undefined, clock: undefined });
  cache.set("k", 1, { ttl: undefined, bytes: undefined }).set("j", 1, undefined);
  const options = { ttl: undefined, bytes: undefined, hardTimeout: undefined, forceFresh: undefined, signal: undefined };
  equal([await cache.getOrSet("k", () => 2, options), await cache.getOrSet("l", () => 2, options), cache.remainingTtl("l")], [1, 2, Infinity]);
});

test("the ends of what is allowed are allowed", () => {
  new NearCache({ maxEntries: 0, maxBytes: 0, maxEntryBytes: 0, ttl: 0, hardTimeout: 0 });
  new NearCache({ maxEntries: 16777215, maxBytes: Infinity, maxEntryBytes: Infinity, ttl: Infinity, hardTimeout: Infinity });
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
