// Large bodies beside a chain: they go into a store and out of it as streams.

import type { BodyStats } from "../types/stats.js";
import type { AttachedBodies, BodyWriter, TierHost } from "../types/tiering.js";
import { TIMEOUT, WELL, within } from "./calls.js";
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
  readonly #figures = {
    asked: 0,
    skipped: 0,
    hits: 0,
    misses: 0,
    refused: 0,
    lost: 0,
    readErrors: 0,
    readTimeouts: 0,
    writes: 0,
    bytesWritten: 0,
    writeErrors: 0,
    writesSkipped: 0,
    abandoned: 0,
  };

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
    const figures = this.#figures;
    if (!this.#reads.admits(this.#timeout)) {
      figures.skipped++;
      return undefined;
    }
    figures.asked++;
    const opening = (async () => this.store.getStream(stored(name), start, end))();
    const ended = await within(this.host, this.#timeout, () => opening);
    if (ended.end === WELL && ended.value !== undefined) {
      figures.hits++;
      // How its end is tells whether all is well.
      return ended.value;
    }
    this.#reads.ended(ended.end === WELL);
    if (ended.end === WELL) {
      figures.misses++;
      return undefined;
    }
    figures[ended.end === TIMEOUT ? "readTimeouts" : "readErrors"]++;
    // What comes late holds a connection.
    opening.then((stream) => stream?.cancel()).catch(() => {});
    return undefined;
  }

  begin(name: string, length: number): BodyWriter | undefined {
    const { host } = this;
    const figures = this.#figures;
    if (!this.#writes.admits(COMMIT)) {
      figures.writesSkipped++;
      return undefined;
    }
    // Of JS: workerd pipes no stream of its own into another.
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    const putting = (async () => this.store.setStream({ name: stored(name), length, ttl: KEPT, stream: readable }))();
    const put = putting.then(
      () => true,
      () => false,
    );
    const failed = new Promise<false>((resolve) => putting.then(undefined, () => resolve(false)));
    let isOver = false;
    const stop = (reason: unknown): void => {
      isOver = true;
      writer.abort(reason).catch(() => {});
    };
    const told = (well: boolean): void => {
      isOver = true;
      this.#writes.ended(well);
      figures[well ? "writes" : "writeErrors"]++;
      if (well) figures.bytesWritten += length;
    };
    return {
      write: async (part) => {
        if (isOver) return false;
        // A store that has failed may read no further. One that says too soon that it has all of it is held to reading it.
        const written = Promise.race([writer.write(part).then(() => true), failed]);
        const ended = await within(host, this.#timeout, () => written);
        if (isOver) return false;
        if (ended.end === WELL && ended.value) return true;
        told(false);
        stop(new Error(ended.end === TIMEOUT ? "the store takes too long" : "the store has failed"));
        return false;
      },
      end: async () => {
        if (isOver) return false;
        writer.close().catch(() => {});
        const ended = await within(host, COMMIT, () => put);
        const well = ended.end === WELL && ended.value;
        told(well);
        // It may get there all the same.
        if (ended.end === TIMEOUT) await this.remove(name);
        return well;
      },
      abandon: (reason) => {
        if (isOver) return;
        figures.abandoned++;
        stop(reason);
      },
    };
  }

  async remove(name: string): Promise<void> {
    await within(this.host, COMMIT, () => this.store.delete(stored(name)));
  }

  refuse(name: string): Promise<void> {
    this.#reads.ended(true);
    this.#figures.refused++;
    return this.remove(name);
  }

  lose(): void {
    this.#reads.ended(false);
    this.#figures.lost++;
  }

  had(): void {
    this.#reads.ended(true);
  }

  stats(): BodyStats {
    return { name: this.store.name, ...this.#figures, reads: this.#reads.state, writing: this.#writes.state };
  }
}
