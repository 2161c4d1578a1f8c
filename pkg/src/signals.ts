// Who waits for a signal to abort. All of them share one listener: from the eleventh on Node 20 warns of a leak.

interface Waiting {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls back when the signal aborts, until `offAbort`. */
export function onAbort(signal: AbortSignal, callback: () => void): void {
  const here = waiting.get(signal);
  if (here !== undefined) {
    here.callbacks.add(callback);
    return;
  }
  const callbacks = new Set([callback]);
  const listener = (): void => {
    for (const callback of callbacks) callback();
  };
  waiting.set(signal, { callbacks, listener });
  signal.addEventListener("abort", listener, { once: true });
}

/** Takes the listener out with the last who waited, since a runtime keeps a derived signal alive that has any. */
export function offAbort(signal: AbortSignal, callback: () => void): void {
  const here = waiting.get(signal);
  if (here?.callbacks.delete(callback) !== true || here.callbacks.size > 0) return;
  waiting.delete(signal);
  signal.removeEventListener("abort", here.listener);
}
