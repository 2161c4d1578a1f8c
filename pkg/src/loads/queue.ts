import { type Alarm, startTimer, stopTimer } from "../runtime/alarm.js";
import type { Core } from "../core/core.js";
import { deferred, ignore } from "../runtime/deferred.js";
import type { EntryTable } from "../entries/entries.js";
import { queueFull } from "../options/errors.js";
import type { Flight } from "./flight.js";
import { host } from "../runtime/host.js";

/** What `begin_call` answers. */
const LATER = 1;
const REFUSED = 2;

/** What `start` answers if none may begin. */
const NOBODY = -1;

/** What begins in its turn. */
interface Beginning<K, V> {
  /** Rings when the next may begin, where one timer serves all. */
  readonly alarm: Alarm;
  /** The turn of a load has come that had to wait. */
  beginLate(flight: Flight<K, V>): void;
}

/** Loads and batches' calls that wait for their turn. There if they are limited. */
export class Queue<K, V> {
  /** Each begins what waits, in its own request, by the core's number. */
  private readonly waiting = new Map<number, () => void>();

  constructor(
    private readonly entries: EntryTable<K, V>,
    private readonly loads: Beginning<K, V>,
    private readonly mostQueued: number,
  ) {
    entries.onStirred = () => this.start(entries.clock.known());
  }

  full(key: unknown): Error {
    return queueFull(key, this.mostQueued);
  }

  /** Begins what waits, as far as its turn has come. */
  start(now: number): void {
    const { core } = this.entries;
    for (let node = core.start(now); node !== NOBODY; node = core.start(now)) {
      this.waiting.get(node)?.();
      this.waiting.delete(node);
    }
    if (host.requestBound) return;
    const next = core.starts_at(-1);
    if (next < Infinity) this.loads.alarm.set(next, now);
  }

  /** Whether a load waits for its turn. If so, it begins when that has come. */
  holds(flight: Flight<K, V>, now: number): boolean {
    if (Number.isNaN(this.entries.core.starts_at(flight.index))) return false;
    // If its request ends before, nothing comes of that: whoever joined it asks again.
    this.turn(flight.index, now).then(() => this.loads.beginLate(flight), ignore);
    return true;
  }

  /** What a batch waits for before its call, if for anything. @throws {NearCacheError} `ERR_QUEUE_FULL` */
  call(batch: number, key: K): Promise<void> | undefined {
    const now = this.entries.clock.readOrLast();
    const answer = this.entries.safely((core) => core.begin_call(batch, now));
    if (answer === REFUSED) throw this.full(key);
    return answer === LATER ? this.turn(batch, now) : undefined;
  }

  /** The core is another one, which knows of none of them. */
  release(): void {
    for (const begin of this.waiting.values()) begin();
    this.waiting.clear();
  }

  private turn(node: number, now: number): Promise<void> {
    const { promise, resolve } = deferred<void>();
    this.waiting.set(node, resolve);
    if (host.requestBound) this.watch(node, now, promise);
    else this.start(now);
    return promise;
  }

  /** In a Worker each has a timer of its own request, since another's may die. */
  private watch(node: number, now: number, turn: Promise<void>): void {
    const { entries } = this;
    let timer: ReturnType<typeof startTimer>;
    const set = (now: number): void => {
      const at = entries.safely((core: Core) => core.starts_at(node));
      timer = startTimer(onTimer, Math.max(at - now, 1));
    };
    const onTimer = (): void => {
      const now = entries.clock.readOrLast();
      entries.safely(() => entries.drain());
      entries.flush();
      if (this.waiting.has(node)) set(now);
    };
    set(now);
    const begun = (): void => stopTimer(timer);
    turn.then(begun, begun);
  }
}
