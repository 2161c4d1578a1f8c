// The example as its users run it: in `wrangler dev`, in front of a slow origin that counts its calls. End to end, and so in
// real time.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { sleep } from "../js/runner.mjs";
import { startWrangler } from "../wrangler.mjs";
import { startOrigin } from "./origin.mjs";

const root = new URL("../../", import.meta.url).pathname;
const ORIGIN_DELAY = 300;
const TIMEOUT = 10_000; // the example's own
let passed = 0;
let failed = 0;

async function test(title, body) {
  try {
    await body();
    passed++;
    console.log(`ok      ${title}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${title}\n        ${String(error.stack).split("\n").slice(0, 12).join("\n        ")}`);
  }
}

const times = (n, make) => Promise.all(Array.from({ length: n }, (_, i) => make(i)));

const origin = await startOrigin({ delay: ORIGIN_DELAY });
let worker;
try {
  await test("the example type-checks, strictly", () => {
    const tsc = spawnSync(
      process.execPath,
      [`${root}node_modules/typescript/bin/tsc`, "-p", `${root}examples/js-worker`],
      { encoding: "utf8" },
    );
    assert.equal(tsc.status, 0, tsc.stdout + tsc.stderr);
  });
  worker = await startWrangler(`${root}examples/js-worker`, { ORIGIN: `http://127.0.0.1:${origin.port}` });
  await run();
} catch (error) {
  failed++;
  console.log(`FAILED  ${error.stack}`);
} finally {
  worker?.stop();
  await origin.stop();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function get(path, init) {
  const response = await fetch(worker.url + path, init);
  const { status, headers } = response;
  return { status, headers, did: headers.get("cache-status"), text: await response.text() };
}

async function run() {
  for (const [n, delay] of [
    [1, 300],
    [50, 1000],
    [500, 5000],
  ]) {
    await test(`${n} concurrent requests for one cold URL: all answered, the origin is asked once`, async () => {
      const path = `/page/storm-${n}?delay=${delay}`;
      const answers = await times(n, () => get(path));
      for (const { status, text } of answers)
        assert.deepEqual([status, text], [200, `GET ${path} for anyone, call 1\n`]);
      assert.equal(origin.calls(path), 1);
      const did = (what) => answers.filter((answer) => answer.did.startsWith(`nearcache; ${what}; ttl=`)).length;
      assert.equal(did("fwd=uri-miss; stored"), 1);
      assert.equal(did("fwd=uri-miss; collapsed") + did("hit"), n - 1);
      assert.ok(did("fwd=uri-miss; collapsed") >= 0.8 * (n - 1), "most came while the load was under way");
    });
  }

  await test("500 requests over 100 cold URLs: the origin is asked 100 times", async () => {
    const before = origin.calls();
    const answers = await times(500, (i) => get(`/page/many-${i % 100}?delay=1000`));
    answers.forEach(({ status, text }, i) =>
      assert.deepEqual([status, text], [200, `GET /page/many-${i % 100}?delay=1000 for anyone, call 1\n`]),
    );
    assert.equal(origin.calls() - before, 100);
  });

  await test("a hit says so, tells its age, and does not ask the origin", async () => {
    assert.match((await get("/page/hit")).did, /^nearcache; fwd=uri-miss; stored; ttl=(59|60)$/);
    await sleep(1100);
    const { status, did, headers } = await get("/page/hit");
    assert.equal(status, 200);
    assert.match(did, /^nearcache; hit; ttl=5[789]$/);
    assert.match(headers.get("age"), /^[12]$/);
    assert.equal(origin.calls("/page/hit"), 1);
  });

  await test("a ttl ends across requests, while it is asked for again and again", async () => {
    const path = "/page/short?ttl=2&delay=0";
    const end = Date.now() + 5500;
    while (Date.now() < end) {
      await get(path);
      await sleep(150);
    }
    assert.ok(
      origin.calls(path) === 3 || origin.calls(path) === 4,
      `${origin.calls(path)} calls in 5.5 s with a ttl of 2 s`,
    );
  });

  await test("s-maxage beats max-age, and the Age an answer came with counts", async () => {
    await get("/shared/a");
    assert.match((await get("/shared/a")).did, /; hit;/);
    await get("/aged/a"); // 58 s old already, of 60
    await sleep(2500);
    assert.match((await get("/aged/a")).did, /fwd=uri-miss/);
    assert.equal(origin.calls("/aged/a"), 2);
  });

  const why = {
    private: /; detail=private$/,
    "no-store": /; detail=no-store$/,
    cookie: /; detail=set-cookie$/,
    vary: /; stored; ttl=\d+$/,
    plain: /; detail=no-freshness$/,
  };
  for (const kind of Object.keys(why)) {
    await test(`${kind}: 50 at once and 50 again each get their own answer, not one after another`, async () => {
      for (const wave of ["first", "second"]) {
        const path = `/${kind}/own?delay=1500`;
        origin.peak();
        const before = origin.calls(path);
        const answers = await times(50, (i) => get(path, { headers: { "x-who": `${wave}-${i}` } }));
        answers.forEach(({ status, text, did }, i) => {
          assert.equal(status, 200);
          assert.ok(text.startsWith(`GET ${path} for ${wave}-${i}, call `), text);
          assert.ok(why[kind].test(did) || did === "nearcache; fwd=bypass; fwd-status=200; detail=uncacheable", did);
        });
        const cookies = new Set(answers.map(({ headers }) => headers.get("set-cookie")));
        assert.equal(cookies.size, kind === "cookie" ? 50 : 1);
        assert.equal(origin.calls(path) - before, 50);
        assert.ok(origin.peak() >= 40, "they were under way together");
      }
    });
  }

  await test("requests with Authorization or Cookie get their own answer and leave none behind", async () => {
    const path = "/max-age/who";
    const why = {
      authorization: /^nearcache; fwd=(uri-miss; fwd-status=200; detail=authorization|bypass; .*detail=uncacheable)$/,
      cookie: /^nearcache; fwd=bypass; fwd-status=200; detail=pass$/,
    };
    for (const header of ["authorization", "cookie"]) {
      const answers = await times(10, (i) => get(path, { headers: { [header]: `a=${i}`, "x-who": `${header}-${i}` } }));
      answers.forEach(({ text, did }, i) => {
        assert.ok(text.startsWith(`GET ${path} for ${header}-${i},`), text);
        assert.match(did, why[header]);
      });
    }
    assert.equal((await get(path)).text, `GET ${path} for anyone, call 21\n`);
  });

  await test("a personal request does not get what is stored for all, nor join a load for all", async () => {
    const path = "/page/mixed?delay=800";
    const [, own] = await Promise.all([
      get(path),
      sleep(100).then(() => get(path, { headers: { cookie: "a=1", "x-who": "me" } })),
    ]);
    assert.equal(own.text, `GET ${path} for me, call 2\n`);
    assert.equal((await get(path, { headers: { cookie: "a=1", "x-who": "me" } })).text, `GET ${path} for me, call 3\n`);
  });

  await test("other methods go through, and a HEAD loads what a GET is then answered with", async () => {
    const post = await get("/page/post", { method: "POST", body: "x" });
    assert.deepEqual(
      [post.text, post.did],
      ["POST /page/post for anyone, call 1\n", "nearcache; fwd=method; fwd-status=200; detail=pass"],
    );
    const head = await get("/page/post", { method: "HEAD" });
    assert.equal(head.text, "");
    assert.match(head.did, /; stored; ttl=\d+$/);
    assert.equal((await get("/page/post")).text, "GET /page/post for anyone, call 2\n");
  });

  await test("a body above the bound goes through whole, and is not stored", async () => {
    const path = "/page/large?size=3000000";
    const answers = await times(5, () => get(path));
    for (const { status, text } of answers)
      assert.equal(status === 200 && text.length > 3_000_000 && text.endsWith("xxx"), true);
    assert.equal(origin.calls(path), 5);
    await get("/page/fits?size=1000000");
    const { did, text } = await get("/page/fits?size=1000000");
    assert.match(did, /; hit;/);
    assert.ok(text.length > 1_000_000);
  });

  await test("one answer suits clients that take gzip and clients that don't", async () => {
    for (const encoding of ["gzip", "identity"]) {
      const { text, headers } = await get("/encoding/a?size=2000", { headers: { "accept-encoding": encoding } });
      assert.equal(text, `GET /encoding/a?size=2000 for anyone, call 1\n${"x".repeat(2000)}`);
      assert.equal(headers.get("content-encoding") ?? "identity", encoding);
    }
  });

  await test("a conditional request gets the whole page, so that all may have it", async () => {
    const { status } = await get("/page/conditional", { headers: { "if-none-match": '"x"' } });
    assert.equal(status, 200);
    assert.match((await get("/page/conditional")).did, /; hit;/);
  });

  await test("answers with a ttl are stored, whatever their status", async () => {
    await get("/status-404/a");
    const { status, did } = await get("/status-404/a");
    assert.equal(status, 404);
    assert.match(did, /; hit;/);
    for (const _ of [1, 2]) {
      const { status, text } = await get("/status-500/a");
      assert.deepEqual([status, text], [500, "GET /status-500/a for anyone, call 1\n"]);
    }
  });

  await test("a redirect is the client's to follow", async () => {
    const { status, headers } = await get("/status-301/a", { redirect: "manual" });
    assert.deepEqual([status, headers.get("location")], [301, "/elsewhere"]);
  });

  await test("a path that looks like another host stays with the origin", async () => {
    const { status, text } = await get("//elsewhere.example/a");
    assert.deepEqual([status, text], [200, "GET //elsewhere.example/a for anyone, call 1\n"]);
  });

  await test("when the first client leaves, those who wait get their answer", async () => {
    const path = "/page/leader-leaves?delay=1500";
    const leader = new AbortController();
    const gone = get(path, { signal: leader.signal }).catch((error) => error.name);
    await sleep(300);
    const followers = times(20, () => get(path));
    await sleep(400);
    leader.abort();
    assert.equal(await gone, "AbortError");
    for (const { status } of await followers) assert.equal(status, 200);
    assert.ok(origin.calls(path) <= 2, `${origin.calls(path)} calls`);
  });

  await test("an origin that is too slow: 504 with a reason, for all at once", async () => {
    const start = Date.now();
    const shared = times(5, () => get("/page/slow?delay=13000"));
    const answers = [...(await shared), await get("/page/slow", { method: "POST" })];
    for (const { status, text } of answers.slice(0, 5))
      assert.deepEqual([status, text], [504, `nearcache: the origin gave no answer within ${TIMEOUT} ms\n`]);
    assert.ok(Date.now() - start < TIMEOUT + 3000);
    assert.equal(origin.calls("/page/slow?delay=13000"), 1);
    const { status } = await get("/page/slow?delay=13000", { headers: { cookie: "a=1" } });
    assert.equal(status, 504);
  });

  await test("the origin down: 502 with a reason; what is stored is still there", async () => {
    await get("/page/kept");
    await origin.stop();
    for (const { status, text, did } of await times(20, () => get("/page/down"))) {
      assert.equal(status, 502);
      assert.match(text, /^nearcache: the origin could not be reached: \S.*\n$/);
      assert.match(did, /^nearcache; fwd=uri-miss; (collapsed; )?detail=origin-unreachable$/);
    }
    assert.equal((await get("/page/down", { headers: { cookie: "a=1" } })).status, 502);
    assert.match((await get("/page/kept")).did, /; hit;/);
  });
}
