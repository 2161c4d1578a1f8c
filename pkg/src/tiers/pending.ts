import { ignore } from "../runtime/deferred.js";
import type { TierHost } from "../types/tiering.js";
import { within } from "./calls.js";

/** What is on its way. In a Worker some of it may be lost with its request, and would never end. */
export class Pending {
  /** By when each has ended or is lost. */
  private readonly all = new Map<Promise<void>, () => number>();

  constructor(private readonly host: TierHost) {}

  /** Keeps the request until the promise settles. */
  add(promise: Promise<unknown>, until: () => number): void {
    const now = this.host.now();
    for (const [lost, by] of this.all) {
      if (by() > now) break;
      this.all.delete(lost);
    }
    const held: Promise<void> = promise.then(ignore, ignore).finally(() => this.all.delete(held));
    this.all.set(held, until);
    this.host.keepAlive(held);
  }

  /** Resolves when nothing is on its way, also of what comes meanwhile. */
  async ended(): Promise<void> {
    for (const [held, until] of this.all) {
      for (let left = 1; left > 0 && this.all.has(held); left = until() - this.host.now()) {
        await within(this.host, Math.max(0, until() - this.host.now()), () => held);
      }
      this.all.delete(held);
    }
  }
}
