// Storms of requests for cold keys, and leaders that die at every stage, over real HTTP. In raw workerd;
// with `--in=wrangler` under `wrangler dev`. `--only=part of a case's name`.

import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { limit } from "./report.mjs";
import { startOrigin } from "./storms/origin.mjs";
import { COMPLAINT, send } from "./storms/send.mjs";
import { bundle, COMPATIBILITY_DATE, kill, root, scratch, serve, start } from "./workerd.mjs";

const given = Object.fromEntries(process.argv.slice(2).map((argument) => argument.replace(/^--/, "").split("=")));
const DELAY = 400;
limit(240_000, "storms");
const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
const origin = await startOrigin(DELAY);
const folder = scratch();
const entry = fileURLToPath(new URL("storms/worker.mjs", import.meta.url));
const worker = await (given.in === "wrangler" ? inWrangler() : inWorkerd());

async function inWorkerd() {
  await bundle(entry, folder);
  return serve(folder, { services: { ORIGIN: origin.address } });
}

async function inWrangler() {
  const port = await freePort();
  writeFileSync(
    join(folder, "wrangler.toml"),
    `name = "storms"\nmain = ${JSON.stringify(entry)}\ncompatibility_date = "${COMPATIBILITY_DATE}"\n[vars]\nORIGIN_URL = "http://${origin.address}"\n`,
  );
  mkdirSync(join(folder, "home"));
  const args = [
    "dev",
    "--local",
    "--ip=127.0.0.1",
    `--port=${port}`,
    `--inspector-port=${await freePort()}`,
    "--show-interactive-dev-session=false",
  ];
  const env = {
    ...process.env,
    WRANGLER_SEND_METRICS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    CI: "1",
    PATH: `${root}node_modules/.bin:${process.env.PATH}`,
  };
  const child = start(join(root, "node_modules/.bin/wrangler"), args, {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = [];
  child.stdout.on("data", (data) => log.push(String(data)));
  child.stderr.on("data", (data) => log.push(String(data)));
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) break;
    if ((await send(url, "/ready", {}).answer).text === "ready") return { url, log, stop: () => kill(child) };
    await sleep(200);
  }
  console.log(log.join(""));
  throw new Error("wrangler dev did not come up");
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const rows = [];
const failures = [];
const complain = (name, what) => failures.push(`${name}: ${what}`);

/** One case: its name, the origin calls it may cost (or the least and the most), what to do. Answers are checked here. */
async function storm(name, wanted, body) {
  if (!name.includes(given.only ?? "")) return;
  const sent = [];
  const before = failures.length;
  const logged = worker.log.length;
  const api = {
    /** A request that must be answered, with the value unless `expect` says otherwise. */
    get(parameters = {}, expect = isValue) {
      const { answer } = send(worker.url, "/get", { cache: name, key: "k", ...parameters });
      const checked = answer.then((got) => ({ ...got, wrong: expect(got) }));
      sent.push(checked);
      return checked;
    },
    many: (count, parameters, expect) =>
      Promise.all(
        Array.from({ length: count }, (_, i) =>
          api.get(typeof parameters === "function" ? parameters(i) : parameters, expect),
        ),
      ),
    /** A request that dies. */
    doomed: (parameters) => send(worker.url, "/get", { cache: name, key: "k", ...parameters }),
    other: (path, parameters) => send(worker.url, path, { cache: name, key: "k", ...parameters }).answer,
    check: (condition, what) => condition || complain(name, what),
    calls: () => origin.calls.get(name) ?? 0,
  };
  const start = Date.now();
  await body(api).catch((error) => complain(name, error.message));
  const answers = await Promise.all(sent);
  const wrong = answers.filter((answer) => answer.wrong !== undefined);
  for (const answer of wrong.slice(0, 3))
    complain(name, `${answer.wrong}: ${answer.status} ${answer.text.slice(0, 200)}`);
  const [least, most] = [wanted].flat().concat(wanted);
  if (api.calls() < least || api.calls() > most) complain(name, `${api.calls()} origin calls, wanted ${wanted}`);
  const { text } = await api.other("/stats");
  if (!/"inFlight":0\b/.test(text)) complain(name, `loads still in flight: ${text.slice(0, 300)}`);
  for (const line of new Set(worker.log.slice(logged).join("").split("\n"))) {
    if (COMPLAINT.test(line)) complain(name, `the runtime's log: ${line.slice(0, 300)}`);
  }
  rows.push({
    name,
    requests: sent.length,
    answered: sent.length - wrong.length,
    failures: wrong.length,
    calls: api.calls(),
    wanted,
    millis: Date.now() - start,
    good: failures.length === before,
  });
}

function isValue({ status, text }) {
  if (status !== 200) return "not answered";
  const { value, after } = JSON.parse(text);
  if (!/ call \d+$/.test(value)) return "a strange value";
  return after === "after" ? undefined : "no I/O afterwards";
}
const isError =
  (pattern) =>
  ({ status, text }) =>
    status === 502 && pattern.test(text) ? undefined : "not the error wanted";
const isTimeout = isError(/ERR_TIMEOUT/);

for (const requests of [1, 50, 500]) {
  for (const keys of [1, 100]) {
    await storm(
      `${requests} request${requests > 1 ? "s" : ""}, ${keys} cold key${keys > 1 ? "s" : ""}`,
      Math.min(requests, keys),
      async ({ many }) => {
        await many(requests, (i) => ({ key: i % keys }));
      },
    );
  }
}
const hundred = Array.from({ length: 100 }, (_, i) => `k${i}`).join();
await storm("1 request for 100 cold keys", 100, ({ get }) => get({ keys: hundred }));
await storm("50 requests, each for the same 100 cold keys", 100, ({ many }) => many(50, { keys: hundred }));
await storm("500 requests, 1 warm key", 1, async ({ get, many }) => {
  await get();
  await many(500, {});
});

// Leaders that die: 20 followers wait, 5 come later, and 5 when it is over.
async function followers({ many }, { until } = {}) {
  await sleep(30);
  const waiting = many(20, {});
  await until?.();
  await sleep(60);
  await Promise.all([waiting, many(5, {})]);
  await many(5, {});
}
const deaths = {
  "throws before the load has begun its fetch": { die: "throw", pause: 100 },
  "throws at once, the load under way": { die: "throw" },
  "throws while the load is under way": { die: "throw later" },
  "returns early": { die: "return" },
  "returns early, before the load has begun its fetch": { die: "return", pause: 100 },
  "returns while followers wait": { die: "return later" },
};
for (const [how, parameters] of Object.entries(deaths)) {
  await storm(`leader ${how}`, 1, async (api) => {
    api.doomed(parameters);
    await followers(api);
  });
  for (const lose of ["drop", "throw"]) {
    // Where the load dies before it has asked the origin, the follower's call is the first. What was asked in
    // the leader's last moment may get there or not.
    const calls = parameters.pause ? 1 : parameters.die.endsWith("later") ? 2 : [1, 2];
    await storm(
      `leader ${how}, its load lost (waitUntil ${lose === "drop" ? "ignored" : "throws"})`,
      calls,
      async (api) => {
        api.doomed({ ...parameters, lose });
        await followers(api);
      },
    );
  }
}
for (const pause of [0, 150]) {
  const when = pause ? "before the load has begun its fetch" : "while the load is under way";
  await storm(`leader's client leaves ${when}`, 1, async (api) => {
    const leader = api.doomed(pause ? { pause } : {});
    await followers(api, { until: () => sleep(60).then(leader.cancel) });
  });
  // Under wrangler the request may outlive its client, because of what stands between.
  const calls = pause ? 1 : given.in === "wrangler" ? [1, 2] : 2;
  await storm(`leader's client leaves ${when}, its load lost`, calls, async (api) => {
    const leader = api.doomed({ lose: "drop", ...(pause && { pause }) });
    await followers(api, { until: () => sleep(60).then(leader.cancel) });
  });
}
await storm("leaders who take over die too, their loads lost", [2, 6], async (api) => {
  api.doomed({ die: "return later", after: 150, lose: "drop" });
  await sleep(20);
  // Each of these, if it takes the lead, loses it again soon after.
  for (const after of [220, 280, 340, 400]) {
    api.doomed({ die: "return later", after, lose: "drop" });
    await sleep(5);
  }
  await api.many(20, {});
});
await storm("half of the followers' clients leave", 1, async (api) => {
  const leader = api.get();
  await sleep(20);
  const leaving = Array.from({ length: 20 }, () => api.doomed({}));
  const staying = api.many(20, {});
  await sleep(80);
  for (const { cancel } of leaving) cancel();
  await Promise.all([leader, staying]);
});
await storm("leader dies, its load lost, and nobody waits; the next asks the origin", [1, 2], async (api) => {
  api.doomed({ die: "return", lose: "drop" });
  await sleep(150);
  await api.many(5, {});
});

// Deadlines and signals across requests.
await storm("leader's deadline is shorter than its followers'", 1, async (api) => {
  const leader = api.get({ timeout: 250 }, isTimeout);
  await sleep(20);
  await Promise.all([leader, api.many(20, {})]);
});
await storm("leader leaves by a signal", 1, async (api) => {
  const leader = api.get({ leave: 100 }, isError(/Timeout|abort/i));
  await sleep(20);
  await Promise.all([leader, api.many(20, {})]);
});
await storm("followers who have left do not take a lost lead", 2, async (api) => {
  api.doomed({ die: "return later", after: 250, lose: "drop" });
  await sleep(20);
  const left = api.many(5, { leave: 60, linger: 350 }, isError(/Timeout|abort/i));
  await sleep(400);
  const { text } = await api.other("/stats");
  api.check(/"loads":1\b/.test(text), `loads begun while nobody waited: ${text}`);
  await left;
  await api.many(5, {});
});
await storm("origin hangs: all end at their own deadline, on one call", 1, async (api) => {
  origin.hanging = true;
  const start = Date.now();
  const waiting = [];
  for (let i = 0; i < 20; i++) {
    waiting.push(api.get({ timeout: 800 }, isTimeout));
    await sleep(5);
  }
  await Promise.all(waiting);
  origin.hanging = false;
  api.check(Date.now() - start < 2500, `took ${Date.now() - start} ms`);
});
await storm("origin hangs, then answers: the key is not held", 2, async (api) => {
  origin.hanging = true;
  await api.many(10, { timeout: 300 }, isTimeout);
  origin.hanging = false;
  await api.many(10, {});
});
await storm("leader is lost and the time runs out before the second load ends", [1, 2], async (api) => {
  api.doomed({ die: "return", lose: "drop" });
  origin.hanging = true;
  await sleep(10);
  await api.many(10, { timeout: 300 }, isTimeout);
  origin.hanging = false;
});
await storm("the last one leaves: the load's own fetch is aborted", 1, async (api) => {
  origin.hanging = true;
  const gone = origin.gone;
  const leader = api.get({ leave: 100 }, isError(/Timeout|abort/i));
  await sleep(30);
  await Promise.all([leader, api.many(5, { leave: 200 }, isError(/Timeout|abort/i))]);
  for (let i = 0; i < 20 && origin.gone === gone; i++) await sleep(50);
  origin.hanging = false;
  api.check(origin.gone > gone, "the origin's connection stayed open");
});

// What the cache is for.
await storm("origin fails, then recovers", 2, async (api) => {
  origin.failing = true;
  await api.many(20, {}, isError(/the origin says 503/));
  origin.failing = false;
  await api.many(20, {});
  await api.many(20, {});
});
await storm("origin fails after its leader has died", 2, async (api) => {
  origin.failing = true;
  api.doomed({ die: "return" });
  await sleep(50);
  await api.many(20, {}, isError(/the origin says 503/));
  origin.failing = false;
  await api.many(20, {});
});
await storm("delete during a load: who waited gets it, who comes later another", 2, async (api) => {
  const waiting = api.many(10, {});
  await sleep(100);
  await api.other("/delete");
  const later = await api.many(10, {});
  const values = new Set([...(await waiting), ...later].map(({ text }) => JSON.parse(text).value));
  api.check(values.size === 2, `${values.size} values`);
});
await storm("ttl 300 ms passes across requests", 2, async (api) => {
  const ask = async () => JSON.parse((await api.get({ ttl: 300 })).text);
  const first = await ask();
  const start = Date.now();
  await sleep(50);
  const second = await ask();
  if (Date.now() - start < 250) {
    api.check(second.value === first.value, "the second is the first's");
    api.check(
      second.remainingTtl < first.remainingTtl,
      `remainingTtl ${first.remainingTtl}, then ${second.remainingTtl}`,
    );
  }
  await sleep(600);
  const third = await ask();
  api.check(third.value.endsWith("call 2"), `600 ms later: ${third.value}`);
});

// Stale values across requests. A value is loaded, its time passes, and what comes then is told by its status.
const isStatus =
  (...statuses) =>
  ({ status, text }) => {
    if (status !== 200) return "no value";
    const got = JSON.parse(text);
    return statuses.includes(got.value?.status) && got.after === "after"
      ? undefined
      : `wanted status ${statuses.join(" or ")}`;
  };
const swr = { ttl: 50, staleWhileRevalidate: 60_000, details: "yes" };
/** Loads the value, and lets its time pass. */
async function age(api, options) {
  await api.get(options, isStatus("miss"));
  await sleep(120);
}
await storm(
  "50 stale hits are answered at once and cost one origin call, which ends after the answers",
  2,
  async (api) => {
    await age(api, swr);
    const start = Date.now();
    await api.many(50, swr, isStatus("stale"));
    api.check(Date.now() - start < DELAY, `answered after ${Date.now() - start} ms`);
    api.check(
      /"inFlight":1\b/.test((await api.other("/stats")).text),
      "the refresh is not under way after the answers",
    );
    await sleep(DELAY + 150 - (Date.now() - start));
    const { text } = await api.other("/peek");
    api.check(text === "null" || /call 2/.test(text), `held after the refresh: ${text}`);
    api.check(/"refreshes":1\b/.test((await api.other("/stats")).text), "one refresh");
  },
);
for (const [how, parameters] of Object.entries({
  throws: { die: "throw" },
  "returns early": { die: "return" },
  "client leaves": {},
})) {
  await storm(`the request that refreshes: ${how}; its refresh is brought home all the same`, 2, async (api) => {
    await age(api, swr);
    const dying = api.doomed({ ...swr, ...parameters });
    await sleep(how === "client leaves" ? 30 : 0);
    if (how === "client leaves") dying.cancel();
    await sleep(20);
    await api.many(20, swr, isStatus("stale"));
    await sleep(DELAY + 150);
    api.check(/"inFlight":0\b.*/.test((await api.other("/stats")).text), "the refresh has not come home");
  });
  await storm(
    `the request that refreshes: ${how}, its refresh lost; there is another after its deadline`,
    [3, 5],
    async (api) => {
      const short = { ...swr, hardTimeout: 600 };
      await age(api, short);
      const dying = api.doomed({ ...short, ...parameters, lose: "drop" });
      await sleep(how === "client leaves" ? 30 : 0);
      if (how === "client leaves") dying.cancel();
      await sleep(20);
      await api.many(20, short, isStatus("stale"));
      await sleep(700);
      await api.get(short, isStatus("stale"));
      await sleep(DELAY + 150);
      const { text } = await api.other("/stats");
      api.check(/"sets":2\b/.test(text), `stored: ${text}`);
      // Misses sweep away what was lost without anybody waiting for it.
      for (const key of ["x", "y"]) await api.get({ ...short, key }, isStatus("miss"));
    },
  );
}
await storm("softTimeout across requests: the stale value, while one load goes on", 2, async (api) => {
  const soft = { ttl: 50, staleIfError: 60_000, soft: 100, details: "yes" };
  await age(api, soft);
  const start = Date.now();
  await api.many(20, soft, isStatus("stale-on-timeout"));
  api.check(Date.now() - start < DELAY, `answered after ${Date.now() - start} ms`);
  await sleep(DELAY + 100 - (Date.now() - start));
  const { text } = await api.other("/stats");
  api.check(/"sets":2\b/.test(text) && /"softTimeouts":20\b/.test(text), `figures: ${text}`);
});
await storm(
  "softTimeout, and the leader dies with its load lost: followers get the stale value",
  [2, 3],
  async (api) => {
    const soft = { ttl: 50, staleIfError: 60_000, soft: 200, details: "yes" };
    await age(api, soft);
    api.doomed({ ...soft, die: "return later", after: 60, lose: "drop" });
    await sleep(20);
    await api.many(20, soft, isStatus("stale-on-timeout"));
    await sleep(2 * DELAY);
  },
);
await storm("stale-if-error: an origin that fails is answered for by the last good value", [2, 6], async (api) => {
  const stale = { ttl: 50, staleIfError: 60_000, details: "yes" };
  await age(api, stale);
  origin.failing = true;
  await api.many(50, stale, isStatus("stale-if-error"));
  await api.many(5, stale, isStatus("stale-if-error"));
  origin.failing = false;
  const [{ text }] = await api.many(1, stale, isStatus("miss"));
  api.check(/call [3-6]/.test(text), text);
});
await storm("errorBackoff: a failing origin is asked once, whatever comes within it", 2, async (api) => {
  const stale = { ttl: 50, staleIfError: 60_000, errorBackoff: 30_000, details: "yes" };
  await age(api, stale);
  origin.failing = true;
  for (let i = 0; i < 5; i++) await api.many(20, stale, isStatus("stale-if-error", "stale"));
  origin.failing = false;
});
await storm("errorBackoff without a value: the same error, from one origin call", 1, async (api) => {
  origin.failing = true;
  for (let i = 0; i < 3; i++) await api.many(20, { errorBackoff: 30_000 }, isError(/the origin says 503/));
  origin.failing = false;
});
await storm("update: its value is there for other requests", 1, async (api) => {
  await api.get({ write: "yes" });
  await api.many(20, {});
});
for (const lose of [undefined, "drop"]) {
  for (const [how, parameters] of Object.entries(deaths)) {
    // Each later get loads: while the write is under way, nothing is stored.
    await storm(
      `update in a request that ${how}${lose ? ", its write lost" : ""}: the old value is not served afterwards`,
      [2, 8],
      async (api) => {
        const first = await api.get({});
        api.doomed({ ...parameters, write: "yes", ...(lose && { lose }) });
        await sleep(60);
        const during = await api.many(5, {});
        await sleep(DELAY);
        const later = await api.many(5, {});
        for (const { text } of [...during, ...later])
          api.check(JSON.parse(text).value !== JSON.parse(first.text).value, `served: ${text}`);
      },
    );
  }
}
await storm(
  "update waits across requests no longer than its deadline, and leaves nothing behind",
  [2, 4],
  async (api) => {
    await api.get({});
    origin.hanging = true;
    await api.get({ write: "yes", timeout: 200 }, isTimeout);
    origin.hanging = false;
    api.check((await api.other("/peek")).text === "null", "the old value is there");
    await api.many(5, {});
  },
);

worker.stop();
origin.stop();
const width = Math.max(...rows.map(({ name }) => name.length));
console.log(`${"case".padEnd(width)}  requests  answered  failures  origin calls (wanted)     ms`);
for (const { name, requests, answered, failures, calls, wanted, millis } of rows) {
  const cells = [
    String(requests).padStart(8),
    String(answered).padStart(8),
    String(failures).padStart(8),
    `${calls} (${[wanted].flat().join("–")})`.padStart(21),
    String(millis).padStart(5),
  ];
  console.log(`${name.padEnd(width)}  ${cells.join("  ")}`);
}
for (const failure of failures) console.log(`storms: FAILED ${failure}`);
const passed = rows.filter(({ good }) => good).length;
const failed = rows.length - passed;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
