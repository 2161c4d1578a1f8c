// A whole cache as bytes, and back, in any runtime.

import { cached, NearCache } from "nearcache";
import { loadSnapshot, memoryTier, saveSnapshot, snapshotBytes, snapshotTier, tiers } from "nearcache/tiers";
import { equal, ok, rejects, sleep, test } from "../js/runner.mjs";
import { matches } from "./matches.mjs";

/** Caches with one clock, which the test moves. */
function world() {
  let now = 1_000_000;
  const clock = () => now;
  const cache = (options = {}) => new NearCache({ clock, ...options });
  return { cache, advance: (millis) => (now += millis) };
}

const none = { present: 0, expired: 0, noRoom: 0, purged: 0, dropped: 0, keys: 0, values: 0 };
const isRefused = (said) => (error) => error.code === "ERR_SNAPSHOT" && error.message.includes(said);
const filled = (cache, count, options) => {
  for (let n = 0; n < count; n++) cache.set(`key ${n}`, `value ${n}`, options);
  return cache;
};

/** In pieces of so many bytes. */
async function* pieces(bytes, length) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

test("what a cache holds comes back with what is left of its life, its tags and its parts", async () => {
  const { cache, advance } = world();
  const from = cache({ ttl: "10m" });
  from.set("plain", { n: [1, "ü", null] });
  from.set("short", 1, { ttl: 5_000 });
  from.set("stale", 2, { ttl: 1_000, staleWhileRevalidate: "1h", tags: ["t", "ü"] });
  from.set("idle", 3, { idleTtl: 20_000 });
  from.set("for ever", undefined, { ttl: Infinity });
  from.set("bytes", Uint8Array.of(0, 255), { bytes: 12 });
  const posts = from.namespace("posts/1");
  posts.set(7, "a post", { tags: ["ann"] });
  posts.scope("bob %").set(null, "bob's", { tags: ["ann"] });
  from.scope("bob %").set(12n, "of all");
  advance(2_000);
  const bytes = await snapshotBytes(from);
  advance(4_000);
  for (const source of [bytes, bytes.buffer, new Blob([bytes]).stream(), pieces(bytes, 7), [bytes]]) {
    const to = cache({ ttl: "1h" });
    const loaded = await loadSnapshot(to, source);
    equal(loaded, { entries: 8, bytes: bytes.length, takenAt: 1_002_000, skipped: { ...none, expired: 1 } });
    equal(to.get("plain"), { n: [1, "ü", null] });
    equal([to.get("bytes"), to.info("bytes").bytes, to.has("for ever")], [Uint8Array.of(0, 255), 12, true]);
    equal(to.remainingTtl("plain"), 594_000);
    const { tags, ...info } = to.info("stale");
    equal([info, tags.sort()], [{ state: "stale", loading: false, age: 6_000, ttl: 0, bytes: 0 }, ["t", "ü"]]);
    equal([to.peek("stale", { allowStale: true }), to.remainingTtl("for ever")], [2, Infinity]);
    equal(to.remainingTtl("idle"), 14_000);
    equal(to.namespace("posts/1").get(7), "a post");
    equal([to.namespace("posts/1").scope("bob %").get(null), to.scope("bob %").get(12n)], ["bob's", "of all"]);
    equal([to.deleteByTag("ann"), to.scope("bob %").get(12n)], [2, "of all"]);
    equal(to.stats().entries, 6);
  }
});

test("what a cache copies in and out is saved as it is stored", async () => {
  const { cache } = world();
  const from = cache({ clone: "structured" });
  from.set("a", { n: 1 });
  const bytes = await snapshotBytes(from);
  const to = cache({ clone: "structured" });
  equal([(await loadSnapshot(to, bytes)).entries, to.get("a")], [1, { n: 1 }]);
  ok(to.get("a") !== to.get("a"), "copies");
});

test("an empty cache makes a snapshot too, and none there is no error", async () => {
  const { cache } = world();
  const bytes = await snapshotBytes(cache());
  equal((await loadSnapshot(cache(), bytes)).entries, 0);
  equal(await loadSnapshot(cache(), snapshotTier(memoryTier())), undefined);
});

