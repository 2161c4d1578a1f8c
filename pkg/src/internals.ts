import type { CacheLike, GetOrSetOptions, Loader } from "./types.js";

/** Names the method of a cache that gives a scope of it which only we can name. */
export const INNER_SCOPE = Symbol("inner scope");
/** Names the method of a cache that calls with options which don't change. */
export const GET_PREPARED = Symbol("get prepared");

/** A cache, with what only we can call. */
export interface Internals<K, V> extends CacheLike<K, V> {
  [INNER_SCOPE](name: string, shown?: string): Internals<K, V>;
  [GET_PREPARED](key: K, loader: Loader<K, V>, options: GetOrSetOptions<K>): Promise<V>;
}
