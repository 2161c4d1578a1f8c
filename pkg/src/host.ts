// What differs between the places a cache runs in. An entry point fills it in before anything is made.

export interface Host {
  /**
   * Whether timers and promises belong to the request that made them (workerd). There every waiter
   * brings a timer of its own, and a follower waits for the very promise of the leader.
   */
  requestBound: boolean;
  /** Keeps the request alive until the promise has settled. The promise never rejects. */
  keepAlive(promise: Promise<unknown>): void;
  /** Calls back as soon as the present task has ended, without holding a process. */
  nextTask(callback: () => void): void;
  /** Called with each alarm that is set, and again when it is set anew. */
  alarmSet(alarm: Pending): void;
  /** Called when an alarm is no longer set. */
  alarmOff(alarm: Pending): void;
}

/** A timer that should hold a process only while somebody waits for it. */
export interface Pending {
  readonly timer: unknown;
  readonly isNeeded: () => boolean;
}

const nothing = () => {};

export const host: Host = {
  requestBound: false,
  keepAlive: nothing,
  nextTask: (callback) => setTimeout(callback, 0),
  alarmSet: nothing,
  alarmOff: nothing,
};
