// The soak: many requests through the Worker in raw workerd, and what came of each. `--seed=N`, `--count=N` (200,000; 20,000 in
// scripts/test). Memory is looked at by rounds of a tenth: in the second half it may not grow any more.

import { limit, report, settings } from "../../js/report.mjs";
import { COMPLAINT } from "../../js/storms/send.mjs";
import { TOKEN } from "../lab.mjs";
import { memoryOf } from "../memory.mjs";
import { startWorkerd } from "../workerd.mjs";
import { startOrigin } from "./origin.mjs";
import { GOOD, soak } from "./soak.mjs";

const { seed, count = 200_000 } = settings();
limit(60_000 + count * 10, "soak");
console.log(`soak: seed ${seed}, ${count} requests`);
const ROUNDS = 10;
/** How much more than in the first half V8's heap may hold at the end, with its buffers, in MiB. */
const GROWTH = 4;
/** The same of the wasm's memory, which is never given back. */
const WASM_GROWTH = 1;

const origin = await startOrigin(seed);
const vars = {
  ORIGIN: `http://${origin.address}`,
  ADMIN_TOKEN: TOKEN,
  HARD_TIMEOUT: "3s",
  IDLE_TIMEOUT: "2s",
  MAX_BYTES: "8388608",
};
const server = await startWorkerd({ ...vars, MAX_ENTRY_BYTES: "1048576" }, { probed: true });
const sum = new Map();
const failures = [];
const heaps = [];
const wasms = [];
const begin = Date.now();
for (let round = 0; round < ROUNDS; round++) {
  const { counts, defects } = await soak(server, origin, {
    seed: seed * ROUNDS + round,
    count: Math.ceil(count / ROUNDS),
  });
  for (const [verdict, n] of counts) sum.set(verdict, (sum.get(verdict) ?? 0) + n);
  for (const defect of defects)
    if (failures.length < 10) failures.push({ title: defect.verdict, error: JSON.stringify(defect) });
  const { heap, resident, wasm } = await memoryOf(server);
  heaps.push(heap);
  wasms.push(wasm);
  console.log(
    `soak: ${Math.round((Date.now() - begin) / 1000)} s, round ${round + 1}, ${defects.length} defects, heap ${heap} MiB, wasm ${wasm} MiB, process ${resident} MiB`,
  );
}
console.table(Object.fromEntries([...sum].sort((a, b) => b[1] - a[1])));
for (const [title, held, most] of [
  ["V8's heap", heaps, GROWTH],
  ["the wasm's memory", wasms, WASM_GROWTH],
]) {
  const grown = held.at(-1) - Math.max(...held.slice(0, ROUNDS / 2));
  if (grown > most) failures.push({ title, error: `grew by ${grown} MiB: ${held.join(", ")}` });
}
const complaints = [
  ...new Set(
    server
      .log()
      .split("\n")
      .filter((line) => COMPLAINT.test(line) || /RuntimeError|panick/.test(line)),
  ),
];
if (complaints.length > 0) failures.push({ title: "the runtime's log", error: complaints[0].slice(0, 300) });
const wrong = [...sum].filter(([verdict]) => !GOOD.includes(verdict)).reduce((all, [, n]) => all + n, 0);
console.log(
  `soak: ${count} requests, ${origin.calls()} reached the origin, ${wrong} defects, heap ${heaps.join(", ")} MiB, wasm ${wasms.join(", ")} MiB`,
);
server.stop();
origin.stop();
report("soak", { passed: 1, failed: failures.length, failures }, seed);
process.exit();
