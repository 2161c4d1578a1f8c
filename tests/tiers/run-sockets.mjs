// Redis over `cloudflare:sockets` in workerd, against a real redis-server: round trips, TLS, requests beside each other,
// faults, and servers that send whatever they like. `--only=part of a title`.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { limit, report, settings } from "../js/report.mjs";
import { equal, ok, run, sleep, test } from "../js/runner.mjs";
import { bundle, HURRIED, root, scratch, serve } from "../js/workerd.mjs";
import { freePort } from "../processes.mjs";
import { RedisServer } from "./redis.mjs";
import { relay } from "./relay.mjs";

limit(150_000, "Redis over sockets");

const [key, cert] = makeCertificate();
const tlsPort = await freePort();
const server = await RedisServer.start([
  ...["--tls-port", String(tlsPort), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert],
  ...["--tls-auth-clients", "no", "--user", "app", "on", ">a secret: @/", "~*", "+@all"],
]);
const USER = `app:${encodeURIComponent("a secret: @/")}@`;
const redisUrl = (port = server.port, { user = "", database = "", scheme = "redis" } = {}) =>
  `${scheme}://${user}localhost:${port}${database}`;

const folder = scratch();
await bundle(join(root, "tests/tiers/sockets-worker.mjs"), folder);
const workerd = await serve(folder, {
  variables: { URL: redisUrl() },
  outbound: "network",
  flags: HURRIED,
  trusted: [readFileSync(cert, "utf8")],
  objects: { REDIS: "RedisObject" },
});
const ask = async (path, asked) => {
  const response = await fetch(new URL(path, workerd.url), { method: "POST", body: JSON.stringify(asked) });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return response.json();
};

function makeCertificate() {
  const folder = scratch();
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"].concat(
      ["-keyout", key, "-out", cert],
      subject,
    ),
    { stdio: "ignore" },
  );
  return [key, cert];
}

const ADDRESSES = {
  "in the clear": { url: redisUrl() },
  "with TLS, a user, a password and a database": {
    url: redisUrl(tlsPort, { user: USER, database: "/3", scheme: "rediss" }),
  },
};
for (const [how, tier] of Object.entries(ADDRESSES)) {
  test(`Redis over sockets ${how} does what is wanted of a tier`, async () => {
    const results = await ask("conformance", { tier: { ...tier, prefix: `c-${how}:` } });
    const failed = results.filter(({ error }) => error !== undefined);
    ok(failed.length === 0, failed.map(({ title, error }) => `${title}: ${error}`).join("; "));
    equal(results.length, 13);
  });
}

let names = 0;
/** What one isolate is asked with; each has a prefix of its own. */
const isolateOf = (given = {}) => {
  const { prefix = `test${names++}:`, url, timeout = 5_000, ...tier } = given;
  return { isolate: `isolate ${names++}`, tier: { prefix, url, timeout, ...tier } };
};
const statsOf = (one) => ask("stats", one);

test("a thousand keys cost one connection, two round trips, and one load of those that are missing", async () => {
  const times = { 0: [], 20: [] };
  // Of code that is new to the isolate the first run tells more than of round trips.
  for (const delay of [0, 20, 0, 20, 0, 20]) {
    const line = await relay(server.port, { delay });
    const fill = isolateOf();
    await ask("getMany", { ...fill, count: 900 });
    const one = isolateOf({ prefix: fill.tier.prefix, url: redisUrl(line.port) });
    const { right, batches, millis } = await ask("getMany", { ...one, count: 1_000 });
    equal([right, batches], [1_000, [100]]);
    // What was loaded is stored together, over another connection.
    equal({ ...line.counts, open: 0 }, { connections: 2, trips: 3, open: 0 });
    times[delay].push(millis);
    await sleep(100);
    equal(line.counts.open, 0, "connections that were left open");
    line.close();
  }
  const [near, far] = [Math.min(...times[0]), Math.min(...times[20])];
  console.log(`getMany of 1,000 keys, 900 of them there: ${near} ms; where a round trip takes 40 ms, ${far} ms`);
});

test("isolates share what they load, and purges", async () => {
  const [a, b, c] = Array.from({ length: 3 }, () => isolateOf({ prefix: "shared:" }));
  await ask("get", { ...a, key: "k", flush: true });
  await ask("get", { ...b, key: "k" });
  equal((await statsOf(b)).loads, 0);
  await sleep(5);
  await ask("purge", b);
  await sleep(5);
  await ask("get", { ...c, key: "k" });
  const { loads, stats, lines } = await statsOf(c);
  equal([loads, stats.misses + stats.purged, lines], [1, 1, []]);
});

test("requests beside each other use Redis without breaking one another's connections", async () => {
  const patient = { connectTimeout: "20s", commandTimeout: "20s", timeout: "30s" };
  const [fill, one] = Array.from({ length: 2 }, () => isolateOf({ prefix: "beside:", ...patient }));
  const keys = Array.from({ length: 100 }, (_, at) => `key ${at}`);
  await Promise.all(keys.map((key) => ask("get", { ...fill, key, flush: true })));
  const line = await relay(server.port, { delay: 5 });
  one.tier.url = redisUrl(line.port);
  const asked = keys.flatMap((key) => [key, key, key]);
  const got = await Promise.all(asked.map((key) => ask("get", { ...one, key })));
  equal(
    got.map(({ value }) => value),
    asked.map((key) => `value of ${key}`),
  );
  const { stats, loads, lines } = await statsOf(one);
  equal([stats.hits, stats.lost, loads, lines], [keys.length, 0, 0, []]);
  equal([line.counts.connections, line.counts.trips], [keys.length, 2 * keys.length]);
  line.close();
});

