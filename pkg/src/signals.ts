// One listener for each signal, however many wait by it: Node warns of a leak where there are more than ten.

const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls back when the signal aborts, at once if it has; returns the way to end that. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback();
    return () => {};
  }
  let callbacks = listeners.get(signal);
  if (callbacks === undefined) {
    const all = (callbacks = new Set());
    const abort = (): void => {
      listeners.delete(signal);
      for (const one of [...all]) if (all.has(one)) one();
    };
    // A signal that outlives its waits keeps one listener, which holds nothing of theirs.
    signal.addEventListener("abort", abort, { once: true });
    listeners.set(signal, all);
  }
  callbacks.add(callback);
  const added = callbacks;
  return () => added.delete(callback);
}
