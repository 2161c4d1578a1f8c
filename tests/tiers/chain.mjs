// What a cache over tiers does, in Node, with tiers that do as they are told.

import { inspect } from "node:util";
import { cached, NearCache, NearCacheError } from "nearcache";
import {
  broadcast,
  cacheApiTier,
  fileTier,
  kvTier,
  memoryTier,
  NearCacheError as TiersError,
  objectLease,
  objectTier,
  purgeLog,
  r2Tier,
  redisSocketTier,
  redisTier,
  tiers,
  withMarks,
} from "nearcache/tiers";
import { equal, held, never, ok, rejects, sleep, test, throws } from "../js/runner.mjs";
import { matches } from "./matches.mjs";

const EXACT = { clockSkew: 0, lateWrites: 0 };

/** A world with a clock: chains over the same stores, as several isolates have them. */
export function world(stores = [memoryTier()], options = {}) {
  const lines = [];
  let now = 1_000_000;
  const clock = () => now;
  const isolate = (cacheOptions = {}, one = {}) => {
    const chain = tiers(stores, { ...EXACT, log: (line) => lines.push(line), ...options, ...one });
    const cache = new NearCache({ ttl: "1m", clock, tiers: chain, ...cacheOptions });
    return { cache, chain };
  };
  return { isolate, lines, stores, advance: (millis) => (now += millis) };
}

/** A loader that counts. */
export function origin(value = (key) => `value of ${key}`) {
  const load = async (key) => {
    load.calls++;
    return value(key);
  };
  load.calls = 0;
  return load;
}

const store = (clock) => memoryTier({ clock });

test("what one isolate loaded another finds below, with what is left of its lifetime", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const [a, b] = [isolate(), isolate()];
  const load = origin();
  equal(await a.cache.getOrSet("k", load), "value of k");
  await a.chain.flush();
  advance(20_000);
  const got = await b.cache.getOrSet("k", load, { details: true });
  matches(got, { value: "value of k", ttl: 40_000 });
  equal(load.calls, 1);
  advance(40_000);
  await b.cache.getOrSet("k", load);
  equal(load.calls, 2, "at its end, calls");
});

test("values of every kind that JSON and bytes have come back as they were", async () => {
  const { isolate } = world();
  const [a, b] = [isolate(), isolate()];
  const values = { o: { n: [1, "ü", null, true] }, u: undefined, z: null, e: "", n: 0, bytes: Uint8Array.of(0, 255) };
  for (const [key, value] of Object.entries(values)) await a.cache.getOrSet(key, () => value);
  await a.chain.flush();
  for (const [key, value] of Object.entries(values)) equal(await b.cache.getOrSet(key, () => "loaded"), value, key);
});

test("keys that mean something elsewhere are told apart, others go to their loader", async () => {
  const { isolate } = world();
  const [a, b] = [isolate(), isolate()];
  const keys = [1, "1", "#n1", 1n, true, "true", null, "null", undefined, NaN, "x".repeat(300)];
  // In UTF-8 all halves of characters are U+FFFD.
  keys.push("\ud800", "\udbff", "\ufffd", "\u{10000}", '#j"\\ud800"');
  for (const [at, key] of keys.entries()) await a.cache.getOrSet(key, () => at);
  await a.chain.flush();
  for (const [at, key] of keys.entries()) equal(await b.cache.getOrSet(key, () => "loaded"), at, String(key));
  const object = {};
  await a.cache.getOrSet(object, () => "own");
  await a.chain.flush();
  equal(await b.cache.getOrSet(object, () => "own too"), "own too");
});

test("five hundred gets of one key are one read and one load", async () => {
  const { isolate } = world();
  const { cache, chain } = isolate();
  const load = origin();
  const got = await Promise.all(Array.from({ length: 500 }, () => cache.getOrSet("k", load)));
  ok(got.every((value) => value === "value of k"));
  equal([load.calls, chain.stats()[0].asked], [1, 1]);
});

test("a value is copied into the tiers above the one it was found in", async () => {
  const [upper, lower] = [memoryTier({ name: "upper" }), memoryTier({ name: "lower" })];
  const fill = world([lower]).isolate();
  await fill.cache.getOrSet("k", origin());
  await fill.chain.flush();
  const { isolate } = world([upper, lower]);
  const { cache, chain } = isolate();
  await cache.getOrSet("k", origin());
  await chain.flush();
  matches(chain.stats()[0], { name: "upper", misses: 1, promotions: 1, writes: 1 });
  const other = isolate();
  await other.cache.getOrSet("k", origin());
  matches(other.chain.stats(), { 0: { hits: 1 }, 1: { asked: 0 } });
});

for (const [what, purge] of [
  ["delete", (cache) => cache.delete("k")],
  ["expire", (cache) => cache.expire("k")],
  ["deleteByTag", (cache) => cache.deleteByTag("t")],
  ["expireByTag", (cache) => cache.expireByTag("t")],
  ["clear", (cache) => cache.clear()],
  ["update", (cache) => cache.update("k", () => "new")],
]) {
  test(`${what} reaches tiers, also from an isolate that does not hold the key`, async () => {
    const { isolate, advance } = world();
    const [a, b, c] = [isolate(), isolate(), isolate()];
    await a.cache.getOrSet("k", () => "old", { tags: ["t"] });
    await a.chain.flush();
    advance(1);
    await purge(b.cache);
    await b.chain.flush();
    advance(1);
    equal(await c.cache.getOrSet("k", () => "new"), "new");
  });
}

