// What memory is in use, once what is not has been collected. Import it before anything that makes a wasm instance.

/** Collects what can be; wants `--expose-gc`. */
export function settle() {
  for (let i = 0; i < 4; i++) globalThis.gc();
}

/** Of the JS heap. */
export function heapBytes() {
  return process.memoryUsage().heapUsed;
}

/** Of what lies outside it: typed arrays, and wasm memories, which grow by pages and are not counted by Node. */
export function outerBytes() {
  return process.memoryUsage().arrayBuffers + memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}

// A wasm instance shows its memory among its exports; they are collected as instances are made.
const memories = [];
const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  constructor(...args) {
    super(...args);
    if (this.exports.memory) memories.push(this.exports.memory);
  }
};
