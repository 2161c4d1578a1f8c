// Bodies that are too long for memory, in R2: the Worker in workerd over Miniflare's buckets, an origin with bodies of any length, and clients
// that leave, wait, and count. The first argument: part of a title.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { modulesOf } from "../js/workerd.mjs";
import { sleep } from "./client.mjs";
import { asOperator, built, inWorld, startIsolates, startOrigin } from "./isolates.mjs";
import { runAll, TOKEN } from "./lab.mjs";

const MB = 1_000_000;
const PART = 256 * 1024;

/** Bytes that differ from place to place, and by the call. */
const BLOCK = Buffer.from(Array.from({ length: 65_521 }, (_, at) => (at * 31 + (at >> 8) * 7) & 255));
function* bytesOf(length, call) {
  const block = Buffer.concat([Buffer.from(`call ${call};`), BLOCK]);
  for (let left = length; left > 0; left -= block.length) yield block.subarray(0, Math.min(left, block.length));
}
const whole = (length, call) => Buffer.concat([...bytesOf(length, call)]);
const hashOf = (length, call) => {
  const hash = createHash("sha256");
  for (const some of bytesOf(length, call)) hash.update(some);
  return hash.digest("hex");
};

/** An origin that gives so many bytes: `?bytes=`, `&dies=` after so many, `&rate=` in bytes a second. */
async function startBodies() {
  const origin = await startOrigin(async (request, response, { searchParams: query }, call, world) => {
    const length = Number(query.get("bytes"));
    if (query.has("gzip")) {
      // Stored blocks, so that it is as long as it was.
      const coded = gzipSync(whole(length, call), { level: 0 });
      return response
        .writeHead(200, { "cache-control": "max-age=60", "content-encoding": "gzip", "content-length": coded.length })
        .end(coded);
    }
    const etag = query.get("etag");
    response.setHeader("cache-control", query.get("cc") ?? "max-age=60");
    if (etag) response.setHeader("etag", `"${etag}"`);
    if (etag && request.headers["if-none-match"] === `"${etag}"`) return response.writeHead(304).end();
    if (query.has("tag")) response.setHeader("cache-tag", query.get("tag"));
    if (!query.has("chunked")) response.setHeader("content-length", length);
    const closed = once(response, "close");
    let sent = 0;
    for (const some of bytesOf(length, call)) {
      if (sent >= Number(query.get("dies") ?? Infinity) && call === 1) return response.destroy();
      if (response.destroyed) return;
      if (!response.write(some)) await Promise.race([once(response, "drain").catch(() => {}), closed]);
      sent += some.length;
      world.sent += some.length;
      const rate = Number(query.get("rate") ?? Infinity);
      if (rate < Infinity) await sleep((some.length / rate) * 1_000);
    }
    response.end();
  });
  return Object.assign(origin, { sent: 0 });
}

/** Around the Worker: its bucket fails as it is told to, and tells what is in it. */
const FAULTY = `
export * from "./index.js";
import worker from "./index.js";
let fault = "";
const cut = (stream, after, how) => {
  let left = after;
  return stream.pipeThrough(new TransformStream({
    transform(chunk, controller) {
      const at = left;
      left -= chunk.length;
      if (at < 0 || left >= 0) return controller.enqueue(chunk);
      if (how === "ends") return at > 0 ? (controller.enqueue(chunk.subarray(0, at)), controller.terminate()) : controller.terminate();
      if (how === "fails") throw new Error("10001: internal error");
      if (how === "hangs") return new Promise(() => {});
      const broken = chunk.slice();
      broken[0] ^= 1;
      controller.enqueue(broken);
    },
  }));
};
const bucketOf = (bucket) => ({
  async get(key, options) {
    if (fault === "get fails") throw new Error("10001: internal error");
    if (fault === "get hangs") return new Promise(() => {});
    const object = await bucket.get(key, options);
    const [what, how] = fault.split(" body ");
    if (what !== "get" || object === null) return object;
    return { customMetadata: object.customMetadata, body: cut(object.body, 1_000_000, how) };
  },
  async put(key, value, options) {
    if (fault === "put fails") throw new Error("10001: internal error");
    if (fault === "put hangs") return new Promise(() => {});
    if (fault === "put fails midway") {
      const reader = value.getReader();
      for (let read = 0; read < 1_000_000; ) read += (await reader.read()).value.length;
      throw new Error("10001: internal error");
    }
    return bucket.put(key, value, options);
  },
  head: (key) => bucket.head(key),
  delete: (keys) => bucket.delete(keys),
});
export default {
  async fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/_fault") return new Response(fault = searchParams.get("is"));
    if (pathname === "/_list") return Response.json((await env.BODIES.list()).objects.map(({ key, size }) => ({ key, size })));
    if (pathname === "/_drop") {
      for (const { key } of (await env.BODIES.list()).objects) await env.BODIES.delete(key);
      return new Response("");
    }
    return worker.fetch(request, { ...env, BODIES: bucketOf(env.BODIES) }, context);
  },
};
`;

