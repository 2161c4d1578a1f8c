import { startTimer, stopTimer } from "../runtime/alarm.js";
import { type Deferred, deferred } from "../runtime/deferred.js";
import type { EntryTable } from "../entries/entries.js";
import { computeQueueFull, timedOut, tooManyLoads } from "../options/errors.js";
import type { CacheHandle } from "../loads/handle.js";
import { keepAlive } from "../runtime/host.js";
import { type CallOptions, or } from "../policy/policy.js";
import { onAbort } from "../runtime/signals.js";
import type { Updates, Write } from "./updates.js";

/** The next value from the present one, or `undefined` for none. The signal aborts when the caller waits no longer. */
export type Compute<V> = (value: V | undefined, signal: AbortSignal) => V | undefined | PromiseLike<V | undefined>;

/** One who computes a key, or waits to. */
interface Turn<K> {
  readonly queue: Queue<K>;
  readonly deadline: number;
  /** By what the core knows it; another core would give it another. */
  number: number;
  /** Told when it is the first. In a Worker its own request goes on by it. */
  readonly come: Deferred<void>;
  hasCome: boolean;
  /** Its work has begun, or waits for the turn. */
  hasBegun: boolean;
  /** An error came before that, as where the stack is full: it is to leave the queue. */
  isGivenUp: boolean;
}

/** Those who compute one key, in the order in which they asked. */
interface Queue<K> {
  readonly partition: string;
  readonly key: K;
  /** By what the core knows it; -1 before it does, and once nobody is in it any more. */
  number: number;
  readonly turns: Map<number, Turn<K>>;
}

/** The next value from the present one, one after the other for each key. */
export class Computes<K, V> {
  /** By partition and key. A key that nobody computes is not there. */
  private readonly queues = new Map<string, Map<K, Queue<K>>>();
  private numbered: (Queue<K> | undefined)[] = [];
  private free: number[] = [];
  /** The queue that was looked at last, in case that all of it has gone with its requests. */
  private hand = -1;
  /** Those given up that have not left yet, before anybody else takes a turn. */
  private givenUp: { readonly turn: Turn<K>; readonly next: Computes<K, V>["givenUp"] } | undefined = undefined;

  constructor(
    private readonly entries: EntryTable<K, V>,
    private readonly updates: Updates<K, V>,
  ) {
    entries.onRenewed.push(() => this.askAgain());
  }

  run(handle: CacheHandle<K, V>, key: K, compute: Compute<V>, options: CallOptions<K>): Promise<V | undefined> {
    const hardTimeout = or(options.hardTimeout, handle.defaults.hardTimeout);
    const now = this.entries.clock.read();
    this.leaveLate(now);
    this.sweep(now);
    const turn: Turn<K> = {
      queue: this.queueOf(handle, key),
      deadline: now + hardTimeout,
      number: 0,
      come: deferred(),
      hasCome: false,
      hasBegun: false,
      isGivenUp: false,
    };
    try {
      return this.take(turn, handle, key, compute, options, hardTimeout, now);
    } catch (error) {
      if (turn.number > 0 && !turn.hasBegun) {
        // Where the stack is full there is room for this alone.
        turn.isGivenUp = true;
        this.givenUp = { turn, next: this.givenUp };
      }
      throw error;
    }
  }

  /** Those leave who had no room for it when an error ended what they asked for. */
  private leaveLate(now: number): void {
    for (let late = this.givenUp; late !== undefined; late = this.givenUp) {
      this.advance(late.turn.queue, late.turn.number, now);
      if (this.givenUp === late) this.givenUp = late.next;
    }
  }

