// Calls of the core with more numbers than are to be read in passing.

import type { Core } from "./core.js";
import type { CallOptions } from "./policy.js";

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
    options?.ttl ?? NaN,
    options?.idleTtl ?? NaN,
    options?.staleWhileRevalidate ?? NaN,
    options?.staleIfError ?? NaN,
    options?.refreshAhead ?? NaN,
    options?.jitter ?? NaN,
    options?.negativeTtl ?? NaN,
    options?.errorBackoff ?? NaN,
    options?.softTimeout ?? NaN,
    options?.hardTimeout ?? NaN,
    options?.attempts ?? NaN,
    options?.retryDelay ?? NaN,
    options?.retryFactor ?? NaN,
    options?.retryJitter ?? NaN,
    options?.keepLoading ?? NaN,
    options?.lowPriority ?? false,
    batched,
    options?.bytes ?? NaN,
    options?.tags,
  );
}

/** Stores a value about which something is said. */
export function insertWith<K>(
  core: Core,
  slot: number,
  number: number,
  hash: number,
  now: number,
  policy: number,
  weight: number,
  absent: boolean,
  random: number,
  said: CallOptions<K>,
): number {
  const { ttl, idleTtl, staleWhileRevalidate, staleIfError, refreshAhead, jitter, negativeTtl, tags } = said;
  return core.insert_with(
    slot,
    number,
    hash,
    now,
    policy,
    weight,
    absent,
    random,
    ttl,
    idleTtl,
    staleWhileRevalidate,
    staleIfError,
    refreshAhead,
    jitter,
    negativeTtl,
    tags,
  );
}
