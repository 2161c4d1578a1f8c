// A body on its way into the cache. Its bytes are nobody's request's, so that any may read them as they come.

import { joined } from "../runtime/bytes.js";
import { deferred } from "../runtime/deferred.js";
import { toError } from "../options/errors.js";
import { withLength } from "../runtime/streams.js";

const FIRST_READ = 16 * 1024;
const LARGEST_READ = 256 * 1024;

/** Chunks of fewer bytes are joined. */
const SMALL = 16 * 1024;

/** How much of a chunk's memory may be empty, as a part of what is in it: 1 / WASTE. */
const WASTE = 4;

/** How reading a body ended. */
export type End = "whole" | "too long" | "late" | Error;

export interface Bounds {
  readonly idle: number;
  readonly total: number;
  readonly room: Room;
}

/** For the bytes that are kept, until nobody needs them any more. */
export interface Room {
  /** Whether so many in all may be kept. */
  grow(bytes: number): boolean;
  free(): void;
}

export class Filling {
  #chunks: Uint8Array[] = [];
  #length = 0;
  #over = false;
  #error: Error | undefined;
  // Settled with the next chunk. See docs/workerd-promises.md for why it is made so.
  #more = deferred<void>();
  #reader: Reader | undefined;
  #room: Room | undefined;
  #idle = 0;
  #end = 0;
  /** Ends the wait for a reader who does not take what is kept. */
  #giveUp: ReturnType<typeof setTimeout> | undefined;
  /** Whether what is still to come goes to one reader, and is not kept. */
  #passes = false;
  /** Whether a reader has left. It is the only one, where the rest may be its own. */
  #isLeft = false;

  /**
   * Reads a stream to its end, and gives `whole`, `too long` where `room` refuses so many bytes in all, `late` if nothing came for `idle`
   * milliseconds or not all within `total`, or the error that broke it. What was read of one that is too long has its room until its reader
   * has taken it, which is given up as late.
   */
  async read(source: ReadableStream<Uint8Array> | null, { idle, total, room }: Bounds): Promise<End> {
    this.#room = room;
    if (source === null) return this.#finish("whole");
    this.#reader = readerOf(source);
    this.#idle = idle;
    this.#end = Date.now() + total;
    let size = FIRST_READ;
    try {
      for (;;) {
        const read = await within(this.#reader!.read(new Uint8Array(size)), Math.min(idle, this.#end - Date.now()));
        if (read === LATE) return this.#finish("late");
        const { value, done } = read;
        if (done || value === undefined) return this.#finish("whole");
        this.#push(value);
        if (!room.grow(this.#length)) {
          this.#passes = true;
          this.#waitForReader();
          if (this.#isLeft) this.cancel();
          this.#next();
          return "too long";
        }
        // Few large reads, or each would wait for its turn among all requests.
        if (value.byteLength === size) size = Math.min(size * 2, LARGEST_READ);
      }
    } catch (error) {
      return this.#finish(toError(error));
    }
  }

  #push(chunk: Uint8Array): void {
    const spare = chunk.buffer.byteLength - chunk.byteLength;
    this.#chunks.push(spare * WASTE > chunk.byteLength ? chunk.slice() : chunk);
    this.#length += chunk.byteLength;
    this.#join();
    this.#next();
  }

  /** Joins small neighbours, in rising sizes: many cost more than what is in them, each has to be passed by who reads, and no byte moves often. */
  #join(): void {
    const chunks = this.#chunks;
    for (let last; (last = chunks.at(-1)) !== undefined && last.byteLength < SMALL;) {
      const before = chunks.at(-2);
      if (before === undefined || before.byteLength > last.byteLength) return;
      chunks.splice(-2, 2, joined([before, last]));
    }
  }

  #next(): void {
    const { resolve } = this.#more;
    this.#more = deferred();
    resolve();
  }

