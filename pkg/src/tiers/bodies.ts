// Large bodies beside a chain: they go into a store and out of it as streams.

import type { AttachedBodies, BodyWriter, TierHost } from "../tiering.js";
import { ERROR, TIMEOUT, WELL, within } from "./calls.js";
import type { BodyStore } from "./types.js";
import { Gate } from "./wasm.js";

/** What nothing deletes is kept so long, in ms: what a 304 makes fresh again keeps its body. */
const KEPT = 7 * 86_400_000;
/** For the store to say that it has all of it, or has deleted it, in ms: nobody waits for that. */
const COMMIT = 30_000;
const FAILURES = 5;
const COOLDOWN = 5_000;

const stored = (name: string): string => `b:${name}`;

/** Calls the store within bounds of time, and leaves it alone where it fails. Nothing here rejects. */
export class Bodies implements AttachedBodies {
  readonly #reads = new Gate(FAILURES, COOLDOWN);
  readonly #writes = new Gate(FAILURES, COOLDOWN);

  constructor(
    private readonly host: TierHost,
    private readonly store: BodyStore,
    readonly most: number,
    private readonly timeout: number,
    private readonly log: (line: string) => void,
  ) {}

  async open(name: string, start: number, end: number): Promise<ReadableStream<Uint8Array> | undefined> {
    const { host, timeout } = this;
    if (!this.#reads.admits(host.now(), timeout)) return undefined;
    const opening = (async () => this.store.getStream(stored(name), start, end))();
    const ended = await within(host, timeout, () => opening);
    this.#told("read", this.#reads, ended.end === WELL);
    if (ended.end === WELL) return ended.value;
    // What comes late holds a connection.
    opening.then((stream) => stream?.cancel()).catch(() => {});
    return undefined;
  }

  begin(name: string, length: number): BodyWriter | undefined {
    const { host, timeout } = this;
    if (!this.#writes.admits(host.now(), COMMIT)) return undefined;
    // Of JS: workerd pipes no stream of its own into another.
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    let fails = false;
    const putting = (async () => this.store.setStream({ name: stored(name), length, ttl: KEPT, stream: readable }))();
    const put = putting.then(
      () => true,
      () => false,
    );
    const stop = (reason: unknown): void => void writer.abort(reason).catch(() => {});
    return {
      write: async (part) => {
        if (fails) return false;
        // A store that has failed may read no further.
        const written = Promise.race([writer.write(part).then(() => true), put]);
        const { end, value } = (await within(host, timeout, () => written)) as { end: number; value?: boolean };
        fails = end !== WELL || value !== true;
        if (!fails) return true;
        this.#told("write", this.#writes, false);
        stop(new Error(end === TIMEOUT ? "the store takes too long" : "the store has failed"));
        return false;
      },
      end: async () => {
        if (fails) return false;
        writer.close().catch(() => {});
        const ended = await within(host, COMMIT, () => put);
        const well = ended.end === WELL && ended.value;
        this.#told("write", this.#writes, well);
        // It may get there all the same.
        if (ended.end === TIMEOUT || ended.end === ERROR) await this.remove(name);
        return well;
      },
      abandon: stop,
    };
  }

  async remove(name: string): Promise<void> {
    await within(this.host, COMMIT, () => this.store.delete(stored(name)));
  }

  #told(what: string, gate: InstanceType<typeof Gate>, well: boolean): void {
    const change = gate.ended(this.host.now(), well);
    const { name } = this.store;
    if (change === 1) this.log(`nearcache: ${name} fails (${what}s of large bodies); they come from the origin`);
    if (change === 2) this.log(`nearcache: ${name} works again (${what}s of large bodies)`);
  }
}