  /** Takes a turn, and does the work when that has come. */
  private take(
    turn: Turn<K>,
    handle: CacheHandle<K, V>,
    key: K,
    compute: Compute<V>,
    options: CallOptions<K>,
    hardTimeout: number,
    now: number,
  ): Promise<V | undefined> {
    const { clock } = this.entries;
    const refused = this.ask(turn, now);
    if (refused !== undefined) return Promise.reject(refused);
    const { promise, resolve, reject } = deferred<V | undefined>();
    const controller = new AbortController();
    let write: Write<K, V> | undefined;
    let timer: ReturnType<typeof startTimer>;
    let over = false;
    let forget: (() => void) | undefined;
    const end = (): void => {
      over = true;
      stopTimer(timer);
      forget?.();
      this.leave(turn);
      // So that nothing waits for it.
      turn.come.resolve();
    };
    const giveUp = (error: unknown): void => {
      if (over) return;
      if (write !== undefined) this.updates.notComputed(write);
      reject(error);
      end();
      controller.abort(error);
    };
    const wait = (now: number, until: number): void => {
      timer = startTimer(() => onTimer(until), Math.max(until - now, 1));
    };
    const onTimer = (at: number): void => {
      if (turn.isGivenUp) return;
      const now = Math.max(clock.readOrLast(), at);
      if (over) return;
      const until = this.look(turn, now);
      if (Number.isNaN(until)) giveUp(timedOut(key, hardTimeout));
      else wait(now, until);
    };
    const work = async (): Promise<void> => {
      turn.hasBegun = true;
      try {
        const now = clock.read();
        if (over) return;
        const begun = this.entries.safely(() => this.updates.begin(handle, key, options, now, true));
        if (begun === undefined) throw tooManyLoads(key);
        write = begun.write;
        this.entries.flush();
        if (over) return;
        const value = await compute(begun.stale, controller.signal);
        if (over) return;
        this.updates.computed(write, value);
        resolve(value);
        end();
      } catch (error) {
        // A full stack has room again when whoever called has ended.
        if (error instanceof RangeError) await undefined;
        giveUp(error);
      }
    };
    const { signal } = options;
    if (signal !== undefined) forget = onAbort(signal, () => giveUp(signal.reason));
    if (over) return promise;
    // What needs no time at all comes before any deadline.
    wait(now, this.look(turn, now) || turn.deadline);
    if (turn.hasCome) keepAlive(work());
    else {
      const begin = (): Promise<void> | undefined => {
        if (over) return undefined;
        // Its deadline may have come before its timer.
        if (!Number.isNaN(this.look(turn, clock.readOrLast()))) return work();
        giveUp(timedOut(key, hardTimeout));
        return undefined;
      };
      const ended = turn.come.promise.then(begin);
      turn.hasBegun = true;
      keepAlive(ended);
    }
    return promise;
  }

  private queueOf(handle: CacheHandle<K, V>, key: K): Queue<K> {
    const { namespace, scope } = handle.partition;
    const partition = `${namespace.id}\0${scope}`;
    let keys = this.queues.get(partition);
    if (keys === undefined) this.queues.set(partition, (keys = new Map()));
    let queue = keys.get(key);
    if (queue === undefined) keys.set(key, (queue = { partition, key, number: -1, turns: new Map() }));
    return queue;
  }

  private number(queue: Queue<K>): number {
    if (queue.number < 0) {
      queue.number = this.free.pop() ?? this.numbered.length;
      this.numbered[queue.number] = queue;
    }
    return queue.number;
  }

  /** Takes a place in the queue, or brings why there is none. */
  private ask(turn: Turn<K>, now: number): Error | undefined {
    const { queue, deadline } = turn;
    turn.number = this.entries.safely((core) => core.compute_ask(this.number(queue), now, deadline));
    const { number } = turn;
    if (number < 0) return computeQueueFull(queue.key, -number);
    queue.turns.set(number, turn);
    this.advance(queue, 0, now);
    return undefined;
  }

  /** When to look again; NaN if it is over. */
  private look({ queue, number }: Turn<K>, now: number): number {
    const until = this.entries.safely((core) => core.compute_look(queue.number, number, now));
    this.advance(queue, 0, now);
    return until;
  }

  private leave(turn: Turn<K>): void {
    const { queue, number } = turn;
    if (queue.turns.get(number) === turn) this.advance(queue, number, this.entries.clock.readOrLast());
  }

  /** Takes a turn out of the queue, if there is one of this number, and tells who is the first. */
  private advance(queue: Queue<K>, number: number, now: number): void {
    const { turns, partition, key } = queue;
    if (queue.number < 0) return;
    const first = this.entries.safely((core) => core.compute_leave(queue.number, number, now));
    turns.delete(number);
    for (const [number, turn] of turns) {
      if (number === first) {
        turn.hasCome = true;
        turn.come.resolve();
        return;
      }
      // It counts as lost.
      turns.delete(number);
    }
    this.numbered[queue.number] = undefined;
    this.free.push(queue.number);
    queue.number = -1;
    const keys = this.queues.get(partition)!;
    keys.delete(key);
    if (keys.size === 0) this.queues.delete(partition);
  }

  /** Looks at one queue for those that have gone with their requests where nobody waits who would find them. */
  private sweep(now: number): void {
    const queue = this.numbered[++this.hand];
    if (this.hand >= this.numbered.length) this.hand = -1;
    if (queue === undefined) return;
    this.entries.safely((core) => core.compute_look(queue.number, 0, now));
    this.advance(queue, 0, now);
  }

  /** The core is another one, which knows of none of them. */
  private askAgain(): void {
    const now = this.entries.clock.readOrLast();
    const queues = this.numbered.filter((queue) => queue !== undefined);
    this.numbered = [];
    this.free = [];
    for (const queue of queues) queue.number = -1;
    for (const queue of queues) {
      const turns = [...queue.turns.values()];
      queue.turns.clear();
      for (const turn of turns) if (!turn.isGivenUp) this.ask(turn, now);
    }
    this.givenUp = undefined;
  }
}
