import { HttpCache } from "nearcache/http";
import { memoryTier, tiers } from "nearcache/tiers";
import { randomFrom } from "../js/runner.mjs";
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const unhandled = [];
process.on("unhandledRejection", (e) => unhandled.push(e));
console.error = (...a) => { console.log("CONSOLE.ERROR", ...a); };
let open = new Set();
function stream(name, bytes, random, how) {
  // A source that is tracked until it is closed, cancelled or broken.
  const id = { name, how, at: 0 };
  open.add(id);
  return new ReadableStream({
    async pull(c) {
      if (random(3) === 0) await sleep(random(4));
      if (how === "break" && id.at > bytes.length / 2) { open.delete(id); return c.error(new Error("broke")); }
      if (how === "hang" && id.at > bytes.length / 2) { await sleep(600); open.delete(id); return c.error(new Error("hung")); }
      if (how === "short" && id.at > bytes.length / 2) { open.delete(id); return c.close(); }
      if (id.at >= bytes.length) { open.delete(id); return c.close(); }
      const n = 1 + random(60_000);
      c.enqueue(bytes.slice(id.at, id.at + n)); id.at += n;
    },
    cancel() { open.delete(id); id.cancelled = true; },
  }, { highWaterMark: 0 });
}
const content = (path, version, size) => { const b = new Uint8Array(size); for (let i = 0; i < size; i++) b[i] = (i * 7 + path * 13 + version * 31 + (i >> 8)) & 255; return b; };
const bad = [];
async function program(seed, steps) {
  const random = randomFrom(seed);
  const pick = (a) => a[random(a.length)];
  open = new Set();
  const stored = new Map();
  const mood = { read: "well", write: "well" };
  const store = {
    name: "played", options: { timeout: 60, failures: 3, cooldown: 100 },
    get: async () => undefined, set: async () => {}, delete: async (n) => stored.delete(n),
    async getStream(name, start, end) {
      if (mood.read === "fail") throw new Error("down");
      if (mood.read === "hangs") return new Promise(() => {});
      const b = stored.get(name); if (!b) return undefined;
      const part = b.slice(start, end);
      if (mood.read === "lie") part[random(part.length)] ^= 1;
      return stream(`store ${name}`, part, random, mood.read);
    },
    async setStream({ name, stream: s }) {
      if (mood.write === "fail") throw new Error("full");
      if (mood.write === "hangs") return new Promise(() => {});
      const parts = []; let n = 0; const r = s.getReader();
      for (;;) { const { done, value } = await r.read(); if (done) break; parts.push(value); n += value.length; if (mood.write === "midway" && n > 100_000) { r.cancel().catch(() => {}); throw new Error("midway"); } if (random(4) === 0) await sleep(random(3)); }
      const whole = new Uint8Array(n); let at = 0; for (const p of parts) { whole.set(p, at); at += p.length; } stored.set(name, whole);
    },
  };
  const version = [0, 0, 0, 0];
  const sizes = [5_000, 30_000, 400_000, 700_000];
  let originMood = "well";
  const handler = async (request) => {
    const path = Number(new URL(request.url).pathname.slice(2));
    const b = content(path, version[path], sizes[path]);
    const chunked = new URL(request.url).searchParams.has("chunked");
    const how = originMood;
    if (how === "throw") throw new Error("origin down");
    const headers = { "cache-control": "max-age=60", etag: `"${path}-${version[path]}"` };
    if (!chunked) headers["content-length"] = `${b.length}`;
    return new Response(stream(`origin ${path}`, b, random, how), { headers });
  };
  const http = new HttpCache({ defaults: { maxBodyBytes: pick([10_000, 500_000]) }, idleTimeout: 300, totalTimeout: pick([400, 5_000]), tiers: tiers([memoryTier()], { bodies: store, log: () => {} }) });
  const clients = new Set();
  const client = async () => {
    const path = random(4), v = version[path];
    const chunked = random(3) === 0;
    const headers = {};
    let range;
    if (random(4) === 0) { const a = random(sizes[path]), z = a + random(sizes[path] - a); range = [a, z + 1]; headers.range = `bytes=${a}-${z}`; }
    const controller = new AbortController();
    const stop = random(3) === 0 ? random(8) : Infinity;
    if (random(8) === 0) setTimeout(() => controller.abort(new Error("gone")), random(20));
    let r;
    try { r = await http.handle(new Request(`https://e.com/p${path}${chunked ? "?chunked" : ""}`, { headers, signal: controller.signal }), handler); } catch (e) { if (e.message !== "gone") bad.push([seed, "threw", e]); return; }
    if (r.status >= 500) { await r.text(); return; }
    if (stop === 0 && random(2)) { await r.body?.cancel(); return; }
    if (r.body === null) return;
    const reader = r.body.getReader();
    let at = 0; const parts = [];
    try {
      for (let i = 0; ; i++) {
        if (i >= stop) { if (random(2)) reader.read().catch(() => {}); await reader.cancel(); return; }
        const { done, value } = await reader.read(); if (done) break; parts.push(value); at += value.length;
        if (random(10) === 0) await sleep(random(30));
      }
    } catch (e) { if (!/broke|hung|broke off|could not be read|not what was stored|silent|cut|aborted|gone|takes too long/.test(e.message)) bad.push([seed, "read", e.message]); return; }
    // Whole: the bytes must be some version's.
    const whole = Buffer.concat(parts);
    const vs = Array.from({ length: version[path] - v + 1 }, (_, i) => v + i);
    const fits = (ver) => { const c = content(path, ver, sizes[path]); const w = r.status === 206 ? c.subarray(range[0], range[1]) : c; return Buffer.compare(whole, w) === 0; };
    const shortOk = chunked || /too-large|pass/.test(r.headers.get('cache-status'));
    if (!vs.some(fits)) {
      const isPrefix = vs.some((ver) => { const c = content(path, ver, sizes[path]).subarray(r.status === 206 ? range[0] : 0); return Buffer.compare(whole, c.subarray(0, whole.length)) === 0; });
      if (!(isPrefix && shortOk)) bad.push([seed, `wrong bytes path ${path} status ${r.status} got ${whole.length} of ${sizes[path]} range ${range} v ${v}..${version[path]} chunked ${chunked} prefix ${isPrefix} ${r.headers.get("cache-status")} cl ${r.headers.get("content-length")}`]);
    }
  };
  for (let step = 0; step < steps; step++) {
    const op = random(12);
    if (op < 7) { const c = client().catch((e) => bad.push([seed, "client", e])); clients.add(c); c.finally(() => clients.delete(c)); }
    else if (op === 7) mood.read = pick(["well", "well", "well", "well", "well", "well", "fail", "hangs", "break", "hang", "short", "lie"]);
    else if (op === 8) mood.write = pick(["well", "well", "well", "well", "well", "well", "well", "fail", "hangs", "midway"]);
    else if (op === 9) originMood = pick(["well", "well", "well", "well", "well", "well", "well", "break", "short", "throw", "hang"]);
    else if (op === 10 && random(8) === 0) { const p = random(4); version[p]++; http.purge(random(2) ? { url: [`https://e.com/p${p}`, `https://e.com/p${p}?chunked`] } : { everything: true }); }
    else await sleep(random(15));
  }
  const t = Date.now();
  while (clients.size > 0 && Date.now() - t < 4000) await sleep(20);
  if (clients.size) bad.push([seed, `${clients.size} clients never end`]);
  await sleep(500);
  for (let i = 0; i < 50 && (open.size > 0 || http.stats().loadsInFlight > 0); i++) await sleep(50);
  if (open.size) bad.push([seed, "open sources", JSON.stringify([...open].slice(0, 4))]);
  if (http.stats().loadsInFlight) bad.push([seed, `in flight ${http.stats().loadsInFlight}`]);
  return http.stats();
}
const [start, count, steps] = [2, 3, 4].map((n, i) => Number(process.argv[n] ?? [1, 5, 60][i]));
let total = {};
for (let seed = start; seed < start + count; seed++) {
  const s = await program(seed, steps);
  for (const [k, v] of Object.entries({ ...s.bodies, hits: s.hits, misses: s.misses, coalesced: s.coalesced })) if (typeof v === "number") total[k] = (total[k] ?? 0) + v;
  if (unhandled.length) { bad.push([seed, "unhandled", unhandled[0]]); unhandled.length = 0; }
  if (bad.length > 6) break;
}
console.log(JSON.stringify(total));
for (const b of bad.slice(0, 8)) console.log(...b);
console.log("done", count * steps, "found", bad.length);
process.exit();
