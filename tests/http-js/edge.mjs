// HTTP caches over tiers that they share, and over a log of purges: several isolates, in one process.

import { HttpCache } from "nearcache/http";
import { readdir } from "node:fs/promises";
import { fileTier, memoryTier, purgeLog, tiers } from "nearcache/tiers";
import { scratch } from "../js/workerd.mjs";
import { equal, ok, rejects, sleep, test, throws } from "../js/runner.mjs";
import { place } from "../tiers/log-object.mjs";

/** An origin that answers with its calls. */
function origin(fields = { "cache-control": "max-age=60" }, { delay = 0, body = (call) => `call ${call}` } = {}) {
  const world = { calls: 0, fields, fails: false };
  world.fetch = async (url, init) => {
    const call = ++world.calls;
    if (delay > 0) await sleep(delay);
    if (world.fails) return new Response("failed", { status: 503 });
    if (init.method === "POST") return new Response("written");
    return new Response(body(call, init), { headers: world.fields });
  };
  return world;
}

/** One isolate's cache, over these stores. */
function isolate(fetch, stores, { world, log = {}, ...options } = {}) {
  const lines = [];
  const chain = stores && tiers(stores, { clockSkew: 0, lateWrites: 0, log: (line) => lines.push(line), ...options });
  const purges = world && purgeLog(world.namespace, { maxStaleness: 40, ...log });
  const http = new HttpCache({ fetch, tiers: chain, purgeLog: purges });
  const get = async (path, init) => {
    const response = await http.fetch(`https://example.com${path}`, init);
    const text = await response.text();
    await sleep(5);
    return { text, did: response.headers.get("cache-status"), age: response.headers.get("age") };
  };
  return { http, chain, get, lines };
}

test("what one isolate has loaded another finds in the tier, with its age, and says where from", async () => {
  const { fetch, ...source } = origin({ "cache-control": "max-age=60", age: "7" });
  const tier = memoryTier();
  const [a, b] = [isolate(fetch, [tier]), isolate(fetch, [tier])];
  await a.get("/");
  await sleep(1_100);
  const { text, did, age } = await b.get("/");
  equal([text, age], ["call 1", "8"]);
  ok(/^nearcache\/memory; hit; ttl=5[0-2], nearcache; fwd=uri-miss; stored; ttl=5[0-2]$/.test(did), did);
  ok(/^nearcache; hit; ttl=5[0-2]$/.test((await b.get("/")).did));
  equal([b.http.stats().loads, b.chain.stats()[0].hits, source.calls], [0, 1, 0]);
});

test("100 requests at once read the tier once", async () => {
  const source = origin();
  const tier = memoryTier();
  await isolate(source.fetch, [tier]).get("/");
  const b = isolate(source.fetch, [tier]);
  const answers = await Promise.all(Array.from({ length: 100 }, () => b.get("/")));
  equal([...new Set(answers.map(({ text }) => text))], ["call 1"]);
  equal([source.calls, b.chain.stats()[0].asked], [1, 1]);
  equal(answers.filter(({ did }) => did.includes("collapsed")).length, 99);
});

test("variants are found by what selects them", async () => {
  const source = origin(
    { "cache-control": "max-age=60", vary: "x-who" },
    { body: (_, { headers }) => `for ${headers.get("x-who")}` },
  );
  const tier = memoryTier();
  const [a, b] = [isolate(source.fetch, [tier]), isolate(source.fetch, [tier])];
  const who = (name) => ({ headers: { "x-who": name } });
  for (const name of ["a", "b"]) await a.get("/", who(name));
  for (const name of ["a", "b"]) equal((await b.get("/", who(name))).text, `for ${name}`);
  equal(source.calls, 2);
});