async function start(origin, folder, options = {}) {
  const modules = [
    { type: "ESModule", path: join(built, "faulty.js"), contents: FAULTY },
    ...modulesOf(built).filter(({ path }) => !path.endsWith("faulty.js")),
  ];
  const stores = { kvNamespaces: { KV: "kv" }, r2Buckets: { BODIES: "bodies" } };
  const { url, ask, stop } = await startIsolates(origin, folder, options, () => ({ modules, ...stores }));
  /** `leave`: after so many bytes; `rate`: bytes a second at the most. */
  const get = async (path, { isolate = 0, headers, method = "GET", leave = Infinity, rate = Infinity, keep } = {}) => {
    const request = http.request(new URL(path, url), {
      method,
      agent: false,
      headers: { "x-isolate": `${isolate}`, ...headers },
    });
    request.on("error", () => {}).end();
    const response = await new Promise((resolve, reject) => {
      request.once("response", resolve).once("error", reject);
    });
    const hash = createHash("sha256");
    const kept = [];
    let length = 0;
    let error;
    try {
      for await (const some of response) {
        length += some.length;
        hash.update(some);
        if (keep) kept.push(some);
        if (length >= leave) break;
        if (rate < Infinity) await sleep((some.length / rate) * 1_000);
      }
    } catch (broken) {
      error = broken;
    }
    request.destroy();
    const { statusCode: status, headers: fields } = response;
    const text = keep && Buffer.concat(kept);
    return {
      status,
      fields,
      did: fields["cache-status"],
      age: fields.age,
      length,
      hash: hash.digest("hex"),
      error,
      text,
    };
  };
  const text = async (path, { isolate = 0, ...init } = {}) => (await ask(isolate, path, init)).text();
  return {
    get,
    fault: async (is, isolate) => void (await text(`/_fault?is=${is}`, { isolate })),
    bodies: async () => JSON.parse(await text("/_list")),
    drop: () => text("/_drop"),
    purge: (what) => text("/_nearcache/purge", asOperator(what)),
    metrics: () => text("/_nearcache/metrics", { headers: { authorization: `Bearer ${TOKEN}` } }),
    stop,
  };
}

async function edge(run, options) {
  await inWorld(await startBodies(), (origin, folder) => start(origin, folder, options), run);
}

/** Asks until it is answered from the store, which is soon after the first body has ended. */
async function stored(get, path, options) {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await get(path, { method: "HEAD", ...options });
    if (/; hit;/.test(answer.did)) return answer;
    await sleep(50);
  }
  throw new Error(`${path} is not stored`);
}

/** What Miniflare's workerd holds now, and has held at the most: MiB. */
function resident() {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      if (Number(/PPid:\s+(\d+)/.exec(status)[1]) !== process.pid || !/^Name:\s+workerd/.test(status)) continue;
      const of = (name) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) / 1_024);
      return { now: of("VmRSS"), most: of("VmHWM") };
    } catch {
      // It has ended.
    }
  }
  throw new Error("there is no workerd");
}