test("compressed, signed and by a codec of one's own it is the same", async () => {
  const { cache } = world();
  const codec = {
    id: 16,
    encode: async (value) => new TextEncoder().encode(`${value}!`),
    decode: (bytes) => new TextDecoder().decode(bytes).slice(0, -1),
  };
  const [old, young] = ["an old secret of 24 bytes", "a new secret, 24 bytes .."];
  const from = filled(cache({ ttl: "10m" }), 5_000);
  for (const options of [
    { compress: true },
    { secrets: [young] },
    { codec },
    { codec, secrets: [young], compress: true },
  ]) {
    const bytes = await snapshotBytes(from, { schema: "s", ...options });
    const read = options.secrets === undefined ? options : { ...options, secrets: [old, young] };
    const to = cache();
    equal((await loadSnapshot(to, bytes, { schema: "s", ...read })).entries, 5_000);
    equal([to.get("key 0"), to.get("key 4999")], ["value 0", "value 4999"]);
  }
  const [plain, small] = [await snapshotBytes(from), await snapshotBytes(from, { compress: true })];
  ok(small.length < plain.length / 2, `${small.length} of ${plain.length}`);
});

test("another's, a newer, an older, a broken or half a snapshot is refused, and the cache keeps what it had", async () => {
  const { cache, advance } = world();
  const from = filled(cache({ ttl: "10m" }), 20_000);
  const secrets = ["a secret of 24 bytes ...."];
  const bytes = await snapshotBytes(from, { schema: "users 1" });
  const signed = await snapshotBytes(from, { schema: "users 1", secrets });
  const newer = bytes.slice();
  newer[4] = 2;
  const flipped = bytes.slice();
  flipped[bytes.length - 60_000] ^= 4;
  advance(60_000);
  const codec = { id: 20, encode: (value) => value, decode: (value) => value };
  const cases = [
    [bytes, { schema: "users 2" }, 'the snapshot is of the schema "users 1"; "users 2" is wanted'],
    [bytes, { schema: "users 1", secrets }, "not signed"],
    [signed, { schema: "users 1" }, "no secret is given"],
    [signed, { schema: "users 1", secrets: ["another secret of 24 ..."] }, "not among those given"],
    [bytes, { schema: "users 1", codec }, "codec 1; 20 is wanted"],
    [bytes, { schema: "users 1", maxAge: "59s" }, "60000 ms old; 59000 ms are allowed"],
    [newer, { schema: "users 1" }, "version 2; version 1 is read"],
    [new TextEncoder().encode('{"users":[]}'), {}, "no snapshot"],
    [new Uint8Array(0), {}, "ends too early"],
    [bytes.subarray(0, bytes.length - 1), { schema: "users 1" }, "ends too early"],
    [flipped, { schema: "users 1" }, "broken (checksum)"],
    [new Blob([bytes, "x"]), { schema: "users 1" }, "after its end"],
  ];
  for (const [given, options, said] of cases) {
    const source = given instanceof Blob ? new Uint8Array(await given.arrayBuffer()) : given;
    const to = cache();
    to.set("own", 1);
    await rejects(loadSnapshot(to, source, options), isRefused(said));
    equal([to.size, to.get("own")], [1, 1], said);
    // What it is after: a cache like any other.
    equal((await loadSnapshot(to, bytes, { schema: "users 1" })).entries, 9_999, said);
  }
  const to = cache({ maxEntries: 30_000 });
  await rejects(loadSnapshot(to, pieces(flipped, 1_000), { schema: "users 1" }), isRefused("checksum"));
  ok(to.size > 5_000 && to.size < 10_000, `of a stream what came before stays: ${to.size}`);
  ok([...to].every(([key, value]) => value === key.replace("key", "value")));
});

