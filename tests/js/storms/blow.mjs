// A long storm: rounds of requests at once, each determined by the seed and its number.

import { randomFrom, sleep } from "../runner.mjs";
import { COMPLAINT } from "./send.mjs";
import { GOOD } from "./faces.mjs";

/** Requests in a round, and rounds at a time. */
const WIDTH = 60;
const LANES = 3;

/**
 * Sends `count` requests to a face. Resolves with how many came to which verdict, the first defect's number, and the calm keys
 * that the origin was asked for more than once. `hangs`: whether the origin may leave some requests without an answer;
 * `progress(sent, verdicts)` is called now and then.
 */
export async function blow(face, weather, { seed, count, hangs = true, progress = () => {} }) {
  const verdicts = new Map();
  const late = [];
  const start = Date.now();
  let sent = 0;
  let judged = 0;
  let first;
  const fire = async ({ key, how, leaveAfter }) => {
    sent++;
    const { answer, cancel } = face.ask(key, { ...how, ...(leaveAfter !== undefined && { cancelled: true }) });
    if (leaveAfter !== undefined) setTimeout(cancel, leaveAfter);
    const verdict = await answer;
    judged++;
    verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    if (!GOOD.includes(verdict)) first ??= judged;
  };
  let round = 0;
  const lane = async () => {
    while (sent < count) {
      const plan = planRound(randomFrom(seed * 1_000_003 + round), round, Math.min(WIDTH, count - sent), face, hangs);
      round++;
      const answers = [];
      // Who asks an origin that hangs is not waited for, so that the others go on.
      for (const one of plan) (one.key[0] === "h" ? late : answers).push(fire(one));
      await Promise.all(answers);
      progress(sent, verdicts);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await Promise.all(late);
  const again = [...weather.calls].filter(([key, calls]) => key[0] === "c" && calls > 1);
  return { sent, verdicts, first, again, millis: Date.now() - start };
}

/** What the requests of a round ask for, and how they end. */
function planRound(random, round, width, face, hangs) {
  const burst = random(3) > 0;
  // One key for all shares the most; many keys begin the most loads, which makes hot the code that begins them.
  const keys = [1, 5, 15, 30][random(4)];
  const hanging = hangs && !burst && random(6) === 0;
  return Array.from({ length: width }, (_, i) => {
    const key = burst ? `c${round}-${i % keys}` : hanging && i < 5 ? `h${round}` : pick(random);
    // Leaders, who come first, die more often than others.
    const dies = random(i < keys ? 3 : 12) === 0;
    if (!dies) return { key };
    // A leader who leaves by a signal before anyone has joined takes the load with him, and rightly; so not in bursts.
    const ways = !face.mortal ? 1 : burst ? 4 : 5;
    switch (random(ways)) {
      case 1:
        return { key, how: { die: "throw" } };
      case 2:
        return { key, how: { die: "return" } };
      case 3:
        return { key, how: { die: "return later" } };
      case 4:
        return { key, how: { leave: 1 + random(20) } };
      default:
        return { key, leaveAfter: random(30) };
    }
  });
}

/** Mostly keys that end all the time, some whose origin fails. */
const pick = (random) => (random(4) === 0 ? `f${random(5)}` : `s${random(12)}`);

/** What is wrong with a storm that has blown over: nothing, if it is as it should be. */
export async function defects(face, { verdicts, again, first }) {
  const found = [...verdicts].filter(([verdict]) => !GOOD.includes(verdict)).map(([verdict, n]) => `${n} × ${verdict}`);
  if (found.length > 0) found.push(`the first is request ${first}`);
  if (again.length > 0) found.push(`${again.length} calm keys loaded more than once, as ${again[0][0]}`);
  // Where all who waited have gone without a word, a hand that moves with each load finds out, past the last deadline.
  // Not every face shows its figures.
  let inFlight = (await face.inFlight?.()) ?? 0;
  for (let tries = 0; inFlight > 0 && tries < 20; tries++) {
    await sleep(200);
    await Promise.all(Array.from({ length: 50 }, (_, i) => face.ask(`c-sweep-${tries}-${i}`).answer));
    inFlight = await face.inFlight();
  }
  if (inFlight > 0) found.push(`${inFlight} loads still in flight`);
  const complaints = new Set(
    face
      .log()
      .split("\n")
      .filter((line) => COMPLAINT.test(line)),
  );
  if (complaints.size > 0) found.push(`the runtime's log: ${[...complaints][0].slice(0, 300)}`);
  return found;
}

/** One row of the table of storms. */
export function row(name, { sent, verdicts, millis }, calls) {
  const of = (...names) => names.reduce((sum, one) => sum + (verdicts.get(one) ?? 0), 0);
  const bad = [...verdicts].reduce(
    (sum, [verdict, n]) => (GOOD.includes(verdict) || verdict === "hung" ? sum : sum + n),
    0,
  );
  return {
    name,
    sent,
    right: of("right"),
    gone: of("gone"),
    refused: of("refused"),
    bad,
    hung: of("hung"),
    calls,
    millis,
  };
}

/** The table itself, as text. */
export function table(rows) {
  const heads = ["requests", "right", "gone", "refused", "errors", "hung", "calls", "ms"];
  const width = Math.max(...rows.map(({ name }) => name.length), 10);
  const line = (name, cells) => `${name.padEnd(width)}  ${cells.map((cell) => String(cell).padStart(8)).join("  ")}`;
  return [
    line("storm", heads),
    ...rows.map(({ name, ...rest }) => line(name, Object.values(rest))),
    "gone: left or died as told; refused: by an origin that failed; errors: bare 500s and whatever else nobody was told of",
  ].join("\n");
}
