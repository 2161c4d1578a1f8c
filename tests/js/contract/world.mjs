// A world of its own for the class: time stands until it is told to move, timers ring when it has, perhaps late, and
// requests can die, with their timers and with what their promises would have brought.

import { host } from "../../../pkg/dist/host.js";

const { setTimeout, setImmediate, MessageChannel, Promise } = globalThis;

/** Comes when every promise job has run, and what the host does after them. */
export const turn = makeTurn();

function makeTurn() {
  if (setImmediate !== undefined && globalThis.process?.versions?.node !== undefined) {
    return () => new Promise((resolve) => setImmediate(resolve));
  }
  if (MessageChannel === undefined || globalThis.navigator?.userAgent === "Cloudflare-Workers") {
    return () => new Promise((resolve) => setTimeout(resolve, 0));
  }
  // Pages hold timers back; messages come in the order in which they were sent, those of the package too.
  const { port1, port2 } = new MessageChannel();
  const waiting = [];
  port1.onmessage = () => waiting.shift()();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(undefined);
    });
}

/** The package's host in place of the real one, until `leave` is called. */
export class World {
  now = 1_000_000;
  /** Whose code runs: timers and promises that are made belong to it. `undefined`: nobody's. */
  request = undefined;
  /** Whether there are requests, which may die. */
  requestBound = false;
  /** The timers that are set, by their numbers. */
  timers = new Map();
  #number = 0;
  /** What a runtime would reject with the request that made it. */
  #promises = new Map();
  #dead = new Set();
  #host = { ...host };
  #withResolvers = Promise.withResolvers;

  constructor({ requestBound = false } = {}) {
    this.requestBound = requestBound;
    host.requestBound = requestBound;
    host.now = () => this.now;
    host.setTimer = (callback, millis) => {
      const number = ++this.#number;
      const at = this.now + Math.max(millis, 0);
      this.timers.set(number, { at, number, callback, request: this.request });
      return number;
    };
    host.clearTimer = (number) => this.timers.delete(number);
    host.keepAlive = () => {};
    host.alarmSet = host.alarmOff = () => {};
    if (requestBound) this.#ownPromises();
  }

  /** Gives the real host back. */
  leave() {
    Object.assign(host, this.#host);
    Promise.withResolvers = this.#withResolvers;
  }

  /** Runs `code` as a request's. */
  as(request, code) {
    const outer = this.request;
    this.request = request;
    try {
      return code();
    } finally {
      this.request = outer;
    }
  }

  /** Lets time pass, in one leap, and rings what it has passed: the earliest first, and all of it late. */
  async advance(millis) {
    this.now += millis;
    await this.ring();
  }

  /** Rings what is due. */
  async ring() {
    for (;;) {
      let next;
      for (const timer of this.timers.values()) {
        const isFirst =
          next === undefined || timer.at < next.at || (timer.at === next.at && timer.number < next.number);
        if (timer.at <= this.now && isFirst) next = timer;
      }
      if (next === undefined) return;
      this.timers.delete(next.number);
      this.as(next.request, next.callback);
      await turn();
    }
  }

  /** A request dies: its timers never ring, and whoever waits for a promise of its is told by the runtime. */
  kill(request) {
    for (const [number, timer] of this.timers) if (timer.request === request) this.timers.delete(number);
    const promises = this.#promises.get(request) ?? [];
    this.#promises.delete(request);
    this.#dead.add(request);
    for (const reject of promises) reject(new Error("the runtime: the request has ended"));
  }

  /** Promises know whose they are, and whose code waits for them: a dead request's never runs. */
  #ownPromises() {
    const make = this.#withResolvers;
    if (make === undefined) throw new Error("this runtime has no Promise.withResolvers, and no requests either");
    Promise.withResolvers = () => {
      const made = make.call(Promise);
      const owner = this.request;
      if (owner !== undefined) {
        if (!this.#promises.has(owner)) this.#promises.set(owner, []);
        this.#promises.get(owner).push(made.reject);
        // Rejected by the runtime, it is nobody's fault that nobody waits for it.
        made.promise.catch(() => {});
      }
      const then = made.promise.then;
      made.promise.then = (...callbacks) =>
        then.apply(
          made.promise,
          callbacks.map((callback) => this.#bind(callback)),
        );
      return made;
    };
  }

  #bind(callback) {
    const owner = this.request;
    if (typeof callback !== "function" || owner === undefined) return callback;
    return (value) => (this.#dead.has(owner) ? new Promise(() => {}) : this.as(owner, () => callback(value)));
  }
}