test("what the cache has stays as it is, and no entry goes for what has no room", async () => {
  const { cache } = world();
  for (const eviction of ["lru", "adaptive"]) {
    const from = filled(cache({ eviction }), 100);
    for (let n = 40; n < 50; n++) from.get(`key ${n}`);
    const bytes = await snapshotBytes(from);
    const to = cache({ eviction, maxEntries: 12 });
    to.set("key 45", "newer");
    to.set("own", 1);
    const loaded = await loadSnapshot(to, bytes);
    equal([loaded.entries, loaded.skipped], [10, { ...none, present: 1, noRoom: 89 }], eviction);
    equal([to.peek("key 45"), to.peek("own"), to.stats().evictions], ["newer", 1, cache().stats().evictions]);
    if (eviction === "lru")
      equal(
        [...to.keys()].slice(2),
        [49, 48, 47, 46, 44, 43, 42, 41, 40, 99].map((n) => `key ${n}`),
      );
  }
});

test("the order of the least recently used goes on where it was", async () => {
  const { cache } = world();
  const from = filled(cache({ eviction: "lru" }), 5);
  from.get("key 1");
  const to = cache({ eviction: "lru", maxEntries: 5 });
  await loadSnapshot(to, await snapshotBytes(from));
  equal([...to.keys()], [...from.keys()]);
  to.set("more", 1);
  equal([...to.keys()], ["more", "key 1", "key 4", "key 3", "key 2"]);
});

test("a bound of bytes holds, and weighs what was not weighed", async () => {
  const { cache } = world();
  const from = cache();
  for (let n = 0; n < 10; n++) from.set(`k${n}`, "x".repeat(50));
  from.set("object", {});
  const to = cache({ maxBytes: 450, eviction: "lru" });
  const loaded = await loadSnapshot(to, await snapshotBytes(from));
  equal([loaded.entries, to.stats().bytes, loaded.skipped.noRoom, loaded.skipped.values], [4, 400, 6, 1]);
});

test("what can't be said in bytes is left out and counted", async () => {
  const { cache } = world();
  const from = cache();
  const circle = {};
  circle.circle = circle;
  from.set("circle", circle).set("function", () => 1);
  from.set({ an: "object" }, 1).set(Symbol("s"), 1);
  from.set("fine", 1);
  const load = from.wrap(async (n) => `loaded ${n}`);
  const named = from.wrap(async (n) => `loaded ${n}`, { name: "named" });
  await load(1);
  await named(1);
  const store = snapshotTier(memoryTier());
  const saved = await saveSnapshot(from, store);
  equal([saved.entries, saved.skipped], [2, { keys: 3, values: 2, tooLarge: 0 }]);
  const to = cache();
  equal((await loadSnapshot(to, store)).entries, 2);
  const never = to.wrap(async () => "loaded again", { name: "named" });
  const other = to.wrap(async () => "loaded again");
  equal([await never(1), await other(1)], ["loaded 1", "loaded again"], "a name is known again, a number is not");
});

test("answers of instances are not saved, though their method has a name", async () => {
  const from = new NearCache();
  const context = { kind: "method", name: "find", static: false, addInitializer() {} };
  const find = cached({ cache: from, name: "User.find" })(async () => "ann's", context);
  await find.call({});
  const store = snapshotTier(memoryTier());
  matches(await saveSnapshot(from, store), { entries: 0, skipped: { keys: 1 } });
});

test("NaN is saved, as a key and as a value", async () => {
  const codec = {
    id: 20,
    encode: (value) => new Uint8Array(Float64Array.of(value).buffer),
    decode: (read) => new Float64Array(read.slice().buffer)[0],
  };
  const store = snapshotTier(memoryTier());
  await saveSnapshot(new NearCache().set(NaN, 1).set("k", NaN), store, { codec });
  const to = new NearCache();
  equal((await loadSnapshot(to, store, { codec })).entries, 2);
  equal([to.get(NaN), to.get("k")], [1, NaN]);
});

