// Drawn sequences of the contract's steps through both faces: what comes of each step has to be the same, in every answer,
// event and figure. `--seed=N`, `--count=N`, or SEED and COUNT. Needs the example contract-log, and says where it looks.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { drawn } from "./contract/draw.mjs";
import { run } from "./contract/face.mjs";
import { limit, report, settings } from "./report.mjs";
import { root } from "./workerd.mjs";

limit(900_000, "contract");
const LENGTH = 30;
const given = settings();
const seed = Number(process.env.SEED ?? given.seed);
const count = Number(process.env.COUNT ?? given.count ?? 2_000);
const program = join(
  process.env.CARGO_TARGET_DIR ?? join(root, "target"),
  process.env.PROFILE ?? "debug",
  "examples/contract-log",
);
if (!existsSync(program)) {
  console.log(`contract: ${program} is missing: cargo build --example contract-log\n0 passed, 1 failed`);
  process.exit(1);
}

const crate = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
const answers = createInterface({ input: crate.stdout })[Symbol.asyncIterator]();

/** What the crate makes of a case. */
async function byCrate(testCase) {
  crate.stdin.write(JSON.stringify(testCase) + "\n");
  const { value, done } = await answers.next();
  if (done) throw new Error(`the crate has ended, by ${JSON.stringify(testCase)}`);
  return JSON.parse(value);
}

/** The first step in which the faces differ; `undefined` if none. */
function firstDifference(ours, theirs) {
  const steps = Math.max(ours.length, theirs.length);
  for (let at = 0; at < steps; at++) if (!isDeepStrictEqual(ours[at], theirs[at])) return at;
  return undefined;
}

async function differs(testCase, lines) {
  // Where loads wait for loads or for a batch, which of those goes on first that one end sets free is the executor's to say.
  const all = testCase.steps.flatMap((step) => step.together ?? [step]);
  const nested = all.some((step) => step.asks !== undefined || step.load === "batch");
  const comparable = (lines) => {
    const copy = JSON.parse(JSON.stringify(lines));
    // What a hook causes is told by the crate at once, by the class after all else that the step tells.
    if (testCase.hookGets !== undefined) for (const line of copy) line.events?.sort();
    if (nested) for (const line of copy) for (const list of [line.events, line.begins]) list?.sort();
    // Where a Rust Worker's loads and writes are waited for by nobody, they go on.
    if (testCase.mode !== undefined) for (const line of copy) delete line.aborts;
    // What one purge takes goes in no order.
    const isPurge = ({ clear, deleteByTag, expireByTag }) => (clear ?? deleteByTag ?? expireByTag) !== undefined;
    // JSON in Rust is sorted by its text with quotes.
    for (const line of copy) line.swept?.sort();
    // Which of what is dead a step meets, and which the sweep after it, each face's slots decide.
    for (const line of copy) {
      const isEnd = (event) => /^expire |^evict .* expired/.test(event);
      const met = line.events?.filter(isEnd) ?? [];
      if (met.length === 0) continue;
      line.events = line.events.filter((event) => !isEnd(event));
      if (line.events.length === 0) delete line.events;
      line.swept = [...(line.swept ?? []), ...met].sort();
    }
    // Deadlines of one moment are in no order, nor is what passes in one leap, or what several begin in one turn.
    const passes = ({ walk, advance, together }) => (walk ?? advance ?? together) !== undefined;
    for (const [at, line] of copy.entries()) {
      if (passes(testCase.steps[at] ?? {})) for (const list of [line.events, line.begins]) list?.sort();
    }
    for (const [at, line] of copy.entries()) if (isPurge(testCase.steps[at] ?? {})) line.events?.sort();
    return copy;
  };
  const [ours, crate] = [comparable(lines ?? (await run(testCase))), await byCrate(testCase)];
  const [engine, bare, { refused }] = [comparable(crate.engine), comparable(crate.bare), crate];
  const at = firstDifference(ours, engine);
  return at === undefined ? undefined : { at, ours: ours[at], engine: engine[at], bare: bare[at], refused };
}

