// Streams of known length.

/** What only workerd has: a stream that tells its length. */
interface Runtime {
  FixedLengthStream?: new (length: number) => TransformStream<Uint8Array, Uint8Array>;
}

/** What is written at one end comes out at the other, as it is taken. In workerd it tells its length, and can have no other. */
export function streamOf(length: number): TransformStream<Uint8Array, Uint8Array> {
  const { FixedLengthStream } = globalThis as Runtime;
  return FixedLengthStream === undefined ? new TransformStream() : new FixedLengthStream(length);
}

/** A stream with its length, where it has one and the runtime can tell it. */
export function withLength(stream: ReadableStream<Uint8Array>, length: number): ReadableStream<Uint8Array> {
  const { FixedLengthStream } = globalThis as Runtime;
  if (length > Number.MAX_SAFE_INTEGER || FixedLengthStream === undefined) return stream;
  const { readable, writable } = new FixedLengthStream(length);
  stream.pipeTo(writable).catch(() => {});
  return readable;
}

/** A stream that tells its length where a runtime can, and fails where it has another. */
export function ofLength(stream: ReadableStream<Uint8Array>, length: number): ReadableStream<Uint8Array> {
  if ((globalThis as Runtime).FixedLengthStream !== undefined) return stream.pipeThrough(streamOf(length));
  let left = length;
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      left -= chunk.length;
      if (left < 0) throw new RangeError("the stream is longer than was said");
      controller.enqueue(chunk);
    },
    flush() {
      if (left > 0) throw new RangeError("the stream ends before its length");
    },
  });
  return stream.pipeThrough(count);
}
