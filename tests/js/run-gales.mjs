// Long storms in raw workerd, with V8's compilers as they are and hurried. `--seed=N`, `--count=N` for all storms.

import { limit, report, settings } from "./report.mjs";
import { blow, defects, row, table } from "./storms/blow.mjs";
import { startBuilt, startClass } from "./storms/faces.mjs";
import { startWeather } from "./storms/weather.mjs";
import { HURRIED } from "./workerd.mjs";

limit(170_000, "gales");
const { seed, only, count } = settings();
console.log(`gales: seed ${seed}`);
const storms = [
  { name: "class", start: startClass, count: 30_000 },
  { name: "Worker", start: startBuilt, count: 30_000 },
  { name: "class, compilers hurried", start: startClass, count: 4_000, flags: HURRIED },
  // An origin that hangs would hold all keys of a batch.
  {
    name: "class, batches, compilers hurried",
    start: startClass,
    sharer: "nearcache, batched",
    count: 4_000,
    hangs: false,
    flags: HURRIED,
  },
  {
    name: "class, limited, compilers hurried",
    start: startClass,
    sharer: "nearcache, limited",
    count: 4_000,
    // What hangs would take up all places.
    hangs: false,
    flags: HURRIED,
  },
  { name: "Worker, compilers hurried", start: startBuilt, count: 4_000, flags: HURRIED },
];
const rows = [];
const failures = [];
for (const storm of storms.filter(({ name }) => name.includes(only))) {
  const weather = await startWeather(seed);
  const face = await storm.start(weather, storm);
  const result = await blow(face, weather, { seed, count: count ?? storm.count, hangs: storm.hangs });
  rows.push(
    row(
      storm.name,
      result,
      [...weather.calls.values()].reduce((a, b) => a + b, 0),
    ),
  );
  const found = await defects(face, result);
  if (found.length > 0) failures.push({ title: storm.name, error: found.join("; ") });
  face.stop();
  weather.stop();
}
console.log(table(rows));
report("gales", { passed: rows.length - failures.length, failed: failures.length, failures }, seed);
