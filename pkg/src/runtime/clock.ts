// The time. Reading the clock costs twice what finding a string in a Map does, so that one reading serves a few calls more
// where they come thick, and never beyond the code that it was made in, after which a process may sleep.

import { describe, optionError } from "../options/options.js";
import { host } from "./host.js";

export interface Clock {
  /** Milliseconds since 1970; within one synchronous run of code perhaps those of a few calls before. Hands nothing out. */
  now(): number;
  /** As `now`, to tell whether what ends then may be handed out. */
  against(end: number): number;
  /** Milliseconds since 1970, for what is counted from now on. */
  read(): number;
  /** As `read`, for what nobody could be told of a user's clock that throws, and has to go on: then what it said last. */
  readOrLast(): number;
  /** The same without any code of the user's, for where that must not use the cache: what a clock of theirs said last. */
  known(): number;
}

const NativeDate = Date;
const nativeNow = Date.now;
const readNative = host.now;
const isNative = /\[native code\]/.test(Function.prototype.toString.call(nativeNow));

/** In the place of a time that was not needed yet. */
export const UNREAD = -1;

/** How many readings must agree before others are spared, and how many at the most, where that was in vain before. */
const AGREE = 16;
const MOST_AGREE = 256;
/** How many are then spared, within the same run of code. */
const SPARED = 64;

/**
 * For what has less left no reading is spared, in milliseconds, and a life that is shorter is counted from the clock itself:
 * it would lose too much of itself.
 */
export const SHORT = 5_000;

/** The surroundings' clock. */
class HostClock implements Clock {
  // Not a whole number, so that engines keep room for a large one.
  private last = 0.5;
  /** How many readings may be spared yet. */
  private left = 0;
  private agreed = 0;
  private agree = AGREE;
  private isEndKnown = false;

  now(): number {
    if (this.left === 0 || Date !== NativeDate || Date.now !== nativeNow) return this.readAnew();
    this.left--;
    return this.last;
  }

  against(end: number): number {
    // Promise jobs that were waiting when the run began come before its end is seen, and one of them may block: what is
    // about to end is held against the clock itself.
    return end - this.last > SHORT ? this.now() : this.readAnew();
  }

  read(): number {
    // What a faked time said serves no other call, also when the real one is back within the same run.
    if (Date !== NativeDate || Date.now !== nativeNow) this.left = 0;
    return (this.last = host.now());
  }

  readOrLast(): number {
    return this.read();
  }

  known(): number {
    return this.read();
  }

  private readAnew(): number {
    const before = this.last;
    const time = this.read();
    this.agreed = time === before ? this.agreed + 1 : 0;
    if (this.agreed >= this.agree && maySpare()) this.spare();
    return time;
  }

  private spare(): void {
    // First, since a full stack may have no room for it: then nothing is spared.
    if (!this.isEndKnown) host.afterRun(this.end);
    this.isEndKnown = true;
    this.left = SPARED;
  }

  private readonly end = (): void => {
    if (!this.isEndKnown) return;
    // Where each run has a few calls, as those have that await, to know its end costs more than what is spared.
    this.agree = this.left === SPARED ? Math.min(2 * this.agree, MOST_AGREE) : AGREE;
    this.isEndKnown = false;
    this.left = 0;
    this.agreed = 0;
  };
}

function maySpare(): boolean {
  // In Workers the runtime's clock stands still by itself.
  return isNative && !host.requestBound && host.now === readNative && Date === NativeDate && Date.now === nativeNow;
}

export const hostClock = new HostClock();

/** A clock that the user gave is read at every call. */
export class GivenClock implements Clock {
  private last = 0;

  constructor(private readonly clock: () => number) {}

  now(): number {
    // Before 1970 it is 1970 for the core, and so for whoever looks at its columns.
    const { clock } = this;
    const given = clock();
    const time = typeof given === "number" ? Math.max(given, 0) : NaN;
    // By no number nothing would ever end.
    if (Number.isNaN(time)) throw optionError("clock()", describe(given), "milliseconds since 1970");
    return (this.last = time);
  }

  against(): number {
    return this.now();
  }

  read(): number {
    return this.now();
  }

  readOrLast(): number {
    try {
      return this.now();
    } catch {
      return this.last;
    }
  }

  known(): number {
    return this.last;
  }
}

/** The time to count a life of so many milliseconds from. */
export function nowFor(clock: Clock, life: number): number {
  return life < SHORT ? clock.read() : clock.now();
}
