// What to change about a cache, told for people. The rules are the core's (src/figures/advice.rs).

import type { Core } from "../core/core.js";
import type { Advice } from "../types/types.js";

/** Names the method of a cache that tells what its figures advise, in numbers. */
export const ADVICE = Symbol.for("nearcache.advice");

/** As the core numbers them. */
const LEVERS = [
  "maxEntries",
  "ttl",
  "staleWhileRevalidate",
  "staleIfError",
  "refreshAhead",
  "maxBytes",
  "batchWindow",
  "maxBatchSize",
] as const;

/** What the core says, piece by piece. */
export function read(numbers: ReturnType<Core["advice"]>): Advice[] {
  const all: Advice[] = [];
  for (let at = 0; at < numbers.length; at += 5) {
    const [lever, present, suggested, rate, gain] = numbers.slice(at, at + 5) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    const expected = Number.isNaN(gain) ? undefined : gain;
    const option = LEVERS[lever]!;
    all.push({ option, present, suggested, rate, expected, why: why(option, present, suggested, rate, gain) });
  }
  return all;
}

function why(option: Advice["option"], present: number, suggested: number, rate: number, expected: number): string {
  const share = `${(100 * rate).toFixed(1)} %`;
  switch (option) {
    case "maxEntries":
      return `${suggested} entries would give ${(100 * expected).toFixed(1)} % of hits, ${present} give ${share}`;
    case "maxBytes":
      return `${suggested} bytes would give ${(100 * expected).toFixed(1)} % of hits, ${present} give ${share}`;
    case "ttl":
      return `${share} of gets met a value past its ttl of ${present} ms, and little made room for others; if values change more rarely, let them live longer`;
    case "staleWhileRevalidate":
      return `${share} of gets waited for a load of what had expired; with staleWhileRevalidate they get the last value at once`;
    case "batchWindow":
      return `${share} of batches came within ${suggested} ms of an earlier one; with a batchWindow so long they would have ${expected.toFixed(1)} keys on average`;
    case "maxBatchSize":
      return `${share} of batches were the rest of a full one; with a maxBatchSize of ${suggested} they would have ${expected.toFixed(1)} keys on average`;
    case "staleIfError":
      return `${share} of loads failed; with staleIfError the last good value stands in for a while`;
    default:
      return `${share} of gets waited where a popular value had expired; refreshAhead loads it before its end`;
  }
}
