import { checkFunction, describe, optionError } from "../options/options.js";
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

/** Whether it has what every tier has. @throws {NearCacheError} `ERR_OPTION` */
export function checkTier(what: string, tier: Tier): void {
  for (const method of ["get", "set", "delete"] as const) checkFunction(`${what}.${method}`, tier?.[method]);
  if (typeof tier.name !== "string") throw optionError(`${what}.name`, describe(tier.name), "a string");
}
