import { host, type Pending } from "./host.js";

/** The longest that a timer runs, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** One timer for many deadlines: it rings at the earliest it was set for. */
export class Alarm implements Pending {
  timer: ReturnType<typeof setTimeout> | undefined;
  #at = Infinity;

  constructor(
    readonly isNeeded: () => boolean,
    private readonly ring: () => void,
  ) {}

  /** Rings at `at` or before, whichever was asked for first. Cheap when it is set early enough already. */
  set(at: number, now: number): void {
    if (at >= this.#at) return;
    clearTimeout(this.timer);
    this.#at = at;
    this.timer = setTimeout(this.#fire, Math.min(Math.max(at - now, 1), LONGEST));
    host.alarmSet(this);
  }

  readonly #fire = (): void => {
    this.#at = Infinity;
    host.alarmOff(this);
    this.ring();
  };
}
