// Who waits for a signal to abort. All of them share one listener: from the eleventh on Node 20 warns of a leak.

import { ignore } from "./deferred.js";

interface Waiting {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls back when the signal aborts, at once if it has; returns the way to end that. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return ignore;
  }
  let here = waiting.get(signal);
  if (here === undefined) {
    const callbacks = new Set<() => void>();
    const listener = (): void => {
      waiting.delete(signal);
      // Whoever one of them takes out is not called.
      for (const one of [...callbacks]) if (callbacks.has(one)) one();
    };
    here = { callbacks, listener };
    waiting.set(signal, here);
    signal.addEventListener("abort", listener, { once: true });
  }
  const { callbacks, listener } = here;
  callbacks.add(callback);
  return () => {
    // The listener goes with the last who waited, since a runtime keeps a derived signal alive that has any.
    if (!callbacks.delete(callback) || callbacks.size > 0 || waiting.get(signal)?.callbacks !== callbacks) return;
    waiting.delete(signal);
    signal.removeEventListener("abort", listener);
  };
}

/**
 * A signal that aborts with either of two, and the way to end that. `AbortSignal.any` keeps memory for each signal that it makes
 * as long as those live that it is made of, and in Node 22 gets ever slower by that.
 */
export function either(one: AbortSignal, other: AbortSignal): { signal: AbortSignal; forget: () => void } {
  const controller = new AbortController();
  const forgets = [one, other].map((signal) => onAbort(signal, () => controller.abort(signal.reason)));
  return { signal: controller.signal, forget: () => forgets.forEach((forget) => forget()) };
}
