import { startTimer, stopTimer } from "../runtime/alarm.js";
import type { Asker } from "../batches/asker.js";
import type { EntryTable } from "../entries/entries.js";
import { hardTimeoutOf, softTimeoutOf, type Flight, type Wait } from "./flight.js";
import type { Loads } from "./loads.js";
import { onAbort } from "../runtime/signals.js";

/** What waits of requests need of the driver. */
interface Driving<K, V> {
  readonly entries: EntryTable<K, V>;
  readonly loads: Loads<K, V>;
  readonly onAskAgain: (wait: Wait<K, V>) => Promise<V>;
  soften(wait: Wait<K, V>, now: number): void;
  left(flight: Flight<K, V>, code: number): void;
  leaveAs(asker: Asker | undefined, wait: Wait<K, V>): number;
}

/**
 * How callers wait in a Worker, where timers and promises belong to the request that made them: each waits for the
 * flight's own promise, with timers and a signal of its own request, and asks again if the flight dies with its request.
 */
export class Requests<K, V> {
  constructor(private readonly driver: Driving<K, V>) {}

  /** The cache itself waits for what it refreshes, until the deadline of the one who asked. */
  hold(flight: Flight<K, V>): void {
    if (flight.over) return;
    const timer = startTimer(() => this.timeOut(flight, 0, -1, true), hardTimeoutOf(flight));
    const ended = (): void => stopTimer(timer);
    flight.ended!.promise.then(ended, ended);
  }

  /** One caller's promise. */
  follow(wait: Wait<K, V>, now: number, signal: AbortSignal | undefined): Promise<V> {
    const { driver } = this;
    const { flight, group, ask } = wait;
    const asker = wait.askers?.[0];
    const waited = now - ask.askedAt;

    const late = (): void => {
      // Who was content with a stale value left the wait to the cache itself, which ends it now.
      if (!wait.over) {
        stop();
        wait.timeOut();
      } else if (wait.softened === undefined) return;
      this.timeOut(flight, group, asker?.node ?? -1, wait.softened !== undefined);
    };
    const soft = (): void => {
      if (wait.over || !driver.loads.isLive(flight)) return;
      driver.entries.safely(() => driver.soften(wait, driver.entries.clock.readOrLast()));
      driver.entries.flush();
    };
    const abort = (): void => {
      if (wait.over) return;
      stop();
      wait.over = true;
      wait.fail(signal!.reason);
      // Another may begin, by this time.
      driver.entries.clock.readOrLast();
      driver.entries.safely(() => driver.left(flight, driver.leaveAs(asker, wait)));
      driver.entries.flush();
    };
    let forget: (() => void) | undefined;
    const hardTimer = startTimer(late, hardTimeoutOf(ask) - waited);
    const softTimer =
      softTimeoutOf(ask) < hardTimeoutOf(ask) ? startTimer(soft, softTimeoutOf(ask) - waited) : undefined;
    const stop = (): void => {
      stopTimer(hardTimer);
      stopTimer(softTimer);
      forget?.();
    };

    flight.ended!.promise.then(
      () => {
        stop();
        flight.give(wait, driver.onAskAgain);
      },
      () => {
        stop();
        // The rejection is the runtime's: the leader's request is gone, with its load if that has not ended.
        if (flight.loaded || flight.failed) flight.give(wait, driver.onAskAgain);
        else if (!wait.over) {
          wait.over = true;
          driver.entries.safely(() => driver.loads.lose(flight));
          wait.resolve(driver.onAskAgain(wait));
        }
      },
    );
    forget = signal === undefined ? undefined : onAbort(signal, abort);
    return wait.promise;
  }

  private timeOut(flight: Flight<K, V>, group: number, asker: number, background: boolean): void {
    const { driver } = this;
    if (!driver.loads.isLive(flight)) return;
    driver.entries.safely((core) => driver.left(flight, core.time_out(flight.index, group, asker, background)));
    driver.entries.flush();
  }
}
