// Which ways to make a promise keep the mark of its request, by what V8 has made of the code that uses them. What is known of
// them is in storms/marks.json; `--write` renews that, and docs/workerd-promises.md tells it.

import { execFile } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { limit, report } from "./report.mjs";
import { equal, ok, run, sleep, test } from "./runner.mjs";
import { send } from "./storms/send.mjs";
import { scratch, serve } from "./workerd.mjs";

limit(60_000, "marks");
const TIERS = ["interpreted", "Maglev", "TurboFan"];
const CURE = "Promise.withResolvers()";
const file = fileURLToPath(new URL("storms/marks.json", import.meta.url));

// The bits are V8's OptimizationStatus (runtime.h), which has been renumbered before: then the first test fails.
const NATIVES = `
export function tierOf(f) {
  const status = %GetOptimizationStatus(f);
  return status & 32 ? "TurboFan" : status & 16 ? "Maglev" : status & 64 ? "interpreted" : "unknown: " + status;
}
export function compile(f, tier, use) {
  if (tier === "interpreted") return;
  %PrepareFunctionForOptimization(f);
  for (let i = 0; i < 20; i++) use();
  if (tier === "Maglev") %OptimizeMaglevOnNextCall(f);
  else %OptimizeFunctionOnNextCall(f);
  use();
}
`;

/** In an isolate of its own: each way's verdict, and the tier in which its code was when it counted. */
async function look(tier) {
  const folder = scratch();
  copyFileSync(fileURLToPath(new URL("storms/marks.mjs", import.meta.url)), join(folder, "main.js"));
  writeFileSync(join(folder, "natives.js"), NATIVES);
  const worker = await serve(folder, { flags: ["--allow-natives-syntax"] });
  const ask = async (path, parameters, body) => send(worker.url, path, parameters, { body, timeout: 5_000 }).answer;
  const seen = {};
  for (const way of JSON.parse((await ask("/ways")).text)) {
    await ask("/compile", { way, tier });
    const { text: compiled } = await ask("/make", { way });
    const waited = await ask("/wait", {}, "mine");
    const own = ask("/own", { way }, "mine");
    await sleep(40);
    await ask("/settle");
    const right = [waited, await own].every(({ status, text }) => status === 200 && text === "mine");
    seen[way] = { verdict: right ? "right" : "wrong", compiled };
  }
  worker.stop();
  return seen;
}

const looks = await Promise.all(TIERS.map(look));
const table = {};
for (const way of Object.keys(looks[0])) {
  table[way] = Object.fromEntries(TIERS.map((tier, i) => [tier, looks[i][way].verdict]));
}
const { version } = createRequire(import.meta.url)("workerd/package.json");
console.log(`the request's mark of a promise, in workerd ${version}\n`);
const line = (cells) =>
  console.log(
    `${cells[0].padEnd(28)} ${cells
      .slice(1)
      .map((cell) => cell.padEnd(12))
      .join(" ")}`,
  );
line(["made by", ...TIERS]);
for (const [way, verdicts] of Object.entries(table)) line([way, ...Object.values(verdicts)]);
if (process.argv.includes("--write")) writeFileSync(file, `${JSON.stringify({ workerd: version, table }, null, 2)}\n`);
const known = JSON.parse(readFileSync(file, "utf8"));

test("each way was looked at as the code that it is told of", () => {
  TIERS.forEach((tier, i) => {
    for (const [way, { compiled }] of Object.entries(looks[i])) equal(compiled, tier, `${way}: compiled`);
  });
});
test(`${CURE} keeps the mark, whatever V8 makes of the code`, () => {
  equal(table[CURE], { interpreted: "right", Maglev: "right", TurboFan: "right" });
});
test("compiled code loses the mark of an async function's promise: the test can see it", () => {
  ok(
    Object.values(table).some((verdicts) => verdicts.TurboFan === "wrong"),
    "a way that is wrong",
  );
});
for (const way of new Set([...Object.keys(table), ...Object.keys(known.table)])) {
  test(`${way} is as known of workerd ${known.workerd} (else: --write, and tell docs/workerd-promises.md)`, () => {
    equal(table[way], known.table[way]);
  });
}
test("the reproduction of docs/workerd-promises shows it, and that withResolvers is the cure", async () => {
  const script = fileURLToPath(new URL("../../docs/workerd-promises/run.mjs", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, "hurried", "60"]);
  const failed = Object.fromEntries(
    [...stdout.matchAll(/^(\w+): (\d+) of 2400/gm)].map(([, way, n]) => [way, Number(n)]),
  );
  equal(failed.withResolvers, 0, "requests that failed with withResolvers");
  ok(failed.async > 0 && failed.then > 0, `that async and then fail, of ${stdout}, `);
});
report("marks", await run({ runtime: "node", timeout: 40_000 }));
