import type { Batcher } from "../batches/batcher.js";
import type { Core } from "../core/core.js";
import { bytes } from "../options/options.js";
import type { Namespace, Partition, ScopeName, Slots } from "../entries/partitions.js";
import type { Policy } from "../policy/policies.js";
import type { CallDefaults } from "../policy/policy.js";
import type { Place } from "../hooks/events.js";
import type { LoadContext, Loader } from "../types/loader.js";
import type { CacheLike, GetOrSetOptions } from "../types/types.js";

/** Names the method of a cache that gives a scope of it which only we can name. */
export const INNER_SCOPE = Symbol("inner scope");
/** Names the method of a cache that calls with options which don't change. */
export const GET_PREPARED = Symbol("get prepared");

/** A cache, with what only we can call. */
export interface Internals<K, V> extends CacheLike<K, V> {
  [INNER_SCOPE](name: string, shown?: string): Internals<K, V>;
  [GET_PREPARED](key: K, loader: Loader<K, V>, options: GetOrSetOptions<K>): Promise<V>;
}

/** What calls on a part of a cache take where they say nothing. */
export interface Defaults<K, V> extends CallDefaults<K, V> {
  /** What the core knows of it. */
  readonly policy: Policy;
  readonly batcher: Batcher<K, V, LoadContext<K, V>> | undefined;
}

const NONE: Slots<any> = new Map();

/** A part of a cache as its user sees it: which keys, and what calls take where they say nothing. */
export class CacheHandle<K, V> {
  readonly slots: Slots<K>;
  readonly namespace: Namespace<K>;
  readonly place: Place;
  /** The slots whose values need no rule's word: none where there is a rule here, whoever stored the value and by what rule. */
  readonly unchecked: Slots<K>;
  /** Loads by batches of this part's keys; there once it was needed. */
  batchLoader: Loader<K, V> | undefined = undefined;

  constructor(
    readonly partition: Partition<K>,
    readonly defaults: Defaults<K, V>,
  ) {
    this.slots = partition.slots;
    this.namespace = partition.namespace;
    this.place = partition.place;
    this.unchecked = defaults.validate === undefined ? partition.slots : NONE;
  }

  /** Remembers that the key has no slot: whoever looked for it often stores or loads it now. */
  noteMissing(key: K): void {
    const { unchecked, namespace } = this;
    if (unchecked === namespace.slots) namespace.missed = key;
  }

  /** The core's number for this part. */
  number(core: Core): number {
    return this.partition.number(core);
  }

  /** The names of the scopes on the way to one within this. */
  scopesTo(name: ScopeName): readonly ScopeName[] {
    return [...this.partition.scopes, name];
  }

  /** A value's bytes where a call said nothing. @throws {NearCacheError} `ERR_OPTION`, `ERR_BYTES`, and what `sizeOf` throws. */
  weigh(key: K, value: V): number {
    const { sizeOf } = this.defaults;
    return sizeOf === undefined ? NaN : bytes("sizeOf", sizeOf(value, key));
  }
}
