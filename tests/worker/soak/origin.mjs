// The soak's origin. A path's kind says what its answers are like; chance, seeded, what goes wrong. Every body says for what it was
// asked and when, and every fault is written down with its time, so that an answer can be judged afterwards.

import http from "node:http";
import zlib from "node:zlib";
import { randomFrom } from "../../js/runner.mjs";

/** By kind: Cache-Control, the part of its requests that meet a fault, filler in bytes. */
export const KINDS = {
  hot: { control: "max-age=60", faults: 0.01 },
  short: { control: "max-age=1", faults: 0.03 },
  vary: { control: "max-age=2", faults: 0.02, vary: "X-Kind" },
  swr: { control: "max-age=1, stale-while-revalidate=2", faults: 0.03 },
  rescued: { control: "max-age=1, stale-if-error=5", faults: 0.2 },
  validated: { control: "max-age=1", faults: 0.02, etag: true },
  private: { control: "private", faults: 0.02 },
  nostore: { control: "no-store", faults: 0.02 },
  gzip: { control: "max-age=5", faults: 0.02, gzip: true },
  large: { control: "max-age=5", faults: 0.03, filler: 400_000 },
  stream: { control: "max-age=5", faults: 0.03, filler: 3_000_000 },
  drip: { control: "max-age=2", faults: 0.03, drip: true, filler: 500 },
  failing: { control: "max-age=1", faults: 0.5 },
};

const FAULTS = ["status", "status", "reset", "reset", "broken", "hang", "late"];
const HANG = 6_000;

export async function startOrigin(seed) {
  const random = randomFrom(seed);
  const chance = () => random(1 << 20) / (1 << 20);
  let calls = 0;
  /** `[path, kind of fault, from, until]` */
  const faults = [];
  const server = http.createServer((request, response) => {
    const path = request.url.split("?")[0];
    const kind = KINDS[path.split("/")[1]];
    if (kind === undefined) return response.writeHead(200, { "cache-control": "no-store" }).end("ready");
    request.resume();
    const number = ++calls;
    const began = Date.now();
    const fault = chance() < kind.faults ? FAULTS[random(FAULTS.length)] : undefined;
    const note = fault && [path, fault, began, Infinity];
    if (note) {
      faults.push(note);
      response.on("close", () => (note[3] = Date.now()));
    }
    if (fault === "hang") return setTimeout(() => request.socket.destroy(), HANG).unref();
    const delay = fault === "late" ? 500 + random(1_000) : -Math.log(1 - chance()) * 20;
    setTimeout(() => {
      if (fault === "reset") return request.socket.resetAndDestroy();
      if (fault === "status") {
        response.writeHead([500, 502, 503, 504, 429][random(5)], { "x-origin": "failed" });
        return response.end(`failed ${path}`);
      }
      if (request.method === "POST") return response.end(`posted ${path}`);
      answer(request, response, { path, kind, number, began, fault });
    }, delay);
  });
  server.keepAliveTimeout = 600_000;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
  return {
    address: `127.0.0.1:${server.address().port}`,
    faults,
    calls: () => calls,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function answer(request, response, { path, kind, number, began, fault }) {
  const selected = kind.vary ? (request.headers[kind.vary.toLowerCase()] ?? "-") : "-";
  const text = `path=${path} v=${selected} n=${number} began=${began} at=${Date.now()}\n`;
  let body = Buffer.from(text + ".".repeat(kind.filler ?? 100) + "END");
  // Its state changes by the second, and so does the tag.
  const tag = `"${Math.floor(began / 3_000)}"`;
  const fields = {
    "cache-control": kind.control,
    "content-type": "text/plain",
    "cache-tag": `all, ${path.split("/")[1]}`,
  };
  if (kind.vary) fields.vary = kind.vary;
  if (kind.etag) {
    fields.etag = tag;
    if (request.headers["if-none-match"] === tag) return response.writeHead(304, fields).end();
  }
  if (kind.gzip) {
    body = zlib.gzipSync(body);
    fields["content-encoding"] = "gzip";
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  let status = 200;
  if (range && !request.headers["if-range"]) {
    status = 206;
    const end = Math.min(Number(range[2]) + 1, body.length);
    fields["content-range"] = `bytes ${range[1]}-${end - 1}/${body.length}`;
    body = body.subarray(Number(range[1]), end);
  }
  if (!kind.drip) fields["content-length"] = body.length;
  response.writeHead(status, fields);
  if (request.method === "HEAD") return response.end();
  if (fault === "broken") {
    response.write(body.subarray(0, body.length >> 1));
    return setTimeout(() => request.socket.destroy(), 20);
  }
  if (!kind.drip) return response.end(body);
  const step = Math.ceil(body.length / 5);
  let at = 0;
  const timer = setInterval(() => {
    if (response.destroyed) return clearInterval(timer);
    response.write(body.subarray(at, (at += step)));
    if (at >= body.length) {
      clearInterval(timer);
      response.end();
    }
  }, 30);
}