test("a key that is removed while a codec works is not saved in place of another part's that got its slot", async () => {
  const from = new NearCache();
  from.scope("ann").set("paid", true);
  const codec = {
    id: 20,
    async encode(value) {
      from.scope("ann").delete("paid");
      from.scope("bob").set("paid", true);
      return new TextEncoder().encode(JSON.stringify(value));
    },
    decode: (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
  };
  const to = new NearCache();
  await loadSnapshot(to, await snapshotBytes(from, { codec }), { codec });
  equal([to.scope("ann").get("paid"), to.scope("bob").get("paid")], [undefined, undefined]);
});

test("keys that no snapshot has keep none from being put back", async () => {
  const bytes = await snapshotBytes(new NearCache().set("undefined", 1));
  const to = new NearCache();
  const loading = loadSnapshot(to, bytes);
  to.set({}, "an object's");
  equal((await loading).skipped, none);
  equal(to.get("undefined"), 1);
});

test("loads that overlap leave nothing behind in whatever order they end", async () => {
  const bytes = await snapshotBytes(new NearCache().set("a", 1));
  const cache = new NearCache();
  const { entries } = cache[Symbol.for("nearcache.internals")]();
  const loads = () => Array.from({ length: 50 }, () => loadSnapshot(cache, bytes));
  await Promise.allSettled(loads());
  equal(entries.changes, undefined);
  // The middle one waits for its source, while those around it end.
  let go;
  const held = new Promise((resolve) => (go = resolve));
  async function* slowly() {
    await held;
    yield bytes;
  }
  const all = [...loads(), loadSnapshot(cache, slowly()).catch(() => {}), ...loads()];
  await Promise.allSettled([...all.slice(0, 50), ...all.slice(51)]);
  ok(entries.changes !== undefined && entries.changes.inner === undefined);
  go();
  await all[50];
  equal(entries.changes, undefined);
});

test("what is removed, purged, replaced or made stale while it is saved is not in it", async () => {
  const { cache } = world();
  const from = filled(cache({ maxEntries: 40_000, ttl: "10m" }), 30_000);
  from.set("tagged", 1, { tags: ["t"] });
  from.set("expired", 1);
  from.set("replaced", 1);
  const parts = [];
  let turn = 0;
  const write = async (chunks) => {
    for await (const chunk of chunks) {
      parts.push(chunk);
      if (++turn !== 4) continue;
      from.delete("key 9999");
      from.delete("key 0");
      from.deleteByTag("t");
      from.expire("expired");
      from.set("replaced", 2);
      from.set("new", 1);
    }
  };
  const saved = await saveSnapshot(from, { write, read: async () => undefined });
  ok(turn > 6, `${turn} pieces`);
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  for (const source of [bytes, pieces(bytes, 50_000)]) {
    const to = cache({ maxEntries: 40_000 });
    const loaded = await loadSnapshot(to, source);
    equal(loaded.entries, saved.entries);
    for (const gone of ["key 9999", "key 0", "tagged", "expired"]) equal(to.has(gone), false, gone);
    ok([undefined, 2].includes(to.get("replaced")), "never the older one");
    equal([to.get("key 5000"), to.get("key 1")], ["value 5000", "value 1"]);
    ok(loaded.skipped.dropped > 0);
  }
});

test("what is removed, purged or set while it is loaded is not put back", async () => {
  const { cache } = world();
  const from = cache({ maxEntries: 20_000, ttl: "10m" });
  from.set("tagged", "old", { tags: ["t"] });
  from.set("deleted", "old");
  from.set("set", "old");
  from.set("set and gone", "old");
  from.wrap(async () => "old", { name: "wrapped" });
  from.scope("s").set("deleted", "scope's");
  filled(from, 10_000);
  const bytes = await snapshotBytes(from);
  for (const own of [false, true]) {
    const store = memoryTier();
    const to = cache({ maxEntries: 20_000, ...(own ? { tiers: tiers([store]) } : {}) });
    let turn = 0;
    async function* slowly() {
      for await (const piece of pieces(bytes, 100_000)) {
        yield piece;
        if (++turn !== 2) continue;
        equal([to.has("deleted"), to.size > 0], [false, true], "not yet there");
        to.delete("deleted");
        to.deleteByTag("t");
        to.set("set", "new");
        to.set("set and gone", "new", { ttl: 1 });
        to.delete("set and gone");
        equal(await to.getOrSet("loaded", async () => "new"), "new");
      }
    }
    const loaded = await loadSnapshot(to, slowly());
    ok(turn > 3);
    equal(
      [to.get("deleted"), to.get("tagged"), to.get("set"), to.get("set and gone")],
      [undefined, undefined, "new", undefined],
    );
    equal([to.scope("s").get("deleted"), loaded.skipped.purged, loaded.skipped.present], ["scope's", 3, 1]);
    equal(await to.getOrSet("after", async () => "tiers are as before"), "tiers are as before");
  }
  const to = cache({ maxEntries: 20_000 });
  async function* cleared() {
    for await (const piece of pieces(bytes, 300_000)) {
      yield piece;
      to.clear();
    }
  }
  await loadSnapshot(to, cleared());
  equal(to.size, 0, "a clear ends it");
});

test("one save and one load at a time: the later one goes on", async () => {
  const { cache } = world();
  const from = filled(cache(), 10_000);
  const [first, second] = await Promise.allSettled([snapshotBytes(from), snapshotBytes(from)]);
  ok(isRefused("another save of this cache")(first.reason));
  const to = cache({ maxEntries: 20_000 });
  const [older, newer] = await Promise.allSettled([
    loadSnapshot(to, pieces(second.value, 1_000)),
    loadSnapshot(to, pieces(second.value, 1_000)),
  ]);
  ok(isRefused("another load of this cache")(older.reason));
  equal([newer.status, to.size], ["fulfilled", 10_000]);
});

test("a clock that was set back lengthens no life", async () => {
  const { cache, advance } = world();
  const bytes = await snapshotBytes(cache().set("k", 1, { ttl: 10_000 }));
  advance(-500_000);
  const to = cache();
  await loadSnapshot(to, bytes);
  equal(to.remainingTtl("k"), 10_000);
});

test("a tier has a whole snapshot or the one before", async () => {
  const { cache } = world();
  const held = memoryTier();
  let left = Infinity;
  const tier = {
    name: "failing",
    get: (name) => held.get(name),
    set: async (entry) => {
      if (left-- <= 0) throw new Error("full");
      await held.set(entry);
    },
    delete: (name) => held.delete(name),
  };
  const store = snapshotTier(tier, { name: "mine", ttl: "1h" });
  const from = filled(cache(), 9_000);
  await saveSnapshot(from, store);
  const names = held.size;
  from.set("key 1", "changed");
  for (left = 0; left < names; left++) {
    const before = left;
    await rejects(saveSnapshot(from, store), (error) => error.message === "full");
    left = before;
    const to = cache();
    equal(
      [(await loadSnapshot(to, store)).entries, to.get("key 1"), held.size],
      [9_000, "value 1", names],
      `${left} writes`,
    );
  }
  left = Infinity;
  await saveSnapshot(from, store);
  const to = cache();
  await loadSnapshot(to, store);
  equal([to.get("key 1"), held.size], ["changed", names], "the old chunks are gone");
  const lacking = snapshotTier(
    { ...tier, get: async (name) => (name.endsWith(":2") ? undefined : held.get(name)) },
    { name: "mine" },
  );
  await rejects(loadSnapshot(cache(), lacking), isRefused("lacks chunk 2 of"));
  await held.set({ name: "mine", bytes: new TextEncoder().encode("{"), ttl: 1e6 });
  await rejects(loadSnapshot(cache(), store), isRefused("no snapshot's index"));
});

test("an entry that is larger than the tier takes is left out, and the others saved", async () => {
  const { cache } = world();
  const largest = 300_000;
  const held = memoryTier();
  const tier = {
    name: "small",
    options: { maxValueBytes: largest },
    get: (name) => held.get(name),
    set: async (entry) => {
      if (entry.bytes.length > largest) throw new Error("too large");
      await held.set(entry);
    },
    delete: (name) => held.delete(name),
  };
  const from = filled(cache(), 5_000);
  for (const length of [100_000, 150_000, 170_000, 250_000, 400_000]) from.set(`of ${length}`, "x".repeat(length));
  const saved = await saveSnapshot(from, snapshotTier(tier));
  equal([saved.entries, saved.skipped.tooLarge], [5_003 - 1, 3]);
  const to = cache();
  await loadSnapshot(to, snapshotTier(tier));
  equal([to.get("of 150000").length, to.get("of 170000"), to.size], [150_000, undefined, 5_002]);
});

test("a stream that fails is aborted, and its error told", async () => {
  const { cache } = world();
  let reason;
  const target = new WritableStream({
    write() {
      throw new Error("disk");
    },
    abort(why) {
      reason = why;
    },
  });
  await rejects(saveSnapshot(filled(cache(), 10), target), (error) => error.message === "disk");
  const { readable, writable } = new TransformStream();
  const from = filled(cache(), 5_000);
  const to = cache();
  const [, loaded] = await Promise.all([saveSnapshot(from, writable), loadSnapshot(to, readable)]);
  equal([loaded.entries, to.get("key 7"), reason], [5_000, "value 7", undefined]);
});

test("what is wrong with a call is told", async () => {
  const { cache } = world();
  const is = (said) => (error) => error.code === "ERR_OPTION" && error.message.includes(said);
  const one = cache();
  await rejects(saveSnapshot(one.namespace("n"), snapshotTier(memoryTier())), is("the cache itself"));
  await rejects(saveSnapshot({}, snapshotTier(memoryTier())), is("a NearCache"));
  await rejects(saveSnapshot(one, "file"), is("snapshotFile()"));
  await rejects(loadSnapshot(one, 7), is("an iterable of bytes"));
  await rejects(loadSnapshot(one, [], { maxage: 7 }), is("maxAge"));
  await rejects(snapshotBytes(one, { secrets: ["short"] }), is("16 bytes"));
});

test("what the crate saved as JSON is read", async () => {
  // As tests/snapshot.rs prints it, which reads what this cache would write.
  const hex =
    "6e637373010001a868e275dc201a00984d3900a201000064000400626f7468c3eaef95f520bda06f000000a868e275dc201a00000000000000984d3900a201000000076e253246313a730100000009022330010622746578742200013a01800101000101744903236e37010474727565010001008901062373236f646401137b2261223a5b312c22c3bc222c6e756c6c5d7dede3a06ba554dfee20000000a868e275dc201a00010001000000984d3900a20100000300c906aca463863ecd";
  const { cache } = world();
  const to = cache();
  const bytes = Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16));
  equal((await loadSnapshot(to, bytes, { schema: "both" })).entries, 3);
  equal([to.get("#odd"), to.get(7), to.namespace("n/1").scope("s").get(null)], [{ a: [1, "ü", null] }, true, "text"]);
  equal([to.deleteByTag("t"), to.remainingTtl("#odd")], [1, Infinity]);
});

