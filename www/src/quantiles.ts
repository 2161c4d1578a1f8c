/** Quantiles of the latest `capacity` samples. */
export class Quantiles {
  readonly #samples: Float64Array;
  #next = 0;
  count = 0;

  constructor(capacity: number) {
    this.#samples = new Float64Array(capacity);
  }

  add(sample: number): void {
    this.#samples[this.#next] = sample;
    this.#next = (this.#next + 1) % this.#samples.length;
    this.count = Math.min(this.count + 1, this.#samples.length);
  }

  clear(): void {
    this.#next = this.count = 0;
  }

  /** The nearest ranks; O(n log n). */
  at(...ranks: number[]): number[] {
    const sorted = this.#samples.slice(0, this.count).sort();
    return ranks.map((rank) => sorted[Math.max(0, Math.ceil(rank * this.count) - 1)] ?? NaN);
  }
}
