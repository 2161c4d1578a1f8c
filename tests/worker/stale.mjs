// Stale answers, failing origins, tags and what is for the operator: the Worker in raw workerd.

import assert from "node:assert/strict";
import http from "node:http";
import { get, path, sleep, target } from "./client.mjs";

const call = ({ text }) => Number(/^call (\d+)/.exec(text)?.[1]);
const STALE = "Cache-Control:max-age=1, stale-while-revalidate=60";
const RESCUED = "Cache-Control:max-age=1, stale-if-error=60";
/** Past a max-age of one second: ages are whole seconds, so a bit more than one. */
const aSecond = () => sleep(1_100);

/** With variables that leave all to the origin. */
export const stale = {
  vars: { HARD_TIMEOUT: "2s", SOFT_TIMEOUT: "200ms", ERROR_BACKOFF: "700ms", NEGATIVE_TTL: "1s" },
  tests: {
    async "a stale answer comes at once while one refresh runs, which outlives the request"({ server, origin }) {
      const t = target({ h: STALE, slow: "2:400" });
      const first = await get(server, t);
      await aSecond();
      const start = Date.now();
      const answers = await Promise.all(Array.from({ length: 50 }, () => get(server, t)));
      assert.ok(Date.now() - start < 350, `${Date.now() - start} ms: nobody waits for the refresh`);
      for (const answer of answers) {
        assert.equal(answer.text, first.text);
        assert.match(answer.cache, /^nearcache; hit; ttl=-\d$/);
        assert.match(answer.headers.age, /^[12]$/);
      }
      await sleep(600);
      assert.equal(origin.calls(path(t)), 2);
      const after = await get(server, t);
      assert.ok(call(after) > call(first));
      assert.match(after.cache, /; hit; ttl=[01]$/);
    },
    async "the client who began the refresh may leave"({ server, origin }) {
      const t = target({ h: STALE, slow: "2:300" });
      const first = await get(server, t);
      await aSecond();
      await new Promise((resolve) => {
        const request = http.get(`${server.url}${t}`, (response) => response.destroy());
        request.on("close", resolve).on("error", resolve);
      });
      await sleep(500);
      const answers = await Promise.all([1, 2, 3].map(() => get(server, t)));
      assert.ok(answers.every((answer) => call(answer) > call(first)));
      assert.equal(origin.calls(path(t)), 2, "the refresh was not lost with its client");
    },
    async "without a window, or after it, nothing stale is handed out"({ server }) {
      for (const field of [
        "Cache-Control:max-age=1",
        "Cache-Control:max-age=1, stale-while-revalidate=60, must-revalidate",
      ]) {
        const t = target({ h: field });
        const first = await get(server, t);
        await aSecond();
        const second = await get(server, t);
        assert.notEqual(second.text, first.text, field);
        assert.match(second.cache, /fwd=(stale|uri-miss); stored/);
      }
    },
    async "a request that wants it younger, or fresh, gets it so"({ server }) {
      const t = target({ h: "Cache-Control:max-age=1, stale-while-revalidate=60" });
      const first = await get(server, t);
      await aSecond();
      for (const headers of [
        { "Cache-Control": "max-age=0" },
        { "Cache-Control": "no-cache" },
        { "Cache-Control": "min-fresh=1" },
      ]) {
        // One wish a second is granted.
        await aSecond();
        const answer = await get(server, t, { headers });
        assert.ok(call(answer) > call(first), JSON.stringify(headers));
      }
    },
    async "where the origin fails the last good answer stands in, and says so"({ server, origin }) {
      for (const failstatus of ["503", "500", "die"]) {
        const t = target({ h: RESCUED, fails: "2,3", failstatus });
        const first = await get(server, t);
        await aSecond();
        const rescued = await get(server, t);
        assert.deepEqual([rescued.status, rescued.text], [200, first.text], failstatus);
        const why = failstatus === "die" ? "origin-unreachable" : "origin-error";
        assert.match(rescued.cache, new RegExp(`^nearcache; fwd=stale; ttl=-\\d; detail=${why}$`));
        // While the key rests nobody asks the origin.
        const calls = origin.calls(path(t));
        const resting = await Promise.all([1, 2, 3].map(() => get(server, t)));
        assert.ok(
          resting.every(({ text, cache }) => text === first.text && /; ttl=-\d; detail=origin-/.test(cache)),
          resting[0].cache,
        );
        assert.equal(origin.calls(path(t)), calls);
      }
    },
    async "other errors are answers, and replace what is stale"({ server }) {
      const t = target({ h: RESCUED, fails: "2", failstatus: "404" });
      await get(server, t);
      await aSecond();
      assert.equal((await get(server, t)).status, 404);
    },
    async "a client's wish for a fresh answer comes to the stale one where the origin fails"({ server }) {
      const t = target({ h: RESCUED, fails: "2" });
      const first = await get(server, t);
      await aSecond();
      const { status, text } = await get(server, t, { headers: { "Cache-Control": "no-cache" } });
      assert.deepEqual([status, text], [200, first.text]);
    },
    async "a failing origin without a stale answer is left alone for a while"({ server, origin }) {
      const t = target({ h: "Cache-Control:max-age=60", fails: "1" });
      const first = await get(server, t);
      assert.equal(first.status, 503);
      assert.match(first.text, /^call/);
      const second = await get(server, t);
      assert.deepEqual([second.status, origin.calls(path(t))], [503, 1]);
      assert.match(second.cache, /detail=origin-error/);
      await sleep(800);
      assert.equal((await get(server, t)).status, 200);
    },
    async "a slow origin's stale answer comes at SOFT_TIMEOUT, and its new one is stored"({ server }) {
      const t = target({ h: RESCUED, slow: "2:600" });
      const first = await get(server, t);
      await aSecond();
      const start = Date.now();
      const answer = await get(server, t);
      assert.ok(Date.now() - start < 500);
      assert.equal(answer.text, first.text);
      assert.match(answer.cache, /fwd=stale; .*ttl=-\d; detail=soft-timeout/);
      await sleep(600);
      assert.ok(call(await get(server, t)) > call(first));
    },
    async "variants have stale windows too"({ server, origin }) {
      const t = target({ h: [STALE, "Vary:Accept-Language"], echo: "accept-language", slow: "3:300" });
      const ask = (language) => get(server, t, { headers: { "Accept-Language": language } });
      const [de, fr] = [await ask("de"), await ask("fr")];
      await aSecond();
      const [de2, fr2] = await Promise.all([ask("de"), ask("fr")]);
      assert.deepEqual([de2.text, fr2.text], [de.text, fr.text]);
      assert.match(de2.cache, /hit; ttl=-\d/);
      await sleep(500);
      const de3 = await ask("de");
      assert.ok(de3.text.includes("de") && call(de3) > call(de));
      assert.equal(origin.calls(path(t)), 4);
    },
    async "a write beats the load of a variant that began before it"({ server, origin }) {
      const t = target({ h: ["Cache-Control:max-age=60", "Vary:Accept-Language"], slow: "2:500" });
      const ask = (language) => get(server, t, { headers: { "Accept-Language": language } });
      await ask("de");
      const before = ask("fr");
      await sleep(200);
      await get(server, t, { method: "POST" });
      assert.equal((await before).status, 200);
      const after = await ask("fr");
      assert.ok(call(after) > call(await before));
      assert.equal(origin.calls(path(t)), 4);
    },
    async "what is not there is remembered for NEGATIVE_TTL"({ server, origin }) {
      const t = target({ status: 404 });
      assert.deepEqual(
        [(await get(server, t)).status, (await get(server, t)).status, origin.calls(path(t))],
        [404, 404, 1],
      );
      await aSecond();
      await get(server, t);
      assert.equal(origin.calls(path(t)), 2);
    },
    async "the routes of the operator are the origin's while no token is set"({ server, origin }) {
      const { status } = await get(server, "/_nearcache/metrics?h=Cache-Control:no-store");
      assert.deepEqual([status, origin.calls("/_nearcache/metrics")], [200, 1]);
    },
  },
};

