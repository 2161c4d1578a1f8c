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
    for (const [lost, by] of this.all) {
      if (this.left(by) > 0) break;
      this.all.delete(lost);
    }
    const held: Promise<void> = promise.then(ignore, ignore).finally(() => this.all.delete(held));
    this.all.set(held, until);
    this.host.keepAlive(held);
  }

  /** Resolves when nothing is on its way, also of what comes meanwhile. */
  async ended(): Promise<void> {
    for (const [held, until] of this.all) {
      if (!this.host.requestBound) await held;
      for (let left; this.all.has(held) && (left = this.left(until)) > 0;) await within(this.host, left, () => held);
      this.all.delete(held);
    }
  }

  /** For how many milliseconds it may go on. Elsewhere than in Workers all of it ends, whatever a clock says that leaps. */
  private left(until: () => number): number {
    return this.host.requestBound ? until() - this.host.now() : Infinity;
  }
}
