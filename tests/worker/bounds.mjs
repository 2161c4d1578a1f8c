// What the cache says that it weighs against what both heaps grow by, and that nothing is left behind. Garbage is collected before
// each look. `--long` for the counts of the issue: 100,000 misses, 20,000 clients that leave.

import assert from "node:assert/strict";
import http from "node:http";
import { agent, get, sleep } from "./client.mjs";
import { memoryOf } from "./memory.mjs";
import { TOKEN } from "./lab.mjs";
import { startWorkerd } from "./workerd.mjs";

const LONG = process.argv.includes("--long");
const only = process.argv.slice(2).find((argument) => !argument.startsWith("--")) ?? "";
const MIB = 1 << 20;
const long = "q".repeat(2_000);
const block = Buffer.alloc(64 * 1024);
let serial = 0;

const kinds = {
  failing: (response) => response.writeHead(500).end("x"),
  tagged(response) {
    const tags = Array.from({ length: 100 }, (_, i) => `t${++serial}-${i}`.padEnd(40, "x"));
    response.writeHead(200, { "cache-control": "max-age=600", "cache-tag": tags.join(",") }).end("x");
  },
  fields(response) {
    const fields = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`x-field-${i}`, `value-${i}`]));
    response.writeHead(200, { "cache-control": "max-age=600", ...fields }).end("x");
  },
  vary: (response) => response.writeHead(200, { "cache-control": "max-age=600", vary: "X-Kind" }).end("x"),
  private: (response) => response.writeHead(200, { "cache-control": "no-store" }).end("x"),
  plain: (response) => response.writeHead(200, { "cache-control": "max-age=600" }).end("x".repeat(1_000)),
  slow(response) {
    response.writeHead(200, { "cache-control": "max-age=600", "content-length": 1_000_000 });
    response.write(Buffer.alloc(900_000));
    setTimeout(() => response.end(Buffer.alloc(100_000)), 3_000);
  },
  endless(response) {
    response.writeHead(200, { "cache-control": "max-age=600" });
    const write = () => {
      while (!response.destroyed && response.write(block));
    };
    response.on("drain", write);
    write();
  },
  late: (response) => setTimeout(() => response.writeHead(200, { "cache-control": "no-store" }).end("x"), 40),
  hang() {},
};

const origin = http.createServer((request, response) => {
  const kind = kinds[request.url.split("/")[1]];
  if (kind) kind(response);
  else response.writeHead(200, { "cache-control": "no-store" }).end("ready");
});
origin.keepAliveTimeout = 600_000;
await new Promise((resolve) => origin.listen(0, "127.0.0.1", 4096, resolve));
const ORIGIN = `http://127.0.0.1:${origin.address().port}`;

async function pool(count, width, run) {
  let next = 0;
  const lane = async () => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

async function weighed(server) {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const { text } = await get(server, "/_nearcache/metrics", { headers });
  return Number(/^nearcache_bytes\{[^}]*\} (\d+)/m.exec(text)[1]) / MIB;
}

/**
 * Both heaps after many requests, and after as many again: the wasm's is what the cache says that it weighs and little more, and
 * neither goes on growing. (What V8 takes at first is its own affair: in raw workerd nobody sets it a limit.)
 */
async function bounded(vars, count, ask) {
  const max = Number(vars.MAX_BYTES ?? 8 * MIB);
  const server = await startWorkerd({ ORIGIN, ADMIN_TOKEN: TOKEN, MAX_BYTES: `${max}`, ...vars }, { probed: true });
  try {
    await pool(count, 50, ask(server));
    let after = await memoryOf(server);
    for (let round = 1; ; round++) {
      const before = after;
      await pool(count, 50, (i) => ask(server)(round * count + i));
      after = await memoryOf(server);
      const says = await weighed(server);
      const row = { count: (round + 1) * count, says: Math.round(says * 10) / 10, before, after };
      assert.ok(says <= max / MIB, JSON.stringify(row));
      assert.ok(after.wasm <= says + 6, JSON.stringify(row));
      assert.ok(after.wasm - before.wasm <= 2, JSON.stringify(row));
      // What V8 has taken for good it takes once; what leaks goes on.
      if (after.resident - before.resident <= GROWTH) return row;
      assert.ok(round < 2, JSON.stringify(row));
    }
  } finally {
    server.stop();
  }
}
/** How much more of the process may be resident after as many again: pages that V8 and malloc have not given back. */
const GROWTH = 90;

