// A body on its way into the cache. Its bytes are nobody's request's, so that any may read them as they come.

const FIRST_READ = 16 * 1024;
const LARGEST_READ = 256 * 1024;

/** How much of a chunk's memory may be empty, as a part of what is in it: 1 / WASTE. */
const WASTE = 4;

export class Filling {
  #chunks = [];
  #length = 0;
  #over = false;
  #error;
  // Settled with the next chunk. See docs/workerd-promises.md for why it is made so.
  #more = Promise.withResolvers();
  #reader;
  #idle;
  /** Whether what is still to come goes to one reader, and is not kept. */
  #passes = false;

  /**
   * Reads a stream to its end, and gives `whole`, `too long` where `room` refuses so many bytes in all, `late` if nothing came for `idle`
   * milliseconds or not all within `total`, or the error that broke it.
   */
  async read(source, { idle, total, room }) {
    if (source === null) return this.#finish("whole");
    this.#reader = source.getReader({ mode: "byob" });
    this.#idle = idle;
    const end = Date.now() + total;
    let size = FIRST_READ;
    try {
      for (;;) {
        const read = await within(this.#reader.read(new Uint8Array(size)), Math.min(idle, end - Date.now()));
        if (read === LATE) return this.#finish("late");
        if (read.done) return this.#finish("whole");
        const { value } = read;
        this.#push(value);
        if (!room(this.#length)) {
          this.#passes = true;
          this.#next();
          return "too long";
        }
        // Few large reads, or each would wait for its turn among all requests.
        if (value.byteLength === size) size = Math.min(size * 2, LARGEST_READ);
      }
    } catch (error) {
      return this.#finish(error);
    }
  }

  #push(chunk) {
    const spare = chunk.buffer.byteLength - chunk.byteLength;
    this.#chunks.push(spare * WASTE > chunk.byteLength ? chunk.slice() : chunk);
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
    const [only] = this.#chunks;
    if (this.#chunks.length === 1) return only;
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, at);
      at += chunk.byteLength;
    }
    // Whoever is still reading goes on with the copy.
    this.#chunks = [whole];
    return whole;
  }

  /** Nobody wants what is still to come. */
  cancel() {
    this.#reader?.cancel().catch(() => {});
  }

  /**
   * A stream of the present request's own, of the bytes from `start` to `end` as they come. Of what turns out too long to be kept only
   * the request that reads the origin may have one.
   */
  stream(start, end) {
    const stream = this.#stream(start, end);
    if (end > Number.MAX_SAFE_INTEGER) return stream;
    // With its length, which the client is told.
    const { readable, writable } = new FixedLengthStream(end - start);
    stream.pipeTo(writable).catch(() => {});
    return readable;
  }

  #stream(start, end) {
    let at = start;
    return new ReadableStream({
      pull: async (controller) => {
        while (at < end) {
          const chunk = this.#from(at, end);
          if (chunk !== undefined) {
            at += chunk.byteLength;
            return controller.enqueue(chunk);
          }
          if (this.#error) return controller.error(this.#error);
          if (this.#over) break;
          if (this.#passes) return this.#pass(controller);
          await this.#more.promise;
        }
        controller.close();
      },
      cancel: () => {
        if (this.#passes) this.cancel();
      },
    });
  }

  async #pass(controller) {
    this.#chunks = [];
    const read = await within(this.#reader.read(new Uint8Array(LARGEST_READ)), this.#idle);
    if (read === LATE) {
      this.cancel();
      return controller.error(new Error("the body could not be read: late"));
    }
    if (!read.done) return controller.enqueue(read.value);
    this.#over = true;
    controller.close();
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
