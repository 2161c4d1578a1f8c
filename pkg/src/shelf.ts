import { now } from "./clock.js";
import { Core, DEPARTED, SLOT, VACATED } from "./core.js";

/** Keys and values by slot, beside the core that knows the slots by number. */
export class Shelf<K, V> {
  /** Of keys with a value and of keys whose load is under way. */
  readonly slots = new Map<K, number>();
  keys: (K | undefined)[] = [undefined];
  values: (V | undefined)[] = [undefined];

  constructor(
    readonly core: Core,
    readonly maxEntries: number,
    /** The time in milliseconds where a test makes it. */
    readonly clock: (() => number) | undefined,
  ) {}

  now(): number {
    return this.clock === undefined ? now() : this.clock();
  }

  place(slot: number, key: K): void {
    if (slot >= this.keys.length) this.grow(slot);
    this.slots.set(key, slot);
    // As a Map's, a key is never -0.
    this.keys[slot] = key === 0 ? (0 as K) : key;
  }

  /** Lets go of what the core let go of. */
  drain(): void {
    let code: number;
    do {
      code = this.core.departure();
      const slot = code & SLOT;
      if (slot === 0) return;
      this.values[slot] = undefined;
      if ((code & VACATED) !== 0) {
        this.slots.delete(this.keys[slot] as K);
        this.keys[slot] = undefined;
      }
    } while (code >= DEPARTED);
  }

  clear(): void {
    this.core.clear();
    this.slots.clear();
    this.keys = [undefined];
    this.values = [undefined];
  }

  /** Doubling by hand, because arrays that grow by themselves keep up to half as much again in reserve. */
  private grow(slot: number): void {
    const held = this.keys.length;
    const full = this.maxEntries + 2;
    const length = slot < full ? Math.min(Math.max(2 * held, 16), full) : 2 * held;
    this.keys = copy(this.keys, length);
    this.values = copy(this.values, length);
  }
}

function copy<T>(from: T[], length: number): T[] {
  const to = new Array<T>(length);
  for (let i = 0; i < from.length; i++) to[i] = from[i]!;
  return to;
}