test("an object's requests share one connection", async () => {
  const before = Number(/total_connections_received:(\d+)/.exec(await info())[1]);
  const results = await ask("conformance", { kind: "object", tier: {} });
  equal(
    results.filter(({ error }) => error !== undefined),
    [],
  );
  const one = { kind: "object", isolate: "over the object", tier: {} };
  await Promise.all(Array.from({ length: 200 }, (_, at) => ask("get", { ...one, key: `k${at}`, flush: true })));
  const other = { ...one, isolate: "another over the object" };
  const got = await Promise.all(Array.from({ length: 200 }, (_, at) => ask("get", { ...other, key: `k${at}` })));
  ok(got.every(({ value }, at) => value === `value of k${at}`));
  equal((await statsOf(other)).loads, 0);
  equal(Number(/total_connections_received:(\d+)/.exec(await info())[1]) - before, 1);
});

/** A server that is none: what it does with each connection. */
async function hostile(onConnection) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: server.address().port, close };
}

const TIMEOUT = 200;
const KEYS = Array.from({ length: 30 }, (_, at) => `key ${at}`);
const table = [];

/** What gets one after the other cost with a server like that, and the log's lines. */
async function cost(one, keys = KEYS) {
  const times = [];
  for (const key of keys) {
    const start = performance.now();
    const { value } = await ask("get", { ...one, key, flush: false });
    times.push(performance.now() - start);
    equal(value, `value of ${key}`);
  }
  const sum = times.reduce((sum, time) => sum + time, 0);
  return { worst: Math.max(...times), sum, ...(await statsOf(one)) };
}

function costTest(fault, begin, { options = {}, end = () => {}, recovers = false } = {}) {
  test(`${fault}: answers come, at a timeout's cost, and it is told once`, async () => {
    const url = await begin();
    const one = isolateOf({ url, timeout: TIMEOUT, cooldown: 300, ...options });
    const { worst, sum, stats, loads, lines } = await cost(one);
    equal(loads, KEYS.length);
    // Five failures open the breaker, and there may be a trial or two.
    ok(worst < TIMEOUT * 3 && sum < TIMEOUT * 15, `the slowest ${worst} ms, all ${sum} ms`);
    ok(stats.skipped >= KEYS.length / 2, JSON.stringify(stats));
    equal(lines.length, new Set(lines).size, lines.join("; "));
    ok(lines.length > 0 && lines.every((line) => line.includes("fails")), lines.join("; "));
    table.push([fault, Math.round(worst), Math.round(sum), lines.length]);
    await end();
    if (!recovers) return;
    for (const deadline = Date.now() + 10_000; ;) {
      await sleep(100);
      await ask("get", { ...one, key: `after ${Date.now()}`, flush: true });
      const { stats } = await statsOf(one);
      if (stats.reads === "closed" && stats.writing === "closed") break;
      ok(Date.now() < deadline, `recovers: ${JSON.stringify(stats)}`);
    }
  });
}

const SERVERS = {
  "hangs up at once": (socket) => socket.destroy(),
  "takes connections, and says nothing": () => {},
  "sends rubbish": (socket) => socket.write(Buffer.from(Array.from({ length: 5_000 }, (_, at) => (at * 7919) & 255))),
  "promises more than there is": (socket) => socket.on("data", () => socket.write("$1000000000000\r\n")),
  "hangs up within a reply": (socket) => socket.once("data", () => socket.end("*1\r\n$100\r\nabc")),
  "never ends a reply": (socket) =>
    socket.once("data", () => {
      socket.write("*1000000\r\n");
      const timer = setInterval(() => socket.write("$1\r\na\r\n"), 20);
      socket.once("close", () => clearInterval(timer));
    }),
};
for (const [what, onConnection] of Object.entries(SERVERS)) {
  let server;
  costTest(
    `a server that ${what}`,
    async () => {
      server = await hostile(onConnection);
      return redisUrl(server.port);
    },
    { end: () => server.close() },
  );
}
costTest("no server", async () => redisUrl(await freePort()));
costTest("no such host", async () => "redis://nowhere.invalid");
costTest("a wrong password", async () => redisUrl(server.port, { user: "app:wrong@" }));
costTest("no such database", async () => redisUrl(server.port, { database: "/99" }));
costTest("TLS to a server without", async () => redisUrl(server.port, { scheme: "rediss" }));
costTest("no TLS to a server with", async () => redisUrl(tlsPort));
costTest("a certificate for another name", async () =>
  redisUrl(tlsPort, { scheme: "rediss" }).replace("localhost", "127.0.0.1"),
);
costTest("Redis stopped (SIGSTOP)", () => (server.pause(), undefined), { end: () => server.resume(), recovers: true });
costTest("Redis killed", () => server.down(), { end: () => server.up(), recovers: true });

test("a call that goes by itself costs its own timeouts", async () => {
  const silent = await hostile(() => {});
  const tier = { url: redisUrl(silent.port), connectTimeout: 100, commandTimeout: 100 };
  const { error, millis } = await ask("call", { tier });
  ok(/^redis: no reply within \d+ ms$/.test(error) && millis < 400, `${error} after ${millis} ms`);
  silent.close();
});

const admin = await server.client();
const info = () => admin.info();

const results = await run({ ...settings(), runtime: "workerd", timeout: 40_000 });
workerd.stop();
admin.destroy();
await server.down();
const rows = table.map((row) => `  ${row[0].padEnd(50)} ${row.slice(1).join("\t")}`);
console.log(
  `Redis over sockets, timeout ${TIMEOUT} ms, ${KEYS.length} gets: ms of the slowest and of all, log lines\n${rows.join("\n")}`,
);
report("Redis over sockets", results);
process.exit();