test("a load that began before a delete brings nothing back, here or elsewhere", async () => {
  const { isolate, advance } = world();
  const [a, b] = [isolate(), isolate()];
  let bring;
  const slow = a.cache.getOrSet("k", () => new Promise((resolve) => (bring = resolve)));
  await settled();
  advance(1);
  b.cache.delete("k");
  await b.chain.flush();
  advance(1);
  bring("old");
  equal(await slow, "old", "who asked before");
  await a.chain.flush();
  advance(1);
  equal(await isolate().cache.getOrSet("k", () => "new"), "new");
});

test("what was set is found elsewhere, and no late load takes its place", async () => {
  const { isolate, advance } = world();
  const [a, b] = [isolate(), isolate()];
  let bring;
  const slow = a.cache.getOrSet("k", () => new Promise((resolve) => (bring = resolve)));
  await settled();
  advance(1);
  a.cache.set("k", "set");
  bring("loaded");
  await slow;
  await a.chain.flush();
  equal(await b.cache.getOrSet("k", () => "loaded anew"), "set");
});

test("namespaces and scopes are apart in tiers too, and are purged from around them", async () => {
  const { isolate, advance } = world();
  const [a, b, c] = [isolate(), isolate(), isolate()];
  const part = ({ cache }) => cache.namespace("shop").scope("user:1");
  await part(a).getOrSet("k", () => "inner", { tags: ["t"] });
  await a.cache.getOrSet("k", () => "outer", { tags: ["t"] });
  await a.chain.flush();
  equal(
    await b.cache
      .namespace("shop")
      .scope("user:2")
      .getOrSet("k", () => "other"),
    "other",
  );
  equal(await part(b).getOrSet("k", () => "loaded"), "inner");
  advance(1);
  b.cache.scope("user:1").deleteByTag("t");
  await b.chain.flush();
  advance(1);
  equal(await part(c).getOrSet("k", () => "new"), "new");
  equal(await c.cache.getOrSet("k", () => "new"), "outer");
});

test("a stale value from below answers at once, and is refreshed by the loader", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const [a, b] = [isolate({ swr: "1m" }), isolate({ swr: "1m" })];
  await a.cache.getOrSet("k", () => "old");
  await a.chain.flush();
  advance(70_000);
  const load = origin(() => "new");
  equal(await b.cache.getOrSet("k", load), "old");
  // Now the cache has it, stale, and refreshes it.
  equal(await b.cache.getOrSet("k", load), "old");
  await settled();
  equal([await b.cache.getOrSet("k", load), load.calls], ["new", 1]);
});

test("a value is refreshed ahead of its end by its loader, or by what another has loaded since", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const [a, b] = [1, 2].map(() => isolate({ refreshAhead: 1, random: () => 0.5 }));
  const slow = (value) => async () => (advance(1_000), value);
  equal(await a.cache.getOrSet("k", slow("a's")), "a's");
  await a.chain.flush();
  advance(1);
  equal(await b.cache.getOrSet("k", slow("b's"), { forceFresh: true }), "b's");
  await b.chain.flush();
  // So near its end a value is refreshed.
  advance(58_900);
  equal(await a.cache.getOrSet("k", () => "not asked"), "a's");
  await settled();
  equal(await a.cache.getOrSet("k", () => "not asked"), "b's");
  advance(1_000);
  equal(await b.cache.getOrSet("k", () => "new"), "b's");
  await settled();
  equal(await b.cache.getOrSet("k", () => "not asked"), "new");
});

test("what came together does not go together below either", async () => {
  const { isolate } = world([store(() => 0)]);
  const draws = [0.25, 0.75];
  const [a, b] = [1, 2].map(() => isolate({ jitter: 0.4, random: () => draws[0] }));
  a.cache.set("set", 1);
  draws.shift();
  await a.cache.getOrSet("loaded", () => 1);
  await a.chain.flush();
  for (const [key, ttl] of [
    ["set", 42_000],
    ["loaded", 54_000],
  ]) {
    const got = await b.cache.getOrSet(key, () => "not asked", { details: true });
    equal([got.value, got.ttl], [1, ttl], key);
  }
});

test("that nothing was there is refreshed over tiers too", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const { cache, chain } = isolate({ negativeTtl: "5s", swr: "5m" });
  await cache.getOrSet("k", () => undefined);
  await chain.flush();
  advance(6_000);
  equal(await cache.getOrSet("k", () => "made since"), undefined);
  await settled();
  equal(await cache.getOrSet("k", () => "not asked"), "made since");
});

test("a stale value from below stands in for a load that fails", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const [a, b, c] = [1, 2, 3].map(() => isolate({ staleIfError: "5m" }));
  await a.cache.getOrSet("k", () => "old");
  await a.chain.flush();
  advance(70_000);
  const fails = () => Promise.reject(new Error("down"));
  equal(await b.cache.getOrSet("k", fails), "old");
  advance(300_000);
  await rejects(c.cache.getOrSet("k", fails), { message: "down" });
});

