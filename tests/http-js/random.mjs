// Random clients of an HTTP cache whose origin and store of bodies do as chance tells them: who has read a body to its end has all of
// it, and no stream is left that nobody reads.

import { HttpCache } from "nearcache/http";
import { memoryTier, tiers } from "nearcache/tiers";
import { context, equal, randomFrom, sleep, test } from "../js/runner.mjs";

const LENGTHS = [5_000, 30_000, 400_000];
const MOSTLY_WELL = new Array(5).fill("well");
/** What the origin cuts, and the cache passes on as it is. */
const PASSED = /detail=(too-large|pass)/;

const bytesOf = (path, version) => {
  const bytes = new Uint8Array(LENGTHS[path]);
  for (let at = 0; at < bytes.length; at++) bytes[at] = at * 7 + (at >> 8) + path * 13 + version * 31;
  return bytes;
};

async function walk(seed, steps) {
  const random = randomFrom(seed);
  const pick = (list) => list[random(list.length)];
  const now = { origin: "well", reads: "well", writes: "well" };
  const versions = LENGTHS.map(() => 0);
  const [open, stored, clients, wrong] = [new Set(), new Map(), new Set(), []];

  /** A body that is known to be open until it has ended or been cancelled. */
  function streamOf(whose, bytes, mood) {
    const ends = mood === "well" ? Infinity : bytes.length / 2;
    const known = { whose, mood };
    let at = 0;
    open.add(known);
    return new ReadableStream(
      {
        async pull(controller) {
          if (random(3) === 0) await sleep(random(4));
          if (at >= Math.min(ends, bytes.length)) {
            open.delete(known);
            if (mood !== "breaks") return controller.close();
            throw new Error("broken");
          }
          controller.enqueue(bytes.slice(at, (at += 1 + random(40_000))));
        },
        cancel: () => void open.delete(known),
      },
      { highWaterMark: 0 },
    );
  }

  const bodies = {
    name: "played",
    options: { timeout: 60, failures: 3, cooldown: 100 },
    get: async () => undefined,
    set: async () => {},
    delete: async (name) => stored.delete(name),
    async getStream(name, start, end) {
      if (now.reads === "fails") throw new Error("down");
      const bytes = stored.get(name)?.slice(start, end);
      if (now.reads === "lies") bytes?.reverse();
      return bytes && streamOf("store", bytes, now.reads === "lies" ? "well" : now.reads);
    },
    async setStream({ name, stream }) {
      if (now.writes === "fails") throw new Error("full");
      if (now.writes === "hangs") return new Promise(() => {});
      stored.set(name, new Uint8Array(await new Response(stream).arrayBuffer()));
    },
  };
  const http = new HttpCache({
    defaults: { maxBodyBytes: pick([10_000, 100_000, 500_000]) },
    idleTimeout: 300,
    totalTimeout: pick([400, 5_000]),
    tiers: tiers([memoryTier()], { bodies, log: () => {} }),
  });
  const handler = (request) => {
    if (now.origin === "fails") throw new Error("down");
    const { pathname, search } = new URL(request.url);
    const bytes = bytesOf(pathname.slice(1), versions[pathname.slice(1)]);
    const headers = { "cache-control": "max-age=60", ...(search === "" && { "content-length": `${bytes.length}` }) };
    return new Response(streamOf("origin", bytes, now.origin), { headers });
  };

  async function client() {
    const path = random(LENGTHS.length);
    const isChunked = random(3) === 0;
    const most = random(3) === 0 ? random(8) : Infinity;
    const request = new Request(`https://example.com/${path}${isChunked ? "?chunked" : ""}`);
    const response = await http.handle(request, handler);
    if (response.status !== 200) return void (await response.arrayBuffer());
    const parts = [];
    const reader = response.body.getReader();
    try {
      for (let reads = 0; ; reads++) {
        if (reads >= most) {
          if (random(2)) reader.read().catch(() => {});
          return await reader.cancel();
        }
        const { done, value } = await reader.read();
        if (done) break;
        parts.push(value);
        if (random(10) === 0) await sleep(random(30));
      }
    } catch {
      return;
    }
    const got = Buffer.concat(parts);
    const mayBeCut = isChunked || PASSED.test(response.headers.get("cache-status"));
    for (let version = 0; version <= versions[path]; version++) {
      const bytes = bytesOf(path, version);
      const length = mayBeCut ? got.length : bytes.length;
      if (Buffer.compare(got, bytes.subarray(0, length)) === 0) return;
    }
    wrong.push(`${got.length} bytes of /${path}, ${response.headers.get("cache-status")}`);
  }

  for (let step = 0; step < steps; step++) {
    switch (random(12)) {
      case 0:
        now.reads = pick([...MOSTLY_WELL, "fails", "breaks", "ends", "lies"]);
        break;
      case 1:
        now.writes = pick([...MOSTLY_WELL, "fails", "hangs"]);
        break;
      case 2:
        now.origin = pick([...MOSTLY_WELL, "fails", "breaks", "ends"]);
        break;
      case 3:
        if (random(4) > 0) break;
        versions[random(LENGTHS.length)]++;
        http.purge({ everything: true });
        break;
      case 4:
      case 5:
        await sleep(random(15));
        break;
      default: {
        const one = client().finally(() => clients.delete(one));
        clients.add(one);
      }
    }
  }
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, 5_000)));
  await Promise.race([Promise.all(clients), late]);
  clearTimeout(timer);
  if (clients.size > 0) wrong.push(`${clients.size} who never end`);
  for (let tries = 0; tries < 100 && open.size + http.stats().loadsInFlight > 0; tries++) await sleep(20);
  equal([wrong, [...open], http.stats().loadsInFlight], [[], [], 0], `seed ${seed}`);
}

test("whatever origin, store and clients do, each body is whole or broken, and nothing stays open", async () => {
  await Promise.all([0, 1, 2, 3, 4, 5].map((at) => walk(context.seed + at, 80)));
});
