import type { Insides } from "../internals.js";
import { compressed, type Payload } from "./codec.js";
import { keyText } from "./keys.js";
import { isOfInstance, nameOf } from "./parts.js";
import { lostCore, superseded } from "./snapshot-errors.js";
import type { SavedSnapshot, Settings } from "./snapshot-types.js";
import { SnapshotWriter, type SnapshotWriterOf } from "./wasm.js";
import { breath } from "./breath.js";

/** A chunk is closed when it has so many bytes. */
const CHUNK = 128 * 1024;
/** What a chunk and an entry have besides, at the most. */
const ROOM = 1_024;

/** One save. */
export class Saving {
  readonly #skipped = { keys: 0, values: 0, tooLarge: 0 };
  readonly #names = new WeakMap<object, string | null>();
  #entries = 0;
  #dropped = 0;
  #bytes = 0;
  #takenAt = 0;

  constructor(
    private readonly insides: Insides<any, any>,
    private readonly settings: Settings,
    /** What one of the pieces may have. */
    private readonly maxPiece: number,
  ) {}

  get result(): SavedSnapshot {
    const entries = this.#entries - this.#dropped;
    return { entries, bytes: this.#bytes, takenAt: this.#takenAt, skipped: { ...this.#skipped } };
  }

  /** The bytes, in the pieces that belong together. */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const bytes of this.#run()) {
      this.#bytes += bytes.length;
      yield bytes;
    }
  }

  async *#run(): AsyncGenerator<Uint8Array, void, undefined> {
    const { entries } = this.insides;
    const { clock } = entries;
    const { schema, codec, secrets, compress } = this.settings;
    const [core, begun] = entries.safely((core) => [core, core.begin_save()] as const);
    const id = begun % 2 ** 32;
    const number = Math.floor(Math.random() * 2 ** 53);
    const writer = new SnapshotWriter(schema, codec, number, clock.read(), Math.floor(begun / 2 ** 32), secrets);
    const pause = breath();
    try {
      yield writer.head();
      const slots = core.newest_first(clock.read(), true);
      for (let at = 0; at < slots.length;) {
        const now = clock.read();
        for (; at < slots.length && writer.len() < CHUNK; at++) {
          const taken = this.#take(writer, id, slots[at]!, now);
          if (taken !== undefined) await taken;
        }
        this.#checkCore(core);
        const payload = writer.take();
        const small = compress ? await compressed(payload) : undefined;
        yield writer.chunk(now, small ?? payload, small !== undefined);
        await pause();
      }
      this.#checkCore(core);
      const dropped = core.end_save(id);
      if (dropped === undefined) throw superseded("save");
      this.#takenAt = clock.read();
      this.#dropped = dropped.length;
      yield writer.finish(this.#takenAt, dropped.sort());
    } finally {
      if (core === entries.core) core.end_save(id);
      writer.free();
    }
  }

  /** Takes an entry out: at once, or when its codec has written it. */
  #take(writer: SnapshotWriterOf, id: number, slot: number, now: number): void | Promise<void> {
    const { entries } = this.insides;
    const value: unknown = entries.storedAt(slot);
    const key: unknown = entries.keys[slot];
    const partition = entries.partitionOf(slot);
    const text = isOfInstance(partition.place, key) ? undefined : keyText(key);
    const part = this.#name(partition);
    if (text === undefined || part === undefined) {
      this.#skipped.keys++;
      return;
    }
    const add = ({ codec, bytes }: Payload): void => {
      // It may have changed while the codec worked.
      const isSame = Object.is(entries.keys[slot], key) && Object.is(entries.storedAt(slot), value);
      if (!isSame || this.#name(entries.partitionOf(slot)) !== part) return;
      const tags = entries.core.tags_of(slot);
      if (bytes.length + 3 * (text.length + part.length + tags.length) > this.maxPiece - CHUNK - ROOM) {
        this.#skipped.tooLarge++;
        return;
      }
      const numbers = entries.core.save(id, this.#entries, slot, now);
      if (numbers.length === 0) return;
      if (writer.add(part, text, numbers, tags, codec, bytes)) this.#entries++;
      else this.#skipped.tooLarge++;
    };
    try {
      const payload = this.settings.payloads.encode(value);
      if (!("then" in payload)) return add(payload);
      return Promise.resolve(payload).then(add, () => void this.#skipped.values++);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) throw error;
      this.#skipped.values++;
    }
  }

  #name(partition: Parameters<typeof nameOf>[0]): string | undefined {
    let name = this.#names.get(partition);
    if (name === undefined) this.#names.set(partition, (name = nameOf(partition) ?? null));
    return name ?? undefined;
  }

  #checkCore(core: unknown): void {
    if (core !== this.insides.entries.core) throw lostCore("save");
  }
}
