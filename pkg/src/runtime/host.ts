// What differs between the places a cache runs in. An entry point fills it in before anything is made.

import { ignore } from "./deferred.js";

export interface Host {
  /**
   * Whether timers and promises belong to the request that made them (workerd). There every waiter
   * brings a timer of its own, and a follower waits for the very promise of the leader.
   */
  requestBound: boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** 32 random bits. Throws where there is no randomness, as at a Worker's global scope. */
  seed(): number;
  /** As `setTimeout`. Throws where there are no timers. */
  setTimer(callback: () => void, millis: number): Timer;
  clearTimer(timer: Timer): void;
  /** Keeps the request alive until the promise has settled. The promise never rejects. */
  keepAlive(promise: Promise<unknown>): void;
  /** Calls back when the code that runs now has ended, before any other. */
  afterRun(callback: () => void): void;
  /**
   * Calls back when the promise jobs that are pending, and those they lead to, have run, as far as the place
   * lets that be seen. `gathered` is what they may add to meanwhile.
   */
  afterPromiseJobs(callback: () => void, gathered: ArrayLike<unknown>): void;
  /** Called with each alarm that is set, and again when it is set anew. */
  alarmSet(alarm: Pending): void;
  /** Called when an alarm is no longer set. */
  alarmOff(alarm: Pending): void;
}

/** What `setTimer` gave. */
export type Timer = unknown;

/** A timer that should hold a process only while somebody waits for it. */
export interface Pending {
  readonly timer: unknown;
  isNeeded(): boolean;
}

// A promise and a method that nobody replaces later, as tests do that fake the time.
const resolved = Promise.resolve();
const { then } = Promise.prototype;

/** How many calls of a small function take more of the stack than Node's timers do. */
const TIMERS_ROOM = 100;

/** So many turns of the promise jobs that add nothing count as the end of them all. */
const QUIET_TURNS = 64;

/**
 * For workerd, where the next task may be another request's and may not exist at all (outside a request there
 * are no timers): takes its turn among the promise jobs until nothing has come for a while. All of
 * one request's promise jobs run before any code of another's, so what is gathered this way never mixes requests.
 */
function afterQuietTurns(callback: () => void, gathered: ArrayLike<unknown>): void {
  // None yet, so that of two that are complete the one that began first is called first.
  let held = -1;
  let quiet = 0;
  const turn = (): void => {
    if (gathered.length !== held) {
      held = gathered.length;
      quiet = 0;
    } else if (++quiet === QUIET_TURNS) {
      callback();
      return;
    }
    queueMicrotask(turn);
  };
  queueMicrotask(turn);
}

export const host: Host = {
  requestBound: false,
  // By their names at each call, so that a test may replace what stands behind them.
  now: () => Date.now(),
  seed: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  setTimer: (callback, millis) => setTimeout(callback, millis),
  clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
  keepAlive: ignore,
  afterRun: (callback) => void then.call(resolved, callback),
  afterPromiseJobs: afterQuietTurns,
  alarmSet: ignore,
  alarmOff: ignore,
};

// What a program replaces later, as tests do that fake the time, is no business of these: they never wait for time.
const { MessageChannel, process } = globalThis as Partial<typeof globalThis>;

let filled = false;

/** Fills in the host by what is there, for entry points that do not know where they run. Once, if there are several. */
export function useSurroundings(): void {
  if (filled) return;
  filled = true;
  // Node, Deno and Bun, and a page that a test runner simulates in Node.
  if (process?.versions?.node !== undefined) {
    useNode(process);
  } else {
    const channel = openChannel();
    if (channel !== undefined) useMessages(channel);
  }
}

/** Next's edge runtime has the name, and throws where one is made. */
function openChannel(): MessageChannel | undefined {
  try {
    return MessageChannel === undefined ? undefined : new MessageChannel();
  } catch {
    return undefined;
  }
}

function useNode(process: NodeJS.Process): void {
  // A tick's callbacks run when no promise job is left, if they are asked for by a promise job.
  const { nextTick } = process;
  host.afterPromiseJobs = (callback) => void resolved.then(() => nextTick(callback));
  // Of what a run leaves behind either may come first: ticks if a task is over, promise jobs if one of them is.
  const { afterRun } = host;
  host.afterRun = (callback) => {
    afterRun(callback);
    nextTick(callback);
  };

  // What a full stack interrupts in Node's timers holds the process for ever. So it shows before anything of them has begun.
  const { setTimer, clearTimer } = host;
  const room = (calls: number): number => (calls === 0 ? 0 : room(calls - 1) + 1);
  host.setTimer = (callback, millis) => (room(TIMERS_ROOM), setTimer(callback, millis));
  host.clearTimer = (timer) => (room(TIMERS_ROOM), clearTimer(timer));

  // A deadline should not keep a process alive whose loads have all come home, and should when one has not:
  // timers are unreferenced, and those still needed are referenced when nothing else is left to do.
  // Timers that a test runner or an older Deno makes may be plain numbers.
  const timerOf = (alarm: Pending) => alarm.timer as Partial<NodeJS.Timeout>;
  const alarms = new Set<Pending>();
  const refNeeded = () => {
    for (const alarm of alarms) {
      if (alarm.isNeeded()) timerOf(alarm).ref?.();
    }
  };
  host.alarmSet = (alarm) => {
    room(TIMERS_ROOM);
    timerOf(alarm).unref?.();
    if (alarms.size === 0) process.on("beforeExit", refNeeded);
    alarms.add(alarm);
  };
  host.alarmOff = (alarm) => {
    alarms.delete(alarm);
    if (alarms.size === 0) process.off("beforeExit", refNeeded);
  };
}

/** Timers of hidden pages are held back; messages are not. */
function useMessages(channel: MessageChannel): void {
  const callbacks: (() => void)[] = [];
  channel.port1.onmessage = () => callbacks.splice(0).forEach((callback) => callback());
  host.afterPromiseJobs = (callback) => {
    callbacks.push(callback);
    channel.port2.postMessage(undefined);
  };
}

/** In a Worker, keeps the request until the promise has settled. Outside a request there is nothing to keep. */
export function keepAlive(promise: Promise<unknown>): void {
  try {
    host.keepAlive(promise.then(ignore, ignore));
  } catch {
    // A loader out there can do no I/O either.
  }
}
