// A body on its way into the cache. Its bytes are nobody's request's, so that any may read them as they come.

const FIRST_READ = 16 * 1024;
const LARGEST_READ = 256 * 1024;

export class Filling {
  #chunks = [];
  #length = 0;
  #over = false;
  #error;
  // Settled with the next chunk. See docs/workerd-promises.md for why it is made so.
  #more = Promise.withResolvers();
  #whole;

  /** How much is left free at the end of a chunk's memory is copied away if it is more than this part of it. */
  static #WASTE = 4;

  /**
   * Reads a stream to its end, and gives `whole`, `too long` where `room(bytes)` refuses, `late` if nothing came for `idle`
   * milliseconds or not all within `total`, or the error that broke it.
   */
  async read(source, { idle, total, room }) {
    if (source === null) return this.#finish("whole");
    const reader = source.getReader({ mode: "byob" });
    const end = Date.now() + total;
    let size = FIRST_READ;
    try {
      for (;;) {
        const read = await within(reader.read(new Uint8Array(size)), Math.min(idle, end - Date.now()));
        if (read === LATE) {
          reader.cancel().catch(() => {});
          return this.#finish("late");
        }
        if (read.done) return this.#finish("whole");
        const { value } = read;
        if (!room(value.byteLength)) {
          // Those who read this stream as it comes go on without the cache.
          reader.cancel().catch(() => {});
          return this.#finish("too long");
        }
        this.#push(value);
        // Few large reads, or each would wait for its turn among all requests.
        if (value.byteLength === size) size = Math.min(size * 2, LARGEST_READ);
      }
    } catch (error) {
      return this.#finish(error);
    }
  }

  #push(chunk) {
    const spare = chunk.buffer.byteLength - chunk.byteLength;
    this.#chunks.push(spare * Filling.#WASTE > chunk.byteLength ? chunk.slice() : chunk);
    this.#length += chunk.byteLength;
    this.#next();
  }

  #next() {
    const { resolve } = this.#more;
    this.#more = Promise.withResolvers();
    resolve();
  }

  #finish(how) {
    if (how === "whole") this.#over = true;
    else this.#error = how instanceof Error ? how : new Error(`the body could not be read: ${how}`);
    this.#next();
    return how;
  }

  /** All of it, when it has been read whole. */
  bytes() {
    if (this.#whole === undefined) {
      const [only] = this.#chunks;
      if (this.#chunks.length === 1) this.#whole = only;
      else {
        this.#whole = new Uint8Array(this.#length);
        let at = 0;
        for (const chunk of this.#chunks) {
          this.#whole.set(chunk, at);
          at += chunk.byteLength;
        }
      }
      // Whoever is still reading goes on with the copy.
      this.#chunks = [this.#whole];
    }
    return this.#whole;
  }

  /** A stream of the present request's own, of the bytes from `start` to `end` as they come. */
  stream(start = 0, end = Infinity) {
    let at = start;
    return new ReadableStream({
      pull: async (controller) => {
        for (;;) {
          if (at >= end) return controller.close();
          const chunk = this.#from(at, end);
          if (chunk !== undefined) {
            at += chunk.byteLength;
            return controller.enqueue(chunk);
          }
          if (this.#error) return controller.error(this.#error);
          if (this.#over) return controller.close();
          await this.#more.promise;
        }
      },
    });
  }

  /** What there is from a position on, of one chunk. */
  #from(position, end) {
    let at = 0;
    for (const chunk of this.#chunks) {
      if (position < at + chunk.byteLength) return chunk.subarray(position - at, Math.min(end - at, chunk.byteLength));
      at += chunk.byteLength;
    }
  }
}

const LATE = Symbol("late");

async function within(promise, millis) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, Math.max(0, millis), LATE)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