test("what is private, set with a cookie, or asked for with credentials never lies in a tier", async () => {
  const store = memoryTier();
  const written = [];
  const tier = {
    ...store,
    name: "watched",
    get: (name) => store.get(name),
    delete: (name) => store.delete(name),
    set: async (entry) => written.push(entry.name),
  };
  for (const [fields, init] of [
    [{ "cache-control": "private, max-age=60" }],
    [{ "cache-control": "no-store" }],
    [{ "cache-control": "max-age=60", "set-cookie": "a=b" }],
    [{ "cache-control": "max-age=60" }, { headers: { authorization: "me" } }],
    [{ "cache-control": "max-age=60" }, { headers: { "cache-control": "no-store" } }],
    [{ "cache-control": "max-age=60" }, { headers: { cookie: "me=1" } }],
    [{ "cache-control": "max-age=60" }, { method: "POST", body: "x" }],
  ]) {
    const { get, chain } = isolate(origin(fields).fetch, [tier]);
    await get("/", init);
    await chain.flush();
    equal(
      written.filter((name) => name.startsWith("v:")),
      [],
      JSON.stringify([fields, init]),
    );
  }
  const { get, chain } = isolate(origin().fetch, [tier]);
  await get("/");
  await chain.flush();
  equal(
    written.filter((name) => name.startsWith("v:")),
    ["v:::example.com/"],
  );
});

test("bodies beyond 1.9 MB, and what bears more than 14 tags, stay out of tiers", async () => {
  for (const [fields, length, hits] of [
    [{ "cache-control": "max-age=60" }, 1_900_000, 1],
    [{ "cache-control": "max-age=60" }, 1_900_001, 0],
    [{ "cache-control": "max-age=60", "cache-tag": Array.from({ length: 14 }, (_, n) => `t${n}`).join() }, 9, 1],
    [{ "cache-control": "max-age=60", "cache-tag": Array.from({ length: 15 }, (_, n) => `t${n}`).join() }, 9, 0],
  ]) {
    const source = origin(fields, { body: () => "x".repeat(length) });
    const tier = memoryTier();
    const large = (cache) =>
      Object.assign(cache, {
        http: new HttpCache({ fetch: source.fetch, tiers: cache.chain, defaults: { maxBodyBytes: 8 << 20 } }),
      });
    const stores = () => tiers([tier], { clockSkew: 0, lateWrites: 0 });
    const [a, b] = [large({ chain: stores() }), large({ chain: stores() })];
    await (await a.http.fetch("https://example.com/")).text();
    await sleep(20);
    await a.chain.flush();
    const answer = await (await b.http.fetch("https://example.com/")).text();
    equal([answer.length, source.calls, b.chain.stats()[0].hits], [length, 2 - hits, hits]);
  }
});

test("a tier that hangs, fails or brings rubbish costs its timeout at most", async () => {
  for (const [get, longest] of [
    [() => new Promise(() => {}), 400],
    [() => Promise.reject(new Error("down")), 100],
    [async () => new Uint8Array(100), 100],
  ]) {
    const source = origin();
    const broken = { name: "broken", get, set: get, delete: get, options: { timeout: 50 } };
    const { get: ask, lines } = isolate(source.fetch, [broken]);
    const start = performance.now();
    for (const path of ["/a", "/b", "/c"]) equal((await ask(path)).text, `call ${source.calls}`);
    ok(performance.now() - start < longest, `${performance.now() - start} ms`);
    ok(lines.length <= 2, lines.join());
  }
});

test("a purge by URL, tag, prefix or everything reaches the tier by its marks", async () => {
  for (const purge of [
    { url: "https://example.com/a/b" },
    { url: "/a/b" },
    { tag: "t" },
    { prefix: "/a/" },
    { everything: true },
  ]) {
    const source = origin({ "cache-control": "max-age=60", "cache-tag": "s, t" });
    const tier = memoryTier();
    const [a, b, c] = Array.from({ length: 3 }, () => isolate(source.fetch, [tier]));
    await a.get("/a/b");
    await b.get("/a/b");
    a.http.purge(purge);
    await a.chain.flush();
    // Clocks may differ by half a second: what is loaded in it is not believed of a tier.
    await sleep(510);
    equal((await c.get("/a/b")).text, "call 2", JSON.stringify(purge));
    equal((await a.get("/a/b")).text, "call 2", "in the isolate that has purged, too");
    equal((await b.get("/a/b")).text, "call 1", "a memory that nobody tells keeps it");
  }
});

