// `nearcache/http` in Node, by its name: over HTTP, with an origin that counts. `--only=part of a title`.

import { createServer } from "node:http";
import { inspect } from "node:util";
import { Hono } from "hono";
import { etag } from "hono/etag";
import { cachedFetch, hono, HttpCache, NearCacheError } from "nearcache/http";
import { limit, report, settings } from "../js/report.mjs";
import { equal, ok, rejects, run, sleep, test } from "../js/runner.mjs";
import { startOrigin } from "./origin.mjs";

limit(60_000, "http in node");
const origin = await startOrigin();
const times = (n, make) => Promise.all(Array.from({ length: n }, (_, i) => make(i)));
/** What has been read is stored at once, but not in the same instant. */
const read = async (response) => {
  const text = await (await response).text();
  await sleep(5);
  return text;
};
const MINUTE = { "cache-control": "max-age=60" };
const did = (response) => response.headers.get("cache-status");
const refused = (make, code, wanted) => {
  try {
    make();
  } catch (error) {
    ok(error instanceof NearCacheError, String(error));
    equal(error.code, code);
    ok(error.message.includes(wanted), error.message);
    return;
  }
  throw new Error(`nothing was refused; wanted ${wanted}`);
};

test("a second request is a hit, with its age and Cache-Status, and the origin is not asked", async () => {
  const http = new HttpCache();
  const first = await http.fetch(`${origin.url}/page/hit`);
  equal([first.status, await first.text()], [200, "page, call 1\n"]);
  ok(/^nearcache; fwd=uri-miss.*stored/.test(did(first)), did(first));
  await sleep(20);
  const second = await cachedFetch(`${origin.url}/page/hit`, { cache: http });
  equal(await second.text(), "page, call 1\n");
  ok(/^nearcache; hit; ttl=(59|60)/.test(did(second)), did(second));
  equal([second.url, second.headers.get("age")], [`${origin.url}/page/hit`, "0"]);
  equal(origin.calls("/page/hit"), 1);
  const { hits, misses, entries, loads, loadsInFlight } = http.stats();
  equal([hits, misses, entries, loads, loadsInFlight], [1, 1, 1, 1, 0]);
  ok(/^HttpCache \{ entries: 1, bytes: \d+, hits: 1, misses: 1, coalesced: 0 \}$/.test(inspect(http)), inspect(http));
  ok(http.prometheus().includes("nearcache_requests_total{"), http.prometheus());
});

test("a body that ends before the length it came with is an error for all who read it, and is not stored", async () => {
  const http = new HttpCache();
  let calls = 0;
  const answer = () => {
    calls++;
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(new Uint8Array(10));
        await sleep(10);
        controller.close();
      },
    });
    return new Response(body, { headers: { ...MINUTE, "content-length": "20" } });
  };
  const get = () => http.handle(new Request("https://example.com/"), answer).then((response) => response.arrayBuffer());
  const message = "the body broke off";
  await times(3, () => rejects(get(), { message }));
  await rejects(get(), { message });
  equal([calls, http.stats().entries], [2, 0]);
});

test("where the wasm fails, at whatever call, who waits gets a 5xx, the next ones another instance, and no connection is kept", async () => {
  let open = 0;
  const body = () => {
    open++;
    const source = {
      pull(controller) {
        open--;
        controller.enqueue(new TextEncoder().encode("v"));
        controller.close();
      },
      cancel: () => void open--,
    };
    return new ReadableStream(source, { highWaterMark: 0 });
  };
  const { now } = Date;
  const failing = () => {
    throw new WebAssembly.RuntimeError("unreachable");
  };
  const lines = [];
  const { error } = console;
  console.error = (...line) => lines.push(line);
  try {
    for (let calls = 0; calls < 20; calls++) {
      const http = new HttpCache({ fetch: async () => new Response(body(), { headers: MINUTE }) });
      let left = calls;
      // The wasm reads the clock in nearly every call.
      Date.now = () => (left-- === 0 ? failing() : now());
      const statuses = await times(3, async () => (await http.fetch("https://example.com/")).status);
      await sleep(5);
      Date.now = now;
      ok(
        statuses.every((status) => status === 200 || status >= 500),
        `${statuses} after ${calls}`,
      );
      if (calls === 0) equal(statuses.includes(500), true);
      equal(await read(http.fetch("https://example.com/")), "v", `after ${calls}`);
      equal(open, 0, `open after ${calls}`);
    }
  } finally {
    Object.assign(Date, { now });
    console.error = error;
  }
});