test("a stale value from below stands in for no load that fails when its time is over", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const [a, b] = [1, 2].map(() => isolate({ staleIfError: "10s", hardTimeout: "5m" }));
  await a.cache.getOrSet("k", () => "old");
  await a.chain.flush();
  advance(65_000);
  const load = held();
  const got = b.cache.getOrSet("k", load);
  await settled();
  advance(6_000);
  load.loads[0].reject(new Error("down"));
  await rejects(got, { message: "down" });
});

test("an origin that is down is seen, and left alone, over tiers as without them", async () => {
  for (const over of [false, true]) {
    const { isolate, advance } = world([store(() => 0)]);
    const given = { staleIfError: "5m", errorBackoff: "10s", retry: { attempts: 2, delay: 1 } };
    const { cache, chain } = isolate(over ? given : { ...given, tiers: undefined });
    await cache.getOrSet("k", () => "old");
    await chain.flush();
    const told = [];
    for (const event of ["load", "error", "stale"]) cache.on(event, ({ cause }) => told.push(cause ?? event));
    let calls = 0;
    const fails = () => Promise.reject(new Error(`down ${++calls}`));
    advance(70_000);
    for (const wanted of ["stale-if-error", "stale"]) {
      const { value, status, age } = await cache.getOrSet("k", fails, { details: true });
      equal([value, status, age], ["old", wanted, 70_000], `over tiers: ${over}`);
    }
    const { loadFailures, rescues, retries, staleHits } = cache.stats();
    equal([calls, loadFailures, rescues, retries, staleHits], [2, 1, 1, 1, 1], `over tiers: ${over}`);
    equal(told, ["error", "error", "error"], `over tiers: ${over}`);
  }
});

test("what everybody has left while the tiers were asked is not loaded", async () => {
  const read = held();
  const { isolate } = world([{ ...wrapped(memoryTier()), get: read }]);
  const { cache, chain } = isolate();
  const controller = new AbortController();
  const load = origin();
  const got = cache.getOrSet("k", load, { signal: controller.signal });
  await settled();
  controller.abort(new Error("left"));
  await rejects(got, { message: "left" });
  read.loads[0].resolve(undefined);
  await settled();
  await chain.flush();
  equal([load.calls, chain.stats()[0].writes], [0, 0]);
});

test("an update that is given up takes out what lies below, for the source may have another", async () => {
  const { isolate, advance } = world();
  for (const how of ["signal", "hardTimeout"]) {
    const [a, b] = [isolate(), isolate()];
    a.cache.set(how, "old");
    await a.chain.flush();
    advance(10);
    const controller = new AbortController();
    const options = how === "signal" ? { signal: controller.signal } : { hardTimeout: 1 };
    const update = a.cache.update(how, never, options);
    controller.abort(new Error("left"));
    await rejects(update);
    await a.chain.flush();
    advance(1);
    equal(await a.cache.getOrSet(how, () => "new"), "new", how);
    equal(await b.cache.getOrSet(how, () => "new"), "new", how);
  }
});

test("forceFresh asks the loader alone, and what it brings is shared", async () => {
  const { isolate, advance } = world();
  const [a, b] = [isolate(), isolate()];
  await a.cache.getOrSet("k", () => "old");
  await a.chain.flush();
  advance(1);
  equal(await b.cache.getOrSet("k", () => "new", { forceFresh: true }), "new");
  await b.chain.flush();
  equal(await isolate().cache.getOrSet("k", () => "?"), "new");
});

test("what the loader says not to store is not stored below", async () => {
  const { isolate } = world();
  const { cache, chain } = isolate();
  await cache.getOrSet("skip", (_, ctx) => (ctx.skip(), 1));
  await cache.getOrSet("zero", (_, ctx) => ((ctx.ttl = 0), 1));
  await chain.flush();
  equal(chain.stats()[0].writes, 0);
});

test("what has lived elsewhere ends below when it ends here", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const [a, b] = [isolate(), isolate()];
  await a.cache.getOrSet("k", (_, ctx) => ((ctx.age = "45s"), "old"));
  await a.chain.flush();
  const got = await b.cache.getOrSet("k", () => "not asked", { details: true });
  matches(got, { value: "old", age: 45_000, ttl: 15_000 });
  advance(15_000);
  equal(await isolate().cache.getOrSet("k", () => "new"), "new");
});

test("what no codec can write is handed out, and told to the log", async () => {
  const { isolate, lines } = world();
  const { cache, chain } = isolate();
  equal(await cache.getOrSet("k", () => 1n), 1n);
  await chain.flush();
  ok(lines.length === 1 && /BigInt/.test(lines[0]), lines[0]);
});

test("what replaces a value and can't be shared takes it out of the tiers", async () => {
  const replace = {
    "set, and no codec can write it": (cache) => cache.set("k", 1n),
    "set, and too large for all tiers": (cache) => cache.set("k", "x".repeat(1_000)),
    "set, and over at once": (cache) => cache.set("k", "new", { ttl: 0 }),
    "loaded by force, and over at once": (cache) => cache.getOrSet("k", () => "new", { forceFresh: true, ttl: 0 }),
    "loaded by force, and too large": (cache) => cache.getOrSet("k", () => "x".repeat(1_000), { forceFresh: true }),
  };
  for (const [how, act] of Object.entries(replace)) {
    const { isolate, advance } = world([memoryTier({ maxValueBytes: 500 })]);
    const [a, b] = [isolate(), isolate()];
    a.cache.set("k", "old");
    await a.chain.flush();
    advance(10);
    await act(a.cache);
    await a.chain.flush();
    equal(await b.cache.getOrSet("k", () => "loaded"), "loaded", how);
  }
});