test("with a log each purge reaches every memory within the bound, and what lies in tiers is not believed", async () => {
  for (const purge of [
    { url: "https://example.com/a/b" },
    { url: "/a/b" },
    { tag: "t" },
    { prefix: "/a/" },
    { everything: true },
    { tag: "t", soft: true },
  ]) {
    const source = origin({ "cache-control": "max-age=60", "cache-tag": "s, t" });
    const world = place();
    const tier = memoryTier();
    const [a, b] = Array.from({ length: 2 }, () => isolate(source.fetch, [tier], { world }));
    await a.get("/a/b");
    equal((await b.get("/a/b")).text, "call 1");
    await sleep(600);
    a.http.purge(purge);
    await a.http.told();
    await sleep(60);
    source.calls = 100;
    equal((await b.get("/a/b")).text, "call 101", JSON.stringify(purge));
    const c = isolate(source.fetch, [tier], { world });
    ok(/call 10[12]/.test((await c.get("/a/b")).text), "an isolate that begins later");
    ok(b.http.stats().log.heard === 1 && b.http.stats().log.staleness <= 100, JSON.stringify(b.http.stats()));
  }
});

test("with a log a read of a tier is one round trip whatever the tags, and no marks are written", async () => {
  const source = origin({ "cache-control": "max-age=60", "cache-tag": "a, b, c, d, e" });
  const world = place();
  const store = memoryTier();
  const [reads, writes] = [[], []];
  const tier = {
    name: "watched",
    get: (name) => (reads.push(name), store.get(name)),
    set: (entry) => (writes.push(entry.name), store.set(entry)),
    delete: (name) => store.delete(name),
  };
  const [a, b] = Array.from({ length: 2 }, () => isolate(source.fetch, [tier], { world }));
  await a.get("/");
  await b.get("/");
  a.http.purge({ tag: "a" });
  await a.http.told();
  await a.chain.flush();
  equal([reads.length, writes], [2, ["v:::example.com/"]]);
});

test("what a write invalidates is invalid in the tier and elsewhere", async () => {
  const source = origin();
  const world = place();
  const tier = memoryTier();
  const [a, b] = Array.from({ length: 2 }, () => isolate(source.fetch, [tier], { world }));
  await a.get("/list");
  await b.get("/list");
  await sleep(600);
  await a.get("/list", { method: "POST", body: "x" });
  await sleep(510);
  equal((await a.get("/list")).text, "call 3");
  equal((await b.get("/list")).text, "call 3", "from the tier, or the origin's second");
});

test("what no message can name is told as more than that", async () => {
  const long = `/${"x".repeat(3_000)}`;
  for (const [path, purge, fields] of [
    [long, { url: long }],
    [long, { prefix: long }],
    ["/", { tag: "t".repeat(1_100) }, { "cache-control": "max-age=60", "cache-tag": "t".repeat(1_100) }],
  ]) {
    const source = origin(fields);
    const world = place();
    const [a, b] = Array.from({ length: 2 }, () => isolate(source.fetch, undefined, { world }));
    for (const { get } of [a, b]) await get(path);
    await sleep(30);
    a.http.purge(purge);
    await a.http.told();
    await sleep(50);
    equal((await b.get(path)).text, "call 3", JSON.stringify(purge).slice(0, 30));
  }
});

test("no URL that a client may write to keeps purges from the log", async () => {
  // JSON doubles each backslash, which a query may have: the message was longer than any may be, and held up all after it for ever.
  for (const path of [`/?${"\\".repeat(2_030)}`, `/?${"\\".repeat(2_040)}x`]) {
    const source = origin();
    const world = place();
    const [a, b] = Array.from({ length: 2 }, () => isolate(source.fetch, undefined, { world }));
    for (const { get } of [a, b]) await get("/page");
    for (const { get } of [a, b]) await get(path);
    await a.get(path, { method: "POST", body: "x" });
    a.http.purge({ url: "/page" });
    await a.http.told();
    await sleep(50);
    equal((await b.get("/page")).text, "call 6", "another's purge");
    equal((await b.get(path)).text, "call 7", "the write's own");
    equal(b.http.stats().log.heard, 2);
  }
});

