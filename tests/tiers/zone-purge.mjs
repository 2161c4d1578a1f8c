// Cloudflare's API for purges of a zone, played by a server here.

import { once } from "node:events";
import { createServer } from "node:http";
import { zonePurge, ZonePurgeError } from "nearcache/tiers";
import { equal, ok, test, throws } from "../js/runner.mjs";

const ZONE = "0123456789abcdef0123456789abcdef";
const TOKEN = "the-api-token";
const LIMIT = 30;

/** A server that speaks as the API does: it knows one token and one zone, and takes 30 things at once. `play(call)` may answer instead. */
async function api(play = () => undefined) {
  const bodies = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const say = (status, errors = [], fields = {}) => {
      const body = { success: errors.length === 0, errors, messages: [], result: errors.length ? null : { id: ZONE } };
      response.writeHead(status, { "content-type": "application/json", ...fields }).end(JSON.stringify(body));
    };
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return say(403, [{ code: 9109, message: "Invalid access token" }]);
    if (request.url !== `/client/v4/zones/${ZONE}/purge_cache`)
      return say(404, [{ code: 7003, message: "no such zone" }]);
    const body = JSON.parse(text);
    bodies.push(body);
    const played = play(bodies.length, say, request);
    if (played !== undefined) return;
    const [list] = Object.values(body);
    if (Array.isArray(list) && list.length > LIMIT) return say(400, [{ code: 1094, message: "too many" }]);
    say(200);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const options = {
    zone: ZONE,
    token: TOKEN,
    api: `http://127.0.0.1:${server.address().port}/client/v4`,
    timeout: 200,
  };
  return {
    bodies,
    purge: (what, more) => zonePurge({ ...options, ...more })(what),
    stop: () => (server.closeAllConnections(), server.close()),
  };
}

const failure = async (promise) => {
  try {
    await promise;
  } catch (error) {
    ok(error instanceof ZonePurgeError, String(error));
    ok(!JSON.stringify([error.message, error]).includes(TOKEN), "the token is nobody's to read");
    return [error.code, error.status, error.done];
  }
  throw new Error("it did not fail");
};

test("lists go in as many calls as the API wants", async () => {
  const { purge, bodies, stop } = await api();
  const urls = Array.from({ length: 65 }, (_, at) => `https://example.com/${at}`);
  equal(await purge({ urls, tags: ["a", "b"], prefixes: ["example.com/img"], hosts: ["example.com"] }), 6);
  equal(
    bodies.map((body) => [Object.keys(body)[0], Object.values(body)[0].length]),
    [
      ["files", 30],
      ["files", 30],
      ["files", 5],
      ["tags", 2],
      ["hosts", 1],
      ["prefixes", 1],
    ],
  );
  equal(await purge({ everything: true }), 1);
  equal(bodies.at(-1), { purge_everything: true });
  equal(await failure(purge({ urls }, { maxPerCall: 31 })), ["ERR_PURGE_REFUSED", 400, 0]);
  stop();
});

test("a call that is not let through, or not answered, is made again, a bounded number of times", async () => {
  const busy = (call, say) =>
    call <= 2 ? (say(429, [{ code: 10429, message: "slow down" }], { "retry-after": "0" }), 1) : undefined;
  let world = await api(busy);
  equal([await world.purge({ tags: ["a"] }), world.bodies.length], [1, 3]);
  world.stop();
  for (const [play, wanted] of [
    [(_, say) => (say(429, [{ code: 1, message: "no" }], { "retry-after": "0" }), 1), ["ERR_PURGE_RATE", 429, 0]],
    [(_, say) => (say(502, [{ code: 1, message: "no" }]), 1), ["ERR_PURGE_UNREACHABLE", 502, 0]],
    [() => 1, ["ERR_PURGE_UNREACHABLE", undefined, 0]],
    [(_, __, request) => (request.socket.destroy(), 1), ["ERR_PURGE_UNREACHABLE", undefined, 0]],
  ]) {
    world = await api(play);
    equal([await failure(world.purge({ tags: ["a"] }, { retries: 1 })), world.bodies.length], [wanted, 2]);
    world.stop();
  }
});

test("what the API refuses is not tried again, nor what it wants to be waited for too long", async () => {
  const world = await api((call, say) => (call === 2 ? (say(400, [{ code: 1, message: "no" }]), 1) : undefined));
  equal(await failure(world.purge({ tags: ["a"], urls: ["https://example.com/"] })), ["ERR_PURGE_REFUSED", 400, 1]);
  equal(await failure(world.purge({ tags: ["a"] }, { token: "another" })), ["ERR_PURGE_TOKEN", 403, 0]);
  equal(world.bodies.length, 2);
  world.stop();
  const patient = await api((_, say) => (say(429, [{ code: 1, message: "no" }], { "retry-after": "60" }), 1));
  equal([await failure(patient.purge({ tags: ["a"] })), patient.bodies.length], [["ERR_PURGE_RATE", 429, 0], 1]);
  patient.stop();
});

test("what is wrong with the options is said, and not the token", () => {
  for (const [options, wanted] of [
    [{ zone: "x", token: TOKEN }, /zone/],
    [{ zone: ZONE, token: "two words" }, /^(?!.*two words).*token/],
    [{ zone: ZONE, token: TOKEN, maxPerCall: 501 }, /500/],
    [{ zone: ZONE, token: TOKEN, retries: 11 }, /retries/],
  ]) {
    throws(() => zonePurge(options), { code: "ERR_OPTION", message: wanted });
  }
});
