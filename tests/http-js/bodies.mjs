// Bodies on their way: what they hold in memory, and that one client's trouble is not another's.

import { HttpCache } from "nearcache/http";
import { memoryTier, tiers } from "nearcache/tiers";
import { equal, ok, rejects, sleep, test } from "../js/runner.mjs";

const KB = 1_000;
const MB = 1_000 * KB;
const CHUNK = 50 * KB;
const MINUTE = { "cache-control": "max-age=60" };

/** An origin of bodies that are made as they are read: how much that was, and how they ended. */
function streams(length, { told = false, every = 0 } = {}) {
  const world = { calls: 0, sent: 0, cancelled: 0, left: Infinity };
  world.fetch = async () => {
    world.calls++;
    let at = 0;
    const body = new ReadableStream(
      {
        async pull(controller) {
          if (every > 0) await sleep(every);
          if (at >= length) return controller.close();
          if (at >= world.left) return controller.error(new Error("the origin has failed"));
          const chunk = new Uint8Array(Math.min(CHUNK, length - at)).fill(at / CHUNK);
          at += chunk.length;
          world.sent += chunk.length;
          controller.enqueue(chunk);
        },
        cancel: () => void world.cancelled++,
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: told ? { ...MINUTE, "content-length": `${length}` } : MINUTE });
  };
  return world;
}

/** Whether it is what such an origin has sent, all of it. */
const isWhole = (bytes, length) =>
  bytes.length === length && bytes.every((byte, at) => byte === (Math.floor(at / CHUNK) & 255));
const bytesOf = async (response) => new Uint8Array(await response.arrayBuffer());
const PAGE = "https://example.com/";

/** Whether a body of this length is stored now. */
let stored = 0;
async function stores(http, length = 10) {
  const url = `${PAGE}stores/${stored++}`;
  const headers = { ...MINUTE, "content-length": `${length}` };
  const handler = () => new Response(new Uint8Array(length), { headers });
  for (const _ of [1, 2]) {
    const response = await http.handle(new Request(url), handler);
    await response.arrayBuffer();
    await sleep(5);
    if (/; hit/.test(response.headers.get("cache-status"))) return true;
  }
  return false;
}

/** Reads a stream to its end, with a pause before each chunk. */
async function slowly(stream) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    await sleep(20);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function until(is) {
  for (let tries = 0; tries < 200 && !is(); tries++) await sleep(5);
  ok(is(), `${is}`);
}

/** A cache over a store of bodies that does what it is told. */
function overBodies(fetch, setStream, { timeout = 5_000, ...options } = {}) {
  const store = {
    name: "played",
    options: { timeout },
    get: async () => undefined,
    set: async () => {},
    delete: async () => {},
    getStream: async () => undefined,
    setStream,
  };
  return new HttpCache({ fetch, tiers: tiers([memoryTier()], { bodies: store }), ...options });
}

test("clients that do not read bodies too long for the cache hold no more memory than bodies on their way may", async () => {
  const length = 3 * MB;
  const origin = streams(length);
  const http = new HttpCache({ fetch: origin.fetch, maxFillingBytes: 4 * MB, defaults: { maxBodyBytes: 2 * MB } });
  const responses = [];
  for (let at = 0; at < 20; at++) {
    responses.push(await http.fetch(`${PAGE}${at}`));
    await until(() => http.stats().loadsInFlight === 0);
  }
  // One chunk or two are on their way to each.
  ok(origin.sent <= 4 * MB + 20 * 2 * CHUNK, `${origin.sent} bytes are held`);
  for (const response of responses) ok(isWhole(await bytesOf(response), length));
  equal(await stores(http), true, "there is room again");
});