const scale = LONG ? 5 : 1;
const one = (kind) => (server) => (i) => get(server, `/${kind}/${i}?${long}`);
const tests = {
  "many remembered errors": () => bounded({ ERROR_BACKOFF: "1h" }, 4_000 * scale, one("failing")),
  "long tags": () => bounded({}, 3_000 * scale, one("tagged")),
  "small answers with many fields": () => bounded({}, 8_000 * scale, (server) => (i) => get(server, `/fields/${i}`)),
  "many variants of one target": () =>
    bounded({}, 4_000 * scale, (server) => (i) => get(server, "/vary", { headers: { "x-kind": `${i}${long}` } })),
  "answers that nobody may share": () => bounded({}, 4_000 * scale, one("private")),
  "nothing is left of misses": () => bounded({ MAX_ENTRIES: "100" }, LONG ? 100_000 : 10_000, one("plain")),
  async "nothing is left of clients that leave"() {
    const leave = (server) => (i) =>
      new Promise((resolve) => {
        const request = http.get(`${server.url}/late/${i % 500}`, { agent: false }).on("error", resolve);
        request.on("close", resolve);
        setTimeout(() => (request.socket?.resetAndDestroy?.(), request.destroy()), 15);
      });
    return bounded({ MAX_ENTRIES: "100", UNCACHEABLE_TTL: "0s" }, LONG ? 20_000 : 3_000, leave);
  },
  async "bodies on their way into the cache are bounded, and what has no room goes by"() {
    const server = await startWorkerd(
      { ORIGIN, MAX_FILLING_BYTES: `${4 * MIB}`, HARD_TIMEOUT: "10s" },
      { probed: true },
    );
    try {
      const before = await memoryOf(server);
      const answers = Promise.all(Array.from({ length: 60 }, (_, i) => get(server, `/slow/${i}`)));
      await sleep(2_000);
      const during = await memoryOf(server);
      for (const { status, text } of await answers) assert.deepEqual([status, text.length], [200, 1_000_000]);
      const row = { before, during };
      assert.ok(during.resident - before.resident <= 100, JSON.stringify(row));
      return row;
    } finally {
      server.stop();
    }
  },
  async "what clients do not read of bodies too long for the cache takes room until they leave, or the time is over"() {
    const limits = { MAX_BYTES: `${32 * MIB}`, MAX_ENTRY_BYTES: `${16 * MIB}`, MAX_FILLING_BYTES: `${32 * MIB}` };
    for (const [time, stays] of [
      ["5m", false],
      ["6s", true],
    ]) {
      const server = await startWorkerd({ ORIGIN, ...limits, TOTAL_TIMEOUT: time });
      const stores = async () => {
        const path = `/plain/room-${++serial}`;
        await get(server, path);
        await sleep(20);
        return /; hit/.test((await get(server, path)).headers["cache-status"]);
      };
      const until = async (wanted) => {
        for (let tries = 0; tries < 80; tries++, await sleep(100)) if ((await stores()) === wanted) return;
        assert.fail(`room: never ${wanted}, stays: ${stays}`);
      };
      try {
        const clients = [];
        // One after the other, each with as much as it may have: sockets take some megabytes of that, too.
        for (let i = 0; i < 3; i++) {
          const request = http.get(`${server.url}/endless/${i}`, { agent: false }).on("error", () => {});
          request.on("response", (response) => response.on("error", () => {}).pause());
          clients.push(request);
          await sleep(600);
        }
        await until(false);
        if (!stays) {
          await sleep(1_000);
          assert.equal(await stores(), false);
          for (const request of clients) request.socket.resetAndDestroy();
        }
        await until(true);
        for (const request of clients) request.destroy();
      } finally {
        server.stop();
      }
    }
  },
  async "loads under way are bounded: beyond, 503 and Retry-After"() {
    const server = await startWorkerd({ ORIGIN, MAX_LOADS: "50", HARD_TIMEOUT: "2s" });
    try {
      const answers = await Promise.all(Array.from({ length: 80 }, (_, i) => get(server, `/hang/${i}`)));
      const refused = answers.filter(({ status, headers }) => status === 503 && headers["retry-after"]);
      assert.equal(refused.length, 30);
      assert.equal(answers.filter(({ status }) => status === 504).length, 50);
      assert.equal((await get(server, "/plain/after")).status, 200);
    } finally {
      server.stop();
    }
  },
};

let passed = 0;
let failed = 0;
for (const [title, run] of Object.entries(tests).filter(([title]) => title.includes(only))) {
  try {
    const row = await run();
    passed++;
    console.log(`  ${title}${row ? `: ${JSON.stringify(row)}` : ""}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${title}\n  ${error.stack.split("\n").slice(0, 8).join("\n  ")}`);
  }
}
origin.closeAllConnections();
origin.close();
agent.destroy();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
