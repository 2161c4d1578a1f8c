// Runs the public suite against the built Worker in raw workerd, with the settings it has by itself, and compares with
// expected.json: the tests that are known not to pass, each with its reason, by edition of the suite. What fails and isn't there is a regression; what is
// there and passes is to be taken out. The folder of the suite is the first argument; `--only=TEXT` prints the tests whose
// names hold it, `--list` everything that fails, `--json=FILE` writes the results.

import { readFileSync, writeFileSync } from "node:fs";
import { startWorkerd } from "../workerd.mjs";
import { openSuite, verdict } from "./suite.mjs";

const [folder, ...flags] = process.argv.slice(2);
const flag = (name) => flags.find((one) => one.startsWith(`--${name}`))?.replace(/^[^=]*=?/, "");

const suite = await openSuite(folder);
const known = JSON.parse(readFileSync(new URL("expected.json", import.meta.url), "utf8"))[suite.edition];
const origin = await suite.startOrigin();
const server = await startWorkerd({ ORIGIN: origin.url });
const log = console.log;
console.log = console.error = () => {};
const results = await suite.run(server.url);
console.log = log;
server.stop();
origin.stop();

const counts = { required: [0, 0], optimal: [0, 0] };
const regressions = [];
const mended = [];
const failing = {};
for (const [id, { kind, name }] of suite.tests) {
  if (!(kind in counts)) continue;
  const came = verdict(suite, results, id);
  counts[kind][1]++;
  if (came === "pass") counts[kind][0]++;
  else failing[id] = `${kind}, ${came}: ${results[id]?.[1] ?? "its own checks hold"} (${name})`;
  if (came !== "pass" && !(id in known)) regressions.push(id);
  if (came === "pass" && id in known) mended.push(id);
}
const only = flag("only");
if (only !== undefined)
  for (const [id, result] of Object.entries(results))
    if (id.includes(only)) log(id, verdict(suite, results, id), result);
if (flag("list") !== undefined) for (const [id, why] of Object.entries(failing)) log(`${id}: ${why}`);
if (flag("json")) writeFileSync(flag("json"), JSON.stringify({ failing, results }, null, 2));
for (const id of regressions) log(`FAILED ${id}: ${failing[id]}`);
for (const id of mended) log(`FAILED ${id} passes: take it out of expected.json`);
const [required, optimal] = [counts.required, counts.optimal].map(([passed, all]) => `${passed} of ${all}`);
log(`http-tests/cache-tests: ${required} required, ${optimal} optimal`);
const wrong = regressions.length + mended.length;
log(`${suite.tests.size - wrong} passed, ${wrong} failed`);
process.exit(wrong ? 1 : 0);
