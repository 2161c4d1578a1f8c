// Requests as they come in reality, mixed by chance: hits, misses, variants, ranges, conditions, posts, purges, clients that leave,
// before an origin that fails, resets, hangs and drips. Each answer is judged by what the origin wrote down.

import http from "node:http";
import zlib from "node:zlib";
import { randomFrom } from "../../js/runner.mjs";
import { TOKEN } from "../lab.mjs";
import { KINDS } from "./origin.mjs";

const WIDTH = 100;
const HUNG = 15_000;
/** How many paths of a kind there are, and how often it is asked for. */
const PATHS = { hot: 20, large: 3, stream: 2, drip: 5 };
const WEIGHTS = {
  hot: 40,
  short: 10,
  vary: 10,
  swr: 6,
  rescued: 6,
  validated: 6,
  private: 3,
  nostore: 3,
  gzip: 4,
  large: 2,
  stream: 1,
  drip: 2,
  failing: 3,
};
const LOTTERY = Object.entries(WEIGHTS).flatMap(([kind, weight]) => Array(weight).fill(kind));
/** What clocks and whole seconds of Age may differ by. */
const SLACK = 1_100;

/** What a request asks for, by chance alone. */
function plan(random) {
  const kind = LOTTERY[random(LOTTERY.length)];
  // Some paths are asked for once only, as crawlers do.
  const path = `/${kind}/${random(20) === 0 ? `once-${random(1 << 30)}` : random(PATHS[kind] ?? 10)}`;
  const wish = { kind, path, method: "GET", headers: {} };
  if (KINDS[kind].vary) wish.headers["x-kind"] = `k${random(4)}`;
  if (kind === "gzip" && random(2)) wish.headers["accept-encoding"] = "gzip";
  switch (random(40)) {
    case 0:
      wish.method = "POST";
      wish.body = "x".repeat(random(2_000));
      break;
    case 1:
    case 2:
      wish.method = "HEAD";
      break;
    case 3:
    case 4:
      if (kind !== "gzip") wish.range = [random(50), 50 + random(200)];
      break;
    case 5:
      wish.headers["cache-control"] = ["no-cache", "max-age=0", "no-store", "max-stale=1"][random(4)];
      break;
    case 6:
      wish.headers["if-none-match"] = '"nothing"';
      break;
    case 7:
      wish.headers.cookie = `who=${random(100)}`;
      break;
    case 8:
    case 9:
      wish.leaves = random(60);
      break;
  }
  if (wish.range) wish.headers.range = `bytes=${wish.range.join("-")}`;
  return wish;
}

/** Sends `count` requests, and resolves with how many came to what, with the first defects in full. */
export async function soak(server, origin, { seed, count, progress = () => {} }) {
  const random = randomFrom(seed);
  const agent = new http.Agent({ keepAlive: true, maxSockets: WIDTH * 2 });
  const counts = new Map();
  const defects = [];
  /** When what was known of a path became void for all who ask later: purged, or invalidated by a POST. */
  const voided = new Map();
  let sent = 0;
  const lane = async () => {
    while (sent < count) {
      const number = ++sent;
      if (random(500) === 0) {
        await purge(server, agent, random, voided);
        continue;
      }
      const wish = plan(random);
      const known = voidedAt(voided, wish);
      const came = await ask(server, agent, wish);
      if (wish.method === "POST" && came.status === 200) mark(voided, wish.path, came.from);
      const verdict = judge(wish, came, origin, known);
      counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
      if (!GOOD.includes(verdict) && defects.length < 10)
        defects.push({ number, verdict, wish, came: { ...came, body: came.body?.toString("latin1").slice(0, 120) } });
      progress(sent, counts);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, lane));
  agent.destroy();
  return { counts, defects };
}

export const GOOD = ["right", "left", "refused: the origin failed", "cut: the origin failed"];

async function purge(server, agent, random, voided) {
  const kinds = Object.keys(KINDS);
  const kind = kinds[random(kinds.length)];
  const path = `/${kind}/${random(PATHS[kind] ?? 10)}`;
  const what = [{ tags: [kind] }, { urls: [path] }, { everything: true }, { prefixes: [`/${kind}/`] }][random(4)];
  const headers = { authorization: `Bearer ${TOKEN}` };
  const came = await ask(server, agent, {
    method: "POST",
    path: "/_nearcache/purge",
    headers,
    body: JSON.stringify(what),
  });
  if (came.status !== 200) throw new Error(`a purge came to ${came.status} ${came.body}`);
  mark(voided, what.everything ? "" : what.urls ? path : `/${kind}/`, came.from);
}

const mark = (voided, prefix, from) => voided.set(prefix, Math.max(voided.get(prefix) ?? 0, from));
const voidedAt = (voided, { kind, path }) => Math.max(...["", `/${kind}/`, path].map((name) => voided.get(name) ?? 0));

