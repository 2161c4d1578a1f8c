// Calls of a tier: in time, and many at once.

import type { TierHost } from "../types/tiering.js";
import type { Tier, TierEntry } from "./types.js";

/** How a call ended, as the core has it. */
export const WELL = 0;
export const ERROR = 1;
export const TIMEOUT = 2;

/** What a call came to. */
export type CallResult<T> =
  { readonly end: typeof WELL; readonly value: T } | { readonly end: typeof ERROR | typeof TIMEOUT };

/** What has timers. */
export type Timers = Pick<TierHost, "setTimer" | "clearTimer">;

/** Waits for a call for so long. Never rejects. */
export function within<T>(host: Timers, millis: number, call: () => PromiseLike<T>): Promise<CallResult<T>> {
  return new Promise((resolve) => {
    const timer = host.setTimer(() => resolve({ end: TIMEOUT }), millis);
    const settle = (ended: CallResult<T>): void => {
      host.clearTimer(timer);
      resolve(ended);
    };
    try {
      call().then(
        (value) => settle({ end: WELL, value }),
        () => settle({ end: ERROR }),
      );
    } catch {
      settle({ end: ERROR });
    }
  });
}

export function getMany(tier: Tier, names: readonly string[]): PromiseLike<readonly (Uint8Array | undefined)[]> {
  if (tier.getMany !== undefined) return tier.getMany(names);
  return Promise.all(names.map((name) => tier.get(name)));
}

export function setMany(tier: Tier, entries: readonly TierEntry[]): PromiseLike<unknown> {
  if (entries.length === 0) return Promise.resolve();
  if (tier.setMany !== undefined) return tier.setMany(entries);
  return all(entries.map(async (entry) => tier.set(entry)));
}

export function deleteMany(tier: Tier, names: readonly string[]): PromiseLike<unknown> {
  if (names.length === 0) return Promise.resolve();
  if (tier.deleteMany !== undefined) return tier.deleteMany(names);
  return all(names.map(async (name) => tier.delete(name)));
}

/** Ends when all have: what is still on its way may arrive after what is sent next. */
export async function all(calls: readonly (PromiseLike<unknown> | undefined)[]): Promise<void> {
  await Promise.allSettled(calls);
  await Promise.all(calls);
}

/** A tier as one read or one turn's writes call it. */
export class Session {
  #tier: Tier | undefined = undefined;

  constructor(private readonly tier: Tier) {}

  /** What is called. Throws what the tier throws. */
  open(): Tier {
    return (this.#tier ??= this.tier.session?.() ?? this.tier);
  }

  /** After the last call, whatever became of it. */
  close(): void {
    if (this.#tier === undefined || this.#tier === this.tier) return;
    try {
      this.#tier.close?.().then(undefined, () => {});
    } catch {
      // There is nobody whom that would concern.
    }
  }
}
