// Bodies that lie apart: on their way there, beside the client that gets them, and on their way back, believed part by part.

import type { AttachedBodies, BodyWriter } from "../types/tiering.js";
import { joined } from "../runtime/bytes.js";
import { deferred } from "../runtime/deferred.js";
import { streamOf, withLength } from "../runtime/streams.js";
import { LATE, type Reader, readerOf, within } from "./filling.js";

/** As `Manifest::DIGEST_BYTES`. */
const DIGEST_BYTES = 16;
const LARGEST_READ = 64 * 1024;

async function digest(part: Uint8Array): Promise<Uint8Array> {
  const hash = await crypto.subtle.digest("SHA-256", part as Uint8Array<ArrayBuffer>);
  return new Uint8Array(hash, 0, DIGEST_BYTES);
}

/** How a body is read, and where it goes besides. */
export interface PassingWays {
  readonly length: number;
  readonly partBytes: number;
  /** For the silence of the origin, and for storing all of it, in ms. */
  readonly idle: number;
  readonly total: number;
  readonly bodies: AttachedBodies;
}

/** What came of it: where it lies now, and what its parts hash to. */
export interface Stored {
  readonly name: string;
  readonly digests: Uint8Array;
}

/** How far it is. */
export interface Run {
  /** What is stored, once that is known. */
  readonly stored: Promise<Stored | undefined>;
  /** Settles when the client has all of it as well. */
  readonly over: Promise<void>;
}

/**
 * A body that goes to a client as it comes, and into a store beside that. Neither harms the other: a client that leaves does not end what is
 * stored, and a store that fails or takes too long is done without. Memory holds a part and what is being read.
 */
export class Passing {
  /** The client's, if it wants it. */
  readonly body: ReadableStream<Uint8Array> | undefined;
  #client: WritableStreamDefaultWriter<Uint8Array> | undefined;

  constructor(
    private readonly source: ReadableStream<Uint8Array>,
    goesToClient: boolean,
    private readonly ways: PassingWays,
  ) {
    if (!goesToClient) return;
    const { readable, writable } = streamOf(ways.length);
    this.body = readable;
    this.#client = writable.getWriter();
    this.#client.closed.catch(() => {});
  }

  /** The client does not want it. */
  leave(): void {
    this.#client?.abort().catch(() => {});
    this.#client = undefined;
  }

  /** Reads to the end. Nothing of it rejects. */
  run(): Run {
    const { promise: stored, resolve } = deferred<Stored | undefined>();
    return { stored, over: this.#run(resolve) };
  }

  async #run(tell: (stored: Stored | undefined) => void): Promise<void> {
    const { length, idle, total, bodies, partBytes } = this.ways;
    const name = crypto.randomUUID();
    const store = new Storing(bodies.begin(name, length), length, partBytes);
    const reader = readerOf(this.source);
    const end = Date.now() + total;
    try {
      for (let left = length; ;) {
        const read = await within(reader.read(new Uint8Array(LARGEST_READ)), idle);
        if (read === LATE) throw new Error("the body could not be read: late");
        const { value } = read;
        if (read.done || value === undefined) {
          if (left > 0) throw new Error("the body broke off");
          break;
        }
        left -= value.byteLength;
        if (left < 0) throw new Error("the body is longer than was said");
        const passed = this.#pass(value);
        await store.write(value);
        // A client may take its time, for which no store is held open, nor anything that others wait for.
        if (store.goes && (Date.now() > end || (await within(passed, Math.min(idle, end - Date.now()))) === LATE)) {
          store.abandon(new Error("it takes too long"));
        }
        if (!store.goes) tell(undefined);
        await passed;
        if (this.#client === undefined && !store.goes) {
          reader.cancel().catch(() => {});
          return;
        }
      }
    } catch (error) {
      store.abandon(error);
      this.#client?.abort(error).catch(() => {});
      reader.cancel().catch(() => {});
      return tell(undefined);
    }
    this.#client?.close().catch(() => {});
    const digests = await store.end();
    tell(digests && { name, digests });
  }

  async #pass(chunk: Uint8Array): Promise<void> {
    try {
      // A copy, since whoever has it may change it, or transfer its memory.
      await this.#client?.write(chunk.slice());
    } catch {
      // The client has gone.
      this.#client = undefined;
    }
  }
}

