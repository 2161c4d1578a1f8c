// Hashes of keys, by which the core knows a key again that was evicted. Strings and numbers have one; nothing depends on
// others, but for a worse guess of what is worth keeping.

import { host } from "../runtime/host.js";

const doubles = new Float64Array(1);
const halves = new Uint32Array(doubles.buffer);

/**
 * How many strings are looked at whole until it is known what they begin with, and afterwards one of how many: of ever more
 * while none differs, up to the last.
 */
const FIRST_LOOKS = 64;
const LOOK_EVERY = 32;
const LOOK_AT_LEAST_EVERY = 256;
/** A longer one is no example of others, and not kept as one. */
const LONGEST = 1_024;
/** After so many looks the beginning is looked for anew: it only ever gets shorter. */
const LOOKS = 256;

/**
 * Gives 32 bits of each key, others with another seed; 0 for one that has none. The core sees to it that each bit counts.
 *
 * For strings it is FNV-1a by characters, which costs some 1.5 ns each. A cache's strings often begin alike, and what they
 * have in common is hashed once: a string is taken to begin as those did that were looked at whole, which one of 32 is at
 * first, and of 256 once none has differed for long.
 * If one does not, the beginning gets shorter. So one that begins otherwise may be taken for another once or twice.
 */
export class KeyHasher {
  private example = "";
  /** How much of the example all begin with, and the hash of that. */
  private shared = 0;
  private state: number;
  private untilLook = 0;
  private lookEvery = LOOK_EVERY;
  private looks = 0;

  constructor(private readonly seed: number) {
    this.state = seed ^ BASIS;
  }

  hash(key: unknown): number {
    const { seed } = this;
    if (typeof key === "string") return this.ofString(key);
    if (typeof key !== "number") return 0;
    if ((key | 0) === key) return key ^ seed;
    doubles[0] = key;
    return Math.imul(halves[0]! ^ seed, 0x9e3779b1) ^ halves[1]!;
  }

  private ofString(text: string): number {
    const { shared } = this;
    if (text.length < shared || text.length > LONGEST) return hashString(text, this.seed);
    if (this.untilLook === 0) return this.look(text);
    this.untilLook--;
    return fnv(text, shared, text.length, this.state);
  }

  private look(text: string): number {
    const { example, seed } = this;
    const common = this.looks === 0 ? text.length : commonLength(example, text, this.shared);
    if (this.looks === 0) this.example = text;
    if (this.looks === 0 || common < this.shared) {
      this.shared = common;
      this.lookEvery = LOOK_EVERY;
      this.state = fnv(text, 0, common, seed ^ BASIS);
    }
    this.looks = (this.looks + 1) % LOOKS;
    if (this.looks > FIRST_LOOKS) {
      this.untilLook = this.lookEvery - 1;
      this.lookEvery = Math.min(this.lookEvery + 1, LOOK_AT_LEAST_EVERY);
    }
    return hashString(text, seed);
  }
}

const BASIS = 0x811c9dc5;

function fnv(text: string, from: number, to: number, hash: number): number {
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

function commonLength(one: string, other: string, most: number): number {
  let at = 0;
  while (at < most && one.charCodeAt(at) === other.charCodeAt(at)) at++;
  return at;
}

/** FNV-1a of a whole string. */
export function hashString(text: string, seed: number): number {
  return fnv(text, 0, text.length, seed ^ BASIS);
}

/** A seed; `undefined` where there is no randomness, as at a Worker's global scope. */
export function newSeed(): number | undefined {
  try {
    return host.seed();
  } catch {
    return undefined;
  }
}
