import { NearCacheError } from "./errors.js";
import { instead, near } from "./hints.js";

/** More than a `Map` holds. */
const MOST_ENTRIES = 16_777_215;
const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Milliseconds from 0 on, `Infinity`, or a string like `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`. Any string has this
 * type, so that options need no `as const`; one that is no duration is `ERR_OPTION`.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}` | (string & {});

/** Whole milliseconds. `besides`: what else the option may be. */
export function duration(option: string, given: unknown, besides = ""): number {
  const millis = typeof given === "string" ? parseDuration(given) : given;
  if (typeof millis === "number" && millis >= 0) return Math.floor(millis);
  const allowed = 'milliseconds from 0 on, Infinity, or a string like "250ms", "30s", "5m", "2h", "1d"';
  throw optionError(option, describe(given), besides + allowed);
}

function parseDuration(text: string): number {
  const [, amount, unit] = /^\s*(\d{1,15}(?:\.\d{1,15})?)\s*(ms|[smhd])\s*$/.exec(text) ?? [];
  return unit === undefined ? NaN : Number(amount) * UNITS[unit]!;
}

/** How many entries: a whole number from 0 on that a `Map` can hold. */
export function count(option: string, given: unknown): number {
  return within(option, given, MOST_ENTRIES, Number.isInteger(given), "a whole number from 0 to 16777215");
}

/** From 0 on, or `Infinity`. */
export function bytes(option: string, given: unknown): number {
  return within(option, given, Infinity, true, "bytes from 0 on, or Infinity");
}

/** A part of a whole. */
export function fraction(option: string, given: unknown): number {
  return within(option, given, 1, true, "a number from 0 to 1");
}

/** From 0 on. */
export function factor(option: string, given: unknown): number {
  return within(option, given, Number.MAX_VALUE, true, "a number from 0 on");
}

/** More than 0, or `Infinity`. */
export function rate(option: string, given: unknown): number {
  return within(option, given, Infinity, given !== 0, "a number above 0, or Infinity");
}

function within(option: string, given: unknown, most: number, fits: boolean, allowed: string): number {
  if (typeof given === "number" && given >= 0 && given <= most && fits) return given;
  throw optionError(option, describe(given), allowed);
}

export function checkFunction<T>(option: string, given: T): T {
  if (typeof given === "function") return given;
  throw optionError(option, describe(given), "a function");
}

/** What many keys or entries come in. A string is none: its characters are hardly what is meant. */
export function iterable<T>(option: string, given: Iterable<T>): Iterable<T> {
  if (typeof given === "object" && given !== null && Symbol.iterator in given) return given;
  throw optionError(option, describe(given), "an array or another iterable");
}

export function checkBoolean(option: string, given: unknown): boolean {
  if (typeof given === "boolean") return given;
  throw optionError(option, describe(given), "true or false");
}

/** A name that is part of a longer one: U+0000 stands between the parts. As UTF-8 it has to stay what it is. */
export function name(option: string, given: unknown): string {
  if (typeof given === "string" && given !== "" && !given.includes("\0") && isWellFormed(given)) return given;
  throw optionError(option, describe(given), "a non-empty string without U+0000 and lone surrogates");
}

/** Whether no half of a character stands alone: all of those are one in UTF-8, so that two names would be the same. */
export function isWellFormed(text: string): boolean {
  return (text as Partial<{ isWellFormed(): boolean }>).isWellFormed?.() ?? !/\p{Surrogate}/u.test(text);
}

export function names(option: string, given: unknown): string[] {
  if (!Array.isArray(given)) throw optionError(option, describe(given), "an array of strings");
  // `map` leaves out what is not there.
  return Array.from(given, (one, index) => name(`${option}[${index}]`, one));
}

export function abortSignal(option: string, given: AbortSignal): AbortSignal {
  // Not `instanceof`: a signal may come from another realm.
  if (typeof given?.throwIfAborted === "function" && typeof given.addEventListener === "function") return given;
  throw optionError(option, describe(given), "an AbortSignal");
}

/** A whole number from 1 on, or `Infinity`. */
export function size(option: string, given: unknown): number {
  if (typeof given === "number" && given >= 1 && (Number.isInteger(given) || given === Infinity)) return given;
  throw optionError(option, describe(given), "a whole number from 1 on, or Infinity");
}

/** Refuses what is not among the options, so that a misspelt one does not go unnoticed. */
export function rejectUnknown(given: object, allowed: ReadonlySet<string>, what = "options"): void {
  if (typeof given !== "object" || given === null) throw optionError(what, describe(given), "an object");
  for (const name in given) {
    if (!allowed.has(name)) throw unknown(name, "option", allowed, what === "options" ? "" : `${what}.`);
  }
}

/**
 * Takes an object of functions, some of which have these names, and whatever else it needs. Refuses one with a method
 * that is nearly called so where it lacks the name itself, and one whose functions all have other names.
 */
export function rejectUnknownHooks(given: object, allowed: ReadonlySet<string>, what: string): void {
  if (typeof given !== "object" || given === null) throw optionError(what, describe(given), "an object");
  let has = false;
  let other: string | undefined;
  for (let holder = given; holder !== null && holder !== Object.prototype; holder = Object.getPrototypeOf(holder)) {
    // Not by reading it, which might call a getter.
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(holder))) {
      if (allowed.has(name)) has = true;
      else if (typeof value === "function" && (name !== "constructor" || holder === given)) {
        other ??= name;
        if (near(name, allowed).some((meant) => !(meant in given))) throw unknown(name, "event", allowed);
      }
    }
  }
  if (!has && other !== undefined) throw unknown(other, "event", allowed);
}

export function unknown(name: string, what: string, allowed: ReadonlySet<string>, prefix = ""): NearCacheError {
  const all = [...allowed].join(", ");
  return new NearCacheError(
    "ERR_OPTION",
    `${prefix}${name}: unknown ${what}${instead(name, allowed)} Known are ${all}`,
  );
}

export function optionError(option: string, given: string, allowed: string): NearCacheError {
  return new NearCacheError("ERR_OPTION", `${option}: got ${given}, wants ${allowed}`);
}

/** A value as an error shows it. */
export function describe(given: unknown): string {
  switch (typeof given) {
    case "string":
      return JSON.stringify(given.slice(0, 60));
    case "object":
      if (given === null) return "null";
      return Array.isArray(given) ? "an array" : given instanceof Promise ? "a promise" : "an object";
    case "number":
    case "boolean":
    case "undefined":
      return String(given);
    default:
      return `a ${typeof given}`;
  }
}
