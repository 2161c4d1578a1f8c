// Which keys are whose. A cache has one map for its own keys, one for each namespace, and one for each scope that has
// keys. All of them share the slots, and so the bounds, but a key is looked for only in its own.

import type { Core } from "../core/core.js";
import { hashString, KeyHasher } from "../core/hash.js";
import type { Place } from "../hooks/events.js";

/** Slots by key. A `Map`, or what looks like one. */
export interface Slots<K> {
  readonly size: number;
  get(key: K): number | undefined;
}

/** No key: nobody else has it. */
export const NOTHING = Symbol("nothing");

class ScopeKeys<K> extends Map<K, number> {
  constructor(
    /** The core's number for the scope, which holds while it has keys. */
    readonly number: number,
  ) {
    super();
  }
}

/** The keys of a cache or of a namespace in it. */
export class Namespace<K> {
  readonly slots = new Map<K, number>();
  /** By the scope's path. A scope without keys is not kept, so that there may be one for each user. */
  readonly scopes = new Map<string, ScopeKeys<K>>();
  /** The core's number for what lies in no scope. */
  number = 0;
  /** Hits that the core was not told of yet. */
  hits = 0;
  /** A key that was not found in `slots`, while none has come since: what often follows need not look again. */
  missed: unknown = NOTHING;

  constructor(
    /** The core's number, by which its figures are known. */
    readonly id: number,
    readonly parent: number,
    /** The names on the way here. */
    readonly path: readonly string[],
  ) {}

  /** Forgets all keys. */
  empty(): void {
    this.slots.clear();
    this.scopes.clear();
  }
}

/** A part of a cache: one namespace, and one scope or none. */
export class Partition<K> implements Slots<K> {
  readonly place: Place;
  /** The scope as the core knows it; empty for none. */
  readonly scope: string;
  private hasher: KeyHasher | undefined;
  /** Where `get` looks: the namespace's own map, without a detour, where there is no scope. */
  readonly slots: Slots<K>;

  constructor(
    readonly namespace: Namespace<K>,
    /** The names of nested scopes, the outermost first. */
    readonly scopes: readonly ScopeName[],
  ) {
    this.scope = scopes.map(({ step }) => step).join("\0");
    this.slots = scopes.length === 0 ? namespace.slots : this;
    const shown = scopes.flatMap(({ shown }) => shown);
    this.place = {
      namespaces: namespace.path,
      scope: shown.length === 0 ? undefined : shown.join("/"),
      scopes: shown,
    };
  }

  get size(): number {
    return this.namespace.scopes.get(this.scope)?.size ?? 0;
  }

  /** The slot of a key; 0 if it has none. */
  slotOf(key: K): number {
    const { slots, namespace } = this;
    return key === namespace.missed && slots === namespace.slots ? 0 : (slots.get(key) ?? 0);
  }

  get(key: K): number | undefined {
    return this.namespace.scopes.get(this.scope)?.get(key);
  }

  /** A key's hash, in a cache with this seed. It differs by partition. */
  hash(key: K, seed: number): number {
    this.hasher ??= new KeyHasher(hashString(this.scope, this.namespace.id) ^ seed);
    return this.hasher.hash(key);
  }

  /** The core's number for this part. A scope's without keys holds for the next call only. */
  number(core: Core): number {
    const { namespace, scope } = this;
    if (scope === "") return namespace.number;
    return namespace.scopes.get(scope)?.number ?? core.open(namespace.id, scope);
  }

  set(key: K, slot: number, number: number): void {
    const { namespace, scope } = this;
    if (scope === "") {
      namespace.missed = NOTHING;
      namespace.slots.set(key, slot);
      return;
    }
    let keys = namespace.scopes.get(scope);
    if (keys === undefined) namespace.scopes.set(scope, (keys = new ScopeKeys(number)));
    keys.set(key, slot);
  }

  delete(key: K): void {
    const { namespace, scope } = this;
    if (scope === "") {
      namespace.slots.delete(key);
      return;
    }
    const keys = namespace.scopes.get(scope);
    keys?.delete(key);
    if (keys?.size === 0) namespace.scopes.delete(scope);
  }
}

/** A scope's name, as events show it and as a step of a path that no other names make. */
export interface ScopeName {
  readonly shown: readonly string[];
  readonly step: string;
}

/** A scope that a user names. */
export function userScope(name: string): ScopeName {
  // As `join_scope` of the core does it. The name has no U+0000.
  return { shown: [name], step: name.replaceAll("\u0001", "\u00011") };
}

/** A scope that no user can name: it is shown as one within a scope with an empty name. */
export function innerScope(name: string, shown: string): ScopeName {
  return { shown: ["", shown], step: `\u00010${name.replaceAll("\u0001", "\u00011").replaceAll("\0", "\u00010")}` };
}
