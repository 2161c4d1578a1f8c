import { now } from "./clock.js";
import { CAUSES, Core, DEPARTED, kind, SLOT, VACATED } from "./core.js";
import { Hooks } from "./hooks.js";
import type { View } from "./view.js";

/** Lies in the place of a value where a load failed a moment ago. */
export class Remembered {
  constructor(readonly error: unknown) {}
}

/** Keys and values by slot, beside the core that knows the slots by number. */
export class Shelf<K, V> {
  readonly hooks = new Hooks<K, V>();
  keys: (K | undefined)[] = [undefined];
  values: (V | Remembered | undefined)[] = [undefined];
  /** Whose key lies in a slot. There only once there are others than the cache's own. */
  private views: View<K, V>[] | undefined = undefined;

  constructor(
    readonly core: Core,
    readonly maxEntries: number,
    /** The time in milliseconds where a test makes it. */
    readonly clock: (() => number) | undefined,
    private readonly root: View<K, V>,
  ) {}

  now(): number {
    return this.clock === undefined ? now() : this.clock();
  }

  place(slot: number, key: K, view: View<K, V>): void {
    if (slot >= this.keys.length) this.grow(slot);
    view.slots.set(key, slot);
    // As a Map's, a key is never -0.
    this.keys[slot] = key === 0 ? (0 as K) : key;
    if (view !== this.root) this.views ??= [];
    if (this.views !== undefined) this.views[slot] = view;
  }

  viewOf(slot: number): View<K, V> {
    return this.views?.[slot] ?? this.root;
  }

  /** Whether a value lies there, dead or alive. */
  holds(slot: number | undefined): boolean {
    const value = slot === undefined ? undefined : this.values[slot];
    return value !== undefined && !(value instanceof Remembered);
  }

  /** Writes a value to its slot. */
  put(slot: number, value: V | Remembered): void {
    if (this.hooks.evict !== undefined) this.leaves(slot, "replaced");
    this.values[slot] = value;
  }

  /** Lets go of the key that made way for another in its slot. */
  evicted(slot: number): void {
    if (this.hooks.evict !== undefined) this.leaves(slot, "size");
    this.viewOf(slot).slots.delete(this.keys[slot] as K);
    this.values[slot] = undefined;
  }

  /** Lets go of what the core let go of. */
  drain(): void {
    let code: number;
    do {
      code = this.core.departure();
      const slot = code & SLOT;
      if (slot === 0) return;
      if (this.hooks.evict !== undefined || this.hooks.expire !== undefined) this.leaves(slot, CAUSES[kind(code)]);
      this.values[slot] = undefined;
      if ((code & VACATED) !== 0) {
        this.viewOf(slot).slots.delete(this.keys[slot] as K);
        this.keys[slot] = undefined;
      }
    } while (code >= DEPARTED);
  }

  /** The names of the namespaces in the order of their spaces, which is the order they were made in. */
  namespaces(): string[] {
    const rooms = [...this.root.room.all()].filter((room) => room.space > 0);
    return rooms.sort((a, b) => a.space - b.space).map((room) => room.path.join("/"));
  }

  clear(): void {
    if (this.hooks.evict !== undefined)
      for (let slot = 1; slot < this.values.length; slot++) this.leaves(slot, "removed");
    this.core.clear();
    this.root.room.empty();
    this.keys = [undefined];
    this.values = [undefined];
    this.views = undefined;
  }

  /** Will tell, once the operation is over, of the value that leaves a slot. */
  private leaves(slot: number, cause: (typeof CAUSES)[number]): void {
    const { hooks } = this;
    const value = this.values[slot];
    // A key whose first load is under way has no value yet.
    if (cause === undefined || value === undefined || value instanceof Remembered) return;
    const event = { key: this.keys[slot] as K, place: this.viewOf(slot).place, value };
    if (cause !== "expired") {
      if (hooks.evict !== undefined) hooks.put("evict", { ...event, cause });
    } else if (hooks.expire !== undefined) hooks.put("expire", event);
  }

  /** Tells the hooks what happened. Comes last in every operation that may have caused something. */
  flush(): void {
    if (this.hooks.later.length > 0) this.hooks.flush();
  }

  /** Doubling by hand, because arrays that grow by themselves keep up to half as much again in reserve. */
  private grow(slot: number): void {
    const held = this.keys.length;
    const full = this.maxEntries + 2;
    const length = slot < full ? Math.min(Math.max(2 * held, 16), full) : 2 * held;
    this.keys = copy(this.keys, length);
    this.values = copy(this.values, length);
  }
}

function copy<T>(from: T[], length: number): T[] {
  const to = new Array<T>(length);
  for (let i = 0; i < from.length; i++) to[i] = from[i]!;
  return to;
}
