// Named kinds of data over a cache's namespaces, scopes and tags.

import { NAMESPACE_OPTIONS, type NearCache } from "./cache.js";
import { describe, name as checkName, names, optionError, rejectUnknown } from "./options/options.js";
import type { Loaded, Loader } from "./types/loader.js";
import type {
  GetOrSetOptions,
  NamespaceOptions,
  SetOptions,
  UpdateOptions,
  Wrapped,
  WrapOptions,
} from "./types/types.js";

const RESOURCE_OPTIONS = new Set(["scope", "tags", ...NAMESPACE_OPTIONS]);

/** What a resource's keys may be: what has a tag of its own. */
export type ResourceId = string | number | bigint;

/** How a kind of data is kept: as a namespace's values, and besides: */
export interface ResourceOptions<K extends ResourceId, V> extends NamespaceOptions<K, V> {
  /**
   * Whose the data are: everybody's ("global"), or each user's own ("user"), so that they can't be had without saying whose.
   * Default "global".
   */
  scope?: "global" | "user" | undefined;
  /** What all of its values bear besides the resource's name and `name:id`. */
  tags?: readonly string[] | undefined;
}

/** The data of a resource: of everybody, or of one user. */
export interface ResourceData<K extends ResourceId, V> {
  /** As `NearCache.get`. */
  get(id: K): V | undefined;
  /** As `NearCache.getOrSet`. */
  getOrSet<T extends V = V>(id: K, loader?: Loader<K, V, T>, options?: GetOrSetOptions<K>): Promise<Loaded<V, T>>;
  /** As `NearCache.set`. */
  set(id: K, value: V, options?: SetOptions<K>): void;
  /** As `NearCache.update`. */
  update<T extends V = V>(id: K, writer: Loader<K, V, T>, options?: UpdateOptions<K>): Promise<Loaded<V, T>>;
  /** As `NearCache.wrap`: the function's answers are data of this resource, by its arguments; they have no id. */
  wrap<F extends (this: void, ...args: any[]) => V | PromiseLike<V>>(
    fn: F,
    options?: WrapOptions<Parameters<F>>,
  ): Wrapped<F>;
}

/** What a resource can do whoever's its data are. */
export interface ResourceControls<K extends ResourceId> {
  readonly name: string;
  /**
   * Something happened to one of them, or to all: takes it out of all users' scopes, and out of the tiers. Returns how many
   * entries went. `invalidation(…).publish(name, id)` of `nearcache/tiers` does the same in all isolates that listen.
   */
  invalidate(id?: K): number;
  /** The resource's own figures, those of its tiers among them. */
  stats(): ReturnType<NearCache["stats"]>;
}

/** A kind of data that is everybody's. */
export interface GlobalResource<K extends ResourceId, V> extends ResourceControls<K>, ResourceData<K, V> {}

/** A kind of data that is kept apart for each user. */
export interface UserResource<K extends ResourceId, V> extends ResourceControls<K> {
  /** The data of one user. Costs nothing while there are none. */
  of(user: string): ResourceData<K, V>;
  /** Takes all that is one user's out, of memory and tiers. */
  forget(user: string): void;
}

/**
 * A kind of data with its own scope, lifetimes, tags and tiers, and a name by which it is purged, here and elsewhere: the
 * namespace of that name, whose values bear the tags `name` and `name:id`.
 *
 * ```ts
 * const carts = resource<string, Cart>(cache, "cart", { scope: "user", ttl: "5m", tiers: ["redis"] });
 * const cart = await carts.of("ann").getOrSet("42", (id, ctx) => fetchCart(id, ctx.signal));
 * carts.invalidate("42");
 * ```
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function resource<K extends ResourceId = string, V = any>(
  cache: NearCache<any, any>,
  name: string,
  options: ResourceOptions<K, V> & { scope: "user" },
): UserResource<K, V>;
export function resource<K extends ResourceId = string, V = any>(
  cache: NearCache<any, any>,
  name: string,
  options?: ResourceOptions<K, V> & { scope?: "global" | undefined },
): GlobalResource<K, V>;
export function resource<K extends ResourceId, V>(
  cache: NearCache<any, any>,
  name: string,
  options: ResourceOptions<K, V> = {},
): UserResource<K, V> | GlobalResource<K, V> {
  if (typeof cache?.namespace !== "function") throw optionError("cache", describe(cache), "a NearCache");
  checkName("name", name);
  rejectUnknown(options, RESOURCE_OPTIONS);
  const { scope = "global", tags = [], ...defaults } = options;
  if (scope !== "global" && scope !== "user") throw optionError("scope", describe(scope), '"global" or "user"');
  const all = [name, ...names("tags", tags)];
  const part = cache.namespace<K, V>(name, defaults);
  const controls: ResourceControls<K> = {
    name,
    invalidate: (id) => part.deleteByTag(id === undefined ? name : tagOf(name, id)),
    stats: () => part.stats(),
  };
  if (scope === "global") return Object.assign(controls, data(part, name, all));
  return Object.assign(controls, {
    of: (user: string) => data(part.scope(user), name, all),
    forget: (user: string) => part.scope(user).clear(),
  });
}

/** By what one of them is purged. @throws {NearCacheError} `ERR_OPTION`: two objects would have one tag. */
function tagOf(name: string, id: ResourceId): string {
  if (!["string", "number", "bigint"].includes(typeof id))
    throw optionError("id", describe(id), "a string, number or bigint");
  return `${name}:${id}`;
}

function data<K extends ResourceId, V>(
  part: NearCache<K, V>,
  name: string,
  tags: readonly string[],
): ResourceData<K, V> {
  const tagged = <O extends SetOptions<K>>(id: K, options: O | undefined): O =>
    withTags([...tags, tagOf(name, id)], options);
  return {
    get: (id) => part.get(id),
    getOrSet: (id, loader, options) => rejecting(() => part.getOrSet(id, loader, tagged(id, options))),
    set: (id, value, options) => void part.set(id, value, tagged(id, options)),
    update: (id, writer, options) => rejecting(() => part.update(id, writer, tagged(id, options))),
    wrap: (fn, options) => part.wrap(fn, withTags(tags, options)),
  };
}

/** Options with these tags before their own. @throws {NearCacheError} `ERR_OPTION` */
function withTags<O extends { tags?: readonly string[] | undefined }>(
  tags: readonly string[],
  options: O = {} as O,
): O {
  if (typeof options !== "object" || options === null) throw optionError("options", describe(options), "an object");
  return { ...options, tags: [...tags, ...names("tags", options.tags ?? [])] };
}

/** What a call throws before it has a promise is what its promise rejects with. */
function rejecting<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error);
  }
}
