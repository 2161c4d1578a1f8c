import type { Batcher } from "./batcher.js";
import type { Policy } from "./policy.js";
import { type Room, Scope, type Slots } from "./room.js";
import type { CacheLike, GetOrSetOptions, LoadContext, Loader, Place } from "./types.js";

/** Names the method of a cache that gives parts of it which only we can name. */
export const PART = Symbol("part");
/** Names the method of a cache that calls with options which don't change. */
export const CALL = Symbol("call");

/** A cache, with what only we can call. */
export interface Internals<K, V> extends CacheLike<K, V> {
  [PART](within: string): Internals<K, V>;
  [CALL](key: K, loader: Loader<K, V>, options: GetOrSetOptions<K>): Promise<V>;
}

/** What calls on a part of a cache take where they say nothing. */
export interface Habits<K, V> {
  readonly policy: Policy<K>;
  readonly sizeOf: ((value: V, key: K) => number) | undefined;
  readonly batcher: Batcher<K, V, LoadContext<K, V>> | undefined;
}

/** A part of a cache as its user sees it: which keys, whose figures, and what calls take where they say nothing. */
export class View<K, V> {
  /** The room's keys, or those of a scope in it. */
  readonly slots: Slots<K>;
  readonly place: Place;
  /** What stands before a tag's name in the core, here and in every part of the cache around this one. */
  private readonly prefixes: string[];

  constructor(
    readonly room: Room<K>,
    scope: string | undefined,
    readonly habits: Habits<K, V>,
  ) {
    this.slots = scope === undefined ? room.slots : new Scope(room, scope);
    this.place = { namespaces: room.path, scope };
    const rooms = ["", ...starts(room.path).map((path) => `${path}\0`)];
    // No name is empty, so that a scope can't be taken for a namespace.
    const scopes = scope === undefined ? [""] : ["", ...starts(scope.split("/")).map((path) => `\0${path}\0`)];
    this.prefixes = rooms.flatMap((path) => scopes.map((within) => path + within));
  }

  /** A tag's name as this view purges it. */
  tag(name: string): string {
    return this.prefixes.at(-1) + name;
  }

  /** The names that an entry in this view bears for its tags, so that each part of the cache can purge its own. */
  tags(names: readonly string[]): string[] {
    return this.prefixes.flatMap((prefix) => names.map((name) => prefix + name));
  }
}

/** The ways to each of the parts that lie on the way to the last. */
function starts(path: readonly string[]): string[] {
  return path.map((_, at) => path.slice(0, at + 1).join("\0"));
}