function ask(server, agent, { method, path, headers, body, leaves }) {
  return new Promise((resolve) => {
    const came = { from: Date.now(), status: 0 };
    const chunks = [];
    const end = (more) => {
      clearTimeout(timer);
      resolve({ ...came, until: Date.now(), body: Buffer.concat(chunks), ...more });
    };
    const options = { method, headers, agent: leaves === undefined ? agent : false };
    const request = http.request(`${server.url}${path}`, options, (response) => {
      Object.assign(came, { status: response.statusCode, headers: response.headers });
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => end({ complete: response.complete }));
      response.on("error", () => end({ complete: false }));
    });
    request.on("error", (error) => end({ error: error.code ?? error.message }));
    const leave = () => {
      end(leaves === undefined ? { hung: true } : { left: true });
      // With a reset: after a mere end of what it sends, a client may still be listening.
      if (request.socket?.resetAndDestroy) request.socket.resetAndDestroy();
      else request.destroy();
    };
    const timer = setTimeout(leave, leaves ?? HUNG);
    request.end(body);
  });
}

/** Whether a path met a fault while a request may have waited for it: `since` milliseconds before the request counts too. */
const faulty = (origin, path, { from, until }, since = 0) =>
  origin.faults.some(([of, , begin, end]) => of === path && begin <= until && end >= from - since);

function judge(wish, came, origin, voidedAt) {
  const { kind, path, method, range, leaves } = wish;
  const { status, headers, body } = came;
  if (leaves !== undefined) return "left";
  if (came.hung) return "hung";
  // A failure lasts for those who wait for it, and a remembered one for its backoff.
  const excused = faulty(origin, path, came, 2_000);
  if (status === 0) return excused ? "cut: the origin failed" : `no answer: ${came.error}`;
  if (!headers["cache-status"]) return `bare ${status}`;
  if (status >= 500 || status === 429) return excused ? "refused: the origin failed" : `${status} without a fault`;
  if (!came.complete) return excused ? "cut: the origin failed" : "cut short";
  if (method === "POST") return status === 200 && String(body) === `posted ${path}` ? "right" : `post: ${status}`;
  if (status === 304) return wish.headers["if-none-match"] ? "wrong: 304" : "304 for no condition";
  if (method === "HEAD") return status === 200 && body.length === 0 ? "right" : `head: ${status}`;
  if (range) return judgeRange(wish, came);
  if (status !== 200) return `status ${status}`;
  const plain = headers["content-encoding"] === "gzip" ? zlib.gunzipSync(body) : body;
  if (headers["content-encoding"] && !/gzip/.test(wish.headers["accept-encoding"] ?? "")) return "wrong: encoded";
  const said = /^path=(\S+) v=(\S+) n=\d+ began=(\d+) at=(\d+)\n/.exec(plain.subarray(0, 200).toString());
  if (!said) return "wrong: garbled";
  const length = said[0].length + (KINDS[kind].filler ?? 100) + 3;
  if (plain.length !== length || plain.subarray(-3).toString() !== "END") return "wrong: not whole";
  if (said[1] !== path) return "wrong: another's path";
  if (said[2] !== (wish.headers["x-kind"] ?? "-")) return "wrong: another's variant";
  return judgeAge(wish, came, origin, Number(said[3]), Number(said[4]), voidedAt);
}

function judgeRange({ range: [start, end] }, { status, headers, body }) {
  if (status !== 206 && status !== 200) return `range: ${status}`;
  if (status === 200) return /END$/.test(body.subarray(-3).toString()) ? "right" : "wrong: not whole";
  const given = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers["content-range"] ?? "");
  if (!given || Number(given[1]) !== start) return "wrong: another range";
  const wanted = Math.min(end, Number(given[3]) - 1) - start + 1;
  return body.length === wanted ? "right" : `wrong: ${body.length} bytes of ${wanted}`;
}

function judgeAge({ kind, path }, came, origin, began, at, voidedAt) {
  if (began < voidedAt && KINDS[kind].etag === undefined) return "too old: purged";
  const control = KINDS[kind].control;
  const seconds = (name) => Number(new RegExp(`${name}=(\\d+)`).exec(control)?.[1] ?? 0);
  const age = came.from - at;
  const fresh = seconds("(?<!\\w-)max-age") * 1_000 + SLACK;
  if (age <= fresh + seconds("stale-while-revalidate") * 1_000) return "right";
  // What has been validated is older than its answer.
  if (KINDS[kind].etag && age <= fresh + 3_000) return "right";
  // What can't be had anew is handed out past its time (RFC 9111 §4.2.4).
  return faulty(origin, path, came, 2_000) ? "right" : `too old: ${kind}`;
}
