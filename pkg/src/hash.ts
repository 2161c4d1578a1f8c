// Hashes of keys, by which the core knows a key again that was evicted. Strings and numbers have one; nothing depends on
// others, but for a worse guess of what is worth keeping.

import { host } from "./host.js";

const doubles = new Float64Array(1);
const halves = new Uint32Array(doubles.buffer);

/** 32 bits of a key, others with another seed; 0 for one that has no hash. */
export function hashKey(key: unknown, seed: number): number {
  if (typeof key === "string") return hashString(key, seed);
  if (typeof key !== "number") return 0;
  // The core sees to it that each bit counts.
  if ((key | 0) === key) return key ^ seed;
  doubles[0] = key;
  return Math.imul(halves[0]! ^ seed, 0x9e3779b1) ^ halves[1]!;
}

/**
 * Two characters at a time, in two chains that do not wait for each other. The steps are those of MurmurHash2 without its
 * shifts, which a multiplication by the length at the end makes up for.
 */
export function hashString(text: string, seed: number): number {
  const { length } = text;
  let a = seed ^ length;
  let b = Math.imul(seed, 0x85ebca6b);
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    a = Math.imul(a ^ (text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16)), 0x9e3779b1);
    b = Math.imul(b ^ (text.charCodeAt(at + 2) | (text.charCodeAt(at + 3) << 16)), 0xc2b2ae35);
    a ^= a >>> 15;
    b ^= b >>> 15;
  }
  for (; at < length; at++) a = Math.imul(a ^ text.charCodeAt(at), 0x9e3779b1) ^ (a >>> 15);
  return Math.imul(a ^ (b >>> 13), 0x27d4eb2f) ^ b;
}

/** A seed; `undefined` where there is no randomness, as at a Worker's global scope. */
export function newSeed(): number | undefined {
  try {
    return host.seed();
  } catch {
    return undefined;
  }
}