test("a message that a log refuses stands for all there is, and keeps back no other", async () => {
  const source = origin();
  const world = place();
  const [a, b] = Array.from({ length: 2 }, () => isolate(source.fetch, undefined, { world }));
  for (const { get } of [a, b]) await get("/");
  const { publish } = world.object;
  // An older log, which takes less.
  world.object.publish = function (texts) {
    if (texts.some((text) => text.includes("tag"))) throw new TypeError("not a message of invalidation: {");
    return publish.call(this, texts);
  };
  a.http.purge({ tag: "a" });
  await a.http.told();
  await sleep(50);
  equal((await b.get("/")).text, "call 3");
});

test("over keys without a host, a purge by URL reaches the tier", async () => {
  const source = origin();
  const tier = memoryTier();
  const make = () =>
    new HttpCache({
      fetch: source.fetch,
      tiers: tiers([tier], { clockSkew: 0, lateWrites: 0 }),
      rules: [
        { path: "/any", key: { anyHost: true } },
        { path: "/q", key: { query: { sort: true } } },
      ],
    });
  const get = async (http, path) => (await http.fetch(`https://example.com${path}`)).text();
  for (const [path, url] of [
    ["/any", "https://example.com/any"],
    ["/any", "/any"],
    ["/q?b=1&a=1", "https://example.com/q?b=1&a=1"],
    ["/q?b=1&a=1", "/q?b=1&a=1"],
  ]) {
    const http = make();
    const before = await get(http, path);
    await sleep(30);
    equal(await get(make(), path), before, "from the tier");
    equal(http.purge({ url }), 1, url);
    await http.told();
    await sleep(30);
    ok((await get(make(), path)) !== before, `${url}: a new isolate gets what was purged`);
  }
});

test("a log that can't be reached is told later, and who asks hears of it", async () => {
  const source = origin();
  const world = place();
  const [a, b] = Array.from({ length: 2 }, () => isolate(source.fetch, undefined, { world }));
  await a.get("/");
  await b.get("/");
  world.fails = true;
  a.http.purge({ url: "/" });
  await rejects(a.http.told(), { message: /no object/ });
  world.fails = false;
  await sleep(1_050);
  await a.get("/other");
  await sleep(60);
  source.calls = 100;
  equal((await b.get("/")).text, "call 101");
});

test("with leases isolates ask the origin once together", async () => {
  const held = new Map();
  const lease = {
    settings: { ttl: 1_000, wait: 2_000, timeout: 500 },
    stub: () => ({
      acquire: async (name) => (held.has(name) ? -1_000 : (held.set(name, Promise.withResolvers()), 1)),
      wait: (name) => held.get(name)?.promise,
      renew: async () => true,
      release: async (name) => (held.get(name).resolve(), held.delete(name)),
    }),
  };
  const source = origin(undefined, { delay: 50 });
  const tier = memoryTier();
  const isolates = Array.from({ length: 8 }, () => isolate(source.fetch, [tier], { lease }));
  const answers = await Promise.all(isolates.flatMap(({ get }) => Array.from({ length: 20 }, () => get("/"))));
  equal([[...new Set(answers.map(({ text }) => text))], source.calls, held.size], [["call 1"], 1, 0]);
  // What may not be shared is nothing to queue up for.
  const own = origin({ "cache-control": "private" }, { delay: 50 });
  const others = Array.from({ length: 8 }, () => isolate(own.fetch, [tier], { lease }));
  const start = performance.now();
  const texts = await Promise.all(others.map(async ({ get }) => (await get("/own")).text));
  equal([new Set(texts).size, held.size], [8, 0]);
  ok(performance.now() - start < 400, `${performance.now() - start} ms`);
});

