// RESP 2, the protocol of Redis: commands into bytes, and replies out of bytes that come in pieces of any size.

import { joined } from "../runtime/bytes.js";

export type Argument = string | Uint8Array;
export type Command = readonly Argument[];
/** Bytes for bulk strings; an error is a value, since others may follow it. */
export type Reply = string | number | Uint8Array | null | Error | Reply[];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Commands as one piece, so that they travel together. */
export function encodeCommands(commands: readonly Command[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const command of commands) {
    let head = `*${command.length}\r\n`;
    for (const argument of command) {
      const bytes = typeof argument === "string" ? encoder.encode(argument) : argument;
      parts.push(encoder.encode(`${head}$${bytes.length}\r\n`), bytes);
      head = "\r\n";
    }
    parts.push(encoder.encode("\r\n"));
  }
  return joined(parts);
}

/** Nested so deep replies may be: those of our commands are 2 deep. */
const DEEPEST = 8;
/** Of lines, which are short, but for errors that show what they are about. */
const LONGEST_LINE = 8 * 1024;
/** What a value takes beside its bytes, in the heap: else a reply of a million empty strings would be a small one. */
const VALUE_WEIGHT = 200;

const [CR, LF] = [13, 10];
const [STRING, ERROR, INTEGER, BULK, ARRAY] = Array.from("+-:$*", (type) => type.charCodeAt(0));

interface OpenArray {
  readonly items: Reply[];
  readonly length: number;
}

/**
 * Reads replies. What a server sends can't make it keep more than `maxBytes` for one reply and a line, and what is no RESP throws;
 * after that it is of no use any more.
 */
export class ReplyReader {
  /** A line that has not ended yet. */
  #line: Uint8Array = new Uint8Array(0);
  /** A bulk string that has not ended yet, with its line end; and how much of it is there. */
  #bulk: Uint8Array | undefined = undefined;
  #filled = 0;
  readonly #arrays: OpenArray[] = [];
  #left: number;

  constructor(private readonly maxBytes: number) {
    this.#left = maxBytes;
  }

  /** The replies that are whole with these bytes. */
  push(bytes: Uint8Array): Reply[] {
    const replies: Reply[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#bulk !== undefined) {
        const part = bytes.subarray(at, at + this.#bulk.length - this.#filled);
        this.#bulk.set(part, this.#filled);
        this.#filled += part.length;
        at += part.length;
        if (this.#filled === this.#bulk.length) this.#add(replies, this.#endBulk(this.#bulk));
        continue;
      }
      const end = bytes.indexOf(LF, at);
      const part = bytes.subarray(at, end < 0 ? bytes.length : end + 1);
      if (this.#line.length + part.length > LONGEST_LINE) throw broken(`a line of more than ${LONGEST_LINE} bytes`);
      const line = this.#line.length === 0 ? part : joined([this.#line, part]);
      at += part.length;
      this.#line = end < 0 ? line.slice() : new Uint8Array(0);
      if (end >= 0) this.#readLine(replies, line);
    }
    return replies;
  }

  #readLine(replies: Reply[], line: Uint8Array): void {
    this.#take(line.length + VALUE_WEIGHT);
    if (line.length < 3 || line.at(-2) !== CR) throw broken("a line that is none");
    const text = decoder.decode(line.subarray(1, -2));
    switch (line[0]) {
      case STRING:
        return this.#add(replies, text);
      case ERROR:
        return this.#add(replies, new Error(`redis: ${text}`));
      case INTEGER:
        return this.#add(replies, integer(text));
      case BULK: {
        const length = integer(text);
        if (length === -1) return this.#add(replies, null);
        this.#take(length);
        this.#bulk = new Uint8Array(length + 2);
        this.#filled = 0;
        return;
      }
      case ARRAY: {
        const length = integer(text);
        if (length === -1) return this.#add(replies, null);
        if (length < 0) throw broken(`a length of ${length}`);
        if (length === 0) return this.#add(replies, []);
        if (this.#arrays.length === DEEPEST) throw broken(`replies nested more than ${DEEPEST} deep`);
        this.#arrays.push({ items: [], length });
        return;
      }
      default:
        throw broken(`a reply of type ${JSON.stringify(String.fromCharCode(line[0]!))}`);
    }
  }

  #endBulk(bulk: Uint8Array): Uint8Array {
    this.#bulk = undefined;
    if (bulk.at(-2) !== CR || bulk.at(-1) !== LF) throw broken("a string longer than its length");
    return bulk.subarray(0, -2);
  }

  /** Puts a value where it belongs: into the innermost array, which may be whole with it, or among the replies. */
  #add(replies: Reply[], value: Reply): void {
    for (;;) {
      const array = this.#arrays.at(-1);
      if (array === undefined) break;
      array.items.push(value);
      if (array.items.length < array.length) return;
      this.#arrays.pop();
      value = array.items;
    }
    this.#left = this.maxBytes;
    replies.push(value);
  }

  /** Counts what a reply takes, before there is room made for it. */
  #take(bytes: number): void {
    if (bytes < 0) throw broken(`a length of ${bytes}`);
    this.#left -= bytes;
    if (this.#left < 0) throw new Error(`redis: a reply of more than ${this.maxBytes} bytes`);
  }
}

function integer(text: string): number {
  if (!/^-?\d{1,20}$/.test(text)) throw broken("a number that is none");
  return Number(text);
}

function broken(what: string): Error {
  return new Error(`redis: the server sent ${what}`);
}
