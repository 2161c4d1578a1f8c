// One cache under the traffic, and what came of it. Each policy has a lane, and all lanes get the same traffic.

import { NearCache, type Duration } from "nearcache";
import { pretend } from "./loader.js";
import { Quantiles } from "./quantiles.js";

export type Policy = "adaptive" | "lru";

/** Figures are kept by windows, of which the chart shows the last. */
export const WINDOW = 500;
export const WINDOWS = 60;
/** Over how many of them a hit rate is told. */
export const RECENT = 10;

export class Lane {
  cache!: NearCache<string, string>;
  readonly waits = new Quantiles(5_000);
  readonly loading = new Set<number>();
  /** When each key was last a hit. */
  lastHit = new Float64Array(0);
  /** Hit rates of the last windows, NaN where there was nothing. */
  readonly rates: number[] = [];
  failure: string | undefined;
  /** The counters at the end of each of the last windows. */
  #marks = [{ hits: 0, gets: 0 }];

  constructor(readonly policy: Policy) {}

  make(maxEntries: number, ttl: Duration, clock: () => number): void {
    this.cache = new NearCache({ maxEntries, ttl, clock, eviction: this.policy });
    this.waits.clear();
    this.forget();
  }

  haveKeys(keys: number): void {
    this.lastHit = new Float64Array(keys).fill(-Infinity);
    this.loading.clear();
  }

  /** The hit rate over the last windows begins anew. */
  forget(): void {
    this.#marks = [this.#count()];
  }

  get recentRate(): number {
    const [first, last] = [this.#marks[0]!, this.#marks.at(-1)!];
    return (last.hits - first.hits) / (last.gets - first.gets);
  }

  get(index: number, key: string, latency: number, failing: boolean, now: number): void {
    const { cache, loading } = this;
    if (cache.has(key)) this.lastHit[index] = now;
    const answer = cache.getOrSet(key, async (_, ctx) => {
      loading.add(index);
      try {
        return await pretend(latency, failing, ctx.signal);
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

  endWindow(): void {
    const before = this.#marks.at(-1)!;
    const after = this.#count();
    this.rates.push((after.hits - before.hits) / (after.gets - before.gets));
    this.#marks.push(after);
    if (this.rates.length > WINDOWS) this.rates.shift();
    if (this.#marks.length > RECENT + 1) this.#marks.shift();
  }

  #count(): { hits: number; gets: number } {
    const { hits, misses, coalesced } = this.cache.stats();
    return { hits, gets: hits + misses + coalesced };
  }
}
