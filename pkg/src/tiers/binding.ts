import { checkFunction, describe, optionError, size } from "../options/options.js";
import type { Tier } from "./types.js";

/**
 * A binding that is missing is told where the tier is made: later it would be a store that fails, and loads would go on
 * without it.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function checkBinding(option: string, given: unknown, method: string, wanted: string): void {
  if (typeof (given as Record<string, unknown> | null | undefined)?.[method] === "function") return;
  throw optionError(option, describe(given), `${wanted}; is there a binding of this name in wrangler's configuration?`);
}

/** What a tier is made with, `options` of a chain among it, which the chain checks. @throws {NearCacheError} `ERR_OPTION` */
export function checkOptions<T extends object>(given: T): T {
  if (typeof given === "object" && given !== null) return given;
  throw optionError("options", describe(given), "an object");
}

/** @throws {NearCacheError} `ERR_OPTION` */
export function checkText(option: string, given: unknown): string {
  if (typeof given === "string") return given;
  throw optionError(option, describe(given), "a string");
}

/** The number of objects that something is spread over. @throws {NearCacheError} `ERR_OPTION` */
export function shardCount(given: unknown): number {
  if (size("shards", given) < Infinity) return given as number;
  throw optionError("shards", "Infinity", "a whole number from 1 on");
}

/** Whether it has what every tier has. @throws {NearCacheError} `ERR_OPTION` */
export function checkTier(what: string, tier: Tier): void {
  for (const method of ["get", "set", "delete"] as const) checkFunction(`${what}.${method}`, tier?.[method]);
  checkText(`${what}.name`, tier.name);
}
