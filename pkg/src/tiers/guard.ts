// What fails again and again is left alone for a while, and the log hears of it.

import type { BreakerState } from "../types/stats.js";
import type { TierHost } from "../types/tiering.js";
import { Gate } from "./wasm.js";

/** So many failures in a row, and it is left alone for `cooldown` ms. */
export interface GuardOptions {
  readonly failures: number;
  readonly cooldown: number;
}

/** What is said when it begins to fail, and when it works again. */
export interface GuardLines {
  readonly failing: string;
  readonly recovered: string;
}

/** A line about a store that begins to fail at calls of one kind, and what becomes of loads meanwhile. */
export function failing(store: string, calls: string, meanwhile: string): string {
  return `${store} fails (${calls}); ${meanwhile}`;
}

/** A line about one that had failed. */
export function recovered(store: string, calls: string): string {
  return `${store} works again (${calls})`;
}

/** A circuit breaker around calls of one kind. */
export class Guard {
  readonly #gate: InstanceType<typeof Gate>;

  constructor(
    private readonly host: TierHost,
    { failures, cooldown }: GuardOptions,
    private readonly log: (line: string) => void,
    private readonly lines: GuardLines,
  ) {
    this.#gate = new Gate(failures, cooldown);
  }

  /** Whether a call may be made that takes so many ms at the most. */
  admits(millis: number): boolean {
    return this.#gate.admits(this.host.now(), millis);
  }

  get state(): BreakerState {
    return this.#gate.state(this.host.now()) as BreakerState;
  }

  /** A call has ended. */
  ended(well: boolean): void {
    const change = this.#gate.ended(this.host.now(), well);
    if (change === 1) this.log(this.lines.failing);
    if (change === 2) this.log(this.lines.recovered);
  }
}
