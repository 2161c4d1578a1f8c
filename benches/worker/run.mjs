// Hits of the Worker in raw workerd by wrk, 64 connections, beside a Worker that passes through, one with a plain Map, and nginx where
// there is one: medians of interleaved rounds, and the CPU time of the process for each request. Only ratios of one run mean anything. `node benches/worker/run.mjs ROUNDS SECONDS`.

import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { root, scratch, serve } from "../../tests/js/workerd.mjs";
import { freePort, start } from "../../tests/processes.mjs";

const [rounds = 5, seconds = 3] = process.argv.slice(2).map(Number);
const bodies = { "1k": Buffer.alloc(1_000, "x"), "100k": Buffer.alloc(100_000, "x") };
const zipped = gzipSync(Buffer.from(Array.from({ length: 20_000 }, (_, i) => `${i * 7919} `).join("")));

const origin = http.createServer((request, response) => {
  const name = request.url.slice(1);
  const fields = { "cache-control": "max-age=3600", "content-type": "text/plain", etag: '"1"' };
  if (name === "gzip")
    response.writeHead(200, { ...fields, "content-encoding": "gzip", "content-length": zipped.length }).end(zipped);
  else response.writeHead(200, { ...fields, "content-length": bodies[name]?.length ?? 0 }).end(bodies[name]);
});
origin.keepAliveTimeout = 600_000;
await new Promise((resolve) => origin.listen(0, "127.0.0.1", resolve));
const address = `127.0.0.1:${origin.address().port}`;

async function worker(kind) {
  const folder = scratch();
  const built = kind === "nearcache";
  const from = built ? join(root, "build/worker/index.js") : fileURLToPath(new URL("map.mjs", import.meta.url));
  copyFileSync(from, join(folder, "main.js"));
  const wasm = built ? ["index_bg.wasm", "tiers_bg.wasm"] : [];
  for (const name of wasm) copyFileSync(join(root, "build/worker", name), join(folder, name));
  const variables = { ORIGIN: "http://origin", ...(!built && { KIND: kind }) };
  return serve(folder, { services: { net: address }, outbound: "net", variables });
}

async function nginx() {
  if (spawnSync("nginx", ["-v"]).error) return;
  const folder = scratch();
  const port = await freePort();
  writeFileSync(
    join(folder, "nginx.conf"),
    `worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log; events { worker_connections 512; }
http { access_log off; proxy_temp_path ${folder}/temp; proxy_cache_path ${folder}/cache keys_zone=z:10m;
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://${address}; proxy_cache z; } } }`,
  );
  const child = start("nginx", ["-c", join(folder, "nginx.conf"), "-g", "daemon off;"], {});
  await new Promise((resolve) => setTimeout(resolve, 500));
  return { url: `http://127.0.0.1:${port}`, stop: child.stop };
}

const contenders = {
  nearcache: await worker("nearcache"),
  "passes through": await worker("pass"),
  "a plain Map": await worker("map"),
};
const native = await nginx();
if (native) contenders.nginx = native;

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
async function wrk(url, seconds) {
  // Not synchronously: the origin is in this process.
  const { stdout } = await promisify(execFile)("wrk", [
    "-t1",
    "-c64",
    `-d${seconds}s`,
    "-H",
    "accept-encoding: gzip",
    url,
  ]);
  const figure = (pattern) => Number(pattern.exec(stdout)[1]);
  return { perSecond: figure(/Requests\/sec:\s+([\d.]+)/), count: figure(/(\d+) requests in/) };
}

/** Milliseconds of CPU that a process has taken, to a hundredth of a second (Linux). */
function cpu(pid) {
  const [, fields] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const [user, system] = fields.split(" ").slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

console.log(
  `wrk, 64 connections, ${rounds} interleaved rounds of ${seconds} s: requests a second, and nearcache to the others`,
);
for (const path of ["1k", "100k", "gzip"]) {
  const figures = {};
  const micros = {};
  // workerd is compiled code after some thousand requests.
  for (const { url } of Object.values(contenders)) await wrk(`${url}/${path}`, 2);
  for (let round = 0; round < rounds; round++) {
    for (const [name, { url, pid }] of Object.entries(contenders)) {
      const before = pid && cpu(pid);
      const { perSecond, count } = await wrk(`${url}/${path}`, seconds);
      (figures[name] ??= []).push(perSecond);
      if (pid) (micros[name] ??= []).push(((cpu(pid) - before) * 1_000) / count);
    }
  }
  const medians = Object.fromEntries(Object.entries(figures).map(([name, list]) => [name, median(list)]));
  const row = Object.entries(medians).map(
    ([name, value]) =>
      `${name} ${Math.round(value)}${name === "nearcache" ? "" : ` (${(medians.nearcache / value).toFixed(2)})`}`,
  );
  const times = Object.entries(micros).map(([name, list]) => `${name} ${Math.round(median(list))}`);
  console.log(`${path.padEnd(5)} ${row.join(", ")}; µs of CPU a request: ${times.join(", ")}`);
}
for (const contender of Object.values(contenders)) contender.stop();
origin.closeAllConnections();
origin.close();
process.exit();
