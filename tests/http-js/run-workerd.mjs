// `nearcache/http` in raw workerd: each request in a context of its own, as in a Worker. `--only=part of a title`.

import { join } from "node:path";
import { limit, report, settings } from "../js/report.mjs";
import { equal, ok, run, test } from "../js/runner.mjs";
import { bundle, root, scratch, serve } from "../js/workerd.mjs";
import { startOrigin } from "./origin.mjs";

limit(60_000, "http in workerd");
const origin = await startOrigin();
const folder = scratch();
await bundle(join(root, "tests/http-js/worker.mjs"), folder);
const worker = await serve(folder, {
  services: { net: new URL(origin.url).host },
  outbound: "net",
  variables: { ORIGIN: "http://origin.test" },
});
const get = async (path, init) => {
  const response = await fetch(worker.url + path, init);
  const { status, headers } = response;
  return { status, headers, did: headers.get("cache-status"), text: await response.text() };
};
const times = (n, make) => Promise.all(Array.from({ length: n }, (_, i) => make(i)));

test("200 requests at once share one fetch, across requests", async () => {
  const answers = await times(200, () => get("/by-fetch/page/storm"));
  equal([...new Set(answers.map(({ status, text }) => `${status} ${text}`))], ["200 page, call 1\n"]);
  equal(origin.calls("/page/storm"), 1);
  ok(/; hit; ttl=/.test((await get("/by-fetch/page/storm")).did), "no hit");
});

test("a body streams to those who share it, and comes without its coding", async () => {
  const lengths = await times(20, async () => (await get("/by-fetch/large/a")).text.length);
  equal([[...new Set(lengths)], origin.calls("/large/a")], [[200_000], 1]);
  for (const _ of [1, 2]) equal((await get("/by-fetch/gzip/a")).text, "gzip, call 1\n".repeat(100));
});

test("a signal ends a body that is on its way, and not what is stored of it; without that it changes nothing", async () => {
  for (const kind of ["large", "told"]) {
    const staying = get(`/by-signal/${kind}/signal`);
    equal((await get(`/aborted/${kind}/signal`)).text, "enough");
    const { headers, text } = await staying;
    equal([text.length, headers.get("content-length")], [200_000, kind === "told" ? "200000" : null]);
    equal([(await get(`/by-fetch/${kind}/signal`)).text.length, origin.calls(`/${kind}/signal`)], [200_000, 1]);
  }
});

test("a Hono app answers once for 100 requests, and then the cache", async () => {
  const answers = await times(100, () => get("/app/slow"));
  equal([...new Set(answers.map(({ status, text }) => `${status} ${text}`))], ["200 call 1"]);
  ok(/; hit; ttl=/.test((await get("/app/slow")).did), "no hit");
});

test("what is private is each request's own", async () => {
  const texts = await times(20, async () => (await get("/app/own")).text);
  equal(new Set(texts).size, 20);
});

test("a client that leaves takes nobody with it", async () => {
  const path = "/by-fetch/page/left?delay=0";
  const leaving = get("/app/slow?left", { signal: AbortSignal.timeout(50) }).catch((error) => error.name);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const staying = await times(20, () => get("/app/slow?left"));
  equal(await leaving, "TimeoutError");
  equal([...new Set(staying.map(({ status }) => status))], [200]);
  equal((await get(path)).status, 200);
});

test("what comes with a field that is none is nobody else's", async () => {
  // The field was left out before anything looked at it, and the page was everybody's.
  for (const field of [
    'Cache-Control: private, x="\u0001"',
    "Set-Cookie: sid=ann\u007f",
    "Vary: *, \u0001",
    "X: fine",
  ]) {
    const path = `/by-fetch/raw/a?field=${encodeURIComponent(field)}`;
    const answers = [await get(path), await get(path)];
    const [first, second] = answers.map(({ did }) => did);
    if (field === "X: fine") ok(/stored/.test(first), first);
    else
      equal(
        [first, /hit|stored|collapsed/.test(second)],
        [`nearcache; fwd=uri-miss; fwd-status=200; detail=damaged`, false],
      );
  }
});

test("a purge reaches both caches, and nothing is left under way", async () => {
  ok(Number((await get("/purge", { method: "POST" })).text) >= 3, "too few were purged");
  const { fetched, answers } = JSON.parse((await get("/stats")).text);
  equal([fetched.entries, answers.entries, fetched.loadsInFlight, answers.loadsInFlight], [0, 0, 0, 0]);
});

const given = settings();
const result = await run({ ...given, runtime: "workerd" });
worker.stop();
origin.stop();
report("http in workerd", result, given.seed);