test("of two values of a key that are set in one turn a tier is sent the last alone", async () => {
  const sent = [];
  const nothing = async () => undefined;
  const setMany = async (entries) => void sent.push(entries);
  const tier = { name: "store", get: nothing, set: nothing, delete: nothing, setMany };
  const { isolate } = world([tier]);
  const { cache, chain } = isolate();
  cache.set("k", "first").set("other", 1).set("k", "the last");
  await chain.flush();
  equal(
    sent.map((entries) => entries.map(({ bytes }) => new TextDecoder().decode(bytes).includes("first"))),
    [[false, false]],
  );
});

test("of values of a key that are set one after the other a tier has the last in the end, and is sent few", async () => {
  const store = memoryTier();
  let writes = 0;
  // Each write takes less time than the one before, so that they would end in the wrong order.
  const set = async (entry) => {
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, 30 - 10 * writes++)));
    return store.set(entry);
  };
  const { isolate } = world([{ ...wrapped(store), set, setMany: undefined }]);
  const [{ cache, chain }, b] = [isolate(), isolate()];
  for (let n = 1; n <= 100; n++) {
    cache.set("k", n);
    await Promise.resolve();
    if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  await chain.flush();
  equal(await b.cache.getOrSet("k", () => "loaded"), 100);
  ok(writes < 30, `${writes} writes`);
});

test("a write that never ends holds the next one of its key up for the tier's timeout, and no longer", async () => {
  const store = memoryTier();
  let writes = 0;
  const set = (entry) => (writes++ === 0 ? new Promise(() => {}) : store.set(entry));
  const { isolate } = world([{ ...wrapped(store), options: { timeout: 20 }, set, setMany: undefined }]);
  const [{ cache, chain }, b] = [isolate(), isolate()];
  cache.set("k", 1);
  await new Promise((resolve) => setTimeout(resolve, 1));
  cache.set("k", 2);
  await chain.flush();
  equal(await b.cache.getOrSet("k", () => "loaded"), 2);
});

test("a tier that could not be given what was set has nothing older when it works again", async () => {
  const replace = {
    "a write that failed": (a) => a.cache.set("k", "new"),
    "one that failed by force": (a) => a.cache.getOrSet("k", () => "new", { forceFresh: true }),
    "a value too large for one of two": (a) => a.cache.set("k", "x".repeat(1_000)),
    "while its breaker is open": async (a) => {
      for (let n = 0; n < 6; n++) await a.cache.getOrSet(`other ${n}`, () => n).then(() => a.chain.flush());
      a.cache.set("k", "new");
    },
  };
  for (const [how, act] of Object.entries(replace)) {
    const upper = memoryTier({ name: "upper", maxValueBytes: 500 });
    let fails = false;
    const failing = (name) => async (of) => {
      if (fails) throw new Error("down");
      return upper[name](of);
    };
    const spy = { ...wrapped(upper), options: upper.options, set: failing("set"), delete: failing("delete") };
    const { isolate, advance } = world([spy, memoryTier({ name: "lower" })]);
    const [a, b] = [isolate(), isolate()];
    a.cache.set("k", "old");
    await a.chain.flush();
    advance(10);
    fails = !how.includes("too large");
    await act(a);
    await a.chain.flush();
    equal(a.chain.stats()[0].owesPurges, fails, how);
    fails = false;
    advance(10_000);
    await a.cache.getOrSet("another", () => 1);
    await a.chain.flush();
    ok(!a.chain.stats()[0].owesPurges, how);
    // What the lower tier has is the new one.
    ok((await b.cache.getOrSet("k", () => "loaded")) !== "old", how);
  }
});

test("a key that everybody has left before its batch went is not kept below as nothing", async () => {
  const { isolate } = world();
  const controller = new AbortController();
  const batch = { load: async (keys) => keys.map((key) => `value of ${key}`) };
  const { cache, chain } = isolate({ batch });
  const left = cache.getOrSet("left", undefined, { signal: controller.signal });
  const kept = cache.getOrSet("kept");
  controller.abort();
  await rejects(left, { name: "AbortError" });
  equal(await kept, "value of kept");
  await chain.flush();
  equal(await isolate({ batch }).cache.getMany(["left", "kept"]), ["value of left", "value of kept"]);
});

test("a loader's error is its own, and a batch loads what all tiers together lack", async () => {
  const { isolate } = world();
  const fill = isolate();
  await fill.cache.getOrSet(1, () => "one");
  await fill.chain.flush();
  const calls = [];
  const batch = {
    load: async (keys) => {
      calls.push([...keys]);
      return keys.map((key) => (key === 3 ? new Error("three") : `loaded ${key}`));
    },
  };
  const { cache } = isolate({ batch });
  const got = await cache.getMany([1, 2, 3, 4]);
  equal([got[0], got[1], got[2].message, got[3]], ["one", "loaded 2", "three", "loaded 4"]);
  equal(calls, [[2, 3, 4]]);
});

