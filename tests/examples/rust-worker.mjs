// The example Rust Worker, built, in raw workerd: what it promises, and a long storm with V8's compilers hurried.
// `--seed=N`, `--count=N` for the storm.

import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { limit, report, settings } from "../js/report.mjs";
import { sleep } from "../js/runner.mjs";
import { blow, defects, row, table } from "../js/storms/blow.mjs";
import { COMPLAINT, send } from "../js/storms/send.mjs";
import { startWeather } from "../js/storms/weather.mjs";
import { HURRIED, root, scratch, serve } from "../js/workerd.mjs";

limit(120_000, "rust-worker");
const { seed, count = 4_000 } = settings();
const weather = await startWeather(seed, { delay: 300, write: JSON.stringify });

async function startExample(weather, flags) {
  const folder = scratch();
  copyFileSync(join(root, "build/rust-worker/index.js"), join(folder, "main.js"));
  copyFileSync(join(root, "build/rust-worker/index_bg.wasm"), join(folder, "index_bg.wasm"));
  const services = { net: weather.address };
  const worker = await serve(folder, { services, outbound: "net", variables: { ORIGIN: "http://origin" }, flags });
  const agent = new Agent({ keepAlive: true });
  return {
    log: worker.log,
    mortal: false,
    raw: (key, how) => send(worker.url, `/${key}`, {}, { timeout: 8_000, ...how }),
    ask(key, { cancelled } = {}) {
      const { answer, cancel } = this.raw(key, { agent: cancelled ? false : agent });
      return { answer: answer.then((got) => judge(got, key)), cancel };
    },
    stop: () => (agent.destroy(), worker.stop()),
  };
}

function judge({ status, text, headers, left, hung }, key) {
  if (left) return "gone";
  if (hung) return "hung";
  if (status === 200) return new RegExp(`^"${key} call \\d+"$`).test(text) ? "right" : "wrong";
  // Whatever the Worker says itself has this field; the runtime's bare 500 has not.
  if (!headers["cache-status"]) return status === 500 ? "bare 500" : `broken: ${status} ${text.slice(0, 80)}`;
  if (key[0] === "f" && status === 502 && text.startsWith("the loader failed: ")) return "refused";
  if (key[0] === "h" && headers["cache-status"] === "rust-worker; detail=ERR_TIMEOUT") return "refused";
  return `error: ${status} ${text.slice(0, 120)}`;
}

const failures = [];
let passed = 0;
async function test(title, body) {
  try {
    await body();
    passed++;
  } catch (error) {
    failures.push({ title, error: error.stack });
  }
}
const tally = (values) => Object.groupBy(values, (value) => value);

const face = await startExample(weather);
const many = (n, key) => Promise.all(Array.from({ length: n }, () => face.raw(key).answer));

await test("500 requests for a cold path: one call of the origin, and each is told how it came by its answer", async () => {
  const answers = await many(500, "c-500");
  for (const { status, text } of answers) assert.deepEqual([status, text], [200, '"c-500 call 1"']);
  assert.equal(weather.calls.get("c-500"), 1);
  const said = tally(answers.map(({ headers }) => headers["cache-status"]));
  assert.equal(said["rust-worker; fwd=miss; detail=miss"]?.length, 1, Object.keys(said).join(" | "));
  assert.ok(said["rust-worker; fwd=miss; detail=coalesced"]?.length > 100, Object.keys(said).join(" | "));
  const [later] = await many(1, "c-500");
  assert.match(later.headers["cache-status"], /^rust-worker; hit; ttl=(60|59|58)$/);
});

await test("when the client of the request that loads leaves, those who wait get the answer", async () => {
  const leader = face.raw("c-leaves");
  await sleep(100);
  const waiting = many(20, "c-leaves");
  await sleep(60);
  leader.cancel();
  for (const { status, text } of await waiting) assert.deepEqual([status, text], [200, '"c-leaves call 1"']);
});

await test("an origin that fails: all get its error, and the next asks again", async () => {
  for (const { status, text } of await many(10, "e-1"))
    assert.deepEqual([status, text], [502, "the loader failed: the origin says 503"]);
  assert.equal(weather.calls.get("e-1"), 1);
  await many(1, "e-1");
  assert.equal(weather.calls.get("e-1"), 2);
});

await test("the runtime has nothing to complain of", () => {
  assert.deepEqual(
    face
      .log()
      .split("\n")
      .filter((line) => COMPLAINT.test(line)),
    [],
  );
});
face.stop();
weather.stop();

await test(`a storm of ${count}, compilers hurried`, async () => {
  const weather = await startWeather(seed, { write: JSON.stringify });
  const face = await startExample(weather, HURRIED);
  const result = await blow(face, weather, { seed, count, hangs: false });
  const calls = [...weather.calls.values()].reduce((a, b) => a + b, 0);
  console.log(table([row("example, compilers hurried", result, calls)]));
  const found = await defects(face, result);
  face.stop();
  weather.stop();
  assert.deepEqual(found, []);
});

report("rust-worker", { passed, failed: failures.length, failures }, seed);
