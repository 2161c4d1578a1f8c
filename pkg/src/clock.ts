// The time, and how not to ask for it more often than it changes.
//
// Reading the clock costs as much as looking a string up in a Map. But a hit does not need the time, only an
// upper bound of it: an entry that outlives the bound is alive now. And what is stored or swept does not
// either, only a lower bound: a life that is counted from a moment ago ends a moment early, never late.
//
// While calls come thick and fast (many within the same millisecond) a reading serves a few calls more: as
// it is for a lower bound, with a margin for an upper one. The margin would have to pass without the program
// ever finishing the task it is in, for the bound to be wrong; a reading is dropped when the task ends.
// Entries within the margin of their end are checked against the clock itself. In workerd, where time is a
// request's own and stands still within a task anyway, every call reads the clock.

import { host } from "./host.js";

/** How much later than the reading an upper bound lies, in milliseconds. */
const MARGIN = 5_000;
/** How many readings must agree before the next are spared, and how many are then spared. */
const AGREE = 16;

let last = -1;
let agreed = 0;
let spared = 0;
let scheduled = false;

/** Milliseconds since 1970. */
export function now(): number {
  return Date.now();
}

/** A moment not before now: mostly now itself. */
export function upperBound(): number {
  if (spared > 0) {
    spared--;
    return last + MARGIN;
  }
  return read();
}

/** A moment not after now: mostly now itself. */
export function recent(): number {
  if (spared > 0) {
    spared--;
    return last;
  }
  return read();
}

/** As `recent`, to count a life of so many milliseconds from: a short one would lose too much of itself. */
export function atMost(life: number): number {
  return life < MARGIN ? Date.now() : recent();
}

function read(): number {
  const time = Date.now();
  if (time !== last) {
    last = time;
    agreed = 0;
  } else if (++agreed >= AGREE && !host.requestBound) {
    spared = AGREE;
    if (!scheduled) {
      scheduled = true;
      host.nextTask(endOfTask);
    }
  }
  return time;
}

function endOfTask(): void {
  scheduled = false;
  spared = 0;
  agreed = 0;
}