test("an origin is not kept waiting with a body that is too long for the cache, and that its client has left", async () => {
  for (const reads of [1, 9]) {
    let isCancelled = false;
    const body = new ReadableStream(
      {
        async pull(controller) {
          await sleep(2);
          controller.enqueue(new Uint8Array(50_000));
        },
        cancel: () => void (isCancelled = true),
      },
      { highWaterMark: 0 },
    );
    const http = new HttpCache({ defaults: { maxBodyBytes: 300_000 } });
    const answer = () => new Response(body, { headers: MINUTE });
    const reader = (await http.handle(new Request("https://example.com/"), answer)).body.getReader();
    for (let read = 0; read < reads; read++) await reader.read();
    await reader.cancel();
    await sleep(100);
    equal(isCancelled, true, `after ${reads} reads`);
  }
});

test("100 requests at once ask the origin once", async () => {
  const http = new HttpCache();
  const path = "/page/storm?delay=100";
  const texts = await times(100, async () => (await http.fetch(origin.url + path)).text());
  equal([...new Set(texts)], ["page, call 1\n"]);
  equal(origin.calls(path), 1);
  const { misses, coalesced } = http.stats();
  equal([misses, coalesced], [1, 99]);
});

test("what is stale is validated, and a 304 freshens it", async () => {
  const http = new HttpCache();
  const path = "/etag/a?age=0";
  for (let call = 1; call <= 3; call++) {
    const response = await http.fetch(origin.url + path);
    equal([response.status, await response.text()], [200, "etag, call 1\n"]);
    equal(origin.calls(path), call);
  }
});

test("a client that has it already gets a 304 from the cache", async () => {
  const http = new HttpCache();
  await (await http.fetch(`${origin.url}/etag/b`)).text();
  const response = await http.fetch(`${origin.url}/etag/b`, { headers: { "if-none-match": '"one"' } });
  equal([response.status, response.body, origin.calls("/etag/b")], [304, null, 1]);
});

/** A handler whose bodies are too long to be kept, if they are not cancelled before. */
function longBodies(fields = {}) {
  const bodies = { begun: 0, cancelled: 0 };
  const handler = async () => {
    bodies.begun++;
    const source = {
      pull: (controller) => controller.enqueue(new Uint8Array(256 * 1024)),
      cancel: () => void bodies.cancelled++,
    };
    return new Response(new ReadableStream(source), { headers: { "cache-control": "max-age=60", ...fields } });
  };
  return { bodies, handler };
}

test("what is too long to be kept goes by with the length that the origin says", async () => {
  const http = new HttpCache({ defaults: { maxBodyBytes: 1_000 } });
  const handler = async () => new Response("x".repeat(2_000), { headers: { "content-length": "2000", ...MINUTE } });
  for (const method of ["GET", "HEAD", "GET"]) {
    const response = await http.handle(new Request("http://a/long", { method }), handler);
    const length = (await response.text()).length;
    equal([response.headers.get("content-length"), length], ["2000", method === "GET" ? 2_000 : 0]);
  }
});

test("a body that nobody takes is cancelled", async () => {
  const announced = { "content-length": String(2 ** 40) };
  const cases = [
    [{ method: "HEAD" }, announced],
    [{ method: "HEAD" }, {}],
    [{ headers: { "if-none-match": "*" } }, {}],
  ];
  for (const [init, fields] of cases) {
    const http = new HttpCache();
    const { bodies, handler } = longBodies(fields);
    const response = await http.handle(new Request("http://a/long", init), handler);
    equal(await response.text(), "");
    while (http.stats().loadsInFlight > 0) await sleep(1);
    equal(bodies, { begun: 1, cancelled: 1 }, JSON.stringify([init, fields]));
  }
});

test("a body whose client has left before its answer is cancelled", async () => {
  const { bodies, handler } = longBodies({ "content-length": String(2 ** 40) });
  const http = new HttpCache();
  const controller = new AbortController();
  const asked = http.handle(new Request("http://a/long", { signal: controller.signal }), async (request) => {
    const response = await handler(request);
    controller.abort(new Error("left"));
    return response;
  });
  equal(await asked.catch(({ message }) => message), "left");
  await sleep(5);
  equal(bodies, { begun: 1, cancelled: 1 });
});

test("a body that falls silent is cancelled", async () => {
  const silent = { cancelled: 0 };
  const source = () =>
    new ReadableStream({
      start: (controller) => controller.enqueue(new Uint8Array(10)),
      pull: () => new Promise(() => {}),
      cancel: () => void silent.cancelled++,
    });
  const http = new HttpCache({ idleTimeout: 20 });
  const response = await http.handle(
    new Request("http://a/silent"),
    async () => new Response(source(), { headers: MINUTE }),
  );
  equal(await response.text().catch(() => "broken"), "broken");
  equal(silent.cancelled, 1);
});

