// Where snapshots go, and where they come from.

import {
  describe,
  type Duration,
  duration,
  name as checkName,
  optionError,
  rejectUnknown,
} from "../options/options.js";
import { refused } from "./snapshot-errors.js";
import type { Tier } from "./types.js";

/** A place for one snapshot, which each new one replaces. */
export interface SnapshotStore {
  /** Takes the pieces, and puts them in the old ones' place when it has the last. */
  write(chunks: AsyncIterable<Uint8Array>): Promise<unknown>;
  /** The bytes of the last one, in pieces of any size; `undefined` if there is none. */
  read(): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Whether reading twice brings the same and costs little: then all is verified before anything is loaded. Default false. */
  readonly readsAgain?: boolean | undefined;
  /** So long one of the pieces may be; an entry that makes a longer one is left out. Default: 64 MiB. */
  readonly maxPieceBytes?: number | undefined;
}

/** What takes bytes. It is closed after the last of them, and aborted if there is an error. */
export type SnapshotTarget = WritableStream<Uint8Array>;

/** What brings bytes, in pieces of any size. */
export type SnapshotSource =
  Uint8Array | ArrayBuffer | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** How a tier keeps a snapshot. */
export interface SnapshotTierOptions {
  /** What it is called there, of several. Default "snapshot". */
  name?: string | undefined;
  /** How long the tier keeps it. Default a day. */
  ttl?: Duration | undefined;
}

const TIER_OPTIONS = new Set(["name", "ttl"]);

/**
 * A snapshot in a tier: a name for each chunk (128 KiB, or one larger entry), and at last an index under the snapshot's own, so that half a
 * snapshot is never found. The chunks of the one before are deleted after that.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function snapshotTier(tier: Tier, options: SnapshotTierOptions = {}): SnapshotStore {
  rejectUnknown(options, TIER_OPTIONS);
  const { name = "snapshot", ttl = "1d" } = options;
  return new TierStore(tier, checkName("name", name), duration("ttl", ttl));
}

/** What the index says: which chunks, and how many. */
interface Index {
  readonly id: string;
  readonly chunks: number;
}

class TierStore implements SnapshotStore {
  constructor(
    private readonly tier: Tier,
    private readonly name: string,
    private readonly ttl: number,
  ) {}

  get maxPieceBytes(): number | undefined {
    return this.tier.options?.maxValueBytes;
  }

  async write(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { tier, name, ttl } = this;
    const before = await this.#index().catch(() => undefined);
    const id = Math.floor(Math.random() * 2 ** 53).toString(36);
    let count = 0;
    try {
      for await (const bytes of chunks) await tier.set({ name: this.#chunk(id, count++), bytes, ttl });
      const index: Index = { id, chunks: count };
      await tier.set({ name, bytes: new TextEncoder().encode(JSON.stringify(index)), ttl });
    } catch (error) {
      await this.#delete({ id, chunks: count }).catch(() => {});
      throw error;
    }
    // What can't be deleted goes when its time is over.
    if (before !== undefined) await this.#delete(before).catch(() => {});
  }

  async read(): Promise<AsyncIterable<Uint8Array> | undefined> {
    const index = await this.#index();
    return index === undefined ? undefined : this.#chunks(index);
  }

  async *#chunks({ id, chunks }: Index): AsyncGenerator<Uint8Array, void, undefined> {
    const get = (at: number): PromiseLike<Uint8Array | undefined> | undefined =>
      at < chunks ? this.tier.get(this.#chunk(id, at)) : undefined;
    let next = get(0);
    for (let at = 0; at < chunks; at++) {
      const bytes = await next;
      if (bytes === undefined) throw refused(`the snapshot is broken: the tier lacks chunk ${at} of ${chunks}`);
      // On its way while this one is put back.
      next = get(at + 1);
      Promise.resolve(next).catch(() => {});
      yield bytes;
    }
  }

  async #index(): Promise<Index | undefined> {
    const bytes = await this.tier.get(this.name);
    if (bytes === undefined) return undefined;
    let index: Partial<Index> | undefined;
    try {
      index = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Index>;
    } catch {
      index = undefined;
    }
    const { id, chunks } = index ?? {};
    if (typeof id === "string" && Number.isInteger(chunks)) return { id, chunks: chunks! };
    throw refused(`what the tier has under ${describe(this.name)} is no snapshot's index`);
  }

  async #delete({ id, chunks }: Index): Promise<void> {
    for (let at = 0; at < chunks; at++) await this.tier.delete(this.#chunk(id, at));
  }

  #chunk(id: string, at: number): string {
    return `${this.name}:${id}:${at}`;
  }
}

/** @throws {NearCacheError} `ERR_OPTION` */
export function targetOf(target: SnapshotStore | SnapshotTarget): Pick<SnapshotStore, "write" | "maxPieceBytes"> {
  if (typeof (target as SnapshotStore)?.write === "function") return target as SnapshotStore;
  if (typeof (target as SnapshotTarget)?.getWriter === "function") {
    return { write: (chunks) => pour(chunks, target as SnapshotTarget) };
  }
  throw optionError("target", describe(target), "what snapshotFile() or snapshotTier() makes, or a WritableStream");
}

/** @throws {NearCacheError} `ERR_OPTION` */
export function sourceOf(source: SnapshotStore | SnapshotSource): Pick<SnapshotStore, "read" | "readsAgain"> {
  if (source instanceof ArrayBuffer) return sourceOf(new Uint8Array(source));
  if (source instanceof Uint8Array) {
    return { readsAgain: true, read: async () => pieces([source]) };
  }
  if (typeof (source as SnapshotStore)?.read === "function") return source as SnapshotStore;
  if (typeof (source as ReadableStream)?.getReader === "function") {
    return { read: async () => drawn(source as ReadableStream<Uint8Array>) };
  }
  const iterable = source as AsyncIterable<Uint8Array> & Iterable<Uint8Array>;
  if (typeof source === "object" && source !== null && (iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator])) {
    return { read: async () => pieces(iterable) };
  }
  const allowed = "what snapshotFile() or snapshotTier() makes, bytes, a ReadableStream, or an iterable of bytes";
  throw optionError("source", describe(source), allowed);
}

async function pour(chunks: AsyncIterable<Uint8Array>, target: SnapshotTarget): Promise<void> {
  const writer = target.getWriter();
  try {
    for await (const chunk of chunks) {
      await writer.ready;
      await writer.write(chunk);
    }
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
}

async function* drawn(source: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = source.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

async function* pieces(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* source;
}