const tests = {
  async "a body too long for memory is stored as it streams, and answered from R2: here, elsewhere, and after a restart"() {
    await edge(async ({ get, bodies, metrics, origin, folder, stop }) => {
      const path = `/a?bytes=${20 * MB}&etag=e`;
      const first = await get(path);
      assert.match(first.did, /^nearcache; fwd=uri-miss.*detail=stored-apart$/);
      assert.equal(first.hash, hashOf(20 * MB, 1));
      await stored(get, path);
      await sleep(1_000);
      const second = await get(path);
      assert.match(second.did, /^nearcache; hit; ttl=5\d; detail=apart$/);
      assert.deepEqual(
        [second.status, second.hash, second.fields.etag, second.fields["content-length"]],
        [200, first.hash, '"e"', `${20 * MB}`],
      );
      assert.ok(Number(second.age) >= 1, second.age);
      const elsewhere = await get(path, { isolate: 1 });
      assert.match(
        elsewhere.did,
        /^nearcache\/kv; hit; ttl=5\d, nearcache; fwd=uri-miss; stored; ttl=5\d; detail=apart$/,
      );
      assert.equal(elsewhere.hash, first.hash);
      assert.deepEqual(
        (await bodies()).map(({ size }) => size),
        [20 * MB],
      );
      const page = await metrics();
      for (const [line, value] of [
        ['requests_total{cache="nearcache",layer="r2",result="hit"}', 1],
        ['writes_total{cache="nearcache",layer="r2",result="stored"}', 1],
        ['written_bytes_total{cache="nearcache",layer="r2"}', 20 * MB],
      ]) {
        assert.ok(page.includes(`nearcache_body_${line} ${value}\n`), `${line}: ${page}`);
      }
      await stop();
      const again = await start(origin, folder);
      try {
        const warm = await again.get(path);
        assert.match(warm.did, /^nearcache\/kv; hit;/);
        assert.equal(warm.hash, first.hash);
      } finally {
        await again.stop();
      }
      assert.equal(origin.calls("/a"), 1);
    });
  },

  async "HEAD, conditions and ranges are answered as from memory"() {
    await edge(async ({ get, origin }) => {
      const path = `/a?bytes=${5 * MB}&etag=e`;
      await get(path);
      await stored(get, path);
      const bytes = whole(5 * MB, 1);
      const head = await get(path, { method: "HEAD" });
      assert.deepEqual([head.status, head.length, head.fields["content-length"]], [200, 0, `${5 * MB}`]);
      const unchanged = await get(path, { headers: { "if-none-match": '"e"' } });
      assert.deepEqual([unchanged.status, unchanged.length, unchanged.fields.etag], [304, 0, '"e"']);
      for (const [from, to] of [
        [0, 1],
        [PART - 1, PART + 1],
        [PART, 2 * PART],
        [1_000_000, 3_000_001],
        [5 * MB - 7, 5 * MB],
      ]) {
        const part = await get(path, { headers: { range: `bytes=${from}-${to - 1}` }, keep: true });
        assert.equal(part.status, 206);
        assert.equal(part.fields["content-range"], `bytes ${from}-${to - 1}/${5 * MB}`);
        assert.equal(part.fields["content-length"], `${to - from}`);
        assert.ok(part.text.equals(bytes.subarray(from, to)), `${from} to ${to}`);
      }
      const last = await get(path, { headers: { range: "bytes=-10" }, keep: true });
      assert.ok(last.text.equals(bytes.subarray(-10)));
      assert.equal((await get(path, { headers: { range: `bytes=${5 * MB}-` } })).status, 416);
      const other = await get(path, { headers: { range: "bytes=0-9", "if-range": '"f"' } });
      assert.deepEqual([other.status, other.length], [200, 5 * MB]);
      assert.equal(origin.calls("/a"), 1);
    });
  },

  async "what is stale is validated, and keeps its body"() {
    await edge(async ({ get, bodies, origin }) => {
      const path = `/a?bytes=${3 * MB}&etag=e&cc=max-age%3D1`;
      await get(path);
      await sleep(1_500);
      const again = await get(path);
      assert.match(again.did, /^nearcache; fwd=stale/);
      assert.equal(again.hash, hashOf(3 * MB, 1));
      assert.equal(origin.calls("/a"), 2);
      assert.ok(origin.sent < 3.2 * MB, "the second was a 304");
      assert.equal((await bodies()).length, 1);
    });
  },

  async "a body that another takes the place of is deleted"() {
    await edge(async ({ get, bodies, origin }) => {
      const path = `/a?bytes=${3 * MB}`;
      await get(path);
      await stored(get, path);
      const [{ key }] = await bodies();
      assert.equal((await get(path, { headers: { "cache-control": "no-cache" } })).hash, hashOf(3 * MB, 2));
      for (let tries = 0; tries < 50 && (await bodies())[0]?.key === key; tries++) await sleep(50);
      await sleep(200);
      assert.equal((await bodies()).length, 1);
      assert.equal((await get(path)).hash, hashOf(3 * MB, 2));
      assert.equal(origin.calls("/a"), 2);
    });
  },

  async "a client that goes away midway does not end what is stored"() {
    await edge(async ({ get, bodies, origin }) => {
      const path = `/a?bytes=${20 * MB}&rate=${20 * MB}`;
      const left = await get(path, { leave: 2 * MB });
      assert.ok(left.length < 10 * MB, `${left.length}`);
      for (let tries = 0; tries < 100 && (await bodies()).length === 0; tries++) await sleep(50);
      await sleep(100);
      assert.equal((await get(path)).hash, hashOf(20 * MB, 1));
      assert.equal(origin.calls("/a"), 1);
    });
  },

  async "an origin that dies midway leaves nothing, and its client knows"() {
    await edge(async ({ get, bodies, origin }) => {
      const path = `/a?bytes=${10 * MB}&dies=${6 * MB}`;
      const cut = await get(path);
      assert.ok(cut.error, "the body was cut");
      await sleep(300);
      assert.deepEqual(await bodies(), []);
      const whole = await get(path);
      assert.equal(whole.hash, hashOf(10 * MB, 2));
      await stored(get, path);
      assert.equal((await get(path, { isolate: 1 })).hash, hashOf(10 * MB, 2));
      assert.equal(origin.calls("/a"), 2);
    });
  },

  async "of unknown length, or longer than the tier takes, it comes from the origin each time"() {
    await edge(async ({ get, bodies, origin }) => {
      const path = `/a?bytes=${5 * MB}&chunked`;
      for (const call of [1, 2]) {
        const answer = await get(path);
        assert.equal(answer.hash, hashOf(5 * MB, call));
      }
      assert.equal(origin.calls("/a"), 2);
      assert.deepEqual(await bodies(), []);
    });
  },

  async "a purge during the upload is not undone by it, and the body goes"() {
    await edge(async ({ get, purge, bodies, origin }) => {
      for (const [what, path] of [
        [{ tags: ["t"] }, `/a?bytes=${10 * MB}&rate=${10 * MB}&tag=t`],
        [{ everything: true }, `/b?bytes=${10 * MB}&rate=${10 * MB}`],
      ]) {
        // The other isolate may not have heard of the purge before, and has its own body yet.
        const others = (await bodies()).map(({ key }) => key);
        const left = async () => (await bodies()).filter(({ key }) => !others.includes(key));
        const first = get(path);
        await sleep(400);
        await purge(what);
        assert.equal((await first).length, 10 * MB);
        // What is of no use is deleted once it lies there.
        for (let tries = 0; tries < 50 && (await left()).length > 0; tries++) await sleep(100);
        assert.deepEqual(await left(), [], JSON.stringify(what));
        for (const isolate of [0, 1]) {
          const answer = await get(path, { isolate });
          assert.ok(!/hit/.test(answer.did.split(",").at(-1)), answer.did);
          if (isolate === 0) assert.equal(answer.hash, hashOf(10 * MB, 2));
        }
        await purge({ everything: true });
        await sleep(100);
      }
    });
  },

  async "a body that is gone from R2 comes from the origin, once for each memory that has it, and is stored again"() {
    await edge(async ({ get, drop, origin }) => {
      const path = `/a?bytes=${5 * MB}`;
      await get(path);
      await stored(get, path);
      await sleep(100);
      assert.match((await get(path, { isolate: 1 })).did, /^nearcache\/kv; hit;/);
      assert.equal(origin.calls("/a"), 1);
      await drop();
      // Who finds that it is gone asks nobody else: what lies in KV may be the same.
      for (const isolate of [0, 1]) {
        assert.equal((await get(path, { isolate })).hash, hashOf(5 * MB, 2 + isolate));
        await stored(get, path, { isolate });
      }
      for (const isolate of [0, 1]) {
        const answer = await get(path, { isolate });
        assert.match(answer.did, /^nearcache; hit; .*detail=apart/);
        assert.equal(answer.hash, hashOf(5 * MB, 2 + isolate));
      }
      assert.equal(origin.calls("/a"), 3);
    });
  },

  async "R2 that fails or hangs while it is written costs its client nothing but its timeout, once"() {
    for (const fault of ["put fails", "put fails midway", "put hangs"]) {
      await edge(async ({ get, fault: be, bodies, origin }) => {
        await be(fault);
        const path = `/a?bytes=${10 * MB}`;
        const began = performance.now();
        assert.equal((await get(path)).hash, hashOf(10 * MB, 1), fault);
        const took = performance.now() - began;
        assert.ok(took < 4_000, `${fault}: ${took} ms`);
        console.log(`  ${fault}: 10 MB in ${Math.round(took)} ms`);
        assert.deepEqual(await bodies(), []);
        assert.equal((await get(path)).hash, hashOf(10 * MB, 2));
        await be("");
        assert.equal((await get(path)).hash, hashOf(10 * MB, 3));
        await stored(get, path);
        assert.equal(origin.calls("/a"), 3);
      });
    }
  },

  async "R2 that can't be read is made up for by the origin; it is left alone after five failures"() {
    for (const fault of ["get fails", "get hangs"]) {
      await edge(async ({ get, fault: be, origin }) => {
        const paths = Array.from({ length: 8 }, (_, at) => `/${at}?bytes=${3 * MB}`);
        for (const path of paths) {
          await get(path);
          await stored(get, path);
        }
        await be(fault);
        const times = [];
        for (const path of paths) {
          const began = performance.now();
          const answer = await get(path);
          times.push(Math.round(performance.now() - began));
          assert.deepEqual([answer.status, answer.length], [200, 3 * MB], fault);
        }
        console.log(`  ${fault}: ${times.join(", ")} ms`);
        assert.ok(Math.max(...times.slice(5)) < 1_500, `${times}`);
        assert.equal(origin.calls("/7"), 2);
      });
    }
  },

  async "a body in R2 that is broken or cut ends with an error, and the next one is the origin's"() {
    for (const fault of ["get body breaks", "get body ends", "get body fails"]) {
      await edge(async ({ get, fault: be, bodies, origin }) => {
        const path = `/a?bytes=${5 * MB}`;
        await get(path);
        await stored(get, path);
        await be(fault);
        const broken = await get(path, { keep: true });
        assert.ok(broken.error, `${fault}: the client is told`);
        assert.ok(broken.length <= MB, `${broken.length}: nothing is handed out that is not believed`);
        assert.ok(broken.text.equals(whole(5 * MB, 1).subarray(0, broken.length)), fault);
        await be("");
        await sleep(100);
        const next = await get(path);
        assert.equal(next.length, 5 * MB);
        if (fault === "get body fails") return;
        assert.equal(next.hash, hashOf(5 * MB, 2), "what is not what was stored is deleted");
        await stored(get, path);
        assert.equal((await bodies()).length, 1);
        assert.equal(origin.calls("/a"), 2);
      });
    }
  },

  async "100 MB pass in bounded memory, there and back"() {
    await edge(
      async ({ get, origin }) => {
        const idle = resident().now;
        const took = { in: [], out: [] };
        let first;
        for (let round = 0; round < 3; round++) {
          const path = `/large-${round}?bytes=${100 * MB}`;
          for (const way of ["in", "out"]) {
            const began = performance.now();
            assert.equal((await get(path)).hash, hashOf(100 * MB, 1));
            took[way].push(Math.round(performance.now() - began));
            if (way === "in") await stored(get, path);
          }
          assert.equal(origin.calls(`/large-${round}`), 1);
          first ??= resident().most;
        }
        const later = resident().most;
        console.log(
          `  100 MB into R2 in ${took.in} ms, out in ${took.out} ms; ${idle} MiB idle, ${first} after one, ${later} after three`,
        );
        assert.ok(later - first < 60, `${later - first} MiB`);
      },
      { isolates: 1 },
    );
  },

  async "slow clients and 50 readers at once are served in bounded memory"() {
    await edge(
      async ({ get, origin }) => {
        const path = `/slow?bytes=${20 * MB}`;
        assert.equal((await get(path, { rate: 20 * MB })).hash, hashOf(20 * MB, 1));
        await stored(get, path);
        const before = resident().most;
        const began = performance.now();
        const many = await Promise.all(Array.from({ length: 50 }, () => get(path)));
        assert.deepEqual([...new Set(many.map(({ hash }) => hash))], [hashOf(20 * MB, 1)]);
        const { most } = resident();
        console.log(
          `  50 readers of 20 MB: ${Math.round(performance.now() - began)} ms; ${before} MiB before, at the most ${most} MiB`,
        );
        assert.equal(origin.calls("/slow"), 1);
        assert.ok(most - before < 200, `${most - before} MiB`);
      },
      { isolates: 1 },
    );
  },

  async "a coded body is kept as it came, and decoded for who can't read it"() {
    await edge(async ({ get, origin, bodies }) => {
      const path = `/a?bytes=${4 * MB}&gzip`;
      const plain = { headers: { "accept-encoding": "identity" } };
      assert.equal((await get(path, plain)).hash, hashOf(4 * MB, 1));
      for (let tries = 0; tries < 100 && (await bodies()).length === 0; tries++) await sleep(50);
      await sleep(100);
      const answer = await get(path, plain);
      assert.match(answer.did, /^nearcache; hit; .*detail=apart$/);
      assert.equal(answer.hash, hashOf(4 * MB, 1));
      assert.equal(origin.calls("/a"), 1);
    });
  },

  async "50 at once for a cold one store it once"() {
    await edge(async ({ get, bodies }) => {
      const path = `/a?bytes=${5 * MB}`;
      const answers = await Promise.all(Array.from({ length: 50 }, () => get(path)));
      assert.deepEqual([...new Set(answers.map(({ length }) => length))], [5 * MB]);
      await stored(get, path);
      await sleep(200);
      assert.equal((await bodies()).length, 1);
    });
  },
};

// Some have hundreds of megabytes to move.
await runAll(tests, 150_000);
