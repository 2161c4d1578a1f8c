import { startTimer, stopTimer } from "./alarm.js";
import { joined, row } from "./calls.js";
import { Context } from "./context.js";
import { above, hasNews, SLOT } from "./core.js";
import { deferred } from "./deferred.js";
import type { EntryTable } from "./entries.js";
import { timedOut, tooManyLoads } from "./errors.js";
import type { CacheHandle } from "./handle.js";
import { host, keepAlive } from "./host.js";
import { bytes, names } from "./options.js";
import { type CallOptions, or, readContext } from "./policy.js";
import { onAbort } from "./signals.js";
import type { Loader } from "./loader.js";

/** A write-through or a computation under way. */
export interface Write<K, V> {
  readonly number: number;
  readonly handle: CacheHandle<K, V>;
  readonly key: K;
  readonly options: CallOptions<K>;
  /** Whether the value is computed from the one that is there, and no source is written. */
  readonly computes: boolean;
}

/** The number of no write: the core takes it for one that was given up. */
const GIVEN_UP = 2 ** 32 - 1;

/** Write-through: the source first, then the cache, which holds nothing that the source may not have. */
export class Updates<K, V> {
  /** By their numbers, which the core uses again when it has given a write up. */
  private readonly writes: (Write<K, V> | undefined)[] = [];

  constructor(
    private readonly entries: EntryTable<K, V>,
    private readonly random: () => number,
  ) {}

  /** Writes, and stores what the source then has. */
  run(handle: CacheHandle<K, V>, key: K, writer: Loader<K, V>, options: CallOptions<K>): Promise<V> {
    const { entries } = this;
    const now = entries.clock.read();
    const begun = entries.safely(() => this.begin(handle, key, options, now, false));
    if (begun === undefined) return Promise.reject(tooManyLoads(key));
    entries.flush();

    const { write, stale } = begun;
    const { signal } = options;
    const hardTimeout = or(options.hardTimeout, handle.defaults.hardTimeout);
    const ctx = new Context<K, V>(key, stale);
    const { promise, resolve, reject } = deferred<V>();
    // Who does not wait for the end does not know how it will be: the key goes at once, and again at the end.
    const giveUp = (error: unknown): void => {
      this.remove(write);
      ctx.abort(error);
      reject(error);
    };
    const abort = (): void => giveUp(signal!.reason);
    const late = (): void => giveUp(timedOut(key, hardTimeout));
    const timer = startTimer(late, hardTimeout);
    const forget = signal === undefined ? undefined : onAbort(signal, abort);
    const ended = this.write(write, writer, ctx).finally(() => {
      stopTimer(timer);
      forget?.();
    });
    ended.then(resolve, reject);
    keepAlive(ended);
    return promise;
  }

  /** `undefined` when there is no number left. */
  begin(handle: CacheHandle<K, V>, key: K, options: CallOptions<K>, now: number, computes: boolean) {
    const { entries } = this;
    const { core } = entries;
    const known = handle.slots.get(key) ?? 0;
    const number = handle.number(core);
    const willDo = known !== 0 && (computes ? core.is_fresh(known, now) : core.is_usable(known, now));
    const stale = willDo ? entries.valueAt(known) : undefined;
    const answer = core.begin_write(
      known,
      number,
      known === 0 ? entries.hash(key, handle.partition) : 0,
      now,
      entries.policies.number(handle.defaults.policy),
      host.requestBound && !computes,
      computes,
      row(options, options.bytes),
      joined(options.tags),
    );
    if (answer < 0) {
      entries.columns.look();
      return undefined;
    }
    const code = answer | 0;
    if (hasNews(code)) entries.drain();
    if (known === 0) entries.place(code & SLOT, key, handle.partition, number);
    const write: Write<K, V> = { number: above(answer), handle, key, options, computes };
    this.writes[write.number] = write;
    return { write, stale };
  }

  private async write(write: Write<K, V>, writer: Loader<K, V>, ctx: Context<K, V>): Promise<V> {
    let value: V;
    try {
      value = await writer(write.key, ctx);
      const written = this.written(write, value, ctx);
      this.end(write, written);
    } catch (error) {
      this.end(write, undefined);
      throw error;
    }
    return value;
  }

  /** How the core is told of a value that was written. */
  private written(
    { handle, key, options }: Write<K, V>,
    value: V,
    ctx: Context<K, V>,
  ): (number: number, slot: number) => void {
    const said = readContext(ctx);
    const tags = ctx.tags === undefined ? undefined : names("ctx.tags", ctx.tags);
    let weight = NaN;
    if (ctx.bytes !== undefined) weight = bytes("ctx.bytes", ctx.bytes);
    else if (Number.isNaN(options.bytes)) weight = ctx.skipped ? 0 : handle.weigh(key, value);
    const stored = this.entries.copy(value, key);
    const mayJitter = handle.defaults.jitter > 0 || options.jitter > 0 || said.jitter > 0;
    const random = mayJitter ? this.random() : 0;
    const now = this.entries.clock.read();
    return (number, slot) => {
      const { entries } = this;
      const code = entries.core.written(
        number,
        false,
        slot,
        now,
        weight,
        value === undefined || value === null,
        random,
        ctx.skipped,
        row(said),
        joined(tags),
      );
      if (hasNews(code)) entries.drain();
      if ((code & SLOT) !== 0) entries.put(code & SLOT, stored);
    };
  }

  /** Ends a write; without `written` nobody knows how it ended. */
  private end(write: Write<K, V>, written: ((number: number, slot: number) => void) | undefined): void {
    const { entries, writes } = this;
    const isOwn = writes[write.number] === write;
    if (isOwn) writes[write.number] = undefined;
    const number = isOwn ? write.number : GIVEN_UP;
    const now = entries.clock.readOrLast();
    // What was loaded before the write, wherever it lies, is not what the source has.
    entries.changes?.purge(write.handle.place, "key", write.key);
    entries.safely((core) => {
      const slot = write.handle.slots.get(write.key) ?? 0;
      if (written !== undefined) written(number, slot);
      else if (hasNews(core.write_failed(number, false, slot, now))) entries.drain();
    });
    entries.flush();
  }

  /** Ends a computation by the core's word for it. Does nothing if it has ended, or was given up. */
  endComputed(write: Write<K, V>, end: (number: number, slot: number) => number, value?: V): boolean {
    const { entries, writes } = this;
    if (writes[write.number] !== write) return false;
    writes[write.number] = undefined;
    const isStored = entries.safely(() => {
      const code = end(write.number, write.handle.slots.get(write.key) ?? 0);
      if (hasNews(code)) entries.drain();
      if ((code & SLOT) !== 0) entries.put(code & SLOT, value as V);
      return (code & SLOT) !== 0;
    });
    entries.flush();
    return isStored;
  }

  private remove({ handle, key }: Write<K, V>): void {
    const slot = handle.slots.get(key);
    if (slot === undefined) return;
    const now = this.entries.clock.readOrLast();
    this.entries.safely((core) => {
      if (hasNews(core.write_left(slot, now))) this.entries.drain();
    });
    this.entries.flush();
  }
}
