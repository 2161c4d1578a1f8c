// What the cases of run-storms.mjs stand on: a Worker in raw workerd, or with `--in=wrangler` under `wrangler dev`, in front
// of a slow origin; requests that must be answered and requests that die; a table at the end.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startWrangler } from "../../wrangler.mjs";
import { bundle, COMPATIBILITY_DATE, scratch, serve } from "../workerd.mjs";
import { startOrigin } from "./origin.mjs";
import { COMPLAINT, send } from "./send.mjs";

const given = Object.fromEntries(process.argv.slice(2).map((argument) => argument.replace(/^--/, "").split("=")));
/** Whether `wrangler dev` stands between. */
export const wrangled = given.in === "wrangler";
/** How long the origin takes, in milliseconds. */
export const DELAY = 400;
export const origin = await startOrigin(DELAY);
const entry = fileURLToPath(new URL("worker.mjs", import.meta.url));
const worker = await (wrangled ? inWrangler() : inWorkerd());

async function inWorkerd() {
  const folder = scratch();
  await bundle(entry, folder);
  return serve(folder, { services: { ORIGIN: origin.address } });
}

function inWrangler() {
  const folder = scratch();
  writeFileSync(
    join(folder, "wrangler.toml"),
    `name = "storms"\nmain = ${JSON.stringify(entry)}\ncompatibility_date = "${COMPATIBILITY_DATE}"\n`,
  );
  return startWrangler(folder, { ORIGIN_URL: `http://${origin.address}` });
}

const rows = [];
const failures = [];
const complain = (name, what) => failures.push(`${name}: ${what}`);

/** One case: its name, the origin calls it may cost (or the least and the most), what to do. Answers are checked here. */
export async function storm(name, wanted, body) {
  if (!name.includes(given.only ?? "")) return;
  const sent = [];
  const before = failures.length;
  const logged = worker.log().length;
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
  for (const line of new Set(worker.log().slice(logged).split("\n"))) {
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
export const isError =
  (pattern) =>
  ({ status, text }) =>
    status === 502 && pattern.test(text) ? undefined : "not the error wanted";
export const isTimeout = isError(/ERR_TIMEOUT/);

/** How requests die: what they are told. */
export const deaths = {
  "throws before the load has begun its fetch": { die: "throw", pause: 100 },
  "throws at once, the load under way": { die: "throw" },
  "throws while the load is under way": { die: "throw later" },
  "returns early": { die: "return" },
  "returns early, before the load has begun its fetch": { die: "return", pause: 100 },
  "returns while followers wait": { die: "return later" },
};

/** Ends what was begun, prints the table, and exits. */
export function finish() {
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
}
