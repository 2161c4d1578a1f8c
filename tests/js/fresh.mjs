// Copies of the package that nobody else uses: one whose wasm can be made to fail, and one by a clock of a test's. In Node.

import { readFileSync } from "node:fs";
import { World } from "./world.mjs";

const BUILD = new URL("../../build/virtual/virtual.js", import.meta.url);
const WASM = new URL("../../pkg/dist/nearcache.wasm", import.meta.url);
const module = new WebAssembly.Module(readFileSync(WASM));
const { Instance } = WebAssembly;
let copies = 0;

/** What the package exports, a world of its own, and the instances of its wasm, until `leave` is called. */
export async function freshPackage({ requestBound }) {
  const memories = [];
  WebAssembly.Instance = class extends Instance {
    constructor(...args) {
      super(...args);
      memories.push(this.exports.memory);
    }
  };
  const { host, initSync, ...nearcache } = await import(`${BUILD}?${copies++}`);
  initSync(module);
  const world = new World({ requestBound, host });
  return {
    ...nearcache,
    world,
    /** How many instances of the wasm have been made. */
    instances: () => memories.length,
    /** Takes all memory that the wasm might still get, so that it fails as soon as it needs more. */
    exhaustMemory() {
      const memory = memories.at(-1);
      memory.grow(65_536 - memory.buffer.byteLength / 65_536);
    },
    leave() {
      world.leave();
      WebAssembly.Instance = Instance;
    },
  };
}

/** What a copy exports that takes `clock` for the runtime's own, until `leave` is called. */
export async function packageByClock(clock) {
  const { now } = Date;
  // What is bound shows itself as native code.
  Date.now = clock.bind(undefined);
  const leave = () => (Date.now = now);
  try {
    const { initSync, ...nearcache } = await import(`${BUILD}?${copies++}`);
    initSync(module);
    return { ...nearcache, leave };
  } catch (error) {
    leave();
    throw error;
  }
}