test("a client that leaves what is too long gives its room back, and so does one that takes nothing in time", async () => {
  for (const leaves of [true, false]) {
    const origin = streams(2 * MB);
    const limits = { maxFillingBytes: MB, idleTimeout: 100, totalTimeout: 200 };
    const http = new HttpCache({ fetch: origin.fetch, ...limits });
    const response = await http.fetch(PAGE);
    await until(() => http.stats().loadsInFlight === 0);
    equal(await stores(http, MB / 2), false, "there is no room");
    if (leaves) await response.body.cancel();
    else await sleep(250);
    equal(await stores(http, MB / 2), true, "there is room");
    equal(origin.cancelled, 1);
    if (!leaves) await rejects(bytesOf(response), { message: "the body was given up" });
  }
});

test("a client that takes what is too long bit by bit gets all of it; one that takes nothing for a while loses it", async () => {
  for (const stalls of [false, true]) {
    const http = new HttpCache({ fetch: streams(2 * MB).fetch, maxFillingBytes: MB, idleTimeout: 500 });
    const reader = (await http.fetch(PAGE)).body.getReader();
    await until(() => http.stats().loadsInFlight === 0);
    const read = async () => {
      let length = 0;
      for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
        length += value.length;
        if (length <= MB) await sleep(stalls ? 800 : 200);
      }
      return length;
    };
    if (stalls) await rejects(read, { message: "the body was given up" });
    else equal(await read(), 2 * MB);
    equal(await stores(http, MB / 2), true, "there is room");
  }
});

test("what an origin has sent before it failed is held for nobody", async () => {
  const origin = Object.assign(streams(2 * MB), { left: 900 * KB });
  const http = new HttpCache({ fetch: origin.fetch, maxFillingBytes: MB });
  const response = await http.fetch(PAGE);
  await until(() => http.stats().loadsInFlight === 0);
  equal(await stores(http, MB / 2), true, "there is room");
  let had = 0;
  const reading = async () => {
    for await (const chunk of response.body) had += chunk.length;
  };
  await rejects(reading, { message: "the origin has failed" });
  ok(had <= CHUNK, `${had} bytes were held`);
});

test("what a client does with the bytes that it gets is nobody else's business", async () => {
  const spoils = {
    overwrites: (chunk) => chunk.fill(255),
    transfers: ({ buffer }) => structuredClone(buffer, { transfer: [buffer] }),
  };
  for (const [name, spoil] of Object.entries(spoils)) {
    for (const [length, options] of [
      [1 * MB, { told: true }],
      [1 * MB, {}],
      [5 * MB, { told: true }],
    ]) {
      const origin = streams(length, { every: 1, ...options });
      const stored = [];
      const http = overBodies(
        origin.fetch,
        async ({ stream }) => void stored.push(await bytesOf(new Response(stream))),
      );
      const one = await http.fetch(PAGE);
      const two = http.fetch(PAGE).then(bytesOf);
      for await (const chunk of one.body) spoil(chunk);
      ok(isWhole(await two, length), `${name}: another's, ${length}`);
      await until(() => http.stats().loadsInFlight === 0);
      const kept = length > 2 * MB ? stored[0] : await bytesOf(await http.fetch(PAGE));
      ok(isWhole(kept, length), `${name}: what is stored, ${length}`);
    }
  }
});

test("a body that comes in crumbs costs no more than reading it", async () => {
  const length = 1 * MB;
  const crumbs = () => {
    let at = 0;
    return new ReadableStream({
      pull(controller) {
        if (at === length) return controller.close();
        controller.enqueue(Uint8Array.of((at >> 3) & 255, (at >> 3) & 255, (at >> 3) & 255, (at >> 3) & 255));
        at += 4;
      },
    });
  };
  const begin = performance.now();
  const plain = await bytesOf(new Response(crumbs()));
  const alone = performance.now() - begin;
  const http = new HttpCache({ fetch: async () => new Response(crumbs(), { headers: MINUTE }) });
  const bytes = await bytesOf(await http.fetch(PAGE));
  const took = performance.now() - begin - alone;
  equal(Buffer.compare(bytes, plain), 0);
  ok(took < 20 * alone, `${Math.round(took)} ms, alone ${Math.round(alone)} ms`);
  equal(Buffer.compare(await bytesOf(await http.fetch(PAGE)), plain), 0);
});

