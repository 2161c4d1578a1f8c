// Hit rates by room: besides the caches that are shown, some of other sizes get the same traffic.

import type { Duration } from "nearcache";
import { bestHits } from "./belady.js";
import { Lane, type Policy } from "./lane.js";

/** Parts of maxEntries; 1 is the cache that is shown. */
export const TIMES = [0.5, 1, 2, 4] as const;
/** With more gets a second than this the caches that are run for the curve alone rest, or frames would be dropped. */
export const MOST_GETS = 20_000;
/** The most entries that a cache takes. */
const MOST = 16_777_215;

export class Rooms {
  /** So many entries each has room for. */
  sizes: number[] = [];
  /** Each policy's caches, the smallest first. */
  readonly lanes: Record<Policy, Lane[]>;
  /** The lanes that are run for the curve alone. */
  readonly others: Lane[];
  /** The best possible hit rates. */
  best: number[] = TIMES.map(() => NaN);
  #next = 0;

  constructor(shown: Record<Policy, Lane>) {
    const of = (policy: Policy) => TIMES.map((times) => (times === 1 ? shown[policy] : new Lane(policy)));
    this.lanes = { adaptive: of("adaptive"), lru: of("lru") };
    this.others = Object.values(this.lanes).flatMap((lanes) => lanes.filter((_, i) => TIMES[i] !== 1));
  }

  make(maxEntries: number, ttl: Duration, clock: () => number): void {
    this.sizes = TIMES.map((times) => Math.min(MOST, Math.ceil(times * maxEntries)));
    for (const lanes of Object.values(this.lanes)) lanes.forEach((lane, i) => lane.make(this.sizes[i]!, ttl, clock));
  }

  forget(): void {
    this.best = TIMES.map(() => NaN);
  }

  rates(policy: Policy): number[] {
    return this.lanes[policy].map((lane) => lane.recentRate);
  }

  /** The best possible of these gets. One size a call but for the one shown, whose rate is given: the work is spread. */
  judge(asked: Int32Array, keys: number, rate: number): void {
    this.best[TIMES.indexOf(1)] = rate;
    this.#next = (this.#next + 1) % TIMES.length;
    if (TIMES[this.#next] === 1) this.#next++;
    this.best[this.#next] = Number.isNaN(rate) ? NaN : bestHits(asked, keys, this.sizes[this.#next]!) / asked.length;
  }
}
