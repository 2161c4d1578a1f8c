import { checkFunction, rejectUnknownHooks } from "../options/options.js";
import { ignore } from "../runtime/deferred.js";
import type { Events, Place, Plugin } from "./events.js";

const EVENTS: ReadonlySet<string> = new Set<keyof Events<unknown, unknown>>([
  "hit",
  "stale",
  "miss",
  "coalesced",
  "load",
  "error",
  "insert",
  "evict",
  "expire",
  "batch",
]);

/** So deep hooks are told of what hooks cause. */
const DEEPEST = 8;

type Hook = (event: never) => unknown;

interface Queued {
  readonly event: keyof Events<unknown, unknown>;
  readonly told: unknown;
  readonly depth: number;
}

/** Who is to be told of what. Every event has a list, or nothing: then it is not even made. */
export class Hooks<K, V> {
  hit: Hook[] | undefined = undefined;
  stale: Hook[] | undefined = undefined;
  miss: Hook[] | undefined = undefined;
  coalesced: Hook[] | undefined = undefined;
  load: Hook[] | undefined = undefined;
  error: Hook[] | undefined = undefined;
  insert: Hook[] | undefined = undefined;
  evict: Hook[] | undefined = undefined;
  expire: Hook[] | undefined = undefined;
  batch: Hook[] | undefined = undefined;
  /** Called when hooks have come or gone. */
  onChange: (() => void) | undefined = undefined;
  private queue: Queued[] = [];
  /** How deep in hooks that cause events the one is that runs now; 0 outside of hooks. */
  private depth = 0;

  /** Adds a plugin's hooks for what happens in a place or within it; returns the way to take them out again. */
  add(plugin: Plugin<K, V>, place: Place): () => void {
    rejectUnknownHooks(plugin, EVENTS, "plugin");
    const added: [keyof Events<K, V>, Hook][] = [];
    for (const event of EVENTS as ReadonlySet<keyof Events<K, V>>) {
      if (plugin[event] === undefined) continue;
      checkFunction(event, plugin[event]);
      added.push([
        event,
        (told: { place: Place }) => {
          if (isWithin(told.place, place)) return plugin[event]?.(told as never);
          return undefined;
        },
      ]);
    }
    for (const [event, hook] of added) this[event] = [...(this[event] ?? []), hook];
    this.onChange?.();
    return () => {
      for (const [event, hook] of added) {
        const rest = this[event]?.filter((other) => other !== hook);
        this[event] = rest?.length === 0 ? undefined : rest;
      }
      this.onChange?.();
    };
  }

  /** Whether there is something to tell. */
  get isWaiting(): boolean {
    return this.queue.length > 0;
  }

  /** Takes down what happened, to be told by `flush`. What hooks cause that are too deep themselves is dropped. */
  notify<E extends keyof Events<K, V>>(event: E, told: Events<K, V>[E]): void {
    if (this.depth < DEEPEST) this.queue.push({ event, told, depth: this.depth + 1 });
  }

  /**
   * Tells what has happened. Comes last in an operation: a hook may use the cache. What hooks cause is told when those
   * have been told that were waiting before, so that no stack grows however many there are.
   */
  flush(): void {
    if (this.depth > 0) return;
    for (let at = 0; at < this.queue.length; at++) {
      const { event, told, depth } = this.queue[at]!;
      this.depth = depth;
      this.tell(event, told);
    }
    this.depth = 0;
    this.queue = [];
  }

  private tell(event: keyof Events<K, V>, told: unknown): void {
    for (const hook of this[event] ?? []) {
      try {
        const result = hook(told as never) as PromiseLike<unknown> | undefined;
        if (typeof result?.then === "function") result.then(ignore, ignore);
      } catch {
        // A hook that throws harms nothing.
      }
    }
  }
}

function isWithin(inner: Place, outer: Place): boolean {
  return (
    outer.namespaces.every((name, at) => inner.namespaces[at] === name) &&
    outer.scopes.every((name, at) => inner.scopes[at] === name)
  );
}
