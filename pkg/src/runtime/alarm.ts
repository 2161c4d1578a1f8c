import { host, type Pending, type Timer } from "./host.js";

/** The longest that a timer runs, in milliseconds. */
export const LONGEST = 2 ** 31 - 1;

/**
 * One timer for many deadlines: it rings at the earliest that it was set for, and says what time it is then by its own
 * account, so that a clock that a test holds still puts no deadline off. At rest the timer holds nothing but this.
 */
export class Alarm implements Pending {
  timer: Timer | undefined;
  /** When it rings; `Infinity` if it is not set. */
  at = Infinity;
  /**
   * Called at the next deadline; `undefined` at rest. A timer that runs already is left to run out then: that is cheaper.
   * A field, since a full stack has room to write one.
   */
  onAlarm: ((at: number) => void) | undefined;
  private rings = Infinity;

  /** `holdsProcess`: whether a program that has nothing else to do should wait for it while it does not rest. */
  constructor(private readonly holdsProcess: boolean) {}

  /** Whether somebody waits for it. */
  isNeeded(): boolean {
    return this.holdsProcess && this.onAlarm !== undefined;
  }

  /** Rings at `at` or before, whichever was asked for first. */
  set(at: number, now: number): void {
    if (at >= this.at) return;
    const wait = Math.min(Math.max(at - now, 0), LONGEST);
    const { timer } = this;
    this.rings = now + wait;
    this.timer = host.setTimer(this.onTimer, wait);
    host.alarmSet(this);
    // Not before: if a full stack has no room for all that, whoever comes next sets it.
    this.at = at;
    if (timer !== undefined) host.clearTimer(timer);
  }

  /** Does not ring any more, until it is set anew. */
  off(): void {
    if (this.timer !== undefined) host.clearTimer(this.timer);
    this.at = Infinity;
    host.alarmOff(this);
  }

  private readonly onTimer = (): void => {
    this.at = Infinity;
    host.alarmOff(this);
    this.onAlarm?.(this.rings);
  };
}

/** A timer of one wait. */
export interface Countdown {
  timer: Timer;
}

/** A timer, where there may be one: outside a request, a Worker has none. It is set anew while it has to run longer than one can. */
export function startTimer(callback: () => void, millis: number): Countdown | undefined {
  if (!(millis <= Number.MAX_SAFE_INTEGER)) return undefined;
  const countdown: Countdown = { timer: undefined };
  const run = (left: number): void => {
    const isLast = left <= LONGEST;
    countdown.timer = host.setTimer(isLast ? callback : () => run(left - LONGEST), isLast ? left : LONGEST);
  };
  try {
    run(millis);
    return countdown;
  } catch {
    return undefined;
  }
}

/** Ends a timer, if there is one. */
export function stopTimer(countdown: Countdown | undefined): void {
  if (countdown !== undefined) host.clearTimer(countdown.timer);
}
