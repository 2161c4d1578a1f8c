// Options, checked. Rules are checked in the wasm, which knows their names.

import { NearCacheError } from "../options/errors.js";
import { checkBoolean, checkFunction, describe, duration, optionError, rejectUnknown } from "../options/options.js";
import type { HttpCacheOptions, HttpPurge } from "./types.js";

const MIB = 1024 * 1024;
const MOST_BYTES = 96 * MIB;
const DAY = 86_400_000;

/** Numbers by name, as the wasm takes them. */
export type Limits = [name: string, value: number][];

const OPTIONS: ReadonlySet<string> = new Set([
  "maxBytes",
  "maxEntries",
  "maxLoads",
  "maxFillingBytes",
  "softTimeout",
  "hardTimeout",
  "idleTimeout",
  "totalTimeout",
  "defaults",
  "rules",
  "tiers",
  "purgeLog",
  "fetch",
]);
/** What is often looked for here, and belongs into rules. */
const SETTINGS = [
  "ttl",
  "staleWhileRevalidate",
  "staleIfError",
  "errorBackoff",
  "key",
  "cookies",
  "tags",
  "maxBodyBytes",
];
const PURGE: ReadonlySet<string> = new Set(["url", "prefix", "tag", "everything", "soft"]);

export function readLimits(options: HttpCacheOptions): Limits {
  for (const name of SETTINGS) {
    if (name in Object(options)) {
      throw new NearCacheError("ERR_OPTION", `${name}: unknown option, say it in defaults, or in a rule`);
    }
  }
  rejectUnknown(options, OPTIONS);
  const limits: Limits = [];
  const { maxBytes = 64 * MIB } = options;
  limits.push(["maxBytes", whole("maxBytes", maxBytes, 0, MOST_BYTES)]);
  const room = MOST_BYTES - maxBytes;
  const { maxFillingBytes = Math.min(16 * MIB, room) } = options;
  limits.push(["maxFillingBytes", whole("maxFillingBytes", maxFillingBytes, 0, room)]);
  if (options.maxEntries !== undefined) limits.push(["maxEntries", whole("maxEntries", options.maxEntries, 1, 1e6)]);
  if (options.maxLoads !== undefined) limits.push(["maxLoads", whole("maxLoads", options.maxLoads, 1, 10_000)]);
  for (const name of ["softTimeout", "hardTimeout", "idleTimeout", "totalTimeout"] as const) {
    const given = options[name];
    if (given === undefined) continue;
    const millis = duration(name, given);
    if (millis < 1 || millis > DAY) throw optionError(name, describe(given), 'a duration from "1ms" to "1d"');
    limits.push([name, millis]);
  }
  if (options.fetch !== undefined) checkFunction("fetch", options.fetch);
  const { tiers, purgeLog } = options;
  if (tiers !== undefined && typeof tiers?.attach !== "function") {
    throw optionError("tiers", describe(tiers), 'what tiers([…]) of "nearcache/tiers" makes');
  }
  if (purgeLog !== undefined && typeof purgeLog?.follow !== "function") {
    throw optionError("purgeLog", describe(purgeLog), 'what purgeLog(…) of "nearcache/tiers" makes');
  }
  return limits;
}

function whole(name: string, given: unknown, least: number, most: number): number {
  if (Number.isInteger(given) && (given as number) >= least && (given as number) <= most) return given as number;
  throw optionError(name, describe(given), `a whole number from ${least} to ${most}`);
}

/** Rules as JSON, which has no place for functions, and makes `null` of `Infinity`. */
export function writeRules({ defaults, rules }: HttpCacheOptions): string {
  return JSON.stringify({ defaults, rules }, (name, value: unknown) => {
    const isLost = typeof value === "number" && !Number.isFinite(value);
    if (isLost || typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
      throw optionError(name, describe(value), "what JSON can say");
    }
    return value;
  });
}

/** What a purge names. */
export function readPurge(purge: HttpPurge): { kind: "url" | "prefix" | "tag" | "everything"; names: string[] } {
  rejectUnknown(purge, PURGE, "purge");
  if (purge.soft !== undefined) checkBoolean("soft", purge.soft);
  const kinds = (["url", "prefix", "tag", "everything"] as const).filter((kind) => purge[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    throw optionError("purge", kinds.join(" and ") || "nothing", "one of url, prefix, tag and everything: true");
  }
  if (kind === "everything") {
    if (purge.everything !== true) throw optionError("everything", describe(purge.everything), "true");
    return { kind, names: [] };
  }
  const given: unknown = purge[kind];
  const names: unknown[] = Array.isArray(given) ? given : [given];
  return { kind, names: names.map((name) => (kind === "tag" ? text(kind, name) : url(kind, name))) };
}

function text(kind: string, given: unknown): string {
  if (typeof given === "string" && given !== "") return given;
  throw optionError(kind, describe(given), "a string that is not empty");
}

/** A path, or a URL as it is written. */
function url(kind: string, given: unknown): string {
  const name = given instanceof URL ? given.href : text(kind, given);
  if (name.startsWith("/")) return name;
  try {
    const { protocol } = new URL(name);
    if (protocol === "https:" || protocol === "http:") return name;
  } catch {
    // No URL.
  }
  throw optionError(kind, describe(given), "an absolute URL, or a path that begins with /");
}