test("a store of bodies that says too soon that it has one is held to reading it", async () => {
  const length = 5 * MB;
  for (const reads of [true, false]) {
    const origin = streams(length, { told: true });
    let stored;
    const http = overBodies(
      origin.fetch,
      async ({ stream }) => {
        if (reads) stored = slowly(stream);
      },
      { timeout: 200 },
    );
    const response = await http.fetch(PAGE);
    const bytes = bytesOf(response);
    await sleep(100);
    ok(origin.sent < 2 * MB, `${origin.sent} bytes were read for a store that reads slowly, or nothing`);
    ok(isWhole(await bytes, length));
    await until(() => http.stats().loadsInFlight === 0);
    const { writes, writeErrors } = http.stats().bodies;
    equal([writes, writeErrors], reads ? [1, 0] : [0, 1]);
    if (reads) ok(isWhole(await stored, length));
  }
});

test("a client that does not read what is stored apart holds up nobody, and gets all of it when it does", async () => {
  const length = 5 * MB;
  const origin = streams(length, { told: true });
  const http = overBodies(origin.fetch, ({ stream }) => new Response(stream).arrayBuffer(), {
    idleTimeout: 50,
    maxLoads: 2,
  });
  const stalled = await http.fetch(PAGE);
  const others = await Promise.all([1, 2, 3].map(() => http.fetch(PAGE).then(bytesOf, (error) => error)));
  ok(isWhole(others[0], length));
  await until(() => http.stats().loadsInFlight === 0);
  equal([http.stats().bodies.abandoned, http.stats().bodies.writing], [1, "closed"]);
  ok(origin.sent < 5 * length);
  ok(isWhole(await bytesOf(await http.fetch(PAGE)), length), "another stores it");
  await until(() => http.stats().bodies.writes === 1);
  ok(isWhole(await bytesOf(stalled), length));
});

test("a signal that is aborted behind the head ends its body, and nobody else's", async () => {
  for (const [length, options] of [
    [1 * MB, {}],
    [1 * MB, { told: true }],
    [5 * MB, {}],
    [5 * MB, { told: true }],
  ]) {
    const origin = streams(length, { every: 2, ...options });
    const stored = [];
    const http = overBodies(origin.fetch, async ({ stream }) => void stored.push(await bytesOf(new Response(stream))));
    const controller = new AbortController();
    const left = await http.fetch(PAGE, { signal: controller.signal });
    const staying = http.fetch(PAGE).then(bytesOf);
    const reader = left.body.getReader();
    equal((await reader.read()).done, false);
    const reason = new Error("enough");
    controller.abort(reason);
    await rejects(
      (async () => {
        while (!(await reader.read()).done);
      })(),
      reason,
    );
    ok(isWhole(await staying, length), `${length}, ${options.told}`);
    await until(() => http.stats().loadsInFlight === 0);
    // What can be kept is kept, in memory or apart.
    if (length === 5 * MB && !options.told) continue;
    if (length === 5 * MB) ok(isWhole(stored[0], length));
    else ok(isWhole(await bytesOf(await http.fetch(PAGE)), length));
    equal(http.stats().entries, 1);
  }
});

test("a request's signal that is taken off it ends nothing", async () => {
  const http = new HttpCache({ fetch: streams(1 * MB, { every: 2 }).fetch });
  const controller = new AbortController();
  const request = new Request(PAGE, { signal: controller.signal });
  const response = await http.fetch(request, { signal: null });
  controller.abort();
  ok(isWhole(await bytesOf(response), 1 * MB));
});

test("a signal that is aborted behind the head ends a body that is the client's alone, at the origin as well", async () => {
  const origin = streams(5 * MB, { every: 2 });
  const http = new HttpCache({
    fetch: async () => new Response((await origin.fetch()).body, { headers: { "cache-control": "no-store" } }),
  });
  const controller = new AbortController();
  const { body } = await http.fetch(PAGE, { signal: controller.signal });
  controller.abort();
  await rejects(
    body
      .getReader()
      .read()
      .then(({ done }) => done),
    { name: "AbortError" },
  );
  await until(() => origin.cancelled === 1);
});
