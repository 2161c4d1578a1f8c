import { startTimer, stopTimer } from "../runtime/alarm.js";
import { joined, row } from "../policy/calls.js";
import { Context } from "../policy/context.js";
import { above, type Core, hasNews, SLOT } from "../core/core.js";
import { deferred } from "../runtime/deferred.js";
import type { EntryTable } from "../entries/entries.js";
import { timedOut, tooManyLoads } from "../options/errors.js";
import type { CacheHandle } from "../loads/handle.js";
import { host, keepAlive } from "../runtime/host.js";
import { bytes, names } from "../options/options.js";
import { type CallOptions, lifeOf, or, readContext } from "../policy/policy.js";
import { onAbort } from "../runtime/signals.js";
import type { Loader } from "../types/loader.js";

/** A write-through or a computation under way. */
export interface Write<K, V> {
  readonly number: number;
  readonly handle: CacheHandle<K, V>;
  readonly key: K;
  readonly options: CallOptions<K>;
  /** Whether the value is computed from the one that is there, and no source is written. */
  readonly computes: boolean;
}

/** A value that was written or computed, as it is stored, and what tells the core of it. */
interface WrittenValue<V> {
  readonly stored: V | undefined;
  readonly tell: (core: Core, number: number, slot: number) => number;
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
    // Once: what is stored later is not this write's to delete.
    const giveUp = (error: unknown): void => {
      forget();
      this.remove(write);
      ctx.abort(error);
      reject(error);
    };
    const abort = (): void => giveUp(signal!.reason);
    const late = (): void => giveUp(timedOut(key, hardTimeout));
    const timer = startTimer(late, hardTimeout);
    let forgetSignal: (() => void) | undefined;
    const forget = (): void => {
      stopTimer(timer);
      forgetSignal?.();
    };
    if (signal !== undefined) forgetSignal = onAbort(signal, abort);
    const ended = this.write(write, writer, ctx).finally(forget);
    ended.then(resolve, reject);
    keepAlive(ended);
    return promise;
  }

  /** `undefined` when there is no number left. */
  begin(handle: CacheHandle<K, V>, key: K, options: CallOptions<K>, now: number, computes: boolean) {
    const { entries } = this;
    const { core } = entries;
    const known = entries.slotOf(handle.partition, key);
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
      this.end(write, this.brought(write, value, ctx));
    } catch (error) {
      this.end(write, undefined);
      throw error;
    }
    return value;
  }

  /** What a writer or a computation brought, as the core is told of it. */
  private brought(
    { handle, key, options, computes }: Write<K, V>,
    value: V | undefined,
    ctx: Context<K, V> | undefined,
  ): WrittenValue<V> {
    const said = ctx && readContext(ctx);
    const tags = ctx?.tags === undefined ? undefined : names("ctx.tags", ctx.tags);
    const skip = ctx === undefined ? value === undefined : ctx.skipped;
    let weight = NaN;
    if (ctx?.bytes !== undefined) weight = bytes("ctx.bytes", ctx.bytes);
    else if (Number.isNaN(options.bytes)) weight = skip ? 0 : handle.weigh(key, value as V);
    const stored = this.entries.copy(value, key);
    const mayJitter = handle.defaults.jitter > 0 || options.jitter > 0 || (said !== undefined && said.jitter > 0);
    const random = mayJitter ? this.random() : 0;
    const now = this.entries.clock.read();
    const absent = value === undefined || value === null;
    const tell = (core: Core, number: number, slot: number): number =>
      core.written(number, computes, slot, now, weight, absent, random, skip, row(said), joined(tags));
    return { stored, tell };
  }

  /** Ends a write; without `written` nobody knows how it ended. */
  private end(write: Write<K, V>, written: WrittenValue<V> | undefined): void {
    const { entries } = this;
    const number = this.forget(write) ? write.number : GIVEN_UP;
    // What was loaded before the write, wherever it lies, is not what the source has.
    entries.changes?.purge(write.handle.place, "key", write.key);
    this.tell(write, number, written);
  }

  /** Ends a computation with the next value, or `undefined` for none. Does nothing if it has ended, or was given up. */
  computed(write: Write<K, V>, value: V | undefined): void {
    const { key, options } = write;
    const { place, defaults, partition } = write.handle;
    const computed = this.brought(write, value, undefined);
    const isStored = this.forget(write) && this.tell(write, write.number, computed);
    const { changes } = this.entries;
    if (isStored) changes?.set(place, key, computed.stored, lifeOf(defaults, options, undefined, value));
    // It was taken out, was too heavy or is over at once: what lies below is older.
    else if (this.entries.slotOf(partition, key) === 0) changes?.purge(place, "key", key);
  }

  /** Ends a computation that failed: what was there stays. */
  notComputed(write: Write<K, V>): void {
    if (this.forget(write)) this.tell(write, write.number, undefined);
  }

  /** Whether it was still under way. */
  private forget(write: Write<K, V>): boolean {
    const isUnderWay = this.writes[write.number] === write;
    if (isUnderWay) this.writes[write.number] = undefined;
    return isUnderWay;
  }

  /** Tells the core how one ended, and whether its value is stored. */
  private tell({ handle, key, computes }: Write<K, V>, number: number, brought: WrittenValue<V> | undefined): boolean {
    const { entries } = this;
    const now = entries.clock.readOrLast();
    const slot = entries.safely((core) => {
      const known = entries.slotOf(handle.partition, key);
      const code =
        brought === undefined ? core.write_failed(number, computes, known, now) : brought.tell(core, number, known);
      if (hasNews(code)) entries.drain();
      if ((code & SLOT) !== 0) entries.put(code & SLOT, brought!.stored as V);
      return code & SLOT;
    });
    entries.flush();
    return slot !== 0;
  }

  private remove({ handle, key }: Write<K, V>): void {
    const { entries } = this;
    entries.changes?.purge(handle.place, "key", key);
    const slot = entries.slotOf(handle.partition, key);
    if (slot === 0) return;
    const now = entries.clock.readOrLast();
    entries.safely((core) => {
      if (hasNews(core.write_left(slot, now))) entries.drain();
    });
    entries.flush();
  }
}
