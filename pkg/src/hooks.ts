import { fn, known } from "./options.js";
import { isScopeWithin } from "./room.js";

/** What every event tells. */
export interface KeyEvent<K> {
  readonly key: K;
  /** Where the key is. */
  readonly place: Place;
}

/** A part of a cache. */
export interface Place {
  /** The names of the namespaces on the way there; none for the cache itself. */
  readonly namespaces: readonly string[];
  readonly scope: string | undefined;
}

/** What happens in a cache, by name. */
export interface Events<K, V> {
  /** A get was answered with a fresh value. */
  hit: KeyEvent<K>;
  /**
   * A get was answered with a stale value: while it is refreshed or may not be loaded yet, because the load
   * failed, or because it is slow.
   */
  stale: KeyEvent<K> & { readonly cause: "revalidate" | "error" | "timeout" };
  /** A get found nothing: no such key, one whose value is too old, or it asked for a fresh one. */
  miss: KeyEvent<K> & { readonly cause: "absent" | "expired" | "forced" };
  /** A get joined a load under way. */
  coalesced: KeyEvent<K>;
  /** A load brought a value, after so many milliseconds. `background`: nobody waited for it when it began. */
  load: KeyEvent<K> & { readonly duration: number; readonly background: boolean };
  /** A load failed. */
  error: KeyEvent<K> & { readonly duration: number; readonly background: boolean; readonly error: unknown };
  /** A value left: it made room, a newer one took its place, or it was removed. */
  evict: KeyEvent<K> & { readonly value: V; readonly cause: "size" | "replaced" | "removed" };
  /** A value left because its time had passed. It is told when the dead value is met, which may be later. */
  expire: KeyEvent<K> & { readonly value: V };
  /** A batch ended: so many keys, so many milliseconds, and the error of the call as a whole if it failed. */
  batch: {
    readonly keys: readonly K[];
    readonly place: Place;
    readonly duration: number;
    readonly error: unknown;
  };
}

/**
 * An object of hooks, one for each event that it cares for. What a hook throws is ignored, and a promise that it
 * returns is not waited for. What hooks cause is told as well, eight deep at the most.
 */
export type Plugin<K, V> = { [E in keyof Events<K, V>]?: (event: Events<K, V>[E]) => unknown };

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
    known(plugin, EVENTS, "plugin");
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
