import { read_bytes, read_count, read_duration } from "./core.js";
import { NearCacheError } from "./errors.js";

/** Milliseconds from 0 on, `Infinity`, or a text like `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/** Whole milliseconds. */
export function duration(option: string, given: unknown): number {
  return Math.floor(typeof given === "number" && given >= 0 ? given : read(read_duration, option, given));
}

export function count(option: string, given: unknown): number {
  return read(read_count, option, given);
}

export function bytes(option: string, given: unknown): number {
  return typeof given === "number" && given >= 0 ? given : read(read_bytes, option, given);
}

export function fn<T>(option: string, given: T): T {
  if (typeof given === "function") return given;
  throw refusal(option, given === null ? "null" : `a ${typeof given}`, "a function");
}

/** Refuses what is not among the options, so that a misspelt one does not go unnoticed. */
export function known(given: object, allowed: ReadonlySet<string>): void {
  if (typeof given !== "object" || given === null) throw refusal("options", `a ${typeof given}`, "an object");
  for (const name in given) {
    if (!allowed.has(name)) throw refusal(name, "an option of that name", `one of ${[...allowed].join(", ")}`);
  }
}

function refusal(option: string, given: string, allowed: string): NearCacheError {
  return new NearCacheError("ERR_OPTION", `${option}: got ${given}, wants ${allowed}`);
}

function read(parse: (option: string, given: unknown) => number, option: string, given: unknown): number {
  try {
    return parse(option, given);
  } catch (error) {
    throw new NearCacheError("ERR_OPTION", (error as Error).message);
  }
}