/** The way into the store, part by part. */
class Storing {
  #part: Uint8Array;
  #filled = 0;
  readonly #digests: Uint8Array[] = [];
  #left: number;

  constructor(
    private writer: BodyWriter | undefined,
    length: number,
    private readonly partBytes: number,
  ) {
    this.#left = length;
    this.#part = this.#next();
  }

  get goes(): boolean {
    return this.writer !== undefined;
  }

  #next(): Uint8Array {
    this.#filled = 0;
    return new Uint8Array(Math.min(this.partBytes, this.#left));
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length && this.writer !== undefined;) {
      const some = chunk.subarray(at, at + this.#part.length - this.#filled);
      this.#part.set(some, this.#filled);
      this.#filled += some.length;
      at += some.length;
      if (this.#filled < this.#part.length) continue;
      const part = this.#part;
      this.#left -= part.length;
      this.#part = this.#next();
      this.#digests.push(await digest(part));
      if (!(await this.writer?.write(part))) this.#stop();
    }
  }

  abandon(reason: unknown): void {
    this.writer?.abandon(reason);
    this.#stop();
  }

  /** Its client may go on for long. */
  #stop(): void {
    this.writer = undefined;
    this.#part = new Uint8Array(0);
  }

  async end(): Promise<Uint8Array | undefined> {
    return (await this.writer?.end()) ? joined(this.#digests) : undefined;
  }
}

/** Which bytes of a body are wanted, which parts are to be read for them, and what those hash to. */
export interface Wanted {
  readonly start: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
  readonly partBytes: number;
  readonly digests: Uint8Array;
}

/** Who is told how a stream of a store's ends, unless its client leaves it before. */
export interface Ends {
  /** All that was wanted has come. */
  readonly whole: () => void;
  /** It is cut, or something else than was stored. */
  readonly refused: () => void;
  /** The store failed midway, or fell silent. */
  readonly lost: () => void;
}

/**
 * What is wanted, out of the parts as a store gives them. Nothing of a part is handed out before all of it is believed; what is broken, cut or
 * silent ends the stream with an error.
 */
export function believed(
  source: ReadableStream<Uint8Array>,
  { start, end, from, to, partBytes, digests }: Wanted,
  idle: number,
  ends: Ends,
): ReadableStream<Uint8Array> {
  const take = takeFrom(readerOf(source), idle);
  let at = from;
  let isLeft = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const part = await take.bytes(Math.min(partBytes, to - at)).catch((error: unknown) => {
          take.cancel();
          if (!isLeft) ends.lost();
          throw error;
        });
        // What was being read then has ended too soon.
        if (isLeft) return;
        const known = part && (await digest(part));
        const place = ((at - from) / partBytes) * DIGEST_BYTES;
        if (part === undefined || !known!.every((byte, index) => byte === digests[place + index])) {
          take.cancel();
          ends.refused();
          throw new Error("a body in a store below is not what was stored");
        }
        controller.enqueue(part.subarray(Math.max(0, start - at), Math.min(part.length, end - at)));
        at += part.length;
        if (at < to) return;
        take.cancel();
        ends.whole();
        controller.close();
      },
      cancel: () => {
        isLeft = true;
        take.cancel();
      },
    },
    { highWaterMark: 0 },
  );
  return withLength(stream, end - start);
}

/** Reads so many bytes at a time; nothing if there are not as many. */
function takeFrom(reader: Reader, idle: number) {
  let carry = new Uint8Array(0);
  return {
    cancel: () => void reader.cancel().catch(() => {}),
    async bytes(length: number): Promise<Uint8Array | undefined> {
      const whole = new Uint8Array(length);
      for (let filled = 0; filled < length;) {
        if (carry.length === 0) {
          const read = await within(reader.read(new Uint8Array(Math.min(length - filled, LARGEST_READ))), idle);
          if (read === LATE) throw new Error("a store below is silent");
          if (read.done || read.value === undefined) return undefined;
          carry = read.value as Uint8Array<ArrayBuffer>;
        }
        const some = carry.subarray(0, length - filled);
        whole.set(some, filled);
        filled += some.length;
        carry = carry.subarray(some.length);
      }
      return whole;
    },
  };
}
