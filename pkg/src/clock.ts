// The time. Reading the clock costs more than finding a string in a Map, so that one reading serves a few calls more where
// they come thick: within one run of code, and never beyond it, since a process may sleep after it.

import { host } from "./host.js";

const NativeDate = Date;
const nativeNow = Date.now;
const readNative = host.now;
const isNative = /\[native code\]/.test(Function.prototype.toString.call(nativeNow));

/** How many readings in one run must agree before others are spared, and how many are then spared. */
const AGREE = 16;
/** A life that is shorter is counted from the clock itself, in milliseconds. */
const SHORT = 5_000;

let last = -1;
let agreed = 0;
let spared = 0;
let scheduled = false;

/** Milliseconds since 1970; within one run of code perhaps those of a few calls before. */
export function now(): number {
  if (spared > 0 && Date === NativeDate && Date.now === nativeNow) {
    spared--;
    return last;
  }
  return read();
}

/** Milliseconds since 1970, for what is counted from now on. */
export function read(): number {
  const time = host.now();
  if (time !== last) {
    last = time;
    agreed = 0;
    spared = 0;
  } else if (++agreed >= AGREE && maySpare()) {
    spared = AGREE;
    if (!scheduled) {
      scheduled = true;
      host.afterRun(endOfRun);
    }
  }
  return time;
}

/** As `now`, to count a life of so many milliseconds from: a short one would lose too much of itself. */
export function nowFor(life: number): number {
  return life < SHORT ? read() : now();
}

function maySpare(): boolean {
  // In Workers the runtime's clock stands still by itself.
  return isNative && !host.requestBound && host.now === readNative && Date === NativeDate && Date.now === nativeNow;
}

function endOfRun(): void {
  scheduled = false;
  spared = 0;
  agreed = 0;
}