test("payloads are compressed where that is asked for and pays", async () => {
  const tier = memoryTier();
  const lengths = [];
  const spy = { ...wrapped(tier), set: (entry) => (lengths.push(entry.bytes.length), tier.set(entry)) };
  const { isolate } = world([spy], { compressFrom: 100 });
  const [a, b] = [isolate(), isolate()];
  const value = "ab".repeat(10_000);
  await a.cache.getOrSet("k", () => value);
  await a.chain.flush();
  ok(lengths[0] < 1_000, `${lengths[0]} bytes`);
  equal(await b.cache.getOrSet("k", () => "?"), value);
});

test("a codec of one's own writes and reads; what it can't read is loaded", async () => {
  const codec = {
    id: 20,
    encode: (value) => new TextEncoder().encode(value.toISOString()),
    decode: (bytes) => new Date(new TextDecoder().decode(bytes)),
  };
  const { isolate } = world([memoryTier()]);
  const [a, b, c] = [isolate({}, { codec }), isolate({}, { codec }), isolate()];
  await a.cache.getOrSet("k", () => new Date(5));
  await a.chain.flush();
  equal((await b.cache.getOrSet("k", () => "?")).getTime(), 5);
  equal(await c.cache.getOrSet("k", () => "loaded"), "loaded");
});

test("signed envelopes are believed with a secret that was rotated, and others are not", async () => {
  const [old, fresh] = ["an old secret of ours", "a new secret of ours"];
  const { isolate, advance, lines } = world();
  const writer = isolate({}, { secrets: [old] });
  await writer.cache.getOrSet("k", () => "signed");
  await writer.chain.flush();
  equal(await isolate({}, { secrets: [fresh, old] }).cache.getOrSet("k", () => "?"), "signed");
  const strict = isolate({}, { secrets: [fresh] });
  equal(await strict.cache.getOrSet("k", () => "loaded"), "loaded");
  await strict.chain.flush();
  advance(1);
  equal(strict.chain.stats()[0].refused, { "unknown signer": 1 });
  equal(lines.filter((line) => /unknown signer/.test(line)).length, 1);
});

test("whatever a tier's calls bring, the loader is asked, and what is another's is not believed", async () => {
  const inner = memoryTier({ name: "t" });
  const first = world([inner]).isolate();
  await first.cache.getOrSet("other", () => "another's");
  await first.chain.flush();
  const other = await inner.get("v:::other");
  ok(other instanceof Uint8Array);
  const proxy = new Proxy([], {
    get() {
      throw new Error("a trap");
    },
  });
  const brought = [
    other,
    other.subarray(0, 50),
    new Proxy(other, {}),
    "text",
    5,
    null,
    {},
    proxy,
    new Uint16Array(8),
    Symbol("s"),
  ];
  const lists = [null, 5, "x", {}, { length: 1, 0: other }, [other, other], proxy];
  const answers = [...brought.map((one) => [one]), ...lists];
  for (const [at, answer] of answers.entries()) {
    const odd = { ...wrapped(inner), getMany: async () => answer, options: { timeout: 30 } };
    const { isolate } = world([odd]);
    equal(await isolate().cache.getOrSet("key", () => "own"), "own", `answer ${at}`);
  }
  const calls = [() => 5, () => ({ then() {} }), () => Promise.reject(Object.create(null))];
  for (const [at, call] of calls.entries()) {
    const { isolate } = world([{ name: "t", get: call, set: call, delete: call, options: { timeout: 30 } }]);
    const { cache, chain } = isolate();
    equal(await cache.getOrSet("key", () => "own"), "own", `call ${at}`);
    cache.delete("key");
    await chain.flush();
  }
});

test("a tier that fails, hangs, lies or throws costs its timeout at most; is told once; is left alone; recovers", async () => {
  for (const fault of ["fails", "hangs", "throws", "lies", "miscounts"]) {
    const inner = memoryTier({ name: "t" });
    const faulty = { ...wrapped(inner), options: { timeout: 30, failures: 3, cooldown: 1_000 } };
    let broken = true;
    let calls = 0;
    faulty.getMany = (names) => {
      calls++;
      if (!broken) return Promise.all(names.map((name) => inner.get(name)));
      if (fault === "fails") return Promise.reject(new Error("down"));
      if (fault === "hangs") return new Promise(() => {});
      if (fault === "throws") throw new Error("thrown");
      if (fault === "lies") return Promise.resolve(names.map(() => Uint8Array.of(1, 2, 3)));
      return Promise.resolve([undefined, undefined, undefined]);
    };
    const { isolate, advance, lines } = world([faulty]);
    const { cache, chain } = isolate();
    const start = performance.now();
    for (let at = 0; at < 10; at++) equal(await cache.getOrSet(`${fault} ${at}`, () => at), at);
    ok(performance.now() - start < 500, `${fault}: ${performance.now() - start} ms for ten`);
    equal(calls, 3, `${fault}: calls`);
    matches(chain.stats()[0], { skipped: 7, reads: "open" }, fault);
    equal(lines.filter((line) => line.includes("fails")).length, 1, `${fault}: lines`);
    broken = false;
    advance(1_001);
    equal(await cache.getOrSet("after", () => "after"), "after");
    matches(chain.stats()[0], { reads: "closed" }, fault);
    equal(lines.filter((line) => line.includes("works again")).length, 1);
  }
});

