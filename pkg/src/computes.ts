import { startTimer, stopTimer } from "./alarm.js";
import { row } from "./calls.js";
import { type Deferred, deferred } from "./deferred.js";
import type { EntryTable } from "./entries.js";
import { computeQueueFull, timedOut, tooManyLoads } from "./errors.js";
import type { CacheHandle } from "./handle.js";
import { keepAlive } from "./host.js";
import { type CallOptions, lifeOf, or } from "./policy.js";
import { onAbort } from "./signals.js";
import type { Updates, Write } from "./updates.js";

/** The next value from the present one, or `undefined` for none. The signal aborts when the caller waits no longer. */
export type Compute<V> = (value: V | undefined, signal: AbortSignal) => V | undefined | PromiseLike<V | undefined>;

/** So many wait for one key at most. */
const MOST_WAITING = 1_000;
/** One that runs for longer counts as lost, whatever its deadline. */
const LONGEST = 900_000;

/** One who computes a key. */
interface Turn<K> {
  readonly partition: string;
  readonly key: K;
  readonly deadline: number;
  /** From then on the next may begin, whatever became of this one: its request may have ended. */
  readonly lostAt: number;
  /** Told when it is the first. In a Worker its own request goes on by it. */
  readonly come: Deferred<void>;
  over: boolean;
}

/** The next value from the present one, one after the other for each key. */
export class Computes<K, V> {
  /** By partition and key: the first runs, the others wait. A key that nobody computes is not there. */
  private readonly turns = new Map<string, Map<K, Turn<K>[]>>();

  constructor(
    private readonly entries: EntryTable<K, V>,
    private readonly updates: Updates<K, V>,
    private readonly random: () => number,
  ) {}

  run(handle: CacheHandle<K, V>, key: K, compute: Compute<V>, options: CallOptions<K>): Promise<V | undefined> {
    const { clock } = this.entries;
    const hardTimeout = or(options.hardTimeout, handle.defaults.hardTimeout);
    const now = clock.read();
    const { namespace, scope } = handle.partition;
    const turn: Turn<K> = {
      partition: `${namespace.id}\0${scope}`,
      key,
      deadline: now + hardTimeout,
      lostAt: now + Math.min(hardTimeout, LONGEST),
      come: deferred(),
      over: false,
    };
    const ahead = this.enter(turn);
    if (ahead > MOST_WAITING) return Promise.reject(computeQueueFull(key, MOST_WAITING));
    const { promise, resolve, reject } = deferred<V | undefined>();
    const controller = new AbortController();
    let write: Write<K, V> | undefined;
    let timer: ReturnType<typeof startTimer>;
    const end = (): void => {
      turn.over = true;
      stopTimer(timer);
      forget?.();
      this.leave(turn);
      // So that nothing waits for it.
      turn.come.resolve();
    };
    const giveUp = (error: unknown): void => {
      if (turn.over) return;
      if (write !== undefined) this.fail(write);
      reject(error);
      end();
      controller.abort(error);
    };
    const ring = (): void => {
      const now = clock.read();
      if (now >= turn.deadline) return giveUp(timedOut(key, hardTimeout));
      const first = this.first(turn)!;
      // The first's own timer comes first, unless it has gone with its request.
      if (first !== turn && now >= first.lostAt) this.leave(first);
      wait(now);
    };
    const wait = (now: number): void => {
      const first = this.first(turn)!;
      const until = first === turn ? turn.deadline : Math.min(turn.deadline, first.lostAt);
      timer = startTimer(ring, Math.max(until - now, 1));
    };
    const work = async (): Promise<void> => {
      try {
        const begun = this.entries.safely(() => this.updates.begin(handle, key, options, clock.read(), true));
        if (begun === undefined) throw tooManyLoads(key);
        this.entries.flush();
        write = begun.write;
        const value = await compute(begun.stale, controller.signal);
        if (turn.over) return;
        this.store(write, value);
        resolve(value);
        end();
      } catch (error) {
        giveUp(error);
      }
    };
    wait(now);
    const forget =
      options.signal === undefined ? undefined : onAbort(options.signal, () => giveUp(options.signal!.reason));
    if (ahead === 0) keepAlive(work());
    else {
      const begin = (): Promise<void> | undefined => (turn.over ? undefined : work());
      keepAlive(turn.come.promise.then(begin));
    }
    return promise;
  }

  /** How many are before it. Beyond the most it does not enter. */
  private enter(turn: Turn<K>): number {
    let keys = this.turns.get(turn.partition);
    if (keys === undefined) this.turns.set(turn.partition, (keys = new Map()));
    let turns = keys.get(turn.key);
    if (turns === undefined) keys.set(turn.key, (turns = []));
    const ahead = turns.length;
    if (ahead <= MOST_WAITING) turns.push(turn);
    return ahead;
  }

  private first({ partition, key }: Turn<K>): Turn<K> | undefined {
    return this.turns.get(partition)?.get(key)?.[0];
  }

  /** Takes a turn out, and lets the next begin if it was the first. */
  private leave(turn: Turn<K>): void {
    const keys = this.turns.get(turn.partition);
    const turns = keys?.get(turn.key);
    const at = turns?.indexOf(turn) ?? -1;
    if (keys === undefined || turns === undefined || at < 0) return;
    turns.splice(at, 1);
    if (turns.length > 0) {
      if (at === 0) turns[0]!.come.resolve();
      return;
    }
    keys.delete(turn.key);
    if (keys.size === 0) this.turns.delete(turn.partition);
  }

  private store(write: Write<K, V>, value: V | undefined): void {
    const { entries, updates } = this;
    const { handle, key, options } = write;
    const weight = value === undefined || !Number.isNaN(options.bytes) ? NaN : handle.weigh(key, value);
    const stored = entries.copy(value, key);
    const mayJitter = handle.defaults.jitter > 0 || options.jitter > 0;
    const random = mayJitter ? this.random() : 0;
    const now = entries.clock.read();
    const isAbsent = value === undefined || value === null;
    const isStored = updates.endComputed(
      write,
      (number, slot) =>
        entries.core.written(
          number,
          true,
          slot,
          now,
          weight,
          isAbsent,
          random,
          value === undefined,
          row(undefined),
          undefined,
        ),
      stored,
    );
    const { place, defaults, slots } = handle;
    if (isStored) entries.changes?.set(place, key, stored as V, lifeOf(defaults, options, undefined, value));
    else if (value === undefined && slots.get(key) === undefined) entries.changes?.purge(place, "key", key);
  }

  private fail(write: Write<K, V>): void {
    const now = this.entries.clock.read();
    this.updates.endComputed(write, (number, slot) => this.entries.core.write_failed(number, true, slot, now));
  }
}
