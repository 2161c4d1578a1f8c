import { type Core, presentMemory } from "./core.js";

/** A counter goes up to this, and of what stands above it the core is told every hit. */
const MOST_HITS = 3;
/** How many numbers the core's list of noted hits has, the count included. */
const MOST_NOTED = 256;
const NONE = new Float64Array(0);
/** From here on a moment is the end of nothing (2^64, as the core has it). */
const NEVER = 18_446_744_073_709_551_616;

/** Whether what has this in `freshUntil` never expires by itself, so that no clock need be read. */
export function isForEver(until: number): boolean {
  return until >= NEVER;
}

export interface ColumnsOwner {
  readonly core: Core;
  /** Whether every get is to ask the core, as if there were no columns. */
  readonly mustAsk: boolean;
  /** Tells the core of a hit. */
  noteHit(slot: number): void;
}

/**
 * What the core lets be seen of its entries, by slot, so that a hit makes no call: views over the wasm's memory.
 *
 * When that memory grows, views over it become empty: what they hold is `undefined` then, which no time is before, so that
 * the get goes on to ask the core, which begins with new views. Where the memory does not grow, a column lies where it is
 * until it has no room for a slot, or is cleared.
 */
export class Columns {
  /** Before this moment a slot's value is a hit. What is no value has one that no time is before. */
  freshUntil: Float64Array = NONE;
  /** How often a value was used, up to three; above, the use is to be told (`tell`). */
  private hits = new Uint8Array(0);
  /** All of `freshUntil`, which may be hidden. */
  private moments: Float64Array = NONE;
  /** What was used, in order, for a policy that keeps one: a count, and then slots. */
  private noted: Uint32Array | undefined;
  /** What the core was told last. */
  private told = 0;
  private readonly memory = presentMemory();

  /** Of a core of the present instance. */
  constructor(private readonly owner: ColumnsOwner) {
    this.look();
  }

  /** Looks where the columns are. */
  look(): void {
    const { memory, owner } = this;
    const { core } = owner;
    // May take memory, and so comes before the views.
    const noted = core.noted_hits();
    const capacity = core.columns_capacity();
    this.moments = new Float64Array(memory.buffer, core.fresh_until(), capacity);
    this.freshUntil = owner.mustAsk ? NONE : this.moments;
    if (noted === 0) {
      this.hits = new Uint8Array(memory.buffer, core.hit_counters(), capacity);
    } else {
      this.noted = new Uint32Array(memory.buffer, noted, MOST_NOTED);
      if (this.hits.length < capacity) this.hits = new Uint8Array(capacity).fill(255);
    }
  }

  /** Sees to it that the views have this slot. */
  follow(slot: number): void {
    if (slot >= this.moments.length) this.look();
  }

  /** As `freshUntil` tells, also where it is hidden or the memory has grown. */
  isFresh(slot: number, now: number): boolean {
    this.follow(0);
    return now < this.moments[slot]!;
  }

  /** A value was found to be fresh and used. */
  use(slot: number): void {
    const count = this.hits[slot]!;
    if (count === MOST_HITS) return;
    if (count < MOST_HITS) this.hits[slot] = count + 1;
    else this.tell(slot);
  }

  /** Lets the policy know of a use. */
  private tell(slot: number): void {
    const { noted } = this;
    const count = noted === undefined ? MOST_NOTED : noted[0]! + 1;
    if (count < MOST_NOTED) {
      noted![count] = slot;
      noted![0] = count;
    } else if (noted !== undefined || slot !== this.told) {
      this.told = slot;
      this.owner.noteHit(slot);
    }
  }
}