test("a tier that can't be written is told of once, and what could not be purged there is not believed here", async () => {
  const inner = memoryTier({ name: "t" });
  let full = false;
  const faulty = wrapped(inner);
  faulty.set = (entry) => (full ? Promise.reject(new Error("OOM")) : inner.set(entry));
  const { isolate, advance, lines } = world([faulty]);
  const { cache, chain } = isolate();
  await cache.getOrSet("k", () => "old", { tags: ["t"] });
  await chain.flush();
  full = true;
  advance(1);
  cache.deleteByTag("t");
  await chain.flush();
  for (let at = 0; at < 10; at++) await cache.getOrSet(`other ${at}`, () => at);
  await chain.flush();
  advance(1);
  ok(chain.stats()[0].owesPurges);
  equal(await cache.getOrSet("k", () => "new"), "new");
  equal(lines.length, 1, lines.join("; "));
  full = false;
  advance(60_000);
  await cache.getOrSet("again", () => 1);
  await chain.flush();
  ok(!chain.stats()[0].owesPurges, "told when it works again");
});

test("a tier that works again is told of purges though nobody uses it", async () => {
  const inner = memoryTier();
  let isDown = false;
  const write = (call) => async (what) => {
    if (isDown) throw new Error("down");
    return inner[call](what);
  };
  const tier = { ...wrapped(inner), set: write("set"), delete: write("delete"), options: { cooldown: 10 } };
  const { isolate, advance } = world([tier]);
  const [a, b] = [isolate(), isolate()];
  a.cache.set("k", "old");
  await a.chain.flush();
  advance(10);
  isDown = true;
  a.cache.delete("k");
  await a.chain.flush();
  equal(a.chain.stats()[0].owesPurges, true);
  isDown = false;
  await sleep(1_200);
  equal(a.chain.stats()[0].owesPurges, false);
  advance(1);
  equal(await b.cache.getOrSet("k", () => "new"), "new");
});

test("write-through waits for the tier, write-behind does not", async () => {
  for (const write of ["through", "behind"]) {
    const inner = memoryTier();
    let stored = false;
    const slow = { ...wrapped(inner), options: { write } };
    slow.set = (entry) => new Promise((resolve) => setTimeout(() => ((stored = true), resolve(inner.set(entry))), 20));
    const { isolate } = world([slow]);
    const { cache, chain } = isolate();
    await cache.getOrSet("k", () => 1);
    equal(stored, write === "through", write);
    await chain.flush();
    ok(stored);
  }
});

test("options that can't be are refused by their names", () => {
  const tier = memoryTier();
  const refused = (list, options, said) => throws(() => tiers(list, options), { code: "ERR_OPTION", message: said });
  refused([], {}, /tiers: got 0 tiers/);
  refused([{}], {}, /tiers\[0\]\.get/);
  refused([tier], { maxLifetime: Infinity }, /maxLifetime/);
  refused([tier], { maxlifetime: 1 }, /did you mean maxLifetime/);
  refused([tier], { secrets: ["short"] }, /secrets/);
  refused([tier], { secrets: "a secret of 24 bytes ...." }, /secrets: got "a se.*", wants an array/);
  refused([tier], { codec: { id: 3 } }, /codec\.id/);
  refused([tier], { codec: null }, /codec\.id: got undefined/);
  refused([tier], { codec: { id: 16, encode: (value) => value } }, /codec\.decode: got undefined, wants a function/);
  refused([memoryTier({ write: "never" })], {}, /write/);
  throws(() => withMarks(tier), { code: "ERR_OPTION", message: /^marks\.get: got undefined/ });
  throws(() => new NearCache({ tiers: [tier] }), { code: "ERR_OPTION", message: /tiers/ });
  const chain = tiers([tier]);
  new NearCache({ tiers: chain });
  throws(() => new NearCache({ tiers: chain }), { code: "ERR_OPTION" });
});

test("what a store can't be made with is refused where it is made", () => {
  const kv = { put() {} };
  const objects = { idFromName() {} };
  const client = { isReady: true, withTypeMapping: () => ({ sendCommand() {} }) };
  for (const [make, said] of [
    [() => memoryTier({ maxBytes: NaN }), /^maxBytes: got NaN, wants bytes/],
    [() => memoryTier({ clock: 5 }), /^clock: got 5, wants a function/],
    [() => memoryTier(null), /^options: got null, wants an object/],
    [() => fileTier("/tmp/x", null), /^options: got null/],
    [() => kvTier(kv, { prefix: 5 }), /^prefix: got 5, wants a string/],
    [() => r2Tier(kv, { prefix: null }), /^prefix: got null/],
    [() => cacheApiTier({ match() {} }, { prefix: {} }), /^prefix: got an object/],
    [() => redisTier(client, { prefix: 5 }), /^prefix: got 5/],
    [() => redisSocketTier(() => {}, "redis://x", { prefix: 5 }), /^prefix: got 5/],
    [() => objectTier(objects, { shards: NaN }), /^shards: got NaN, wants a whole number from 1 on/],
    [() => objectTier(objects, { shards: Infinity }), /^shards: got Infinity, wants a whole number/],
    [() => objectTier(objects, { shards: 0 }), /^shards: got 0/],
    [() => objectLease(objects, { shards: Infinity }), /^shards: got Infinity, wants a whole number/],
    [() => purgeLog(objects, { name: 5 }), /^name: got 5, wants a string/],
    [() => broadcast(), /^name: got undefined, wants a string/],
  ]) {
    throws(make, { code: "ERR_OPTION", message: said });
  }
});

