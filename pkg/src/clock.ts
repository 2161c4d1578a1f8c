// The time. Reading the clock costs as much as finding a string in a Map, so that one reading serves several calls where
// they come thick: within one synchronous run of code, and never beyond it, since a process may sleep after it.

import { host } from "./host.js";

const NativeDate = Date;
const nativeNow = Date.now;
const readNative = host.now;
// A promise and a method that nobody replaces later: fake timers replace whatever would tell that a task has ended.
const resolved = Promise.resolve();
const then = Promise.prototype.then;
const isNative = /\[native code\]/.test(Function.prototype.toString.call(nativeNow));

/** How many readings in one run must agree before others are spared, and how many are then spared. */
const AGREE = 16;

let last = -1;
let agreed = 0;
let spared = 0;
let scheduled = false;

/** Milliseconds since 1970; within one synchronous run of code perhaps those of a few calls before. */
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
      then.call(resolved, endOfRun);
    }
  }
  return time;
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
