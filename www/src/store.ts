// A pretend store for a tier: it takes its time, may be down, and may hang. What it holds outlives both.

import type { Tier, TierEntry, TierOptions } from "nearcache/tiers";

export type Health = "up" | "down" | "hanging";

export class Store implements Tier {
  health: Health = "up";
  readonly #held = new Map<string, Uint8Array>();
  /** Lets go of the calls that hang. */
  #stuck: (() => void)[] = [];

  constructor(
    readonly name: string,
    /** How long a call takes, in ms. */
    readonly latency: number,
    /** At most so many records; the oldest go first. */
    readonly most: number,
    readonly options: TierOptions,
  ) {}

  become(health: Health): void {
    this.health = health;
    if (health !== "hanging") for (const letGo of this.#stuck.splice(0)) letGo();
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#call(() => this.#held.get(name));
  }

  getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return this.#call(() => names.map((name) => this.#held.get(name)));
  }

  set({ name, bytes }: TierEntry): Promise<void> {
    return this.#call(() => {
      this.#held.delete(name);
      this.#held.set(name, bytes);
      for (const oldest of this.#held.keys()) {
        if (this.#held.size <= this.most) break;
        this.#held.delete(oldest);
      }
    });
  }

  delete(name: string): Promise<void> {
    return this.#call(() => void this.#held.delete(name));
  }

  async #call<T>(what: () => T): Promise<T> {
    if (this.health === "up") await new Promise((resolve) => setTimeout(resolve, this.latency));
    if (this.health === "hanging") {
      await new Promise<void>((letGo) => this.#stuck.push(letGo));
      throw new Error("the connection was reset");
    }
    if (this.health === "down") throw new Error("connection refused");
    return what();
  }
}