test("an error of any entry point is an instance of the class that another one exports", () => {
  const wrong = throws(() => tiers([]), { code: "ERR_OPTION" });
  ok(wrong instanceof NearCacheError && wrong instanceof TiersError);
  ok(!(new Error("another") instanceof NearCacheError));
});

/** The same tier as a plain object with methods that may be replaced. */
function wrapped(tier) {
  return {
    name: tier.name,
    options: {},
    get: (name) => tier.get(name),
    set: (entry) => tier.set(entry),
    delete: (name) => tier.delete(name),
  };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test("a chain that is logged shows what its tiers did", async () => {
  const { isolate } = world([memoryTier({ name: "near" }), memoryTier({ name: "far" })]);
  const { cache, chain } = isolate();
  equal(inspect(chain), "tiers [ near: 0 of 0 found, breaker closed; far: 0 of 0 found, breaker closed ]");
  await cache.getOrSet("k", origin());
  equal(inspect(chain), "tiers [ near: 0 of 1 found, breaker closed; far: 0 of 1 found, breaker closed ]");
});

test("what lay in a store before a purge, signed and put back by somebody, is not believed again", async () => {
  const names = new Map();
  const inner = memoryTier();
  const replaying = {
    ...inner,
    name: "replaying",
    get: (name) => inner.get(name),
    delete: (name) => inner.delete(name),
    set: (entry) => {
      if (!names.has(entry.name)) names.set(entry.name, []);
      names.get(entry.name).push(entry);
      return inner.set(entry);
    },
  };
  const { isolate, advance, lines } = world([replaying], { secrets: ["0123456789abcdef"] });
  const values = (key) =>
    [...names].filter(([name]) => name.startsWith("v:") && name.endsWith(key)).flatMap(([, all]) => all);
  const replay = async (entries) => {
    for (const entry of entries) await inner.set(entry);
  };
  let n = 0;
  const load = () => `value ${++n}`;
  const options = { tags: ["t"] };
  const writer = isolate();
  for (const key of ["k", "victim"]) await writer.cache.getOrSet(key, load, options);
  await writer.chain.flush();
  equal([values("k").length, values("victim").length], [1, 1]);
  for (const purge of ["delete", "deleteByTag", "clear"]) {
    advance(5);
    const purger = isolate();
    if (purge === "clear") purger.cache.clear();
    else purger.cache[purge](purge === "delete" ? "k" : "t");
    await purger.chain.flush();
    advance(5);
    const before = n;
    await replay(values("k"));
    const reader = isolate();
    equal(await reader.cache.getOrSet("k", load, options), `value ${before + 1}`, purge);
    await reader.chain.flush();
    const current = values("k").at(-1);
    await replay([current]);
    equal(await isolate().cache.getOrSet("k", load, options), `value ${before + 1}`, `${purge}, what came after`);
    // The one that purged remembers, though the store forgets its marks.
    for (const name of names.keys()) if (!name.startsWith("v:")) await inner.delete(name);
    await replay(values("k").slice(0, -1));
    equal(await purger.cache.getOrSet("k", load, options), `value ${before + 2}`, `${purge}, marks lost`);
    await purger.chain.flush();
    for (const [name, all] of names) if (!name.startsWith("v:")) await replay(all);
  }
  // Another key's bytes are not this key's.
  const [victim] = values("victim");
  await replay([{ ...victim, name: values("k")[0].name }]);
  const before = n;
  equal(await isolate().cache.getOrSet("k", load, options), `value ${before + 1}`);
  ok(lines.length <= 2, lines.join("; "));
});

test("functions without a name are kept in memory alone, since a number says in no other process which one it is", async () => {
  const { isolate } = world();
  const [a, b] = [isolate(), isolate()];
  const first = a.cache.wrap(async function f() {
    return "a's";
  });
  await first(1);
  await first.cache.getOrSet("k", () => "a's");
  first.cache.set("set", "a's");
  await first.invalidate(2);
  await a.chain.flush();
  equal(a.chain.stats()[0].writes, 0);
  for (let number = 0; number < 200; number++) {
    for (const name of [`f#${number}`, `#f#${number}`]) {
      equal(await b.cache.wrap(async () => "b's", { name })(1), "b's", name);
    }
  }
  await a.cache.wrap(async () => "named", { name: "named" })(1);
  await a.chain.flush();
  equal(await b.cache.wrap(async () => "again", { name: "named" })(1), "named");
});

test("answers of an instance are kept in memory alone, and those of no instance in tiers too", async () => {
  const { isolate } = world();
  const [a, b] = [isolate(), isolate()];
  const decorate = (cache, options) => {
    const context = { kind: "method", name: "find", static: false, addInitializer() {} };
    const method = cached({ cache, name: "User.find", ...options })(async () => "loaded", context);
    return { method, part: method.cache };
  };
  const one = decorate(a.cache);
  const ann = {};
  await one.method.call(ann, 7);
  const key = cached.of(ann, one.method).key(7);
  one.part.set(key, "ann's");
  await a.chain.flush();
  equal(a.chain.stats()[0].writes, 0);
  equal(await decorate(b.cache).part.getOrSet(key, () => "bob's"), "bob's");
  const shared = decorate(a.cache, { name: "shared", perInstance: false });
  await shared.method.call(ann, 7);
  await a.chain.flush();
  equal(a.chain.stats()[0].writes, 1);
});

for (const [what, options, bad, code] of [
  ["validate", { validate: ({ fine }) => fine === true }, { fine: false }, "ERR_INVALID"],
  ["clone", { clone: "structured" }, { fine: false, f() {} }, "ERR_CLONE"],
  ["sizeOf", { maxBytes: 1_000, sizeOf: ({ fine }) => (fine ? 1 : NaN) }, { fine: false }, "ERR_OPTION"],
]) {
  test(`what ${what} refuses is stored in no tier`, async () => {
    const { isolate } = world();
    const [a, b] = [isolate(options), isolate(options)];
    await rejects(
      a.cache.getOrSet("k", async () => bad),
      { code },
    );
    await a.chain.flush();
    equal(a.chain.stats()[0].writes, 0);
    for (const { cache } of [b, a]) equal(await cache.getOrSet("k", async () => ({ fine: true })), { fine: true });
  });
}

test("what a loader says wrong is stored in no tier", async () => {
  const { isolate } = world();
  const { cache, chain } = isolate();
  await rejects(
    cache.getOrSet("k", (_, ctx) => ((ctx.bytes = -1), "v")),
    { code: "ERR_OPTION" },
  );
  await chain.flush();
  equal(chain.stats()[0].writes, 0);
});

test("a value from below that the rule refuses is loaded anew, and stands in for no load", async () => {
  const { isolate } = world();
  const revoked = new Set();
  const [a, b] = [isolate(), isolate({ validate: (token) => !revoked.has(token) })];
  await a.cache.getOrSet("k", () => "token 1", { staleIfError: "1m" });
  await a.chain.flush();
  revoked.add("token 1");
  await rejects(
    b.cache.getOrSet("k", () => Promise.reject(new Error("down"))),
    { message: "down" },
  );
  equal(await b.cache.getOrSet("k", () => "token 2"), "token 2");
  await b.chain.flush();
  equal(await isolate().cache.getOrSet("k", () => "token 3"), "token 2", "it has taken its place");
});

test("a stale value stands in for a load whose value the rule refuses", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const options = { validate: (value) => value !== "bad", staleIfError: "1m" };
  const [a, b] = [isolate(options), isolate(options)];
  await a.cache.getOrSet("k", () => "good");
  await a.chain.flush();
  advance(61_000);
  equal(await b.cache.getOrSet("k", () => "bad"), "good");
});