test("a body too long for memory goes into files as it streams, and comes from there, here and in another process", async () => {
  const bytes = Uint8Array.from({ length: 5_000_000 }, (_, at) => (at * 31) >> 7);
  const source = origin({ "cache-control": "max-age=60", "content-length": `${bytes.length}` }, { body: () => bytes });
  const [folder, tier] = [scratch(), memoryTier()];
  const two = [1, 2].map(() => isolate(source.fetch, [tier], { bodies: fileTier(folder) }).http);
  const get = async (http, headers) => {
    const response = await http.fetch("https://example.com/large", { headers });
    return { response, body: new Uint8Array(await response.arrayBuffer()), did: response.headers.get("cache-status") };
  };
  const first = await get(two[0]);
  ok(first.did.endsWith("detail=stored-apart"), first.did);
  ok(Buffer.compare(first.body, bytes) === 0);
  for (let tries = 0; tries < 100 && two[0].stats().entries === 0; tries++) await sleep(20);
  await sleep(100);
  for (const http of two) {
    const { did, body } = await get(http);
    ok(/; hit; .*|fwd=uri-miss; stored.*/.test(did) && did.endsWith("detail=apart"), did);
    ok(Buffer.compare(body, bytes) === 0);
  }
  const part = await get(two[1], { range: "bytes=1000000-1999999" });
  equal([part.response.status, Buffer.compare(part.body, bytes.subarray(1_000_000, 2_000_000))], [206, 0]);
  equal(source.calls, 1);
  two[0].purge({ everything: true });
  await sleep(100);
  const left = (await readdir(folder, { recursive: true })).filter((name) => name.includes("/"));
  equal(left, [], "what is purged is deleted");
  equal(Buffer.compare((await get(two[1])).body, bytes), 0, "and made up for");
});

/** A stream that needs a while for each of its chunks. */
function slowly(bytes) {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      await sleep(20);
      controller.enqueue(bytes.subarray(at, (at += 100_000)));
      if (at >= bytes.length) controller.close();
    },
  });
}

/** A store of bodies that does as it is told. */
function playedBodies(options) {
  const stored = new Map();
  const play = { reads: "well", writes: "well", cut: Infinity, calls: 0 };
  const store = {
    name: "played",
    options,
    get: async () => undefined,
    set: async () => {},
    delete: async (name) => stored.delete(name),
    async getStream(name, start, end) {
      play.calls++;
      if (play.reads === "fail") throw new Error("down");
      if (play.reads === "hang") return new Promise(() => {});
      const bytes = stored.get(name);
      if (play.slow) return slowly(bytes.subarray(start, end));
      if (play.breaks) return new ReadableStream({ pull: (controller) => controller.error(new Error("down")) });
      return bytes && new Blob([bytes.subarray(start, Math.min(end, play.cut))]).stream();
    },
    async setStream({ name, stream }) {
      play.calls++;
      if (play.writes === "fail") throw new Error("full");
      stored.set(name, new Uint8Array(await new Response(stream).arrayBuffer()));
    },
  };
  return { play, store, stored };
}

