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

/** FNV-1a by characters, of which the core sees to it that each bit counts. Costs some 1.5 ns a character. */
export function hashString(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

/** A seed; `undefined` where there is no randomness, as at a Worker's global scope. */
export function newSeed(): number | undefined {
  try {
    return host.seed();
  } catch {
    return undefined;
  }
}
