// What a hit costs here. A single one is too short for a browser's clock, which moves in steps of up to
// 100 µs, so a sample is the mean of a batch that takes a few milliseconds.

import { NearCache } from "nearcache";
import { Quantiles } from "./quantiles.js";

const KEYS = 1_000;
const BATCH_MS = 2;
const SAMPLES = 60;
/** The first batches run before the engine has compiled anything. */
const WARM_UP = 10;

export class Probe {
  /** Nanoseconds a hit. */
  readonly hits = new Quantiles(SAMPLES);
  readonly #cache = new NearCache<string, number>({ maxEntries: KEYS, ttl: "1h" });
  readonly #order: string[] = [];
  #batch = 1_000;
  #cold = WARM_UP;

  constructor() {
    for (let i = 0; i < KEYS; i++) this.#cache.set(`key-${i}`, i);
    for (let i = 0; i < 4_096; i++) this.#order.push(`key-${Math.floor(Math.random() ** 3 * KEYS)}`);
  }

  get full(): boolean {
    return this.hits.count === SAMPLES;
  }

  sample(): void {
    const start = performance.now();
    let found = 0;
    for (let i = 0; i < this.#batch; i++) if (this.#cache.get(this.#order[i & 4_095]!) !== undefined) found++;
    const took = performance.now() - start;
    if (found !== this.#batch) return; // an hour has passed
    if (took < BATCH_MS / 2) this.#batch *= 2;
    else if (this.#cold > 0) this.#cold--;
    else this.hits.add((took * 1e6) / this.#batch);
  }
}
