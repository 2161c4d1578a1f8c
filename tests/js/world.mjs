// A world of its own for the class: time stands until it is told to move, timers ring when it has, perhaps late, and
// requests can die, with their timers and with what their promises would have brought.

import { host as packageHost } from "../../pkg/dist/host.js";

const { setTimeout, setImmediate, MessageChannel, Promise } = globalThis;

/** The longest that a timer runs, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

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

/** In a page each batch takes a turn, and a test may make so many one after the other. */
const TURNS = 16;

/** Comes when all has happened that can without time, or when it `isOver`. */
async function settle(isOver = () => false) {
  for (let i = 0; i < TURNS && !isOver(); i++) await turn();
}

/** The package's host in place of the real one, until `leave` is called. */
export class World {
  now = 1_700_000_000_000;
  /** Whose code runs: timers and promises that are made belong to it. `undefined`: no request's. */
  request = undefined;
  /** The timers that are set, by their numbers. */
  timers = new Map();
  #number = 0;
  /** How many of a test's own calls see to time just now. */
  #held = 0;
  #seenTo = 0;
  /** What a runtime would reject with the request that made it. */
  #promises = new Map();
  #dead = new Set();
  #left = false;
  #host;
  #hostBefore;
  #withResolvers = Promise.withResolvers;

  /**
   * `requestBound`: whether timers and promises belong to requests; else as in the runtime that this is. `host`: of the package
   * that is meant, where there are several copies of it.
   */
  constructor({ requestBound, host = packageHost } = {}) {
    this.#host = host;
    this.#hostBefore = { ...host };
    Object.assign(host, {
      seed: () => 1,
      now: () => this.now,
      setTimer: (callback, millis) => this.setTimer(callback, millis),
      clearTimer: (number) => this.timers.delete(number),
      alarmSet() {},
      alarmOff() {},
    });
    if (requestBound === undefined) return;
    Object.assign(host, { requestBound, keepAlive() {} });
    if (requestBound) this.#ownPromises();
  }

  /** Whether timers and promises belong to requests. */
  get requestBound() {
    return this.#host.requestBound;
  }

  /** Gives the real host back. */
  leave() {
    this.#left = true;
    Object.assign(this.#host, this.#hostBefore);
    Promise.withResolvers = this.#withResolvers;
  }

  /** As `setTimeout`, which takes a time that is too long for one that is none. */
  setTimer(callback, millis) {
    const number = ++this.#number;
    const wait = millis > LONGEST ? 0 : Math.max(millis, 0);
    this.timers.set(number, { at: this.now + wait, number, callback, request: this.request });
    return number;
  }

  /** Resolves after `millis`, which something else must let pass. */
  sleep(millis) {
    const end = this.now + millis;
    const rest = () => Math.min(end - this.now, LONGEST);
    return new Promise((resolve) => {
      const wake = () => (this.now < end ? this.setTimer(wake, rest()) : resolve());
      this.setTimer(wake, rest());
    });
  }

  /**
   * Runs a test's body. Whenever nothing is left to do but to wait, time goes on to the next timer: no test waits for real,
   * and in none does time pass while something is still to be done.
   */
  async run(body) {
    let isOver = false;
    const result = (async () => body(this))();
    const end = () => (isOver = true);
    result.then(end, end);
    // A test that its runner has given up has left the world.
    while (!isOver && !this.#left) {
      const before = this.#seenTo;
      await settle(() => isOver);
      const next = this.#next();
      const isIdle = !isOver && this.#held === 0 && this.#seenTo === before;
      if (isIdle && next !== undefined) this.#ring(next);
    }
    return result;
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

  /** Lets all that can happen without time happen. */
  settle() {
    return this.#seeTo(() => settle());
  }

  /** Lets `millis` pass. Each timer rings on time. */
  pass(millis) {
    const end = this.now + millis;
    return this.#seeTo(async () => {
      await settle();
      for (let next; (next = this.#next()) !== undefined && next.at <= end;) {
        this.#ring(next);
        await settle();
      }
      this.now = end;
    });
  }

  /** Lets time pass, in one leap, and rings what it has passed: the earliest first, and all of it late. */
  advance(millis) {
    this.now += millis;
    return this.ring();
  }

  /** Rings what is due. */
  ring() {
    return this.#seeTo(async () => {
      for (let next; (next = this.#next()) !== undefined && next.at <= this.now;) {
        this.#ring(next);
        await turn();
      }
    });
  }

  /** Runs `code`, which sees to time by itself. */
  async #seeTo(code) {
    this.#held++;
    this.#seenTo++;
    try {
      await code();
    } finally {
      this.#held--;
    }
  }

  /** Sets the clock back or forward. Timers ring when they would have. */
  setClock(now) {
    for (const timer of this.timers.values()) timer.at += now - this.now;
    this.now = now;
  }

  /** The timer that rings first. */
  #next() {
    let next;
    for (const timer of this.timers.values()) {
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.number < next.number))
        next = timer;
    }
    return next;
  }

  #ring({ at, number, callback, request }) {
    this.timers.delete(number);
    this.now = Math.max(this.now, at);
    this.as(request, callback);
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
        // It may have no waiter, and is then no unhandled rejection: the runtime rejects it.
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
