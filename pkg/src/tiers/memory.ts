import { bytes as byteCount, checkFunction } from "../options/options.js";
import { checkOptions } from "./binding.js";
import type { Tier, TierEntry, TierOptions } from "./types.js";

/** How a memory tier is made. */
export interface MemoryTierOptions extends TierOptions {
  name?: string | undefined;
  /** The most bytes, names included; the oldest go first. Default 64 MiB. */
  maxBytes?: number | undefined;
  /** The time in milliseconds, for tests. */
  clock?: (() => number) | undefined;
}

/**
 * Bytes in this process: for tests, and to share what several caches of a process load.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function memoryTier(options: MemoryTierOptions = {}): Tier & { readonly size: number } {
  const { name = "memory", maxBytes = 64 * 1024 * 1024, clock = Date.now, ...rest } = checkOptions(options);
  return new MemoryTier(name, byteCount("maxBytes", maxBytes), checkFunction("clock", clock), rest);
}

class MemoryTier implements Tier {
  readonly #held = new Map<string, { readonly bytes: Uint8Array; readonly until: number }>();
  #bytes = 0;

  constructor(
    readonly name: string,
    private readonly maxBytes: number,
    private readonly clock: () => number,
    readonly options: TierOptions,
  ) {}

  get size(): number {
    return this.#held.size;
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const held = this.#held.get(name);
    if (held === undefined) return undefined;
    if (held.until > this.clock()) return held.bytes;
    this.#remove(name);
    return undefined;
  }

  async set({ name, bytes, ttl }: TierEntry): Promise<void> {
    this.#remove(name);
    const weight = bytes.length + name.length;
    if (weight > this.maxBytes) return;
    this.#held.set(name, { bytes: bytes.slice(), until: this.clock() + ttl });
    this.#bytes += weight;
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.maxBytes) break;
      this.#remove(oldest);
    }
  }

  async delete(name: string): Promise<void> {
    this.#remove(name);
  }

  async clear(): Promise<void> {
    this.#held.clear();
    this.#bytes = 0;
  }

  #remove(name: string): void {
    const held = this.#held.get(name);
    if (held === undefined) return;
    this.#held.delete(name);
    this.#bytes -= held.bytes.length + name.length;
  }
}
