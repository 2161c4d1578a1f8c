import { Alarm } from "../runtime/alarm.js";
import type { Clock } from "../runtime/clock.js";
import type { Core } from "../core/core.js";

/** Entries that may be over. */
interface Purged {
  readonly clock: Clock;
  safely<T>(call: (core: Core) => T): T;
  drain(): void;
  flush(): void;
}

/** Lets entries leave in time: has one timer, which holds neither a process nor the cache. */
export class Purger {
  /** Whether the core may want it to ring at another time. */
  isDue = false;
  private readonly alarm = new Alarm(false);

  constructor(entries: Purged) {
    const ref = new WeakRef(entries);
    this.alarm.onAlarm = () => {
      const entries = ref.deref();
      if (entries === undefined) return;
      const now = entries.clock.readOrLast();
      entries.safely((core) => {
        core.purge_due(now);
        entries.drain();
      });
      entries.flush();
    };
  }

  /** Rings when the core wants it. */
  set(entries: Purged): void {
    this.isDue = false;
    const { alarm } = this;
    const at = entries.safely((core) => core.purge_due(NaN));
    if (at === alarm.at) return;
    alarm.off();
    if (at === Infinity) return;
    try {
      alarm.set(at, entries.clock.readOrLast());
    } catch {
      // At a Worker's global scope there are no timers. The core asks again when this one is late.
      alarm.off();
    }
  }
}
