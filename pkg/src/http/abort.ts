import { withLength } from "../runtime/streams.js";

/** A response whose body fails with a signal's reason when that is aborted, as one of `fetch` does. */
export function abortable(response: Response, signal: AbortSignal): Response {
  const { body, headers } = response;
  if (body === null) return response;
  // Of JS: workerd pipes no stream of its own into another.
  const stream = body.pipeThrough(new TransformStream<Uint8Array, Uint8Array>(), { signal });
  return new Response(withLength(stream, Number(headers.get("content-length") ?? Infinity)), response);
}
