// The whole package in virtual time: a world with a clock, timers and requests of its own, which does nothing by itself.

import { readFileSync } from "node:fs";

const BUILD = new URL("../../build/virtual/virtual.js", import.meta.url);
const WASM = new URL("../../pkg/dist/nearcache.wasm", import.meta.url);
const module = new WebAssembly.Module(readFileSync(WASM));
let worlds = 0;

/** A fresh copy of the package in a world of its own. With `requestBound` it takes itself to be in a Worker. */
export async function virtualWorld({ requestBound = false, start = 1_700_000_000_000 } = {}) {
  const memories = [];
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class extends Instance {
    constructor(...args) {
      super(...args);
      memories.push(this.exports.memory);
    }
  };
  // The promises that requests share, by the request that made them, so that they can die with it.
  const shared = [];
  let request;
  const { withResolvers } = Promise;
  const track = () => {
    let resolve, reject;
    const promise = new Promise((...settle) => ([resolve, reject] = settle));
    shared.push({ request, promise, reject });
    return { promise, resolve, reject };
  };
  const restore = () => {
    if (withResolvers === undefined) delete Promise.withResolvers;
    else Promise.withResolvers = withResolvers;
  };
  Promise.withResolvers = track;
  const { host, initSync, ...nearcache } = await import(`${BUILD}?${worlds++}`);
  initSync(module);
  const makeInstance = WebAssembly.Instance;
  WebAssembly.Instance = Instance;
  restore();

  const timers = new Map();
  let named = 0;
  const world = {
    ...nearcache,
    now: start,
    /** What the program handed to `waitUntil`. */
    kept: [],
    /** When each timer that is set rings. */
    get timers() {
      return [...timers.values()].map(({ at }) => at).sort((a, b) => a - b);
    },
    /** Runs promise jobs until none are left. */
    async settle() {
      for (let i = 0; i < 100; i++) await undefined;
    },
    /** Lets so much time pass, and every timer ring when it is due. */
    async pass(millis) {
      const end = world.now + millis;
      await world.settle();
      for (;;) {
        const due = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
        if (due === undefined) break;
        const [name, { at, callback }] = due;
        timers.delete(name);
        world.now = Math.max(world.now, at);
        callback();
        await world.settle();
      }
      world.now = end;
    },
    /** All timers die with their requests. */
    dropTimers: () => timers.clear(),
    /** Sets the clock back or forward. Timers ring when they would have. */
    setClock(now) {
      for (const timer of timers.values()) timer.at += now - world.now;
      world.now = now;
    },
    /** Takes all memory that the wasm might still get, so that it fails as soon as it needs more. */
    exhaustMemory() {
      const memory = memories.at(-1);
      memory.grow(65_536 - memory.buffer.byteLength / 65_536);
    },
    /** Runs so much of the code as comes before its first `await` in a request with this name. */
    inRequest(name, code) {
      request = name;
      try {
        return code();
      } finally {
        request = undefined;
      }
    },
    /** The runtime ends a request: its shared promises that have not settled can never settle. */
    endRequest(name) {
      for (const { request, promise, reject } of shared) {
        if (request !== name) continue;
        promise.catch(() => {});
        reject(new Error("This promise was created by a request that has since ended, so it can never settle"));
      }
    },
    /** Runs a test's body, which may make instances of the wasm and shared promises. */
    async watching(body) {
      WebAssembly.Instance = makeInstance;
      Promise.withResolvers = track;
      try {
        await body();
      } finally {
        WebAssembly.Instance = Instance;
        restore();
      }
    },
    /** How many instances of the wasm have been made. */
    get instances() {
      return memories.length;
    },
  };
  Object.assign(host, {
    seed: () => 1,
    requestBound,
    now: () => world.now,
    setTimer(callback, millis) {
      timers.set(++named, { at: world.now + millis, callback });
      return named;
    },
    clearTimer: (name) => timers.delete(name),
    keepAlive: (promise) => world.kept.push(promise),
  });
  return world;
}
