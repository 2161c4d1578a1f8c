import type { Insides } from "../internals.js";
import type { Core } from "../core/core.js";
import type { Partition } from "../entries/partitions.js";
import type { ChangeListener, ValueLife } from "../types/tiering.js";
import type { Place } from "../hooks/events.js";
import { breath } from "./breath.js";
import { inflate } from "./codec.js";
import { keyOf, keyText } from "./keys.js";
import { partOf } from "./parts.js";
import { lostCore, refused, superseded } from "./snapshot-errors.js";
import type { LoadedSnapshot, Settings } from "./snapshot-types.js";
import { place as placeName, SnapshotReader, type SnapshotReaderOf } from "./wasm.js";

const HEAD = 1;
const ENTRIES = 2;
const END = 3;
const ERROR = 4;
/** Numbers of an entry: its record, its part, its codec, where its payload begins and ends. */
const STRIDE = 14;
const RECORD = 10;
/** The place of the weight among them. */
const WEIGHT = 8;
/** What no entry may weigh. */
const HEAVIEST = 2 ** 32 - 1;
/** Why the core does not put an entry back. */
const REASONS = [undefined, "expired", "noRoom", "purged"] as const;

type Chunks = AsyncIterable<Uint8Array>;

/** Reads to the end, and brings what is to be left out. @throws {NearCacheError} `ERR_SNAPSHOT` */
export async function verify(
  chunks: Chunks,
  settings: Settings,
  now: number,
  maxAge: number,
): Promise<Uint32Array | undefined> {
  const reader = readerOf(settings);
  try {
    let dropped: Uint32Array | undefined;
    const pause = breath();
    for await (const piece of pieces(reader, chunks)) {
      if (piece === HEAD) checkAge(reader, now, maxAge);
      if (piece === END) dropped = reader.dropped();
      await pause();
    }
    return dropped;
  } finally {
    reader.free();
  }
}

/** One load, from when it is asked for: what is purged from then on does not come back. */
export class Loading {
  readonly #skipped = { present: 0, expired: 0, noRoom: 0, purged: 0, dropped: 0, keys: 0, values: 0 };
  #dropped: ReadonlySet<number> | undefined;
  /** Where each entry was put, while it is not known what is dropped. */
  readonly #slots: number[] = [];
  readonly #purges: Purges;
  readonly #core: Core;
  readonly #id: number;
  #ordinal = 0;
  #entries = 0;
  #bytes = 0;
  #takenAt = 0;

  constructor(
    private readonly insides: Insides<any, any>,
    private readonly settings: Settings,
    private readonly maxAge: number,
  ) {
    const { entries } = insides;
    this.#id = entries.safely((core) => core.begin_restore());
    this.#core = entries.core;
    entries.changes = this.#purges = new Purges(entries.changes);
  }

