import { type Core, presentMemory } from "./core.js";

/** A counter goes up to this, and what stands above it is to be told to the core. */
const MOST_HITS = 3;

/**
 * What the core lets be seen of its entries, by slot, so that a hit makes no call: views over the wasm's memory.
 *
 * When that memory grows, views over it become empty: what they hold is `undefined` then, which no time is before, so that
 * every get asks the core and sees to new ones. Where the memory does not grow a column lies where it is until it has no room
 * for a slot (`follow`), or is cleared (`look`).
 */
export class Columns {
  /** Before this moment a slot's value is certainly fresh. What is no value has one that no time is before. */
  freshUntil = new Float64Array(0);
  /** How often a value was used, as far as an adaptive policy wants to know. */
  private hits = new Uint8Array(0);
  /** What was used, in order, for a policy that keeps one: a count, and then slots. */
  private noted: Uint32Array | undefined;

  private readonly memory = presentMemory();

  /** Of a core of the present instance. */
  constructor(private readonly core: Core) {
    this.look();
  }

  /** Looks where the columns are. */
  look(): void {
    const { core, memory } = this;
    const counters = core.hit_counters();
    // May take memory, and so comes before the views.
    const noted = counters === 0 ? core.noted_hits() : 0;
    const capacity = core.columns_capacity();
    const freshUntil = core.fresh_until();
    const { buffer } = memory;
    this.freshUntil = new Float64Array(buffer, freshUntil, capacity);
    if (counters === 0) this.noted = new Uint32Array(buffer, noted, NOTED);
    else this.hits = new Uint8Array(buffer, counters, capacity);
  }

  /** A key has got this slot: if the columns had no room for it, they lie elsewhere now. */
  follow(slot: number): void {
    if (slot >= this.freshUntil.length) this.look();
  }

  /** A value was found by `freshUntil` and used. `false`: the core is to be told. */
  use(slot: number): boolean {
    const { hits, noted } = this;
    if (noted !== undefined) {
      const count = noted[0]! + 1;
      if (count >= NOTED) return false;
      noted[count] = slot;
      noted[0] = count;
      return true;
    }
    const count = hits[slot]!;
    if (count < MOST_HITS) hits[slot] = count + 1;
    return count <= MOST_HITS;
  }
}

/** How many numbers the core's list of noted hits has, the count included. */
const NOTED = 256;
