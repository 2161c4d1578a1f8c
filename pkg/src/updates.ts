import { Ctx } from "./context.js";
import { type Core, DEPARTED, SKIP, SLOT } from "./core.js";
import { NearCacheError, timedOut } from "./errors.js";
import type { Call } from "./flight.js";
import { host } from "./host.js";
import { keep, type Kept } from "./keeping.js";
import { keepAlive, startTimer } from "./loads.js";
import type { Shelf } from "./shelf.js";
import { offAbort, onAbort } from "./signals.js";

/** How long after its deadline a write counts as under way whose request may have died, in milliseconds. */
const GRACE = 30_000;

/** A write without a deadline counts as lost after so long. */
const LONGEST = 900_000;

/** Write-through: the source first, then the cache, which holds nothing that the source may not have. */
export class Updates<K, V> {
  private readonly core: Core;

  constructor(
    private readonly shelf: Shelf<K, V>,
    private readonly random: () => number,
  ) {
    this.core = shelf.core;
  }

  /** Runs the call's loader as the writer. */
  run(call: Call<K, V>): Promise<V> {
    const { core, shelf } = this;
    const { view, key, deadline, signal } = call;
    const known = view.slots.get(key);
    const now = shelf.now();
    const code = core.begin_write(known ?? 0, view.room.space);
    const slot = code & SLOT;
    if (slot === 0) {
      return Promise.reject(new NearCacheError("ERR_TOO_MANY_LOADS", "there are too many keys: 4294967295", key));
    }
    const write = core.write();
    const last = known !== undefined && core.is_usable(slot, now) ? (shelf.values[slot] as V) : undefined;
    if (known === undefined) shelf.place(slot, key, view);
    const left = host.requestBound ? core.expect_loss(write, slot, Math.min(deadline, now + LONGEST) + GRACE) : code;
    if (left >= DEPARTED || code >= DEPARTED) shelf.drain();
    shelf.flush();

    const ctx = new Ctx<K, V>(key, last);
    return new Promise<V>((resolve, reject) => {
      // He who does not wait for the end does not know how it will be: the key goes at once, and again at the end.
      const giveUp = (error: unknown): void => {
        this.remove(call);
        ctx.abort(error);
        reject(error);
      };
      const abort = (): void => giveUp(signal!.reason);
      const late = (): void => giveUp(timedOut(key, call.policy.hardTimeout));
      const timer = deadline < Infinity ? startTimer(late, deadline - now) : undefined;
      if (signal !== undefined) onAbort(signal, abort);
      const ended = this.write(call, ctx, write).finally(() => {
        clearTimeout(timer);
        if (signal !== undefined) offAbort(signal, abort);
      });
      ended.then(resolve, reject);
      keepAlive(ended);
    });
  }

  private async write(call: Call<K, V>, ctx: Ctx<K, V>, write: number): Promise<V> {
    const { core, shelf } = this;
    let kept: Kept = { ttl: SKIP, weight: 0 };
    let value: V | undefined;
    try {
      value = await call.loader(call.key, ctx);
      kept = keep(core, this.random, call, ctx, value);
      return value;
    } finally {
      const at = call.view.slots.get(call.key) ?? 0;
      const code = core.end_write(write, at, shelf.now(), kept.ttl, kept.weight);
      if (code >= DEPARTED) shelf.drain();
      const slot = code & SLOT;
      if (slot !== 0) shelf.put(slot, value as V);
      shelf.flush();
    }
  }

  private remove({ view, key }: Call<K, V>): void {
    const slot = view.slots.get(key);
    if (slot !== undefined && this.core.remove(slot) >= DEPARTED) this.shelf.drain();
    this.shelf.flush();
  }
}
