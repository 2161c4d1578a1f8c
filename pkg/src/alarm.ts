import { host, type Pending } from "./host.js";

/** The longest that a timer runs, in milliseconds. */
export const LONGEST = 2 ** 31 - 1;

/**
 * One timer for many deadlines: it rings at the earliest it was set for, and says what time it is then by
 * its own account. A clock that a test holds still, or that was set back, does not put a deadline off.
 */
export class Alarm implements Pending {
  timer: ReturnType<typeof setTimeout> | undefined;
  #at = Infinity;
  #rings = Infinity;

  constructor(
    readonly isNeeded: () => boolean,
    private readonly ring: (at: number) => void,
  ) {}

  /** Rings at `at` or before, whichever was asked for first. Cheap when it is set early enough already. */
  set(at: number, now: number): void {
    if (at >= this.#at) return;
    clearTimeout(this.timer);
    this.#at = at;
    const wait = Math.min(Math.max(at - now, 1), LONGEST);
    this.#rings = now + wait;
    this.timer = setTimeout(this.#fire, wait);
    host.alarmSet(this);
  }

  /** Does not ring any more, until it is set anew. */
  off(): void {
    clearTimeout(this.timer);
    this.#at = Infinity;
    host.alarmOff(this);
  }

  readonly #fire = (): void => {
    this.#at = Infinity;
    host.alarmOff(this);
    this.ring(this.#rings);
  };
}