  /** Nothing more comes of it. */
  end(): void {
    const { entries } = this.insides;
    if (this.#core === entries.core) this.#core.end_restore(this.#id);
    this.#purges.end();
    // Loads that began later may be around this one, and end before it or after.
    if (entries.changes === this.#purges) entries.changes = this.#purges.inner;
    else (entries.changes as Purges).leaveOut(this.#purges);
  }

  /** `dropped`: what is not of the snapshot, if that is known before. */
  async run(chunks: Chunks, dropped: Uint32Array | undefined): Promise<LoadedSnapshot> {
    const { entries } = this.insides;
    const reader = readerOf(this.settings);
    const pause = breath();
    this.#dropped = dropped === undefined ? undefined : new Set(dropped);
    try {
      for await (const piece of pieces(reader, this.#counted(chunks))) {
        if (this.#core !== entries.core) throw lostCore("load");
        if (piece === HEAD) {
          checkAge(reader, entries.clock.read(), this.maxAge);
          const [takenAt, coldShare] = reader.numbers() as unknown as [number, number];
          this.#takenAt = takenAt;
          entries.safely((core) => core.restore_cold_share(coldShare));
        } else if (piece === ENTRIES) {
          await this.#load(reader);
        } else if (piece === END) {
          this.#takeBack(reader.dropped());
        }
        entries.flush();
        await pause();
      }
    } finally {
      reader.free();
    }
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      takenAt: this.#takenAt,
      skipped: { ...this.#skipped },
    };
  }

  async *#counted(chunks: Chunks): Chunks {
    for await (const chunk of chunks) {
      this.#bytes += chunk.length;
      yield chunk;
    }
  }

  /** The entries of a chunk. */
  async #load(reader: SnapshotReaderOf): Promise<void> {
    const [takenAt, compressed] = reader.numbers() as unknown as [number, number];
    const packed = reader.payload();
    let payload = packed;
    if (compressed === 1) {
      payload = await inflate(packed).catch((error: unknown) => {
        throw refused(`the snapshot is broken (compression: ${String(error)})`);
      });
    }
    const read = reader.entries(payload);
    if (read === undefined) throw refused(reader.error()[1]!);
    const { keys, tags, numbers, parts } = read;
    read.free();
    const partitions = parts.map((name) => partOf(this.insides.entries, name));
    for (let at = 0; at < keys.length; at++) {
      const ordinal = this.#ordinal++;
      if (this.#dropped?.has(ordinal)) {
        this.#skipped.dropped++;
        continue;
      }
      const from = at * STRIDE;
      const [part, codec, start, end] = numbers.subarray(from + RECORD, from + STRIDE) as unknown as number[];
      const bytes = payload.subarray(start, end);
      let value: unknown;
      try {
        value = this.settings.payloads.decode(codec!, bytes);
        if (isPromise(value)) value = await value;
      } catch {
        this.#skipped.values++;
        continue;
      }
      const record = numbers.subarray(from, from + RECORD);
      this.#put(ordinal, partitions[part!], keys[at]!, value, record, tags[at]!, takenAt);
    }
  }

  #put(
    ordinal: number,
    partition: Partition<any> | undefined,
    text: string,
    value: unknown,
    record: Float64Array,
    tags: string,
    takenAt: number,
  ): void {
    const { entries, handle } = this.insides;
    const skipped = this.#skipped;
    const known = keyOf(text);
    if (known === undefined || partition === undefined) {
      skipped.keys++;
      return;
    }
    const [key] = known;
    const now = entries.clock.read();
    // A clock that was set back makes nothing younger than it was.
    const later = Math.max(now - takenAt, 0);
    if (record[WEIGHT] === 0) {
      try {
        const bytes = handle.weigh(key, value);
        record[WEIGHT] = Number.isNaN(bytes) ? 0 : Math.min(Math.ceil(bytes), HEAVIEST);
      } catch {
        skipped.values++;
        return;
      }
    }
    // Clock and weigher are the user's, and may have used the cache.
    if (entries.slotOf(partition, key) !== 0) {
      skipped.present++;
      return;
    }
    if (this.#purges.has(partition.place, key)) {
      skipped.purged++;
      return;
    }
    const { core } = entries;
    const hash = entries.hash(key, partition);
    const number = partition.number(core);
    const slot = core.restore(
      this.#id,
      ordinal,
      number,
      hash,
      now,
      entries.policies.number(handle.defaults.policy),
      record,
      later,
      tags,
    );
    if (slot > 0) {
      entries.place(slot, key, partition, number);
      entries.put(slot, value);
      if (this.#dropped === undefined) this.#slots[ordinal] = slot;
      this.#entries++;
    } else {
      const why = REASONS[-slot];
      if (why === undefined) throw superseded("load");
      skipped[why]++;
    }
  }

  /** What was dropped is known only now where nobody could look ahead. */
  #takeBack(dropped: Uint32Array): void {
    const { entries } = this.insides;
    if (this.#dropped !== undefined) return;
    for (const ordinal of dropped) {
      const slot = this.#slots[ordinal];
      if (slot === undefined) continue;
      const before = entries.core.len(0, "");
      entries.core.take_back(this.#id, ordinal, slot);
      entries.drain();
      if (entries.core.len(0, "") === before) continue;
      this.#entries--;
      this.#skipped.dropped++;
    }
  }
}

/** So many keys are remembered; beyond, every key counts as purged. */
const MOST_KEYS = 100_000;

/** Notes which keys are removed or set, before the tiers are told. Purges of tags and parts the core notes by itself. */
class Purges implements ChangeListener {
  #keys: Set<string> | undefined = new Set();
  #isOver = false;

  constructor(public inner: ChangeListener | undefined) {}

  has(place: Place, key: unknown): boolean {
    return this.#keys === undefined || (this.#keys.size > 0 && this.#keys.has(nameOf(place, key)!));
  }

  /** Tells one within no more, but those within that one. */
  leaveOut(ended: Purges): void {
    let around: Purges = this;
    while (around.inner !== ended) around = around.inner as Purges;
    around.inner = ended.inner;
  }

  /** Notes nothing more. */
  end(): void {
    this.#isOver = true;
    this.#keys = undefined;
  }

  set(place: Place, key: unknown, value: unknown, life: ValueLife): void {
    this.#note(place, key);
    this.inner?.set(place, key, value, life);
  }

  purge(place: Place, what: "key" | "tag" | "all", of?: unknown): void {
    if (what === "key") this.#note(place, of);
    this.inner?.purge(place, what, of);
  }

  #note(place: Place, key: unknown): void {
    if (this.#isOver || this.#keys === undefined) return;
    const name = nameOf(place, key);
    if (name !== undefined) this.#keys.add(name);
    if (this.#keys.size > MOST_KEYS) this.#keys = undefined;
  }
}

/** Names a key among those of all parts; `undefined` for one that no snapshot has. */
function nameOf({ namespaces, scopes }: Place, key: unknown): string | undefined {
  const text = keyText(key);
  return text === undefined ? undefined : `${placeName([...namespaces], [...scopes])}\0${text}`;
}

function readerOf({ schema, codec, secrets }: Settings): SnapshotReaderOf {
  return new SnapshotReader(schema, codec, secrets);
}

/** What the bytes come to, piece by piece, each of which the reader has. */
async function* pieces(reader: SnapshotReaderOf, chunks: Chunks): AsyncGenerator<number, void, undefined> {
  for await (const chunk of chunks) {
    reader.push(chunk);
    for (let piece = reader.poll(); piece !== 0; piece = reader.poll()) {
      if (piece === ERROR) throw refused(reader.error()[1]!);
      yield piece;
    }
  }
  if (reader.finish() === ERROR) throw refused(reader.error()[1]!);
}

function checkAge(reader: SnapshotReaderOf, now: number, maxAge: number): void {
  const age = now - reader.numbers()[0]!;
  if (age > maxAge) throw refused(`the snapshot is ${age} ms old; ${maxAge} ms are allowed (maxAge)`);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | undefined)?.then === "function";
}
