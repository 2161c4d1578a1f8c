// What a fault of a tier costs those who ask.

import { equal } from "../js/runner.mjs";

export const TIMEOUT = 100;
export const KEYS = Array.from({ length: 30 }, (_, at) => `key ${at}`);

/** What it takes to get so many keys one after the other, in milliseconds. */
export async function cost({ cache }, keys, load) {
  const times = [];
  for (const key of keys) {
    const start = performance.now();
    equal(await cache.getOrSet(key, load), `value of ${key}`);
    times.push(performance.now() - start);
  }
  return { worst: Math.max(...times), sum: times.reduce((sum, time) => sum + time, 0) };
}

const table = [];

/** A row of the table of faults. */
export function note(fault, { worst, sum }, lines) {
  table.push([fault, Math.round(worst), Math.round(sum), lines.length]);
}

/** What the faults cost. */
export function faultTable() {
  const rows = table.map(([fault, ...numbers]) => `  ${fault.padEnd(32)} ${numbers.join("\t")}`);
  return `Timeout ${TIMEOUT} ms, ${KEYS.length} gets one after the other: ms of the slowest and of all, log lines\n${rows.join("\n")}`;
}
