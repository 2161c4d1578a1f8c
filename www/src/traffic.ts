// Steady traffic: gets by the thousand, the same for each policy, and what the best possible policy would have made of them.

import type { Duration } from "nearcache";
import { bestHits } from "./belady.js";
import { KINDS, type KindName } from "./kinds.js";
import { Lane, RECENT, WINDOW, WINDOWS, type Policy } from "./lane.js";
import { MOST_GETS, Rooms } from "./rooms.js";

export interface TrafficSettings {
  kind: KindName;
  rate: number;
  keys: number;
  maxEntries: number;
  ttl: Duration;
  latency: number;
  failing: boolean;
}

/** After a pause (a hidden tab, say) no more than this is made up for. */
const LONGEST_STEP = 100;
/** The best possible may choose what it begins with: of fewer windows than these, that would be too good to be told. */
const FEWEST_WINDOWS = 4;
/** The best possible is told for so many gets at the most: a few milliseconds' work. */
const LONGEST_LOG = 20_000;

export class Traffic {
  readonly lanes: Record<Policy, Lane> = { adaptive: new Lane("adaptive"), lru: new Lane("lru") };
  readonly rooms = new Rooms(this.lanes);
  readonly #shown = Object.values(this.lanes);
  readonly #lanes = [...this.#shown, ...this.rooms.others];
  /** The best possible hit rates at the ends of the last windows. */
  readonly best: number[] = [];
  bestRate = NaN;
  names: string[] = [];
  #made: TrafficSettings | undefined;
  #draw: () => number = () => 0;
  #ahead = 0;
  #last = 0;
  #owed = 0;
  #windowEnd = 0;
  /** The indices asked for of late, window by window. */
  #log: number[][] = [[]];

  constructor(public settings: TrafficSettings) {
    this.configure(settings);
  }

  /** Bounds and ttl are the cache's own, so that changing them makes new ones. */
  configure(settings: TrafficSettings): void {
    const made = this.#made;
    const { kind, keys, maxEntries, ttl } = (this.#made = this.settings = settings);
    if (made?.keys !== keys) {
      this.names = Array.from({ length: keys }, (_, i) => `key-${i + 1}`);
      for (const lane of this.#lanes) lane.haveKeys(keys);
    }
    const anew = made?.maxEntries !== maxEntries || made.ttl !== ttl;
    if (anew) this.rooms.make(maxEntries, ttl, () => Date.now() + this.#ahead);
    if (!anew && made.keys === keys && made.kind === kind) return;
    this.rooms.forget();
    this.#draw = KINDS[kind].draws({ keys, maxEntries });
    this.#log = [[]];
    this.bestRate = NaN;
    for (const lane of this.#lanes) lane.forget();
  }

  delete(key: string): void {
    for (const { cache } of this.#lanes) cache.delete(key);
  }

  clear(): void {
    for (const { cache } of this.#lanes) cache.clear();
  }

  pass(ms: number): void {
    this.#ahead += ms;
  }

  resume(now: number): void {
    this.#last = now;
    this.#windowEnd = now + WINDOW;
  }

  /** Makes the gets that are due. */
  step(now: number): void {
    const { rate, latency, failing } = this.settings;
    this.#owed += (Math.min(now - this.#last, LONGEST_STEP) * rate) / 1000;
    this.#last = now;
    const log = this.#log.at(-1)!;
    const lanes = rate > MOST_GETS ? this.#shown : this.#lanes;
    for (; this.#owed >= 1; this.#owed--) {
      const index = this.#draw();
      // No two loads take the same time, but the same in every lane.
      const takes = latency * (0.6 + 0.8 * Math.random());
      for (const lane of lanes) lane.get(index, this.names[index]!, takes, failing, now);
      log.push(index);
    }
    if (now >= this.#windowEnd) this.#endWindow(now);
  }

  #endWindow(now: number): void {
    for (const lane of this.#lanes) lane.endWindow();
    const { keys, maxEntries } = this.settings;
    const asked = Int32Array.from(this.#log.flat().slice(-LONGEST_LOG));
    this.bestRate = this.#log.length < FEWEST_WINDOWS ? NaN : bestHits(asked, keys, maxEntries) / asked.length;
    this.rooms.judge(asked, keys, this.bestRate);
    this.best.push(this.bestRate);
    if (this.best.length > WINDOWS) this.best.shift();
    if (this.#log.push([]) > RECENT) this.#log.shift();
    this.#windowEnd = now + WINDOW;
  }
}
