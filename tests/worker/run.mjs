// The Rust Worker end to end: a real origin over HTTP, the Worker in raw workerd and under `wrangler dev`.

import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { agent, get, path, sleep, target } from "./client.mjs";
import { startOrigin } from "./origin.mjs";
import { operated, stale } from "./stale.mjs";
import { startWorkerd, startWrangler } from "./workerd.mjs";

const FRESH = "Cache-Control:max-age=60";
const ONLY_CACHED = { "Cache-Control": "only-if-cached" };

const tests = {
  async "what may be stored is fetched once, and says so"({ server, origin }) {
    const t = target({ h: FRESH });
    const first = await get(server, t);
    const second = await get(server, t);
    assert.match(first.cache, /^nearcache; fwd=uri-miss; stored; ttl=(60|59)$/);
    assert.match(second.cache, /^nearcache; hit; ttl=(60|59)$/);
    assert.match(second.headers.age, /^[01]$/);
    assert.equal(first.text, second.text);
    assert.equal(origin.calls(path(t)), 1);
  },
  async "s-maxage, max-age and Expires give the lifetime, in this order"({ server }) {
    const expires = new Date(Date.now() + 30_000).toUTCString();
    for (const [fields, ttl] of [
      [["Cache-Control:max-age=10, s-maxage=100"], /ttl=(100|99)/],
      [[`Expires:${expires}`, "Cache-Control:max-age=20"], /ttl=(20|19)/],
      [[`Expires:${expires}`], /ttl=(30|29|28)/],
      [["Cache-Control:max-age=60", "Age:50"], /ttl=(10|9)/],
    ]) {
      assert.match((await get(server, target({ h: fields }))).cache, ttl);
    }
  },
  async "what may not be shared is never shared, and says why"({ server, origin }) {
    for (const [fields, why] of [
      [["Cache-Control:no-store"], "no-store"],
      [["Cache-Control:private, max-age=60"], "private"],
      [[FRESH, "Set-Cookie:id=1"], "set-cookie"],
      [[FRESH, "Vary:*"], "vary-any"],
      [[], "no-freshness"],
      [["Cache-Control:max-age=0"], "zero-lifetime"],
    ]) {
      const t = target({ h: fields, delay: 100 });
      const answers = await Promise.all([1, 2, 3].map(() => get(server, t)));
      answers.push(await get(server, t));
      assert.equal(new Set(answers.map(({ text }) => text)).size, 4, `${why}: four requests, four answers`);
      assert.equal(origin.calls(path(t)), 4);
      assert.ok(
        answers.every(({ cache }) => cache.includes("fwd=") && !cache.includes("stored")),
        answers[0].cache,
      );
      assert.ok(
        answers.some(({ cache }) => cache.includes(why)),
        `${why}: ${answers.map(({ cache }) => cache).join(" | ")}`,
      );
    }
  },
  async "a Set-Cookie reaches its own client"({ server }) {
    const { headers } = await get(server, target({ h: [FRESH, "Set-Cookie:a=1", "Set-Cookie:b=2"] }));
    assert.deepEqual(headers["set-cookie"], ["a=1", "b=2"]);
  },
  async "requests with credentials are served alone unless the answer is public"({ server, origin }) {
    const t = target({ h: FRESH, echo: "authorization" });
    const ask = (who) => get(server, t, { headers: { Authorization: who } });
    const [one, two] = [await ask("one"), await ask("two")];
    assert.ok(one.text.includes("one") && two.text.includes("two"));
    assert.match(one.cache, /fwd=uri-miss.*detail=authorization/);
    assert.equal(origin.calls(path(t)), 2);
  },
  async "requests for an unshareable key don't queue behind each other"({ server }) {
    const t = target({ h: "Cache-Control:private", delay: 300 });
    await get(server, t);
    const start = Date.now();
    await Promise.all(Array.from({ length: 10 }, () => get(server, t)));
    const took = Date.now() - start;
    assert.ok(took < 900, `ten at once took ${took} ms`);
  },
  async "a key that turns shareable is shared again"({ server, origin }) {
    let mode = "Cache-Control:private";
    const changing = http.createServer((_, response) => {
      const [name, value] = mode.split(":");
      response.setHeader(name, value);
      response.end("x");
    });
    await new Promise((resolve) => changing.listen(0, "127.0.0.1", resolve));
    const own = await startWorkerd({ ORIGIN: `http://127.0.0.1:${changing.address().port}` });
    try {
      await get(own, "/k");
      mode = FRESH;
      await get(own, "/k");
      await get(own, "/k");
      assert.match((await get(own, "/k")).cache, /; hit;/);
    } finally {
      own.stop();
      changing.closeAllConnections();
      changing.close();
    }
  },
  async "variants are kept apart by the fields in Vary"({ server, origin }) {
    const t = target({ h: [FRESH, "Vary:Accept-Language"], echo: "accept-language" });
    const ask = (language) => get(server, t, { headers: language ? { "Accept-Language": language } : {} });
    for (const language of ["de", "fr", undefined]) {
      const first = await ask(language);
      const second = await ask(language);
      assert.ok(first.text.includes(language ?? "-"), first.text);
      assert.equal(second.text, first.text);
      assert.match(second.cache, /; hit;/);
    }
    assert.equal(origin.calls(path(t)), 3);
  },
  async "a storm over variants asks once for each"({ server, origin }) {
    const t = target({ h: [FRESH, "Vary:X-Kind"], echo: "x-kind", delay: 200 });
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        get(server, t, { headers: { "X-Kind": `kind${i % 3}` } }).then((a) => [i, a]),
      ),
    );
    for (const [i, { text, status }] of answers) assert.ok(status === 200 && text.includes(`kind${i % 3}`), text);
    assert.equal(origin.calls(path(t)), 3);
  },
  async "a client that has the answer gets 304"({ server, origin }) {
    const t = target({ h: [FRESH, 'ETag:"v1"'] });
    await get(server, t);
    const same = await get(server, t, { headers: { "If-None-Match": 'W/"v1"' } });
    assert.deepEqual([same.status, same.text, same.headers.etag], [304, "", '"v1"']);
    const other = await get(server, t, { headers: { "If-None-Match": '"v2"' } });
    assert.equal(other.status, 200);
    assert.equal(origin.calls(path(t)), 1);
  },
  async "a conditional request on a cold key fills the cache with the whole answer"({ server, origin }) {
    const t = target({ h: [FRESH, 'ETag:"v1"'], echo: "if-none-match" });
    const first = await get(server, t, { headers: { "If-None-Match": '"v1"' } });
    assert.equal(first.status, 304);
    const { status, text } = await get(server, t);
    assert.ok(status === 200 && text.includes("GET -"), "the origin was asked without the condition");
    assert.equal(origin.calls(path(t)), 1);
  },
  async "HEAD is answered from a stored GET, and fills where there is none"({ server, origin }) {
    const t = target({ h: FRESH, size: 100 });
    const cold = await get(server, t, { method: "HEAD" });
    assert.equal(cold.status, 200);
    await get(server, t);
    const warm = await get(server, t, { method: "HEAD" });
    assert.match(warm.cache, /; hit;/);
    assert.deepEqual([warm.text, origin.calls(path(t))], ["", 1]);
  },
  async "other methods pass through with their bodies and invalidate"({ server, origin }) {
    const t = target({ h: FRESH });
    await get(server, t);
    const post = await get(server, t, { method: "POST", body: "hello" });
    assert.match(post.cache, /fwd=method/);
    assert.match((await get(server, t)).cache, /fwd=uri-miss/);
    assert.equal(origin.calls(path(t)), 3);
  },
  async "an entry ends when its time has passed"({ server, origin }) {
    const t = target({ h: "Cache-Control:max-age=1" });
    const first = await get(server, t);
    await sleep(1_200);
    const second = await get(server, t);
    assert.notEqual(first.text, second.text);
    assert.match(second.cache, /fwd=(uri-miss|stale)/);
    assert.equal(origin.calls(path(t)), 2);
  },
  async "the reload button goes to the origin and refreshes what is stored"({ server }) {
    const t = target({ h: FRESH });
    const first = await get(server, t);
    const reload = await get(server, t, { headers: { "Cache-Control": "no-cache" } });
    assert.match(reload.cache, /fwd=request; stored/);
    assert.notEqual(first.text, reload.text);
    assert.equal((await get(server, t)).text, reload.text);
  },
  async "only-if-cached answers 504 rather than ask"({ server, origin }) {
    const t = target({ h: FRESH });
    const { status } = await get(server, t, { headers: { "Cache-Control": "only-if-cached" } });
    assert.deepEqual([status, origin.calls(path(t))], [504, 0]);
  },
  async "answers above maxEntryBytes stream through whole and are not stored"({ server, origin }) {
    for (const chunked of [{}, { chunked: "1" }]) {
      const t = target({ h: FRESH, size: 300_000, ...chunked });
      for (let i = 1; i <= 2; i++) {
        const { text, cache } = await get(server, t);
        assert.equal(text.length, 300_000);
        assert.match(cache, /too-large/);
        assert.equal(origin.calls(path(t)), i);
      }
    }
  },
  async "redirects are the client's to follow, and error pages pass"({ server }) {
    const moved = await get(server, target({ status: 302, h: "Location:/elsewhere" }));
    assert.deepEqual([moved.status, moved.headers.location], [302, "/elsewhere"]);
    assert.equal((await get(server, target({ status: 404 }))).status, 404);
    assert.equal((await get(server, target({ status: 503 }))).status, 503);
  },
  async "an origin that hangs up is a 502 with a reason, and the next request asks again"({ server, origin }) {
    const t = target({ h: FRESH, die: "head" });
    const answers = await Promise.all([1, 2, 3].map(() => get(server, t)));
    for (const { status, text, cache } of answers) {
      assert.equal(status, 502);
      assert.match(text, /^nearcache: the origin could not be reached: \S/);
      assert.match(cache, /detail=origin-unreachable/);
    }
    const before = origin.calls(path(t));
    await get(server, t);
    assert.ok(origin.calls(path(t)) > before);
  },
  async "an answer that breaks off breaks off for its client, and is not stored"({ server, origin }) {
    const t = target({ h: FRESH, die: "body" });
    for (let i = 1; i <= 2; i++) {
      const broken = await get(server, t).then(
        ({ status }) => status === 502,
        () => true,
      );
      assert.ok(broken, "a client must not take half for the whole");
      assert.equal(origin.calls(path(t)), i);
    }
  },
  async "an origin that never answers is a 504, and does not hold its key"({ server, origin }) {
    const t = target({ delay: "never" });
    const start = Date.now();
    const answers = await Promise.all([1, 2, 3].map(() => get(server, t)));
    for (const { status, text } of answers) {
      assert.equal(status, 504);
      assert.match(text, /within 2000 ms/);
    }
    assert.ok(Date.now() - start < 4_000);
    assert.equal(origin.calls(path(t)), 1);
  },
  async "hop-by-hop fields stay on their hop"({ server }) {
    const t = target({ h: [FRESH, "Keep-Alive:timeout=5", "X-Kept:yes"] });
    await get(server, t);
    const { headers } = await get(server, t);
    assert.equal(headers["x-kept"], "yes");
    assert.notEqual(headers["keep-alive"], "timeout=5", "a stored one is not handed out");
  },
};

