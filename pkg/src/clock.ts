// The time. Reading the clock costs twice what finding a string in a Map does, so that one reading serves a few calls more
// where they come thick, and never beyond the code that it was made in, after which a process may sleep.

import { host } from "./host.js";

export interface Clock {
  /** Milliseconds since 1970; within one synchronous run of code perhaps those of a few calls before. */
  now(): number;
  /** As `now`, for a hit that is awaited: within one turn of promise jobs perhaps those of a few calls before. */
  nowAwaited(): number;
  /** Milliseconds since 1970, for what is counted from now on. */
  read(): number;
}

const NativeDate = Date;
const nativeNow = Date.now;
const readNative = host.now;
const isNative = /\[native code\]/.test(Function.prototype.toString.call(nativeNow));

/** How many readings must agree before others are spared. */
const AGREE = 16;
/** How many are then spared, in a run and in a turn. */
const [IN_RUN, IN_TURN] = [64, 16];

/** A stretch of code in which readings may be spared, when some have agreed. */
class Span {
  /** How many may be spared yet. */
  left = 0;
  private agreed = 0;
  private isEndKnown = false;

  constructor(
    private readonly spared: number,
    /** Calls back before any code beyond the stretch. */
    private readonly atEnd: (callback: () => void) => void,
  ) {}

  /** A reading was made: the same as the one before, or another. */
  note(agrees: boolean): void {
    this.agreed = agrees && maySpare() ? this.agreed + 1 : 0;
    if (this.agreed < AGREE) return;
    this.left = this.spared;
    if (this.isEndKnown) return;
    this.isEndKnown = true;
    this.atEnd(this.end);
  }

  private readonly end = (): void => {
    this.isEndKnown = false;
    this.left = 0;
    this.agreed = 0;
  };
}

/** The surroundings' clock. */
class HostClock implements Clock {
  // Not a whole number, so that engines keep room for a large one.
  private last = 0.5;
  private readonly run = new Span(IN_RUN, (callback) => host.afterRun(callback));
  private readonly turn = new Span(IN_TURN, (callback) => host.afterTurn(callback));

  now(): number {
    const { run } = this;
    if (run.left === 0 || Date !== NativeDate || Date.now !== nativeNow) return this.readIn(run);
    run.left--;
    return this.last;
  }

  nowAwaited(): number {
    const { turn } = this;
    if (turn.left === 0 || Date !== NativeDate || Date.now !== nativeNow) return this.readIn(turn);
    turn.left--;
    return this.last;
  }

  read(): number {
    return (this.last = host.now());
  }

  private readIn(span: Span): number {
    const before = this.last;
    const time = this.read();
    span.note(time === before);
    return time;
  }
}

function maySpare(): boolean {
  // In Workers the runtime's clock stands still by itself.
  return isNative && !host.requestBound && host.now === readNative && Date === NativeDate && Date.now === nativeNow;
}

export const hostClock: Clock = new HostClock();

/** A clock that the user gave is read at every call. */
export class GivenClock implements Clock {
  constructor(private readonly clock: () => number) {}

  now(): number {
    // Before 1970 it is 1970 for the core, and so for whoever looks at its columns.
    const { clock } = this;
    return Math.max(clock(), 0);
  }

  nowAwaited(): number {
    return this.now();
  }

  read(): number {
    return this.now();
  }
}

/** A life that is shorter is counted from the clock itself, in milliseconds: it would lose too much of itself. */
const SHORT = 5_000;

/** The time to count a life of so many milliseconds from. */
export function nowFor(clock: Clock, life: number): number {
  return life < SHORT ? clock.read() : clock.now();
}