test("a body that is no bytes, or breaks with what is no error, ends for all who wait", async () => {
  const sources = [
    { start: (controller) => (controller.enqueue("text"), controller.close()) },
    { start: (controller) => void setTimeout(() => controller.error(Object.create(null)), 5) },
  ];
  for (const source of sources) {
    const http = new HttpCache();
    const handler = async () => new Response(new ReadableStream(source), { headers: MINUTE });
    const bodies = await times(3, async () =>
      (await http.handle(new Request("http://a/odd"), handler)).text().catch(() => "broken"),
    );
    ok(
      bodies.every((body) => body === "broken" || body.startsWith("nearcache: the origin could not be reached")),
      bodies,
    );
    equal(http.stats().entries, 0);
  }
});

test("Vary: each who has an answer of its own, from the cache", async () => {
  const http = new HttpCache();
  for (const who of ["ann", "bob", "ann", "bob"]) {
    const response = await http.fetch(`${origin.url}/vary/a`, { headers: { "x-who": who } });
    equal(await response.text(), `for ${who}\n`);
  }
  equal(origin.calls("/vary/a"), 2);
});

test("where the origin fails, what is stale stands in as long as stale-if-error says", async () => {
  const http = new HttpCache();
  await read(http.fetch(`${origin.url}/sie/a?age=0`));
  origin.fail();
  try {
    const response = await http.fetch(`${origin.url}/sie/a?age=0`);
    equal([response.status, await response.text()], [200, "sie, call 1\n"]);
    equal((await http.fetch(`${origin.url}/page/never-seen`)).status, 503);
  } finally {
    origin.fail(false);
  }
});

test("an origin that can't be reached is a 502 that says so, and one that is late a 504", async () => {
  const http = new HttpCache({ hardTimeout: 100 });
  const gone = await http.fetch("http://127.0.0.1:9/");
  equal(gone.status, 502);
  ok((await gone.text()).length > 0, "an empty body");
  equal((await http.fetch(`${origin.url}/page/late?delay=1000`)).status, 504);
});

test("what is stale for a while is given at once and loaded behind", async () => {
  const http = new HttpCache();
  const path = "/swr/a?age=0";
  const get = () => read(http.fetch(origin.url + path));
  equal([await get(), await get()], ["swr, call 1\n", "swr, call 1\n"]);
  await sleep(100);
  equal([await get(), http.stats().refreshes], ["swr, call 2\n", 2]);
});

test("a range is cut from what is stored whole", async () => {
  const http = new HttpCache();
  await (await http.fetch(`${origin.url}/large/r`)).text();
  const response = await http.fetch(`${origin.url}/large/r`, { headers: { range: "bytes=99999-100000" } });
  equal([response.status, await response.text()], [206, "xy"]);
  equal(response.headers.get("content-range"), "bytes 99999-100000/200000");
  equal(origin.calls("/large/r"), 1);
});

test("a body streams to all who ask while it is read", async () => {
  const http = new HttpCache();
  const lengths = await times(10, async () => (await (await http.fetch(`${origin.url}/large/s`)).text()).length);
  equal([[...new Set(lengths)], origin.calls("/large/s")], [[200_000], 1]);
});

test("a body too long to be kept goes by whole", async () => {
  const http = new HttpCache({ defaults: { maxBodyBytes: 1000 } });
  for (const call of [1, 2]) {
    equal((await (await http.fetch(`${origin.url}/large/t`)).text()).length, 200_000);
    equal(origin.calls("/large/t"), call);
  }
});

test("encoded bodies come decoded, as from fetch, and no field says otherwise", async () => {
  const http = new HttpCache();
  for (const _ of [1, 2]) {
    const response = await http.fetch(`${origin.url}/gzip/a`);
    equal(await response.text(), "gzip, call 1\n".repeat(100));
    equal(response.headers.get("content-encoding"), null);
  }
  equal(origin.calls("/gzip/a"), 1);
});

test("redirects are followed, each step from the cache; or given, or refused", async () => {
  const http = new HttpCache();
  for (const _ of [1, 2]) {
    const response = await http.fetch(`${origin.url}/moved/a`);
    equal([await response.text(), response.redirected], ["page, call 1\n", true]);
    equal(response.url, `${origin.url}/page?from=1`);
  }
  equal([origin.calls("/moved/a"), origin.calls("/page?from=1")], [1, 1]);
  equal((await http.fetch(`${origin.url}/moved/a`, { redirect: "manual" })).status, 301);
  const error = await http.fetch(`${origin.url}/moved/a`, { redirect: "error" }).catch((error) => error);
  ok(error instanceof TypeError, String(error));
});