test("what happened at the store of bodies is told by stats() and on the page, and it is left alone by its own breaker", async () => {
  const bytes = new Uint8Array(3_000_000);
  const source = origin({ "cache-control": "max-age=60", "content-length": `${bytes.length}` }, { body: () => bytes });
  const { play, store } = playedBodies({ timeout: 200, failures: 2, cooldown: 1_000 });
  const { http, lines } = isolate(source.fetch, [memoryTier()], { bodies: store });
  let paths = 0;
  const get = async (path) => {
    const response = await http.fetch(`https://example.com/${path ?? ++paths}`);
    const length = await response.arrayBuffer().then(
      ({ byteLength }) => byteLength,
      () => "broken",
    );
    for (let tries = 0; tries < 100 && http.stats().loadsInFlight > 0; tries++) await sleep(5);
    await sleep(20);
    return length;
  };
  const figures = () => http.stats().bodies;
  const none = { asked: 0, skipped: 0, hits: 0, misses: 0, refused: 0, lost: 0, readErrors: 0, readTimeouts: 0 };
  const unwritten = { writes: 0, bytesWritten: 0, writeErrors: 0, writesSkipped: 0, abandoned: 0 };
  equal(figures(), { name: "played", ...none, ...unwritten, reads: "closed", writing: "closed" });
  // Stored, had, and cut.
  for (let time = 0; time < 2; time++) equal(await get("a"), bytes.length);
  play.cut = 1_000_000;
  equal(await get("a"), "broken");
  play.cut = Infinity;
  const { asked, hits, refused, writes, bytesWritten } = figures();
  equal([asked, hits, refused, writes, bytesWritten], [2, 2, 1, 1, bytes.length]);
  // What was cut is gone: the origin makes up for it, and what is there again is had again.
  for (let time = 0; time < 2; time++) equal(await get("a"), bytes.length);
  equal([figures().misses, figures().writes, figures().hits], [1, 2, 3]);
  // An origin that breaks off is none of the store's failures.
  const cut = new ReadableStream({
    start(controller) {
      controller.enqueue(bytes.subarray(0, 1_000_000));
      controller.error(new Error("cut"));
    },
  });
  const handler = async () => new Response(cut, { headers: source.fields });
  const answer = await http.handle(new Request("https://example.com/cut"), handler);
  await answer.arrayBuffer().catch(() => {});
  await sleep(20);
  equal([figures().abandoned, figures().writing], [1, "closed"]);
  // It fails, is left alone after two failures, and works again.
  play.writes = "fail";
  for (let time = 0; time < 3; time++) equal(await get(), bytes.length);
  equal([figures().writeErrors, figures().writesSkipped, figures().writing], [2, 1, "open"]);
  Object.assign(play, { reads: "fail", writes: "well" });
  equal(await get("a"), bytes.length);
  play.reads = "hang";
  for (let time = 0; time < 2; time++) equal(await get("a"), bytes.length);
  equal([figures().readErrors, figures().readTimeouts, figures().skipped, figures().reads], [1, 1, 1, "open"]);
  const page = http.prometheus();
  for (const line of [
    'nearcache_body_requests_total{cache="nearcache",layer="played",result="hit"} 3',
    'nearcache_body_requests_total{cache="nearcache",layer="played",result="timeout"} 1',
    'nearcache_body_broken_total{cache="nearcache",layer="played",reason="refused"} 1',
    'nearcache_body_writes_total{cache="nearcache",layer="played",result="abandoned"} 1',
    `nearcache_body_written_bytes_total{cache="nearcache",layer="played"} ${figures().bytesWritten}`,
    'nearcache_body_breaker_open{cache="nearcache",layer="played",lane="read"} 1',
  ]) {
    ok(page.includes(`${line}\n`), `${line}: ${page}`);
  }
  play.reads = "well";
  await sleep(1_050);
  await get();
  await get("a");
  equal([figures().reads, figures().writing], ["closed", "closed"]);
  equal(lines.sort(), [
    "nearcache: played fails (reads of large bodies); they come from the origin",
    "nearcache: played fails (writes of large bodies); they come from the origin",
    "nearcache: played works again (reads of large bodies)",
    "nearcache: played works again (writes of large bodies)",
  ]);
});

test("a store of bodies that fails midway ends the answer, and is counted", async () => {
  const bytes = new Uint8Array(3_000_000);
  const source = origin({ "cache-control": "max-age=60", "content-length": `${bytes.length}` }, { body: () => bytes });
  const { play, store } = playedBodies();
  const { http } = isolate(source.fetch, [memoryTier()], { bodies: store });
  const get = () => http.fetch("https://example.com/a").then((response) => response.arrayBuffer());
  await get();
  await sleep(50);
  play.breaks = true;
  equal(await get().catch(({ message }) => message), "down");
  const { hits, lost, refused } = http.stats().bodies;
  equal([hits, lost, refused], [1, 1, 0]);
});