test("what is purged after a load was asked for does not come back, however late its bytes are", async () => {
  const from = new NearCache();
  const parts = (cache) => [cache, cache.namespace("a"), cache.scope("u"), cache.namespace("a").scope("u")];
  for (const part of parts(from)) for (const key of ["deleted", "tagged", "kept"]) part.set(key, 1, { tags: [key] });
  const bytes = await snapshotBytes(from);
  const late = (readsAgain) => ({
    readsAgain,
    async read() {
      await sleep(20);
      return (async function* () {
        await sleep(20);
        yield bytes;
      })();
    },
    write: async () => {},
  });
  const stream = () =>
    new ReadableStream(
      {
        async pull(controller) {
          await sleep(20);
          controller.enqueue(bytes);
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  for (const source of [bytes, late(true), late(false), stream()]) {
    const cache = new NearCache();
    const loading = loadSnapshot(cache, source);
    const [root, a, u, au] = parts(cache);
    for (const part of [root, a, u, au]) part.delete("deleted");
    root.deleteByTag("tagged");
    await loading;
    equal(
      [root, a, u, au].map((part) => [...part]),
      Array(4).fill([["kept", 1]]),
    );
    const cleared = new NearCache();
    const again = loadSnapshot(cleared, source instanceof ReadableStream ? stream() : source);
    cleared.clear();
    equal([(await again).entries, cleared.size], [0, 0]);
  }
});
