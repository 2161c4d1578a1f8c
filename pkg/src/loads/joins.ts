import type { Core } from "../core/core.js";
import type { Untold } from "../entries/entries.js";
import type { Wait } from "./flight.js";
import type { CacheHandle } from "./handle.js";

/**
 * Gets that came to a load one like the other: of one key, by one part of the cache, at one moment, by no loader, with
 * nothing said. The core's answer depends on what was asked and on what it was told before. So while it is asked and told
 * nothing else, it would answer each as it answered the first: to join the same group. The others are counted here, and
 * the core is told of them before anything else: whoever takes it from its `EntryTable` tells it first.
 */
export class Joins<K, V> implements Untold {
  private more = 0;

  constructor(
    private readonly handle: CacheHandle<K, V>,
    private readonly key: K,
    /** When they asked. */
    readonly now: number,
    readonly wait: Wait<K, V>,
  ) {}

  /** Whether a get of this key, at the same moment, is one of them. */
  takes(handle: CacheHandle<K, V>, key: K): boolean {
    return key === this.key && handle === this.handle;
  }

  /** One more. */
  join(): Promise<V> {
    const { wait } = this;
    this.more++;
    wait.callers++;
    return wait.promise;
  }

  tell(core: Core): void {
    if (this.more > 0) core.join_more(this.wait.flight.index, this.wait.group, this.more);
  }
}
