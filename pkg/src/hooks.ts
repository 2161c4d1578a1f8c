import { fn, knownHooks } from "./options.js";
import { isScopeWithin } from "./room.js";
import type { Events, Place, Plugin } from "./types.js";

const EVENTS: ReadonlySet<string> = new Set<keyof Events<unknown, unknown>>([
  "hit",
  "stale",
  "miss",
  "coalesced",
  "load",
  "error",
  "evict",
  "expire",
  "batch",
]);

/** So deep hooks are told of what hooks cause. */
const DEEPEST = 8;

type Hook = (event: never) => unknown;

/** Who is to be told of what. Every event has a list, or nothing: then it is not even made. */
export class Hooks<K, V> {
  hit: Hook[] | undefined = undefined;
  stale: Hook[] | undefined = undefined;
  miss: Hook[] | undefined = undefined;
  coalesced: Hook[] | undefined = undefined;
  load: Hook[] | undefined = undefined;
  error: Hook[] | undefined = undefined;
  evict: Hook[] | undefined = undefined;
  expire: Hook[] | undefined = undefined;
  batch: Hook[] | undefined = undefined;
  /** What is to be told when the operation is over, since a hook may use the cache. */
  readonly later: (() => void)[] = [];
  private depth = 0;

  /** Adds a plugin's hooks for what happens in a place or within it; returns the way to take them out again. */
  add(plugin: Plugin<K, V>, place: Place): () => void {
    knownHooks(plugin, EVENTS, "plugin");
    const added: [keyof Events<K, V>, Hook][] = [];
    for (const event of EVENTS as ReadonlySet<keyof Events<K, V>>) {
      if (plugin[event] === undefined) continue;
      fn(event, plugin[event]);
      added.push([
        event,
        (told: { place: Place }) => {
          if (isWithin(told.place, place)) return plugin[event]?.(told as never);
          return undefined;
        },
      ]);
    }
    for (const [event, hook] of added) this[event] = [...(this[event] ?? []), hook];
    return () => {
      for (const [event, hook] of added) {
        const rest = this[event]?.filter((other) => other !== hook);
        this[event] = rest?.length === 0 ? undefined : rest;
      }
    };
  }

  /** To be told by the next `flush`. */
  put<E extends keyof Events<K, V>>(event: E, told: Events<K, V>[E]): void {
    this.later.push(() => this.tell(event, told));
  }

  /** Tells what has happened. Comes last in an operation: a hook may use the cache. */
  flush(): void {
    // A hook that causes what it is called for would never end.
    if (this.depth === DEEPEST) {
      this.later.length = 0;
      return;
    }
    this.depth++;
    // What a hook causes is told by what it calls, or here.
    for (let tell = this.later.shift(); tell !== undefined; tell = this.later.shift()) tell();
    this.depth--;
  }

  private tell<E extends keyof Events<K, V>>(event: E, told: Events<K, V>[E]): void {
    for (const hook of this[event] ?? []) {
      try {
        const result = hook(told as never) as PromiseLike<unknown> | undefined;
        if (typeof result?.then === "function") result.then(undefined, () => {});
      } catch {
        // A hook that throws harms nothing.
      }
    }
  }
}

function isWithin(inner: Place, outer: Place): boolean {
  if (!isScopeWithin(inner.scope, outer.scope)) return false;
  return outer.namespaces.every((name, at) => inner.namespaces[at] === name);
}
