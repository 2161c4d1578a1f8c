import { describe, optionError } from "../options/options.js";

/** The bytes of each. @throws {NearCacheError} `ERR_OPTION` */
export function toSecrets(secrets: readonly (Uint8Array | string)[] = []): Uint8Array[] {
  if (!Array.isArray(secrets)) throw optionError("secrets", describe(secrets), "an array of strings or Uint8Arrays");
  return secrets.map((secret) => {
    const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
    if (bytes instanceof Uint8Array && bytes.length >= 16) return bytes;
    throw optionError("secrets", "one that is too short, or no secret", "strings or Uint8Arrays of 16 bytes or more");
  });
}