const TOKEN = "a token of 24 characters".replaceAll(" ", "-");
const operator = { Authorization: `Bearer ${TOKEN}` };
const purge = async (server, body) => {
  const { status, text } = await get(server, "/_nearcache/purge", {
    method: "POST",
    headers: operator,
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status, ...JSON.parse(text) };
};

/** With defaults for answers that say nothing of stale windows, and a token. */
export const operated = {
  vars: {
    ADMIN_TOKEN: TOKEN,
    STALE_WHILE_REVALIDATE: "1m",
    STALE_IF_ERROR: "1m",
    SLOW_LOAD_LOG: "250ms",
    HEALTH_MIN_HIT_RATE: "0.99",
    HEALTH_MAX_LATENCY: "10s",
    KEEP_FRESH: "/kept?h=Cache-Control:max-age=60",
  },
  tests: {
    async "the variables' windows hold where an answer says nothing of them, and not with s-maxage"({ server }) {
      const [plain, shared] = [target({ h: "Cache-Control:max-age=1" }), target({ h: "Cache-Control:s-maxage=1" })];
      const before = await Promise.all([get(server, plain), get(server, shared)]);
      await aSecond();
      const after = await Promise.all([get(server, plain), get(server, shared)]);
      assert.equal(after[0].text, before[0].text);
      assert.notEqual(after[1].text, before[1].text);
    },
    async "Cache-Tag names what can be purged together, and is not passed on"({ server, origin }) {
      const tagged = (tags) => target({ h: ["Cache-Control:max-age=60", `Cache-Tag:${tags}`] });
      const [one, two, three] = [tagged("red, blue"), tagged("red"), tagged("blue")];
      for (const t of [one, two, three]) assert.equal((await get(server, t)).headers["cache-tag"], undefined);
      assert.deepEqual(await purge(server, { tags: ["red"] }), { status: 200, purged: 2 });
      for (const t of [one, two, three]) await get(server, t);
      assert.deepEqual(
        [one, two, three].map((t) => origin.calls(path(t))),
        [2, 2, 1],
      );
    },
    async "a soft purge leaves the stale answer while a refresh runs"({ server }) {
      const t = target({ h: ["Cache-Control:max-age=60", "Cache-Tag:soft"] });
      const first = await get(server, t);
      assert.deepEqual(await purge(server, { tags: ["soft"], soft: true }), { status: 200, purged: 1 });
      assert.equal((await get(server, t)).text, first.text);
      await sleep(200);
      assert.ok(call(await get(server, t)) > call(first));
    },
    async "a URL is purged with all its variants, and everything with everything"({ server, origin }) {
      const t = target({ h: ["Cache-Control:max-age=60", "Vary:Accept-Language"] });
      const ask = (language) => get(server, t, { headers: { "Accept-Language": language } });
      (await ask("de"), await ask("fr"), await ask("de"));
      assert.equal(origin.calls(path(t)), 2);
      assert.equal((await purge(server, { urls: [t] })).purged, 1, "a target with both");
      (await ask("de"), await ask("fr"));
      assert.equal(origin.calls(path(t)), 4);
      assert.ok((await purge(server, { everything: true })).purged > 0);
      await ask("de");
      assert.equal(origin.calls(path(t)), 5);
      // As requests have it once the runtime has escaped it; and no host is in the key here.
      const odd = `${t}&name=ä`;
      for (const url of [odd, `https://EXAMPLE.com${odd}`]) {
        await get(server, odd);
        assert.equal((await purge(server, { urls: [url] })).purged, 1, url);
      }
    },
    async "a wrong purge says what was wrong and what is allowed, and purges nothing"({ server, origin }) {
      const t = target({ h: ["Cache-Control:max-age=60", "Cache-Tag:kept"] });
      await get(server, t);
      for (const [body, wrong] of [
        ["{", /no JSON object; wants \{"tags"/],
        ["[]", /nothing to purge/],
        ["{}", /nothing to purge/],
        [{ tags: "kept" }, /^tags: wants an array of strings/],
        [{ tags: ["kept", 1] }, /^tags:/],
        [{ urls: ["x"] }, /^urls: got "x", wants an array of paths/],
        [{ urls: ["/a", "ftp://x/y"] }, /^urls: got "ftp:\/\/x\/y", wants an array of paths.* absolute http or https/],
        [{ prefixes: ["xhttp://x/"] }, /^prefixes: got "xhttp:\/\/x\/", wants/],
        [{ urls: ["/a", "http://["] }, /^urls: got "http:\/\/\[", wants/],
        // The symptom: all that there is begins so.
        [{ prefixes: ["https://"] }, /^prefixes: got "https:\/\/", wants/],
        // The symptom: who followed a log of purges was told of everything.
        [{ tags: [""] }, /^tags: got one of 0 bytes, wants .* of 1 to 1024 bytes/],
        [{ tags: ["kept", "x".repeat(1_025)] }, /^tags: got one of 1025 bytes/],
        [{ everything: 1 }, /^everything: wants true or false/],
        [{ tags: ["kept"], softly: true }, /^softly is not known; wants/],
      ]) {
        const { status, error } = await purge(server, body);
        assert.equal(status, 400);
        assert.match(error, wrong);
      }
      assert.match((await get(server, t)).cache, /hit/);
      assert.equal(origin.calls(path(t)), 1);
    },
    async "the routes want the token and their method"({ server }) {
      for (const headers of [{}, { Authorization: "Bearer wrong" }, { Authorization: `Basic ${TOKEN}` }]) {
        const refused = await get(server, "/_nearcache/metrics", { headers });
        assert.deepEqual([refused.status, refused.headers["www-authenticate"]], [401, "Bearer"]);
      }
      const refused = await get(server, "/_nearcache/purge", { headers: operator });
      assert.deepEqual([refused.status, refused.headers.allow], [405, "POST"]);
    },
    async "a body that is too long for an operator's is refused, whether it tells its length or not"({ server }) {
      const body = JSON.stringify({ tags: ["x".repeat(1 << 20)] });
      for (const length of [{ "content-length": body.length }, { "transfer-encoding": "chunked" }]) {
        const headers = { ...operator, ...length };
        const { status, text } = await get(server, "/_nearcache/purge", { method: "POST", headers, body });
        assert.equal(status, 413);
        assert.match(text, /too long.*1048576/);
      }
    },
    async "metrics are a page for Prometheus, health a verdict by thresholds"({ server }) {
      for (let i = 0; i < 30; i++) await get(server, target({ h: "Cache-Control:max-age=60" }));
      const page = await get(server, "/_nearcache/metrics", { headers: operator });
      assert.match(page.headers["content-type"], /^text\/plain; version=0\.0\.4/);
      assert.match(page.text, /^nearcache_requests_total\{cache="nearcache",layer="memory",result="hit"\} [1-9]/m);
      const health = await get(server, "/_nearcache/health", { headers: operator });
      const { ok, checks } = JSON.parse(health.text);
      assert.deepEqual(
        [health.status, ok, checks.map(({ name, ok }) => [name, ok])],
        [
          503,
          false,
          [
            ["hit_rate", false],
            ["latency_p99", true],
          ],
        ],
      );
    },
    async "slow loads are logged"({ server }) {
      const t = target({ h: "Cache-Control:max-age=60", delay: 300 });
      await get(server, t);
      await sleep(100);
      assert.match(server.log(), new RegExp(`nearcache: loading ${path(t)}\\S* took [34]\\d\\d ms`));
    },
  },
};
