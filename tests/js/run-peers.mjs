// What sharing a load between requests comes to in raw workerd, by the libraries that offer it: two tables. Only our own rows
// are judged. `--seed=N`, `--count=N`, `--only=NAME`.

import { limit, report, settings } from "./report.mjs";
import { sleep } from "./runner.mjs";
import { blow, defects, row } from "./storms/blow.mjs";
import { startClass } from "./storms/faces.mjs";
import { startWeather } from "./storms/weather.mjs";
import { HURRIED } from "./workerd.mjs";

limit(170_000, "peers");
const NAMES = ["nearcache", "lru-cache", "ocache", "cachified", "async-cache-dedupe", "Map of promises", "no sharing"];
const { seed, only, count = 4_000 } = settings();
const names = NAMES.filter((name) => name.includes(only));
const failures = [];
let passed = 0;
const judge = (title, found) => {
  if (found.length === 0) passed++;
  else failures.push({ title, error: found.join("; ") });
};
const line = (name, cells) =>
  console.log(`${name.padEnd(19)} ${cells.map((cell) => String(cell).padStart(18)).join("")}`);

console.log(`peers: seed ${seed}\n`);
console.log(`A storm of ${count} requests with the compilers hurried; all loads are kept by waitUntil.`);
line("", ["requests", "right", "gone", "refused", "errors", "hung", "the first is"]);
for (const name of names) {
  const weather = await startWeather(seed);
  const face = await startClass(weather, { sharer: name, flags: HURRIED });
  const result = await blow(face, weather, { seed, count, hangs: false });
  const { sent, right, gone, refused, bad, hung } = row(name, result, 0);
  line(name, [sent, right, gone, refused, bad, hung, result.first ?? "none"]);
  if (name === "nearcache") judge("nearcache in the hurried storm", await defects(face, result));
  // Else the storm would be too calm to say anything of us.
  if (name === "Map of promises")
    judge("the storm is hard enough for a Map to fail in it", bad > 0 ? [] : ["it did not fail"]);
  face.stop();
  weather.stop();
}

const FOLLOWERS = 20;
const deaths = {
  stays: {},
  throws: { die: "throw" },
  "returns early": { die: "return" },
  "returns later": { die: "return later" },
  "loses its client": { cancelled: true },
};

/** How many of those who wait are answered when the request that began the load ends so, and how often the origin was asked. */
async function follow(face, weather, how, key) {
  const leader = face.ask(key, how);
  await sleep(60);
  const answers = Array.from({ length: FOLLOWERS }, () => face.ask(key).answer);
  await sleep(60);
  if (how.cancelled) leader.cancel();
  const right = (await Promise.all(answers)).filter((verdict) => verdict === "right").length;
  return { right, calls: weather.calls.get(key) ?? 0 };
}

console.log(`\nOf ${FOLLOWERS} requests that wait for a load whose request ends: answered (and calls of the origin).`);
console.log("Loads are kept only by the library itself.");
line("the leader", Object.keys(deaths));
for (const name of names) {
  const weather = await startWeather(seed, { delay: 300 });
  const face = await startClass(weather, { sharer: name, keep: false });
  // An isolate's first request takes longer than others.
  await face.ask("c-first").answer;
  const cells = [];
  for (const [death, how] of Object.entries(deaths)) {
    const { right, calls } = await follow(face, weather, how, `c-${cells.length}`);
    cells.push(`${right} (${calls})`);
    const good = right === FOLLOWERS && calls === 1;
    if (name === "nearcache")
      judge(`nearcache, the leader ${death}`, good ? [] : [`${right} answered, ${calls} calls`]);
  }
  line(name, cells);
  face.stop();
  weather.stop();
}
report("peers", { passed, failed: failures.length, failures }, seed);
