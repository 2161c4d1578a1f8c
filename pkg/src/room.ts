// Which keys are whose. A cache has one room for its own keys and one for each namespace; a room has scopes. All of
// them share the slots, and so the budget, but a key is looked for only in its own room or scope.

/** Slots by key. A `Map`, or what looks like one. */
export interface Slots<K> {
  readonly size: number;
  get(key: K): number | undefined;
  set(key: K, slot: number): unknown;
  delete(key: K): boolean;
  values(): Iterable<number>;
}

/** The keys of a cache or of a namespace in it. */
export class Room<K> {
  readonly slots = new Map<K, number>();
  /** Keys by scope. A scope without keys is not kept, so that there may be one for each user. */
  readonly scopes = new Map<string, Map<K, number>>();
  readonly namespaces = new Map<string, Room<K>>();

  constructor(
    /** Whose figures count what happens here: the core's number. */
    readonly space: number,
    /** The names on the way here. */
    readonly path: readonly string[],
  ) {}

  /** This room and those within. */
  *all(): Generator<Room<K>> {
    yield this;
    for (const room of this.namespaces.values()) yield* room.all();
  }

  /** Slots of every key here and within, or of those in a scope and within that. */
  *everySlot(scope?: string): Generator<number> {
    for (const room of this.all()) {
      if (scope === undefined) yield* room.slots.values();
      for (const [name, slots] of room.scopes) if (isScopeWithin(name, scope)) yield* slots.values();
    }
  }

  /** Forgets all keys, here and within. */
  empty(): void {
    for (const room of this.all()) {
      room.slots.clear();
      room.scopes.clear();
    }
  }
}

/** The keys of one scope, which are kept in its room, so that whoever asks for the scope later meets the same. */
export class Scope<K> implements Slots<K> {
  constructor(
    private readonly room: Room<K>,
    private readonly name: string,
  ) {}

  get size(): number {
    return this.room.scopes.get(this.name)?.size ?? 0;
  }

  get(key: K): number | undefined {
    return this.room.scopes.get(this.name)?.get(key);
  }

  set(key: K, slot: number): void {
    const slots = this.room.scopes.get(this.name);
    if (slots === undefined) this.room.scopes.set(this.name, new Map([[key, slot]]));
    else slots.set(key, slot);
  }

  delete(key: K): boolean {
    const slots = this.room.scopes.get(this.name);
    const held = slots?.delete(key) ?? false;
    if (slots?.size === 0) this.room.scopes.delete(this.name);
    return held;
  }

  values(): Iterable<number> {
    return this.room.scopes.get(this.name)?.values() ?? [];
  }
}

/**
 * A scope's name as a part of a path, which events show: `/` stands between the parts, and what we name ourselves is in
 * parentheses. Costs nothing for a name without them.
 */
export function segment(name: string): string {
  return name.replace(/[%/(]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

/** Whether a scope is the other or lies in it; without the other, it does. */
export function isScopeWithin(inner: string | undefined, outer: string | undefined): boolean {
  return outer === undefined || inner === outer || (inner?.startsWith(`${outer}/`) ?? false);
}
