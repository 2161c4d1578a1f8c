// Redis over `cloudflare:sockets` in workerd, against a real redis-server: round trips, TLS, requests beside each other,
// faults, and servers that send whatever they like. `--only=part of a title`.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { limit, report, settings } from "../js/report.mjs";
import { equal, ok, run, sleep, test } from "../js/runner.mjs";
import { bundle, root, scratch, serve } from "../js/workerd.mjs";
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
    equal(results.length, 11);
  });
}

const results = await run({ ...settings(), runtime: "workerd", timeout: 40_000 });
workerd.stop();
await server.down();
report("Redis over sockets", results);
process.exit();