/** Leaves out what the difference does not need: steps, then the options of each and of the cache. */
async function shrink(testCase) {
  let { at } = await differs(testCase);
  let best = { ...testCase, steps: testCase.steps.slice(0, at + 1) };
  const attempt = async (candidate) => {
    const found = await differs(candidate);
    if (found === undefined) return false;
    best = { ...candidate, steps: candidate.steps.slice(0, found.at + 1) };
    return true;
  };
  for (let again = true; again;) {
    again = false;
    for (let i = best.steps.length - 1; i >= 0; i--) {
      if (i >= best.steps.length) continue;
      if (await attempt({ ...best, steps: best.steps.toSpliced(i, 1) })) again = true;
    }
    for (const name of Object.keys(best.cache)) {
      if (name === "batch" && best.steps.some((step) => step.load === "batch")) continue;
      // The class throws at what it can't weigh, as it sets many.
      if (name === "sizeOfLength" && best.steps.some((step) => step.setMany !== undefined)) continue;
      const { [name]: _, ...cache } = best.cache;
      if (await attempt({ ...best, cache })) again = true;
    }
    for (const hook of best.hooks ?? []) {
      if (await attempt({ ...best, hooks: best.hooks.filter((other) => other !== hook) })) again = true;
    }
    for (let i = 0; i < best.steps.length; i++) {
      for (const part of ["with", "say", "asks", "does", "in"]) {
        const { [part]: options, ...rest } = best.steps[i];
        if (options === undefined) continue;
        if (await attempt({ ...best, steps: best.steps.with(i, rest) })) again = true;
        else if (typeof options === "object" && !Array.isArray(options)) {
          for (const name of Object.keys(options)) {
            const { [name]: _, ...fewer } = best.steps[i]?.[part] ?? {};
            if (best.steps[i] === undefined || !(name in (best.steps[i][part] ?? {}))) continue;
            if (await attempt({ ...best, steps: best.steps.with(i, { ...best.steps[i], [part]: fewer }) }))
              again = true;
          }
        }
      }
    }
  }
  return best;
}

/** What of one line is not in the other. */
function parts(line = {}, other = {}) {
  const names = Object.keys({ ...line, ...other }).filter((name) => !isDeepStrictEqual(line[name], other[name]));
  return JSON.stringify(
    Object.fromEntries(
      names.map((name) => {
        if (name !== "stats" || line.stats === undefined || other.stats === undefined) return [name, line[name]];
        const stats = Object.entries(line.stats).filter(([figure, value]) => other.stats[figure] !== value);
        return [name, Object.fromEntries(stats)];
      }),
    ),
  );
}

const failures = [];
let passed = 0;
let steps = 0;
for (let i = 0; i < count && failures.length < Number(process.env.FAILURES ?? 1); i++) {
  const { testCase, draw } = drawn(seed + i, LENGTH);
  const lines = await run(testCase, draw);
  steps += testCase.steps.length;
  if ((await differs(testCase, lines)) === undefined) {
    passed++;
    continue;
  }
  const small = await shrink(testCase);
  const { ours, engine, bare, refused } = await differs(small);
  const { title, why, figures, ...shown } = small;
  console.log(`contract: the faces differ at seed ${seed + i}, in the last of these steps`);
  console.log(`  ${JSON.stringify({ ...shown, steps: undefined })}`);
  for (const step of small.steps) console.log(`  ${JSON.stringify(step)}`);
  console.log(`  the class: ${parts(ours, engine)}\n  the crate: ${parts(engine, ours)}`);
  const sides = [isDeepStrictEqual(bare, ours) && "the class", isDeepStrictEqual(bare, engine) && "the crate"];
  console.log(
    `  the bare machine agrees with ${sides.filter(Boolean).join(" and ") || `neither: ${parts(bare, ours)}`}`,
  );
  if (refused !== null) console.log(`  the crate refuses: ${refused}`);
  failures.push({ title: `seed ${seed + i}`, error: "see above" });
}
crate.stdin.end();
console.log(`contract: ${steps} steps in ${passed + failures.length} sequences`);
report("contract", { passed, failed: failures.length, failures }, seed);
process.exit();