  #finish(how: "whole" | "late" | Error): End {
    if (how === "whole") {
      this.#over = true;
      this.#release();
    } else {
      this.#fail(how instanceof Error ? how : new Error(`the body could not be read: ${how}`));
    }
    this.#next();
    return how;
  }

  /** For all who read it, at once, as any stream fails. */
  #fail(error: Error): void {
    this.#error ??= error;
    this.#drop();
  }

  #drop(): void {
    this.#chunks = [];
    this.#release();
  }

  #release(): void {
    clearTimeout(this.#giveUp);
    this.#room?.free();
    this.#room = undefined;
  }

  /** All of it, when it has been read whole. */
  bytes(): Uint8Array {
    const [only] = this.#chunks;
    if (only !== undefined && this.#chunks.length === 1) return only;
    // Whoever is still reading goes on with the copy.
    const whole = joined(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  /** Nobody wants what is still to come. */
  cancel(): void {
    if (this.#over) return;
    this.#fail(new Error("the body was given up"));
    this.#reader?.cancel().catch(() => {});
  }

  /**
   * A stream of the present request's own, of the bytes from `start` to `end` as they come. Of what turns out too long to be kept only
   * the request that reads the origin may have one.
   */
  stream(start: number, end: number): ReadableStream<Uint8Array> {
    return withLength(this.#stream(start, end), end - start);
  }

  #stream(start: number, end: number): ReadableStream<Uint8Array> {
    let at = start;
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (at < end) {
          const chunk = this.#from(at, end);
          if (chunk !== undefined) {
            at += chunk.byteLength;
            if (this.#passes) this.#waitForReader();
            return controller.enqueue(chunk);
          }
          if (this.#error) return controller.error(this.#error);
          if (this.#over && end <= Number.MAX_SAFE_INTEGER) return controller.error(new Error("the body broke off"));
          if (this.#over) break;
          if (this.#passes) return this.#pass(controller);
          await this.#more.promise;
        }
        if (this.#passes) this.cancel();
        controller.close();
      },
      cancel: () => {
        this.#isLeft = true;
        if (this.#passes) this.cancel();
      },
    });
  }

  /** What it has not taken yet has its room for as long as a body may be silent, and not longer than a body may take in all. */
  #waitForReader(): void {
    clearTimeout(this.#giveUp);
    this.#giveUp = setTimeout(() => this.cancel(), Math.max(0, Math.min(this.#idle, this.#end - Date.now())));
  }

  async #pass(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#drop();
    const read = await within(this.#reader!.read(new Uint8Array(LARGEST_READ)), this.#idle);
    if (read === LATE) {
      this.cancel();
      return controller.error(new Error("the body could not be read: late"));
    }
    if (!read.done && read.value !== undefined) return controller.enqueue(read.value);
    this.#over = true;
    controller.close();
  }

  /** What there is from a position on, of one chunk: a copy, since whoever has it may change it, or transfer its memory. */
  #from(position: number, end: number): Uint8Array | undefined {
    let at = 0;
    for (const chunk of this.#chunks) {
      if (position < at + chunk.byteLength) {
        return chunk.slice(position - at, Math.min(end, position + LARGEST_READ) - at);
      }
      at += chunk.byteLength;
    }
    return undefined;
  }
}

/** Reads into the buffer that it is given, where the stream can do that. */
export interface Reader {
  read(into: Uint8Array): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

/** Where streams that are made of JS are no byte streams, they give the chunks that they have. */
export function readerOf(source: ReadableStream<Uint8Array>): Reader {
  try {
    return source.getReader({ mode: "byob" }) as unknown as Reader;
  } catch (error) {
    if (source.locked) throw error;
    return source.getReader() as unknown as Reader;
  }
}

/** It took too long. */
export const LATE: unique symbol = Symbol("late");

export async function within<T>(promise: Promise<T>, millis: number): Promise<T | typeof LATE> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<typeof LATE>((resolve) => (timer = setTimeout(resolve, Math.max(0, millis), LATE)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
