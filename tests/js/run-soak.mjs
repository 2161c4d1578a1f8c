// Storms long enough for what the compilers do late: one isolate each for the class and the Worker, with V8's own flags.
// `scripts/soak` runs it: `--seed=N`, `--count=N` requests each, `--only=class` or `--only=Worker`.

import { report, settings } from "./report.mjs";
import { blow, defects, row, table } from "./storms/blow.mjs";
import { GOOD, startBuilt, startClass } from "./storms/faces.mjs";
import { startWeather } from "./storms/weather.mjs";

const EVERY = 10_000;
const { seed, only, count = 200_000 } = settings();
console.log(`soak: seed ${seed}, ${count} requests each`);
const soaks = [
  { name: "class", start: startClass },
  { name: "class, batches", start: startClass, sharer: "nearcache, batched", hangs: false },
  { name: "Worker", start: startBuilt },
];
const rows = [];
const failures = [];
for (const soak of soaks.filter(({ name }) => name.includes(only))) {
  const weather = await startWeather(seed);
  const face = await soak.start(weather, soak);
  const begin = Date.now();
  let next = begin + EVERY;
  const progress = (sent, verdicts) => {
    if (Date.now() < next) return;
    next += EVERY;
    const bad = [...verdicts].filter(([verdict]) => !GOOD.includes(verdict)).reduce((sum, [, n]) => sum + n, 0);
    console.log(
      `soak: ${soak.name}, ${Math.round((Date.now() - begin) / 1000)} s: ${sent} of ${count}, ${bad} defects`,
    );
  };
  const result = await blow(face, weather, { seed, count, hangs: soak.hangs, progress });
  rows.push(
    row(
      soak.name,
      result,
      [...weather.calls.values()].reduce((a, b) => a + b, 0),
    ),
  );
  const found = await defects(face, result);
  if (found.length > 0) failures.push({ title: soak.name, error: found.join("; ") });
  face.stop();
  weather.stop();
}
if (rows.length > 0) console.log(table(rows));
report("soak", { passed: rows.length - failures.length, failed: failures.length, failures }, seed);