/** Storms: what a request costs when many ask at once. */
async function storm({ server, origin }, requests, keys) {
  const prefix = `${path(target())}-storm`;
  const start = Date.now();
  const answers = await Promise.all(
    Array.from({ length: requests }, (_, i) => get(server, target({ h: FRESH, delay: 300 }, `${prefix}${i % keys}`))),
  );
  const failed = answers.filter(({ status }) => status !== 200).length;
  const calls = origin.callsUnder(prefix);
  const row = { requests, keys, answered: requests - failed, failed, "origin calls": calls, ms: Date.now() - start };
  assert.equal(failed, 0, JSON.stringify(row));
  assert.equal(calls, Math.min(keys, requests), JSON.stringify(row));
  return row;
}

/** The leader's client hangs up; `at` milliseconds after it has asked. */
async function leaderLeaves({ server, origin }, at, followers) {
  const t = target({ h: FRESH, delay: 400 });
  const socket = net.connect(server.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(`GET ${t} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await sleep(Math.max(at, 60));
  const waiting = Array.from({ length: followers }, () => get(server, t));
  socket.destroy();
  const answers = await Promise.all(waiting);
  const late = await get(server, t);
  const failed = [...answers, late].filter(({ status }) => status !== 200).length;
  const row = {
    "leader leaves after ms": at,
    followers,
    answered: answers.length + 1 - failed,
    failed,
    "origin calls": origin.calls(path(t)),
  };
  assert.equal(failed, 0, JSON.stringify(row));
  assert.ok(origin.calls(path(t)) <= 2, JSON.stringify(row));
  return row;
}

async function misconfigured() {
  const broken = {
    "ORIGIN: got nothing": {},
    'ORIGIN: got "ftp://x"': { ORIGIN: "ftp://x" },
    'MAX_BYTES: got "lots"': { ORIGIN: "http://127.0.0.1:1", MAX_BYTES: "lots" },
    'HARD_TIMEOUT: got "soon"': { ORIGIN: "http://127.0.0.1:1", HARD_TIMEOUT: "soon" },
    'STALE_IF_ERROR: got "yes", wants a duration': { ORIGIN: "http://127.0.0.1:1", STALE_IF_ERROR: "yes" },
    'KEEP_FRESH: got "news"': { ORIGIN: "http://127.0.0.1:1", KEEP_FRESH: "news" },
    "ADMIN_TOKEN: got something else, wants 16 or more": { ORIGIN: "http://127.0.0.1:1", ADMIN_TOKEN: "secret" },
    // What wrangler.toml may have in the place of text is read like it, and not passed over.
    'HARD_TIMEOUT: got "30", wants a duration': { ORIGIN: "http://127.0.0.1:1", HARD_TIMEOUT: 30 },
    "RULES: rules[0].tll is not known": { ORIGIN: "http://127.0.0.1:1", RULES: { rules: [{ path: "/", tll: "5m" }] } },
    'RULES: the rules: got [{"path":"/"}], wants an object like': {
      ORIGIN: "http://127.0.0.1:1",
      RULES: [{ path: "/" }],
    },
    "LOG_LEVEL is not known; known are ADMIN_TOKEN, ": { ORIGIN: "http://127.0.0.1:1", LOG_LEVEL: "debug" },
    'HEALTH_MAX_ERROR_RATE: got "5%"': { ORIGIN: "http://127.0.0.1:1", HEALTH_MAX_ERROR_RATE: "5%" },
  };
  for (const [message, vars] of Object.entries(broken)) {
    const server = await startWorkerd(vars);
    try {
      const { status, text } = await get(server, "/");
      assert.equal(status, 500);
      assert.ok(text.includes(message), text);
    } finally {
      server.stop();
    }
  }
}

async function originDown() {
  const server = await startWorkerd({ ORIGIN: "http://127.0.0.1:1" });
  try {
    const { status, text, cache } = await get(server, "/x");
    assert.equal(status, 502, text);
    assert.match(cache, /detail=origin-unreachable/);
  } finally {
    server.stop();
  }
}

/** Twice the budget goes through; the isolate lives, and old entries have made room. */
async function memory(origin) {
  const server = await startWorkerd({ ORIGIN: origin.url, MAX_BYTES: `${4 * 1024 * 1024}`, MAX_ENTRY_BYTES: "200000" });
  try {
    const targets = Array.from({ length: 80 }, () => target({ h: FRESH, size: 100_000 }));
    for (const t of targets) assert.equal((await get(server, t)).status, 200);
    const kept = [];
    for (const t of targets) if (/; hit;/.test((await get(server, t, { headers: ONLY_CACHED })).cache)) kept.push(t);
    assert.ok(kept.length > 20 && kept.length <= 42, `${kept.length} of 80 are kept`);
  } finally {
    server.stop();
  }
}

/** A cron trigger, as wrangler dev lets it be pulled. */
async function scheduled(base, more) {
  const fresh = target({ h: FRESH });
  const server = await startWrangler({ ...vars, KEEP_FRESH: fresh, ...more });
  try {
    const first = await get(server, fresh);
    assert.equal((await get(server, "/cdn-cgi/handler/scheduled")).status, 200);
    const second = await get(server, fresh);
    assert.notEqual(second.text, first.text);
    assert.match(second.cache, /; hit;/);
    assert.equal(origin.calls(`${base}${path(fresh)}`), 2);
  } finally {
    server.stop();
  }
}

let passed = 0;
let failed = 0;
async function check(title, run) {
  try {
    const result = await run();
    passed++;
    if (result) console.log(`  ${title}: ${JSON.stringify(result)}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${title}\n  ${error.stack}`);
  }
}

const only = process.argv[2];
const origin = await startOrigin();
const vars = { ORIGIN: origin.url, MAX_ENTRY_BYTES: "200000", HARD_TIMEOUT: "2s" };
for (const [name, start] of [
  ["workerd", startWorkerd],
  ["wrangler dev", startWrangler],
]) {
  const server = await start(vars);
  const context = { server, origin };
  for (const [title, run] of Object.entries(tests)) {
    if (!only || title.includes(only)) await check(`${name}: ${title}`, () => run(context));
  }
  if (!only) {
    for (const [requests, keys] of [
      [1, 1],
      [50, 1],
      [500, 1],
      [50, 100],
      [500, 100],
    ]) {
      await check(`${name}: storm`, () => storm(context, requests, keys));
    }
    for (const at of [0, 100, 300]) await check(`${name}: leader`, () => leaderLeaves(context, at, 20));
  }
  if (failed) console.log(server.log().split("\n").slice(-20).join("\n"));
  server.stop();
}
for (const { vars, tests } of [stale, operated]) {
  const server = await startWorkerd({ ...vars, ORIGIN: origin.url });
  for (const [title, run] of Object.entries(tests)) {
    if (!only || title.includes(only)) await check(`workerd: ${title}`, () => run({ server, origin }));
  }
  server.stop();
}
if (!only) {
  await check("a wrong configuration says so at the first request", misconfigured);
  await check("a scheduled event loads KEEP_FRESH anew", () => scheduled("", {}));
  const more = { ORIGIN: `${origin.url}/base`, CLIENT_RELOAD: "ignore" };
  await check("also below an origin's path, and where clients' reloads are ignored", () => scheduled("/base", more));
  await check("an origin that is down is a 502", originDown);
  await check("memory stays under the byte budget", () => memory(origin));
}
origin.stop();
agent.destroy();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
