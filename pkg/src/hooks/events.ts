// What hooks are told: types, and their docs.

/** A part of a cache. */
export interface Place {
  /** The names of the namespaces on the way there; none for the cache itself. */
  readonly namespaces: readonly string[];
  /** The scope's name; nested ones with `/` between them. For reading: names may have a `/` of their own. */
  readonly scope: string | undefined;
  /** The names of nested scopes, the outermost first. A wrapped function's has an empty name before its own. */
  readonly scopes: readonly string[];
}

/** What every event tells. */
export interface KeyEvent<K> {
  readonly key: K;
  /** Where the key is. */
  readonly place: Place;
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
  /** A get found nothing: no such key, one whose value is too old or invalid, or it asked for a fresh one. */
  miss: KeyEvent<K> & { readonly cause: "absent" | "expired" | "forced" | "invalid" };
  /** A get joined a load under way. */
  coalesced: KeyEvent<K>;
  /** A load brought a value. `duration`: how long it took, in milliseconds; `background`: nobody waited for it when it began. */
  load: KeyEvent<K> & { readonly duration: number; readonly background: boolean };
  /** A load failed. */
  error: KeyEvent<K> & { readonly duration: number; readonly background: boolean; readonly error: unknown };
  /**
   * A value was stored: by `set`, `update`, or a load (`load` is told next). If it took another's place, `evict` is told first, with
   * the cause `replaced`.
   */
  insert: KeyEvent<K>;
  /**
   * A value left: it made room, its time had passed, a newer one took its place, or it was removed. That its time has
   * passed is told when the dead value is met, which may be later.
   */
  evict: KeyEvent<K> & { readonly value: V; readonly cause: "size" | "expired" | "replaced" | "removed" };
  /** A value left because its time had passed: after `evict` has told the same. */
  expire: KeyEvent<K> & { readonly value: V };
  /** A batch ended: its keys, how long its call took, in milliseconds, and the error of the call as a whole if it failed. */
  batch: {
    readonly keys: readonly K[];
    readonly place: Place;
    readonly duration: number;
    readonly error: unknown;
  };
}

/**
 * An object with a hook for each event that it cares for, called with the object as `this`. It may have state and methods
 * of its own, and be an instance of a class. A method whose name is nearly that of an event it has no hook for is taken
 * for a slip, and is `ERR_OPTION`. What a hook throws is ignored, and a promise that it returns is not waited for. What
 * hooks cause is told as well, eight deep at the most.
 */
export type Plugin<K, V> = { [E in keyof Events<K, V>]?: ((event: Events<K, V>[E]) => unknown) | undefined };
