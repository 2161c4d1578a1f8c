// Steady traffic: gets by the thousand over keys of which some are wanted far more than others.

import { NearCache, type Duration } from "nearcache";
import { pretend } from "./loader.js";
import { Quantiles } from "./quantiles.js";

export interface TrafficSettings {
  rate: number;
  keys: number;
  maxEntries: number;
  ttl: Duration;
  latency: number;
  failing: boolean;
}

/** After a pause (a hidden tab, say) no more than this is made up for. */
const LONGEST_STEP = 100;
const WINDOW = 500;
const WINDOWS = 60;

export class Traffic {
  #ahead = 0;
  #made: { maxEntries: number; ttl: Duration } | undefined;
  cache!: NearCache<string, string>;
  readonly waits = new Quantiles(5_000);
  readonly loading = new Set<number>();
  /** When each key was last a hit. */
  lastHit = new Float64Array(0);
  /** Hit rates of the last windows of half a second, NaN where there was nothing. */
  readonly rates: number[] = [];
  failure: string | undefined;
  names: string[] = [];
  #cumulative = new Float64Array(0);
  #last = 0;
  #owed = 0;
  #windowEnd = 0;
  #before = { hits: 0, gets: 0 };

  constructor(public settings: TrafficSettings) {
    this.configure(settings);
  }

  /** Bounds and ttl are the cache's own, so that changing them makes a new one. */
  configure(settings: TrafficSettings): void {
    const { keys, maxEntries, ttl } = (this.settings = settings);
    if (this.#made?.maxEntries !== maxEntries || this.#made.ttl !== ttl) {
      this.cache = new NearCache({ maxEntries, ttl, clock: () => Date.now() + this.#ahead });
      this.#made = { maxEntries, ttl };
      this.#before = { hits: 0, gets: 0 };
      this.waits.clear();
    }
    if (this.names.length === keys) return;
    this.names = Array.from({ length: keys }, (_, i) => `key-${i + 1}`);
    this.lastHit = new Float64Array(keys).fill(-Infinity);
    this.loading.clear();
    let sum = 0;
    this.#cumulative = Float64Array.from(this.names, (_, i) => (sum += 1 / (i + 1)));
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
    this.#owed += (Math.min(now - this.#last, LONGEST_STEP) * this.settings.rate) / 1000;
    this.#last = now;
    for (; this.#owed >= 1; this.#owed--) this.#get(this.#draw(), now);
    if (now >= this.#windowEnd) this.#endWindow(now);
  }

  #get(index: number, now: number): void {
    const { cache, loading } = this;
    const key = this.names[index]!;
    if (cache.has(key)) this.lastHit[index] = now;
    const { latency, failing } = this.settings;
    const answer = cache.getOrSet(key, async (_, ctx) => {
      loading.add(index);
      try {
        // No two loads take the same time.
        return await pretend(latency * (0.6 + 0.8 * Math.random()), failing, ctx.signal);
      } finally {
        loading.delete(index);
      }
    });
    if (this.lastHit[index] === now) return;
    const from = performance.now();
    answer.then(
      () => {
        this.failure = undefined;
        this.waits.add(performance.now() - from);
      },
      (error: Error) => (this.failure = error.message),
    );
  }

  /** Zipf with exponent 1: key-1 is wanted twice as often as key-2, three times as often as key-3. */
  #draw(): number {
    const sums = this.#cumulative;
    const point = Math.random() * sums[sums.length - 1]!;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! > point) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #endWindow(now: number): void {
    const { hits, misses, coalesced } = this.cache.stats();
    const gets = hits + misses + coalesced;
    this.rates.push((hits - this.#before.hits) / (gets - this.#before.gets));
    if (this.rates.length > WINDOWS) this.rates.shift();
    this.#before = { hits, gets };
    this.#windowEnd = now + WINDOW;
  }
}