test("what has an idle time lives no longer than that below, stale windows included", async () => {
  const { isolate, advance } = world([store(() => 0)]);
  const life = { ttl: "1h", staleIfError: "1h", staleWhileRevalidate: "1h" };
  for (const [what, options, call] of [
    ["the cache's", { idleTtl: "20m", ...life }, undefined],
    ["the call's", life, { idleTtl: "20m" }],
    ["the loader's", life, undefined],
  ]) {
    const load = (value) => (_, ctx) => {
      if (what === "the loader's") ctx.idleTtl = "20m";
      return value;
    };
    const one = isolate(options);
    await one.cache.getOrSet(what, load("old"), call);
    await one.chain.flush();
    advance(19 * 60_000);
    equal(await isolate(options).cache.getOrSet(what, load("new"), call), "old", what);
    advance(2 * 60_000);
    equal(await isolate(options).cache.getOrSet(what, load("new"), call), "new", what);
  }
});

test("a value that is set in the millisecond in which a load began is not replaced by it, here or elsewhere", async () => {
  const { isolate } = world();
  const [a, b] = [isolate(), isolate()];
  let bring;
  const begun = new Promise((begin) => {
    void a.cache.getOrSet("k", () => {
      begin();
      return new Promise((resolve) => (bring = resolve));
    });
  });
  await begun;
  a.cache.set("k", "set");
  bring("loaded");
  await a.chain.flush();
  equal([a.cache.get("k"), await b.cache.getOrSet("k", () => "anew")], ["set", "set"]);
  // What is loaded after that is newer.
  await a.cache.getOrSet("k", () => "forced", { forceFresh: true });
  await a.chain.flush();
  equal(await isolate().cache.getOrSet("k", () => "anew"), "forced");
});

test("what could not be inflated again is not compressed", async () => {
  const most = 64 * 1024 * 1024;
  const tier = { ...wrapped(memoryTier({ maxBytes: 2 * most })), options: { maxPendingBytes: 2 * most } };
  const { isolate } = world([tier], { compressFrom: 1_000 });
  const [a, b] = [isolate(), isolate()];
  await a.cache.getOrSet("k", () => new Uint8Array(most + 1));
  await a.chain.flush();
  equal((await b.cache.getOrSet("k", () => new Uint8Array(0))).length, most + 1);
});