test("a client that leaves while a body comes from its store does no harm to it", async () => {
  const bytes = new Uint8Array(3_000_000);
  const source = origin({ "cache-control": "max-age=60", "content-length": `${bytes.length}` }, { body: () => bytes });
  const { play, store, stored } = playedBodies();
  const { http, get } = isolate(source.fetch, [memoryTier()], { bodies: store });
  await get("/a");
  await sleep(50);
  play.slow = true;
  for (const reads of [0, 1]) {
    const reader = (await http.fetch("https://example.com/a")).body.getReader();
    for (let read = 0; read < reads; read++) await reader.read();
    void reader.read();
    await sleep(5);
    await reader.cancel();
    await sleep(50);
  }
  const { hits, lost, refused, reads } = http.stats().bodies;
  equal([hits, lost, refused, reads, stored.size], [2, 0, 0, "closed", 1]);
});

test("a store of bodies that always fails midway is left alone", async () => {
  const bytes = new Uint8Array(3_000_000);
  const source = origin({ "cache-control": "max-age=60", "content-length": `${bytes.length}` }, { body: () => bytes });
  const { play, store } = playedBodies({ failures: 3, cooldown: 200 });
  const { http, lines } = isolate(source.fetch, [memoryTier()], { bodies: store });
  const get = async () => {
    const length = await http
      .fetch("https://example.com/a")
      .then((response) => response.arrayBuffer())
      .then(
        ({ byteLength }) => byteLength,
        () => "broken",
      );
    await sleep(50);
    return length;
  };
  await get();
  play.breaks = true;
  const lengths = [];
  for (let time = 0; time < 4; time++) lengths.push(await get());
  equal(lengths, ["broken", "broken", "broken", bytes.length]);
  const { lost, skipped, reads } = http.stats().bodies;
  equal([lost, skipped, reads], [3, 1, "open"]);
  play.breaks = false;
  await sleep(250);
  for (let time = 0; time < 2; time++) equal(await get(), bytes.length);
  equal(http.stats().bodies.reads, "closed");
  equal(lines, [
    "nearcache: played fails (reads of large bodies); they come from the origin",
    "nearcache: played works again (reads of large bodies)",
  ]);
});

test("no store is held open for a client that does not read", async () => {
  const bytes = new Uint8Array(3_000_000);
  const fields = { "cache-control": "max-age=60", "content-length": `${bytes.length}` };
  const { store, stored } = playedBodies({ timeout: 1_000 });
  const fetch = async () => new Response(bytes, { headers: fields });
  const http = new HttpCache({ fetch, totalTimeout: 100, tiers: tiers([memoryTier()], { bodies: store }) });
  const response = await http.fetch("https://example.com/a");
  await sleep(200);
  const { abandoned, writing } = http.stats().bodies;
  equal([abandoned, writing, stored.size], [1, "closed", 0]);
  equal((await response.arrayBuffer()).byteLength, bytes.length);
});

test("a log that throws harms nobody", async () => {
  const bytes = new Uint8Array(3_000_000);
  const source = origin({ "cache-control": "max-age=60", "content-length": `${bytes.length}` }, { body: () => bytes });
  const { play, store } = playedBodies({ timeout: 200, failures: 1 });
  const log = () => {
    throw new Error("the log is full");
  };
  const http = new HttpCache({ fetch: source.fetch, tiers: tiers([memoryTier()], { bodies: store, log }) });
  const get = async () => (await (await http.fetch("https://example.com/a")).arrayBuffer()).byteLength;
  equal(await get(), bytes.length);
  await sleep(50);
  play.reads = "fail";
  equal([await get(), http.stats().bodies.readErrors], [bytes.length, 1]);
});

test("what is no chain, and no log, is refused", () => {
  throws(() => new HttpCache({ tiers: [memoryTier()] }), { code: "ERR_OPTION", message: /tiers/ });
  throws(() => tiers([memoryTier()], { bodies: memoryTier() }), { code: "ERR_OPTION", message: /bodies.getStream/ });
  throws(() => new HttpCache({ purgeLog: {} }), { code: "ERR_OPTION", message: /purgeLog/ });
});
