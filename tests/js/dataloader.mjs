// Our DataLoader beside dataloader's own, in Node: each behaviour with both, then random walks that must go
// alike. `--seed=N`, `--only=part of a title`, `--walks=N`.

import Theirs from "dataloader";
import { DataLoader as Ours } from "nearcache";
import { behaviours } from "./dataloader/behaviours.mjs";
import { walk } from "./dataloader/walk.mjs";
import { limit, report, settings } from "./report.mjs";
import { context, equal, run, test } from "./runner.mjs";

limit(100_000, "dataloader");
const given = settings();
const walks = Number(process.argv.find((argument) => argument.startsWith("--walks="))?.slice(8) ?? 3_000);

behaviours("dataloader's", Theirs);
behaviours("ours", Ours);

test("random calls go alike with both: batches, outcomes, and their order", async () => {
  let batches = 0;
  for (let seed = context.seed; seed < context.seed + walks; seed++) {
    const [theirs, ours] = [await walk(Theirs, seed), await walk(Ours, seed)];
    equal(ours, theirs, `seed ${seed}`);
    batches += theirs.filter((line) => line.startsWith("batch")).length;
  }
  if (batches < walks) throw new Error(`only ${batches} batches`);
});

report("dataloader", await run({ ...given, runtime: "node", timeout: 90_000 }), given.seed);
