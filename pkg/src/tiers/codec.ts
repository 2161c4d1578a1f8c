// How values become payloads, and back.

import { checkFunction, describe, optionError } from "../options/options.js";
import { joined } from "../runtime/bytes.js";
import type { Codec } from "./types.js";

/** `undefined`. */
const NOTHING = 0;
export const JSON_TEXT = 1;
const RAW = 3;

export interface Payload {
  readonly codec: number;
  readonly compressed: boolean;
  readonly bytes: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Writes and reads payloads, by the codec that was chosen. */
export class Payloads {
  constructor(
    private readonly own: Codec | undefined,
    private readonly compressFrom: number,
  ) {}

  /** Rejects with what the codec throws, and for what JSON can't say. */
  async write(value: unknown): Promise<Payload> {
    const payload = await this.encode(value);
    if (payload.bytes.length < this.compressFrom) return payload;
    const bytes = await compressed(payload.bytes);
    return bytes === undefined ? payload : { ...payload, compressed: true, bytes };
  }

  /** Rejects with what the codec throws, and for what was written with another. */
  async read({ codec, compressed, bytes }: Payload): Promise<unknown> {
    return this.decode(codec, compressed ? await inflate(bytes) : bytes);
  }

  /** As `write`, without compression, and at once where the codec is. */
  encode(value: unknown): Payload | PromiseLike<Payload> {
    if (value === undefined) return payload(NOTHING, new Uint8Array(0));
    const { own } = this;
    if (own !== undefined) {
      const bytes = own.encode(value);
      return bytes instanceof Uint8Array ? payload(own.id, bytes) : bytes.then((bytes) => payload(own.id, bytes));
    }
    if (value instanceof Uint8Array) return payload(RAW, value);
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON`);
    return payload(JSON_TEXT, encoder.encode(text));
  }

  /** What `encode` wrote; what an own codec brings may be a promise. Throws what the codec throws. */
  decode(codec: number, bytes: Uint8Array): unknown {
    switch (codec) {
      case NOTHING:
        return undefined;
      case JSON_TEXT:
        return JSON.parse(decoder.decode(bytes));
      case RAW:
        // The bytes belong to the tier's answer, which others may hold.
        return bytes.slice();
      default:
        if (this.own?.id === codec) return this.own.decode(bytes);
        throw new Error(`no codec ${codec} here`);
    }
  }
}

function payload(codec: number, bytes: Uint8Array): Payload {
  return { codec, compressed: false, bytes };
}

/** Compressed, where that is smaller and can be read back. */
export async function compressed(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (bytes.length > MOST_INFLATED) return undefined;
  const small = await piped(bytes, new CompressionStream("deflate-raw"));
  return small.length < bytes.length ? small : undefined;
}

/** Rejects for what is broken, or too much. */
export function inflate(bytes: Uint8Array): Promise<Uint8Array> {
  return piped(bytes, new DecompressionStream("deflate-raw"));
}

/** A codec of the user's. @throws {NearCacheError} `ERR_OPTION` */
export function checkCodec(codec: Codec | undefined): Codec | undefined {
  if (codec === undefined) return codec;
  const { id, encode, decode } = Object(codec) as Codec;
  if (!(Number.isInteger(id) && id >= 16 && id <= 255)) {
    throw optionError("codec.id", describe(id), "a whole number from 16 to 255");
  }
  checkFunction("codec.encode", encode);
  checkFunction("codec.decode", decode);
  return codec;
}

/** So much comes of so little at the most: a payload that would fill the memory is refused. */
const MOST_INFLATED = 64 * 1024 * 1024;

async function piped(bytes: Uint8Array, through: TransformStream): Promise<Uint8Array> {
  const source = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(through);
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const reader = source.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > MOST_INFLATED) {
      void reader.cancel().catch(() => {});
      throw new RangeError(`a payload of more than ${MOST_INFLATED} bytes`);
    }
    parts.push(value);
  }
  return joined(parts);
}