test("a write that is redirected is followed as fetch does, and what it leads to is asked for anew", async () => {
  const asked = [];
  let version = 1;
  const server = createServer(async (request, response) => {
    const { method, url, headers } = request;
    let body = "";
    for await (const chunk of request) body += chunk;
    asked.push([method, url, body, headers["content-type"]?.split(";")[0] ?? null]);
    const status = Number(url.slice(1, 4));
    if (status > 0) {
      if (status === 303) version++;
      return response.writeHead(status, { location: status < 304 ? "/page#there" : "/taken" }).end();
    }
    response.setHeader("cache-control", "max-age=60");
    response.end(url === "/page" ? `version ${version}` : `${method} ${body}`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  const http = new HttpCache();
  equal(await (await http.fetch(`${base}/page`)).text(), "version 1");
  asked.length = 0;
  const send = async (ask, path, init) => {
    const response = await ask(base + path, init);
    return [await response.text(), response.url, response.redirected, response.status];
  };
  const cases = [
    ["/303", { method: "POST", body: "x" }],
    ["/303/delete", { method: "DELETE" }],
    ["/302", { method: "POST", body: "x" }],
    ["/302/put", { method: "PUT", body: "words" }],
    ["/301", { method: "POST", body: new URLSearchParams({ a: "1" }) }],
    ["/307", { method: "POST", body: "again" }],
    ["/308", { method: "PUT", body: new Blob(["blob"], { type: "text/css" }) }],
    ["/307/none", { method: "DELETE" }],
  ];
  for (const [path, init] of cases) {
    version = 1;
    const wanted = [await send(fetch, path, init), asked.splice(0)];
    version = 1;
    equal([await send((...given) => http.fetch(...given), path, init), asked.splice(0)], wanted, path);
  }
  const form = new FormData();
  form.set("name", "value");
  ok((await (await http.fetch(`${base}/307`, { method: "POST", body: form })).text()).includes("value"));
  const stream = new Blob(["x"]).stream();
  const once = { method: "POST", body: stream, duplex: "half" };
  await rejects(http.fetch(`${base}/307`, once), { message: /a stream, which can't be sent again/ });
  await rejects(http.fetch(`${base}/307`, { method: "POST", body: "x", redirect: "error" }), { message: /forbids/ });
  equal((await http.fetch(`${base}/307`, { method: "POST", body: "x", redirect: "manual" })).status, 307);
  server.close();
  server.closeAllConnections();
});

test("the URL of a response has no fragment", async () => {
  const http = new HttpCache();
  for (const _ of [1, 2]) equal((await http.fetch(`${origin.url}/page/f#there`)).url, `${origin.url}/page/f`);
});

test("a POST reaches the origin with its body, and invalidates its URL", async () => {
  const http = new HttpCache();
  const sent = await http.fetch(`${origin.url}/echo/a`, { method: "POST", body: "some words" });
  equal(await sent.text(), "POST some words no cookie");
  await (await http.fetch(`${origin.url}/page/posted`)).text();
  await (await http.fetch(`${origin.url}/page/posted`, { method: "POST", body: "x" })).text();
  equal(await (await http.fetch(`${origin.url}/page/posted`)).text(), "page, call 3\n");
});

test("a POST invalidates what its Location names, whether or not it says the scheme's own port", async () => {
  for (const [base, named] of [
    ["http://example.com", "http://example.com/item"],
    ["http://example.com", "http://example.com:80/item"],
    ["https://example.com", "https://example.com:443/item"],
    ["http://example.com:8080", "http://example.com:8080/item"],
  ]) {
    const http = new HttpCache({
      fetch: async (_, { method }) =>
        method === "POST"
          ? new Response("made", { status: 201, headers: { location: named } })
          : new Response("item", { headers: MINUTE }),
    });
    for (const wanted of ["fwd=uri-miss", "hit", "fwd=uri-miss"]) {
      if (wanted !== "hit" && http.stats().entries)
        await read(http.fetch(`${base}/new`, { method: "POST", body: "x" }));
      const response = await http.fetch(`${base}/item`);
      ok(did(response).startsWith(`nearcache; ${wanted}`), `${named}: ${did(response)}`);
      await read(response);
    }
  }
});

test("a request with cookies goes past with them", async () => {
  const http = new HttpCache();
  for (const cookie of ["a=1", "a=2"]) {
    const response = await http.fetch(`${origin.url}/page/cookie`, { headers: { cookie } });
    ok(did(response).includes("fwd=bypass"), did(response));
  }
  equal(origin.calls("/page/cookie"), 2);
});

test("a signal ends the wait of its request, and of no other", async () => {
  const http = new HttpCache();
  const url = `${origin.url}/page/left?delay=100`;
  const leaving = http.fetch(url, { signal: AbortSignal.timeout(20) }).catch((error) => error.name);
  const staying = http.fetch(url).then((response) => response.text());
  equal([await leaving, await staying], ["TimeoutError", "page, call 1\n"]);
});

test("http and https of a host are told apart", async () => {
  const asked = [];
  const http = new HttpCache({
    fetch: async (url) => {
      asked.push(url);
      return new Response(url, { headers: { "cache-control": "max-age=60" } });
    },
  });
  for (const url of ["http://example.com/", "https://example.com/", "http://example.com/"]) {
    ok((await (await http.fetch(url)).text()).startsWith(url.split("//")[0]), url);
  }
  equal(asked.length, 2);
  equal([http.purge({ url: "http://example.com/" }), http.stats().entries], [1, 1]);
  // A port that says nothing of the scheme, or the other's.
  const bring = async (url) => (await http.fetch(url)).text();
  for (const at of [":8443", ":80", ":443"]) {
    const both = [`http://example.com${at}/`, `https://example.com${at}/`];
    for (const url of [...both, ...both]) equal(new URL(await bring(url)).href, new URL(url).href);
  }
  equal(http.purge({ url: "https://example.com:8443/" }), 2, "both of a port have one name");
});

test("a purge by the very URL that was asked for meets it, whatever its rule makes of the query", async () => {
  const http = new HttpCache({
    defaults: { key: { query: { sort: true, drop: ["utm_*"] } } },
    rules: [{ path: "/any", key: { anyHost: true } }],
    fetch: async (url) => new Response(url, { headers: { "cache-control": "max-age=60" } }),
  });
  const base = "https://example.com";
  const bring = async (path) => (await http.fetch(base + path)).text();
  const query = "/x?b=2&a=1&utm_x=3";
  for (const url of [
    base + query,
    query,
    "https://EXAMPLE.com:443/x?a=1&b=2#there",
    "/x?a=1&b=2",
    new URL(base + query),
  ]) {
    await bring(query);
    equal(http.purge({ url }), 1, String(url));
  }
  for (const path of ["/ä", "/ä?ö=ü", "/any", "/a b", "/a/../b"]) {
    for (const url of [path, base + path]) {
      await bring(path);
      equal([http.purge({ url: `${url}x` }), http.purge({ url })], [0, 1], url);
    }
  }
  for (const prefix of ["/ä", `${base}/ä`, `${base}`, "/ä/.", "/"]) {
    await bring("/ä/.well");
    equal([http.purge({ prefix: "/ä/b" }), http.purge({ prefix })], [0, 1], prefix);
  }
});

test("a write takes out what its rule names, by the rules of what is named", async () => {
  let calls = 0;
  const http = new HttpCache({
    rules: [
      { path: "/feed", key: { device: true } },
      { path: "/page/*", key: { anyHost: true } },
      { path: "/sorted", key: { query: { drop: ["utm_*"] } } },
      { path: "/api/*", purges: { paths: ["/feed", "/page/1", "/sorted"] } },
    ],
    fetch: async () => new Response(`call ${++calls}`, { headers: { "cache-control": "max-age=60" } }),
  });
  const paths = ["/feed", "/page/1", "/sorted?utm_a=1"];
  const ask = async (path, init) => (await http.fetch(`https://example.com${path}`, init)).text();
  for (const path of paths) await ask(path);
  await ask("/api/x", { method: "POST", body: "x" });
  equal(await Promise.all(paths.map((path) => ask(path))), ["call 5", "call 6", "call 7"]);
});

test("what comes with a field that is none is nobody else's", async () => {
  const http = new HttpCache();
  let calls = 0;
  for (const [name, value] of [
    ["cache-control", 'private, max-age=60, x="\u0001"'],
    ["set-cookie", "sid=ann\u007f"],
    ["vary", "cookie\u0001, *"],
  ]) {
    const fields = [
      ["last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"],
      [name, value],
    ];
    const ask = async () => {
      const request = new Request(`https://example.com/${name}`);
      const response = await http.handle(request, () => new Response(`call ${++calls}`, { headers: fields }));
      return [await response.text(), did(response)];
    };
    equal((await ask())[1], "nearcache; fwd=uri-miss; fwd-status=200; detail=damaged");
    const [text, way] = await ask();
    equal([text, way.includes("hit")], [`call ${calls}`, false], way);
  }
  equal(calls, 6);
});

test("purges by URL, prefix, tag and everything, hard and soft", async () => {
  const http = new HttpCache();
  const get = (path) => read(http.fetch(origin.url + path));
  const fill = () => times(4, (i) => get(`/tag/${i}`));
  await fill();
  equal(http.purge({ url: `${origin.url}/tag/0` }), 1);
  equal(await get("/tag/0"), "tag, call 2\n");
  equal(http.purge({ url: ["/tag/0", "/tag/1"] }), 2);
  await fill();
  equal(http.purge({ prefix: `${origin.url}/tag/` }), 4);
  await fill();
  equal([http.purge({ tag: "none" }), http.purge({ tag: "some" })], [0, 4]);
  await fill();
  equal([http.purge({ everything: true, soft: true }), http.stats().entries], [4, 4]);
  ok(!did(await http.fetch(`${origin.url}/tag/0`)).includes("hit"), "a hit after a soft purge");
  equal([http.purge({ everything: true }), http.stats().entries], [4, 0]);
  refused(() => http.purge({}), "ERR_OPTION", "one of url, prefix, tag");
  refused(() => http.purge({ url: "x", tag: "y" }), "ERR_OPTION", "url and tag");
  refused(() => http.purge({ urls: ["/"] }), "ERR_OPTION", "did you mean url");
  refused(() => http.purge(null), "ERR_OPTION", "purge: got null, wants an object");
  refused(() => http.purge({ everything: true, soft: "yes" }), "ERR_OPTION", 'soft: got "yes", wants true or false');
  refused(() => http.purge({ url: "no url" }), "ERR_OPTION", "an absolute URL");
});

test("rules go by host and path", async () => {
  const http = new HttpCache({
    rules: [
      { path: "/page/asset*", ttl: "1d", key: { query: { drop: ["utm_*"] } } },
      { path: "/page/asset-not", bypass: true },
    ],
  });
  const one = await http.fetch(`${origin.url}/page/asset?utm_source=a`);
  await read(one);
  const other = await http.fetch(`${origin.url}/page/asset?utm_source=b`);
  ok(/hit; ttl=86[34]\d\d/.test(did(other)), did(other));
  await other.text();
  ok(did(await http.fetch(`${origin.url}/page/asset-not`)).includes("bypass"), "not bypassed");
});

test("wrong options are refused by name, with what was meant or what is allowed", () => {
  refused(() => new HttpCache({ maxByte: 1 }), "ERR_OPTION", "did you mean maxBytes");
  refused(
    () => new HttpCache({ maxBytes: 1e9 }),
    "ERR_OPTION",
    "maxBytes: got 1000000000, wants a whole number from 0",
  );
  refused(() => new HttpCache({ maxBytes: null }), "ERR_OPTION", "maxBytes: got null, wants a whole number from 0");
  refused(() => new HttpCache({ maxFillingBytes: null }), "ERR_OPTION", "maxFillingBytes: got null, wants a whole");
  refused(() => new HttpCache({ hardTimeout: Infinity }), "ERR_OPTION", "hardTimeout");
  refused(() => new HttpCache({ rules: [{ path: "/", ttl: Infinity }] }), "ERR_OPTION", "ttl: got Infinity");
  refused(() => new HttpCache({ ttl: "1m" }), "ERR_OPTION", "ttl: unknown option, say it in defaults, or in a rule");
  refused(() => hono(), "ERR_OPTION", "http: got undefined, wants an HttpCache");
  refused(() => hono(new HttpCache()), "ERR_OPTION", "app: got undefined, wants the Hono app that is served");
  refused(() => new HttpCache({ fetch: 1 }), "ERR_OPTION", "fetch: got 1, wants a function");
  refused(
    () => new HttpCache({ defaults: { tll: "1d" } }),
    "ERR_OPTION",
    "defaults.tll is not known; did you mean ttl?",
  );
  refused(() => new HttpCache({ rules: [{ path: "/", ttl: "soon" }] }), "ERR_OPTION", "rules[0].ttl");
  refused(() => new HttpCache({ rules: [{ ttl: () => 1 }] }), "ERR_OPTION", "ttl: got a function");
});

test("a handler is asked once for all, with what the cache asks", async () => {
  const http = new HttpCache();
  const seen = [];
  const handler = async (request) => {
    seen.push([request.url, request.headers.get("accept-encoding"), request.headers.get("if-none-match")]);
    await sleep(20);
    return new Response("made", { headers: { "cache-control": "max-age=60", etag: '"1"' } });
  };
  const headers = { "accept-encoding": "br", "if-none-match": '"0"' };
  const answers = await times(50, () => http.handle(new Request("https://example.com/a", { headers }), handler));
  equal([...new Set(await Promise.all(answers.map((answer) => answer.text())))], ["made"]);
  equal(seen, [["https://example.com/a", null, null]]);
});

test("a handler that is none is refused, and no 502", async () => {
  const request = new Request("https://example.com/");
  const refuses = (args, message) => rejects(() => new HttpCache().handle(...args), { code: "ERR_OPTION", message });
  const handler = () => new Response("made");
  await refuses(["https://example.com/", handler], /^request: got "https:\/\/example.com\/", wants a Request/);
  await refuses([undefined, handler], /^request: got undefined/);
  await refuses([request, handler, { backgrund: true }], /^backgrund: unknown option, did you mean background/);
  await refuses([request, handler, { background: 1 }], /^background: got 1, wants true or false/);
  await refuses([request, handler, null], /^options: got null/);
  await rejects(() => cachedFetch(request), {
    code: "ERR_OPTION",
    message: /^cache: got undefined, wants an HttpCache/,
  });
  await rejects(() => new HttpCache().handle(request), { code: "ERR_OPTION", message: /^handler: got undefined/ });
});

test("a handler that forgets its Response is a 502 that says so", async () => {
  const response = await new HttpCache().handle(new Request("https://example.com/"), () => undefined);
  equal(
    [response.status, await response.text()],
    [502, "nearcache: the origin could not be reached: the handler returned no Response\n"],
  );
});

test("a handler that does not answer in time is a 504 for all who wait, and what it brings later is let go", async () => {
  const http = new HttpCache({ hardTimeout: 50 });
  let isCancelled = false;
  const handler = async () => {
    await sleep(150);
    const body = new ReadableStream({ cancel: () => void (isCancelled = true) });
    return new Response(body, { headers: MINUTE });
  };
  const answers = await times(3, () => http.handle(new Request("https://example.com/"), handler));
  equal([...new Set(answers.map(({ status }) => status))], [504]);
  equal(http.stats().loadsInFlight, 0);
  await sleep(150);
  equal(isCancelled, true);
});

test("a redirect that is not followed keeps no connection", async () => {
  let cancelled = 0;
  const http = new HttpCache({
    fetch: async () => {
      const body = new ReadableStream({ cancel: () => void cancelled++ });
      return new Response(body, { status: 302, headers: { location: "/", "cache-control": "no-store" } });
    },
  });
  await rejects(http.fetch("https://example.com/", { redirect: "error" }), { message: /which the request forbids/ });
  equal(cancelled, 1);
  await rejects(http.fetch("https://example.com/"), { message: /for the 21st time/ });
  equal(cancelled, 22);
});

test("a handler that throws is a 502, and one that encodes by itself goes by as it is", async () => {
  const http = new HttpCache();
  const request = () => new Request("https://example.com/b");
  const { error } = console;
  const told = [];
  console.error = (...line) => told.push(line.map(String).join(" "));
  try {
    const thrown = await http.handle(request(), () => {
      throw new Error("the password is secret");
    });
    // The symptom: the handler's words went to the client, and to nobody else.
    equal(
      [thrown.status, await thrown.text(), told],
      [
        502,
        "nearcache: the origin could not be reached: the handler failed\n",
        ["nearcache: the handler failed: Error: the password is secret"],
      ],
    );
  } finally {
    console.error = error;
  }
  const encoded = () =>
    new Response("packed", { headers: { "cache-control": "max-age=60", "content-encoding": "gzip" } });
  for (const _ of [1, 2]) {
    const answer = await http.handle(new Request("https://example.com/c"), encoded);
    equal([answer.headers.get("content-encoding"), await answer.text()], ["gzip", "packed"]);
  }
  equal(http.stats().hits, 0);
});

function app(http) {
  let calls = 0;
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.res.headers.set("x-outer", "1");
  });
  app.use(hono(http, app));
  app.get("/plain", async (c) => {
    await sleep(20);
    c.header("cache-control", "max-age=60");
    return c.text(`call ${++calls}`);
  });
  app.get("/etag", etag(), (c) => c.text(`the same ${++calls ? "" : ""}`, 200, { "cache-control": "max-age=0" }));
  app.get("/swr", (c) => {
    const call = ++calls;
    const fields = { "cache-control": "max-age=0, stale-while-revalidate=60", etag: `"${call}"` };
    return c.text(`call ${call}`, 200, fields);
  });
  app.get("/own", (c) => c.text(`call ${++calls}`, 200, { "cache-control": "private" }));
  app.get("/visitor", (c) =>
    c.text(`${c.req.header("cookie") ?? "nobody"} ${++calls}`, 200, { "cache-control": "private" }),
  );
  app.get("/varies", (c) => {
    const fields = { "cache-control": "max-age=60", vary: "cookie" };
    return c.text(`${c.req.header("cookie") ?? "nobody"} ${++calls}`, 200, fields);
  });
  app.post("/plain", (c) => c.text(`posted`));
  app.get("/throws", () => {
    throw new Error("broken");
  });
  return { app, calls: () => calls };
}

test("Hono: the app answers once, and then the cache", async () => {
  const { app: served, calls } = app(new HttpCache());
  const texts = await times(100, async () => (await served.request("/plain")).text());
  equal([[...new Set(texts)], calls()], [["call 1"], 1]);
  const hit = await served.request("/plain");
  ok(/hit; ttl=/.test(did(hit)), did(hit));
  equal([hit.headers.get("x-outer"), hit.headers.get("content-type")], ["1", "text/plain; charset=UTF-8"]);
  equal(await (await served.request("/plain", { method: "POST", body: "x" })).text(), "posted");
  equal(await (await served.request("/plain")).text(), "call 2");
});

test("Hono: an app's own 304 freshens, and who has it already gets one", async () => {
  const { app: served, calls } = app(new HttpCache());
  const first = await served.request("/etag");
  equal(await first.text(), "the same ");
  equal(await (await served.request("/etag")).text(), "the same ");
  const headers = { "if-none-match": first.headers.get("etag") };
  equal([(await served.request("/etag", { headers })).status, calls()], [304, 3]);
});

test("Hono: the first to ask for what is stale waits for the app", async () => {
  const { app: served } = app(new HttpCache());
  const texts = [];
  for (let i = 0; i < 3; i++) {
    await sleep(5);
    texts.push(await (await served.request("/swr")).text());
  }
  equal(texts, ["call 1", "call 2", "call 3"]);
});

test("Hono: what is private is each request's own, at once too", async () => {
  const { app: served, calls } = app(new HttpCache());
  const texts = await times(20, async () => (await served.request("/own")).text());
  equal([new Set(texts).size, calls()], [20, 20]);
  equal([(await served.request("/throws")).status, (await served.request("/nowhere")).status], [500, 404]);
});

const visitor = (cookie) => ({ headers: { cookie } });

test("Hono: where cookies are left out, a visitor's own page is asked for with them, and is nobody else's", async () => {
  const { app: served } = app(new HttpCache({ defaults: { cookies: "drop" } }));
  const answer = async (path, cookie) => {
    const response = await served.request(path, cookie === undefined ? {} : visitor(cookie));
    return [response.status, (await response.text()).replace(/ \d+$/, ""), response.headers.get("x-outer")];
  };
  for (const path of ["/visitor", "/varies"]) {
    for (const who of ["a=1", "a=2", undefined, "a=1", undefined]) {
      equal(await answer(path, who), [200, who ?? "nobody", "1"]);
      await sleep(5);
    }
    const together = ["a=3", "a=4", undefined, "a=5", "a=3"];
    const answers = await Promise.all(together.map((who) => answer(path, who)));
    equal(
      answers,
      together.map((who) => [200, who ?? "nobody", "1"]),
    );
  }
});

test("Hono: what every visitor may have is loaded without cookies, once", async () => {
  const { app: served, calls } = app(new HttpCache({ defaults: { cookies: "drop" } }));
  const texts = await times(20, async (i) => (await served.request("/plain", visitor(`a=${i}`))).text());
  equal([[...new Set(texts)], calls()], [["call 1"], 1]);
});

test("Hono: an app within an app asks the one that is served", async () => {
  const http = new HttpCache({ defaults: { cookies: "drop" } });
  const [outer, inner] = [new Hono(), new Hono()];
  inner.use(hono(http, outer));
  inner.get("/page", (c) => c.text(c.req.header("cookie") ?? "nobody", 200, { "cache-control": "private" }));
  outer.route("/in", inner);
  equal(await (await outer.request("/in/page", visitor("a=1"))).text(), "a=1");
});

test("Hono: a request that is changed on its way round comes to an end", async () => {
  const http = new HttpCache({ defaults: { cookies: "drop" } });
  const app = new Hono();
  app.use(async (c, next) => {
    c.req.raw = new Request(c.req.raw);
    await next();
  });
  app.use(hono(http, app));
  let calls = 0;
  app.get("/page", (c) => (++calls, c.text("own", 200, { "cache-control": "private" })));
  const { status } = await app.request("/page", visitor("a=1"));
  ok(status === 200 || status === 508, String(status));
  ok(calls < 30, String(calls));
});

await import("./bodies.mjs");
await import("./edge.mjs");
await import("./random.mjs");
const given = settings();
const result = await run({ ...given, runtime: "node" });
origin.stop();
report("http in node", result, given.seed);
