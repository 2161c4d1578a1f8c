// Calls of the core with more numbers than are to be read in passing.

import type { Core } from "../core/core.js";
import type { CallOptions, Numbers } from "./policy.js";

const numbers = new Float64Array(16);

/** What one speaker says, as the core reads it: good until somebody else's is asked for. */
export function row(by: Numbers | undefined, bytes = NaN): Float64Array {
  if (by === undefined) return numbers.fill(NaN);
  numbers[0] = by.ttl;
  numbers[1] = by.idleTtl;
  numbers[2] = by.staleWhileRevalidate;
  numbers[3] = by.staleIfError;
  numbers[4] = by.refreshAhead;
  numbers[5] = by.jitter;
  numbers[6] = by.negativeTtl;
  numbers[7] = by.errorBackoff;
  numbers[8] = by.softTimeout;
  numbers[9] = by.hardTimeout;
  numbers[10] = by.attempts;
  numbers[11] = by.retryDelay;
  numbers[12] = by.retryFactor;
  numbers[13] = by.retryJitter;
  numbers[14] = by.keepLoading;
  numbers[15] = bytes;
  return numbers;
}

/** Tags as the core reads them: none has a U+0000 of its own. */
export function joined(tags: readonly string[] | undefined): string | undefined {
  return tags?.join("\0");
}

/** Asks with options, or again. */
export function askWith<K>(
  machine: Core,
  slot: number,
  number: number,
  hash: number,
  now: number,
  policy: number,
  options: CallOptions<K> | undefined,
  invalid: boolean,
  random: number,
  asker: number,
  again: number,
  askedAt: number,
  batched: boolean,
): number {
  return machine.ask_with(
    slot,
    number,
    hash,
    now,
    policy,
    options?.forceFresh ?? false,
    invalid,
    random,
    asker,
    again === 0 ? now : askedAt,
    again,
    options?.lowPriority ?? false,
    batched,
    row(options, options?.bytes),
    joined(options?.tags),
  );
}
