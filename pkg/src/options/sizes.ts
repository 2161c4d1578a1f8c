import { NearCacheError, showKey } from "./errors.js";

/** `sizeOf` where nobody gave one. */
export function estimate(value: unknown, key: unknown): number {
  if (typeof value === "string") return 2 * value.length;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return 8;
  const advice = "say {bytes} with the value, or ctx.bytes in the loader, or give the cache a sizeOf";
  throw new NearCacheError("ERR_BYTES", `the bytes of the value for ${showKey(key)} are unknown; ${advice}`, key);
}
