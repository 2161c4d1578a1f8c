// Large bodies beside a chain: they go into a store and out of it as streams.

import type { AttachedBodies, BodyWriter, TierHost } from "../tiering.js";
import { ERROR, TIMEOUT, WELL, within } from "./calls.js";
import { failing, Guard, type GuardOptions, recovered } from "./guard.js";
import type { BodyStore } from "./types.js";

/** What nothing deletes is kept so long, in ms: what a 304 makes fresh again keeps its body. */
const KEPT = 7 * 86_400_000;
/** For the store to say that it has all of it, or has deleted it, in ms: nobody waits for that. */
const COMMIT = 30_000;

const stored = (name: string): string => `b:${name}`;

/** What holds for a store of bodies: how long a call may take, in ms, and a body be, and when it is left alone. */
export interface BodyOptions extends GuardOptions {
  readonly timeout: number;
  readonly maxStreamBytes: number;
}

/** Calls the store within bounds of time, and leaves it alone where it fails. Nothing here rejects. */
export class Bodies implements AttachedBodies {
  readonly most: number;
  readonly #timeout: number;
  readonly #reads: Guard;
  readonly #writes: Guard;

  constructor(
    private readonly host: TierHost,
    private readonly store: BodyStore,
    options: BodyOptions,
    log: (line: string) => void,
  ) {
    this.most = options.maxStreamBytes;
    this.#timeout = options.timeout;
    const guard = (lane: string): Guard => {
      const calls = `${lane}s of large bodies`;
      const lines = {
        failing: failing(store.name, calls, "they come from the origin"),
        recovered: recovered(store.name, calls),
      };
      return new Guard(host, options, log, lines);
    };
    this.#reads = guard("read");
    this.#writes = guard("write");
  }

  async open(name: string, start: number, end: number): Promise<ReadableStream<Uint8Array> | undefined> {
    if (!this.#reads.admits(this.#timeout)) return undefined;
    const opening = (async () => this.store.getStream(stored(name), start, end))();
    const ended = await within(this.host, this.#timeout, () => opening);
    this.#reads.ended(ended.end === WELL);
    if (ended.end === WELL) return ended.value;
    // What comes late holds a connection.
    opening.then((stream) => stream?.cancel()).catch(() => {});
    return undefined;
  }

  begin(name: string, length: number): BodyWriter | undefined {
    const { host } = this;
    if (!this.#writes.admits(COMMIT)) return undefined;
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
        const { end, value } = (await within(host, this.#timeout, () => written)) as { end: number; value?: boolean };
        fails = end !== WELL || value !== true;
        if (!fails) return true;
        this.#writes.ended(false);
        stop(new Error(end === TIMEOUT ? "the store takes too long" : "the store has failed"));
        return false;
      },
      end: async () => {
        if (fails) return false;
        writer.close().catch(() => {});
        const ended = await within(host, COMMIT, () => put);
        const well = ended.end === WELL && ended.value;
        this.#writes.ended(well);
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
}
