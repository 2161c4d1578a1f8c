import { Alarm, startTimer, stopTimer } from "../runtime/alarm.js";
import type { Asker } from "../batches/asker.js";
import { joined, row } from "../policy/calls.js";
import { nowFor } from "../runtime/clock.js";
import { Context } from "../policy/context.js";
import * as core from "../core/core.js";
import { type EntryTable, FailureCached, type Untold } from "../entries/entries.js";
import { invalidValue, isMisuse, nobodyWaits } from "../options/errors.js";
import { type Ask, type Flight, hardTimeoutOf, softTimeoutOf, type Wait } from "./flight.js";
import type { CacheHandle } from "./handle.js";
import { Queue } from "./queue.js";
import { host, keepAlive } from "../runtime/host.js";
import { bytes, duration, names } from "../options/options.js";
import { ageOf, lifeOf, or, readContext, refuses } from "../policy/policy.js";
import { onAbort } from "../runtime/signals.js";
import type { AttachedTiers } from "../types/tiering.js";
import { deferred, isThenable, trusted } from "../runtime/deferred.js";

/** How many loads may be under way where the core is told late of one: it has numbers for twice as many. */
const MANY = 1 << 20;

/** What a load's promise calls. Two functions made anew for each load are a twentieth of what it costs. */
interface Ending<K, V> {
  flight: Flight<K, V> | undefined;
  readonly loaded: (value: V) => void;
  readonly failed: (error: unknown) => void;
}

/** Answers by which the core has a load begin. */
const BEGINS: ReadonlySet<number> = new Set([
  core.LEAD_ABSENT,
  core.LEAD_EXPIRED,
  core.LEAD_FORCED,
  core.LEAD_INVALID,
  core.REFRESH_AHEAD,
  core.REFRESH_STALE,
]);

/** How many are kept for loads to come. */
const MOST_ENDINGS = 64;

/** A get that an error ended after the core's answer, as where the stack is full, with the load that was made of it, if it came to that. */
interface Unbegun<K, V> {
  readonly answer: number;
  readonly flight: Flight<K, V> | undefined;
  /** The core's number for the load while it knows it; `undefined` before that was looked up. */
  index: number | undefined;
  next: Unbegun<K, V> | undefined;
}

/** Loads under way: calls the loaders, and tells the core and those who wait how they ended. */
export class Loads<K, V> implements Untold {
  readonly alarm = new Alarm(true);
  /** The load or batch whose code is on the stack. */
  asker: Asker | undefined = undefined;
  /** Whether any value may be refreshed ahead of its end. */
  ahead = false;
  /** There if loads are limited. */
  readonly queue: Queue<K, V> | undefined;
  private flights: (Flight<K, V> | undefined)[] = [];
  /** Of these, one that the core has yet to be told of: of a key that was not there, with nothing said. */
  private untold: Flight<K, V> | undefined = undefined;
  private live = 0;
  /** What is to be given up before the core is asked for anything. */
  unbegun: Unbegun<K, V> | undefined = undefined;
  /** Those that no load has just now. */
  private readonly endings: Ending<K, V>[] = [];

  constructor(
    private readonly entries: EntryTable<K, V>,
    private readonly random: () => number,
    private readonly onAlarm: (at: number) => void,
    private readonly onAskAgain: (wait: Wait<K, V>) => Promise<V>,
  ) {
    const { loads } = entries.options;
    this.queue = loads === undefined ? undefined : new Queue(entries, this, loads.queued);
    if (host.requestBound) entries.onFlightEnded = (index) => this.end(this.flights[index]);
    entries.onRenewed.push(() => this.orphan());
  }

  /** The flight with this number. */
  at(index: number): Flight<K, V> | undefined {
    return this.flights[index];
  }

  /** Whether the core knows the flight, and has not ended it. */
  isLive(flight: Flight<K, V>): boolean {
    return this.flights[flight.index] === flight;
  }

  /** Loads that the core takes for begun, and are not, are given up: whoever asks for their keys next leads anew. */
  giveUpUnbegun(): void {
    for (let unbegun = this.unbegun; unbegun !== undefined; unbegun = this.unbegun) {
      this.unbegun = unbegun.next;
      try {
        this.giveUp(unbegun);
      } catch (error) {
        unbegun.next = this.unbegun;
        this.unbegun = unbegun;
        throw error;
      }
    }
  }

  /** May have to be called again, where the stack is still full. */
  private giveUp(unbegun: Unbegun<K, V>): void {
    const { entries } = this;
    const { answer, flight } = unbegun;
    if (unbegun.index === undefined) {
      if (flight !== undefined && (flight.hasBegun || flight.over)) return;
      if (flight !== undefined && flight === this.untold && flight.index < 0) {
        this.rest();
        this.untold = entries.untold = undefined;
        return;
      }
      const isToBegin = BEGINS.has(core.kind(answer | 0));
      const index = flight?.index ?? (isToBegin ? core.above(answer) : -1);
      const known = this.flights[index];
      if (index < 0 || (known !== undefined && known !== flight)) return;
      if (flight !== undefined) {
        this.forget(flight);
        flight.over = true;
      }
      unbegun.index = index;
    }
    const { index } = unbegun;
    if (index >= 0) {
      entries.safely((core) => core.lost(index));
      unbegun.index = -1;
    }
    entries.safely(() => entries.drain());
    flight?.ctx.abort(nobodyWaits(flight.key));
  }

  /** The load is gone with its request. */
  lose(flight: Flight<K, V>): void {
    if (!this.isLive(flight)) return;
    this.forget(flight);
    flight.over = true;
    if (core.hasNews(this.entries.core.lost(flight.index))) this.entries.drain();
  }

  /**
   * Whether the core need not hear at once of a get that finds no key and says nothing. It would answer that this one leads,
   * and nothing that comes of it can be seen before somebody asks or tells the core something: then it hears of that get first,
   * as of the moment when it came. If the load ends before, it hears of both together, by one call.
   */
  mayLag(handle: CacheHandle<K, V>): boolean {
    const { entries } = this;
    // How long a load took is to be known of what is refreshed ahead.
    const isHeard = entries.hooks.miss !== undefined || handle.defaults.refreshAhead > 0;
    return !isHeard && this.asker === undefined && this.queue === undefined && this.live < MANY && !host.requestBound;
  }

  /** Tells the core of the get that it does not know of. */
  tell(machine: core.Core): void {
    const { entries, untold: flight } = this;
    if (flight === undefined) return;
    const { handle, key, askedAt } = flight;
    const { partition, defaults } = handle;
    const number = handle.number(machine);
    // Unless it has asked already, and the stack was too full for what follows.
    let hasNews = true;
    if (flight.index < 0) {
      const policy = entries.policies.number(defaults.policy);
      const answer = machine.ask(0, number, entries.hash(key, partition), askedAt, policy, false, NaN, -1);
      flight.slot = answer & core.SLOT;
      flight.index = (answer / 4_294_967_296) | 0;
      this.flights[flight.index] = flight;
      hasNews = core.hasNews(answer | 0);
    }
    if (hasNews) entries.drain();
    entries.place(flight.slot, key, partition, number);
    this.untold = undefined;
  }

  /** Calls what is a user's and may ask for keys: whatever it asks for before it first awaits, `asker` waits for. */
  runAs<T>(asker: Asker | undefined, call: () => T): T {
    const outer = this.asker;
    this.asker = asker;
    try {
      return call();
    } finally {
      this.asker = outer;
    }
  }

  /** Calls the loader. */
  begin(flight: Flight<K, V>, now: number): Flight<K, V> {
    const { handle } = flight;
    if (flight.index < 0) {
      this.untold = flight;
      this.entries.untold = this;
    } else {
      this.flights[flight.index] = flight;
    }
    if (this.live++ === 0) this.alarm.onAlarm = this.onAlarm;
    this.ahead ||= handle.defaults.refreshAhead > 0 || (flight.options?.refreshAhead ?? 0) > 0;
    if (host.requestBound) this.bind(flight);
    else this.setAlarm(flight, now);
    if (this.queue === undefined || !this.queue.holds(flight, now)) this.attempt(flight);
    flight.hasBegun = true;
    return flight;
  }

  /** The turn of a load has come that had to wait. */
  beginLate(flight: Flight<K, V>): void {
    if (flight.over && !flight.orphaned) return;
    const { key, background } = flight;
    // What was there when it was asked for may be gone.
    const now = this.entries.clock.readOrLast();
    if (flight.over && !flight.orphaned) return;
    const slot = this.entries.safely((core) => core.last_good(flight.index, now));
    const stale = slot === 0 ? undefined : this.entries.valueAt(slot);
    flight.ctx = new Context<K, V>(key, stale, 1, background);
    this.attempt(flight);
    this.entries.flush();
  }

  private attempt(flight: Flight<K, V>): void {
    const { key, ctx } = flight;
    const outer = this.asker;
    this.asker = flight;
    let loaded: V | PromiseLike<V>;
    try {
      const { loader } = flight;
      loaded = this.entries.tiers === undefined ? loader(key, ctx) : this.loadByTiers(flight, this.entries.tiers);
      const promise = isThenable(loaded) ? trusted(loaded) : undefined;
      if (promise !== undefined) {
        const ending = this.endings.pop() ?? this.makeEnding();
        ending.flight = flight;
        promise.then(ending.loaded, ending.failed);
        this.asker = outer;
        return;
      }
    } catch (error) {
      this.asker = outer;
      this.failedAtOnce(flight, error);
      return;
    }
    this.asker = outer;
    try {
      this.loaded(flight, loaded as V);
    } catch (error) {
      this.failedAtOnce(flight, error);
    }
  }

  /** A load failed on the stack of who asked. Where that was full, there is room again when whoever called has ended. */
  private failedAtOnce(flight: Flight<K, V>, error: unknown): void {
    if (error instanceof RangeError) void Promise.resolve().then(() => this.failed(flight, error));
    else this.failed(flight, error);
  }

  private makeEnding(): Ending<K, V> {
    const ending: Ending<K, V> = {
      flight: undefined,
      loaded: (value) => this.loaded(this.take(ending), value),
      failed: (error) => this.failed(this.take(ending), error),
    };
    return ending;
  }

  /** The load that has ended. Its promise calls nobody a second time. */
  private take(ending: Ending<K, V>): Flight<K, V> {
    const flight = ending.flight!;
    ending.flight = undefined;
    if (this.endings.length < MOST_ENDINGS) this.endings.push(ending);
    return flight;
  }

  /** The delay after a failed attempt is over. */
  private tryAgain(flight: Flight<K, V>, error: unknown): void {
    if (!this.isLive(flight)) return;
    const now = this.entries.clock.readOrLast();
    if (!this.isLive(flight)) return;
    if (!this.entries.safely((core) => core.may_try_again(flight.index, now))) {
      this.failed(flight, error, true);
      return;
    }
    const { key, stale, attempt, background } = flight.ctx;
    // A copy of its own for each attempt, where loaders get copies.
    const shown = this.entries.copies && stale !== undefined ? this.entries.valueAt(flight.slot) : stale;
    flight.ctx = new Context<K, V>(key, shown, attempt + 1, background);
    this.attempt(flight);
  }

  /** A chain of tiers is a loader: it asks its tiers, and then the one that was given. */
  private loadByTiers(flight: Flight<K, V>, tiers: AttachedTiers): Promise<V> {
    const { handle, key, options, ctx, loader } = flight;
    const { entries } = this;
    return tiers.load({
      key,
      place: handle.place,
      ctx,
      forced: options?.forceFresh,
      age: () => entries.dated(flight.slot, entries.clock.known()).age,
      load: () => this.runAs(flight, () => loader(key, ctx)),
      accept: (value) => {
        if (this.refuses(flight, value)) throw invalidValue(key);
        this.weigh(flight, value as V);
        entries.copy(value, key);
        return lifeOf(handle.defaults, options, ctx, value);
      },
      refuses: (value) => this.refuses(flight, value),
    }) as Promise<V>;
  }

  /** What a loader's value weighs; NaN if nobody says. @throws {NearCacheError} `ERR_OPTION`, `ERR_BYTES`, and what `sizeOf` throws. */
  private weigh({ handle, key, options, ctx }: Flight<K, V>, value: V): number {
    if (ctx.bytes !== undefined) return bytes("ctx.bytes", ctx.bytes);
    if (options !== undefined && !Number.isNaN(options.bytes)) return NaN;
    return ctx.skipped ? 0 : handle.weigh(key, value);
  }

  private refuses({ handle, key, options }: Flight<K, V>, value: unknown): boolean {
    const validate = options?.validate ?? handle.defaults.validate;
    return validate !== undefined && refuses(validate, value, key);
  }

  /** In a Worker the load outlives the answer of the request that began it, and is told to stop in that request. */
  private bind(flight: Flight<K, V>): void {
    const home = deferred<unknown>();
    flight.home = home.resolve;
    keepAlive(
      home.promise.then((reason) => {
        if (reason !== undefined) flight.ctx.abort(reason);
      }),
    );
  }

  /** There is a deadline more. */
  setAlarm(ask: Ask<K, V>, now: number): void {
    const at = Math.floor(ask.askedAt) + Math.min(softTimeoutOf(ask), hardTimeoutOf(ask));
    if (at < this.alarm.at) this.alarm.set(at, now);
  }

  private loaded(flight: Flight<K, V>, value: V): void {
    if (!flight.over && this.refuses(flight, value)) {
      this.failed(flight, invalidValue(flight.key));
      return;
    }
    flight.loaded = true;
    flight.value = value;
    if (flight.over) return this.settleOrphan(flight);
    try {
      this.bring(flight, value);
    } catch (error) {
      // Those who wait get what the loader brought all the same, if no core will tell them of it any more.
      if (flight.over) flight.orphaned = true;
      if (this.entries.recover(error) || flight.over) {
        flight.settle(this.onAskAgain);
        return;
      }
      flight.loaded = false;
      this.failed(flight, error);
    }
  }

  private bring(flight: Flight<K, V>, value: V): void {
    const { entries } = this;
    const { handle, key, options, ctx } = flight;
    const plain = ctx.saysNothing;
    const said = plain ? undefined : readContext(ctx);
    const tags = ctx.tags === undefined ? undefined : names("ctx.tags", ctx.tags);
    const weight = this.weigh(flight, value);
    const stored = entries.copy(value, key);
    const mayJitter = handle.defaults.jitter > 0 || (options?.jitter ?? 0) > 0 || (said?.jitter ?? 0) > 0;
    const random = mayJitter ? this.random() : 0;
    this.ahead ||= (said?.refreshAhead ?? 0) > 0;
    const now = nowFor(entries.clock, or(said?.ttl ?? NaN, or(options?.ttl ?? NaN, handle.defaults.ttl)));
    const absent = value === undefined || value === null;
    if (said === undefined && entries.hooks.load === undefined) {
      const policy = entries.policies.number(handle.defaults.policy);
      // All this was the user's, and may have told the core.
      if (flight === this.untold && flight.index < 0) {
        const { present } = entries;
        const number = handle.number(present);
        const hash = entries.hash(key, handle.partition);
        try {
          const code = present.load(number, hash, flight.askedAt, now, policy, weight, absent, random);
          this.untold = entries.untold = undefined;
          if (--this.live === 0) this.alarm.onAlarm = undefined;
          entries.inserted(code, 0, key, stored, handle.partition, number);
        } catch (error) {
          entries.tear(error);
          throw error;
        }
        flight.over = true;
        flight.settle(this.onAskAgain);
        entries.flush();
        return;
      }
    }
    // Or have ended the load by using the cache.
    if (flight.over) return this.settleOrphan(flight);
    const machine = entries.core;
    const answer =
      said === undefined
        ? machine.brought(flight.index, now, weight, absent, random)
        : machine.brought_with(
            flight.index,
            now,
            weight,
            absent,
            random,
            ctx.skipped,
            ageOf(ctx),
            row(said),
            joined(tags),
          );
    const code = answer | 0;
    const isStored = ((code >>> 27) & 7) === core.STORED;
    // At once: the core takes it for there, and the stack may have no room for more.
    if (isStored && entries.hooks.evict === undefined) entries.values[flight.slot] = stored;
    // With no call of ours, for which the stack may have no room: the core does not know it any more.
    if (this.flights[flight.index] === flight) {
      this.flights[flight.index] = undefined;
      if (--this.live === 0) this.alarm.onAlarm = undefined;
    }
    flight.over = true;
    if (isStored && (code & core.SLOT) !== 0) entries.evicted(code & core.SLOT);
    if (core.hasNews(code)) entries.drain();
    if ((code & core.ASK_AGAIN) !== 0) {
      flight.again = new Set();
      for (let group = entries.core.ask_again(); group >= 0; group = entries.core.ask_again()) flight.again.add(group);
    }
    if (isStored) {
      entries.put(flight.slot, stored);
      if (flight.isDetailed) flight.dated = entries.dated(flight.slot, now);
    }
    const { hooks } = entries;
    if (hooks.load !== undefined) {
      const { background } = flight;
      hooks.notify("load", { key, place: handle.place, duration: core.above(answer), background });
    }
    // Who asks again may begin another load, which comes after this one.
    flight.settle(this.onAskAgain);
    entries.flush();
  }

  /** Those who wait for a load that no core knows any more get what came of it. */
  private settleOrphan(flight: Flight<K, V>): void {
    if (flight.orphaned) flight.settle(this.onAskAgain);
  }

  private failed(flight: Flight<K, V>, error: unknown, isLast = false): void {
    flight.failed = true;
    flight.error = error;
    if (flight.over) return this.settleOrphan(flight);
    try {
      this.fail(flight, error, isLast);
    } catch (trap) {
      if (flight.over) flight.orphaned = true;
      if (!this.entries.recover(trap) && !flight.over) throw trap;
      flight.settle(this.onAskAgain);
    }
  }

  private fail(flight: Flight<K, V>, error: unknown, isLast: boolean): void {
    const { entries } = this;
    const { handle, key, background } = flight;
    const mayRetry = !isLast && mayTryAgain(flight, error);
    const random = mayRetry ? orHalf(this.random) : 0;
    const backoff = backoffOf(flight, error);
    const now = entries.clock.readOrLast();
    // The rule is the user's, and may have ended the load by using the cache.
    if (flight.over) return this.settleOrphan(flight);
    const answer = entries.core.failed(flight.index, now, backoff, mayRetry, random);
    const code = answer | 0;
    const kind = core.kind(code) & 7;
    const { slot } = flight;
    if (kind === core.RETRY) {
      flight.failed = false;
      const timer = startTimer(() => this.tryAgain(flight, error), core.above(answer));
      // What nobody waits for keeps no process alive.
      onAbort(flight.ctx.signal, () => stopTimer(timer));
      return;
    }
    // With no call of ours, as in `bring`.
    if (this.flights[flight.index] === flight) {
      this.flights[flight.index] = undefined;
      if (--this.live === 0) this.alarm.onAlarm = undefined;
    }
    flight.over = true;
    if (core.hasNews(code)) entries.drain();
    if (kind === core.SERVED_STALE) {
      flight.rescued = true;
      flight.failed = false;
      flight.loaded = true;
      flight.value = entries.values[slot] as V;
      if (flight.isDetailed) flight.dated = entries.dated(slot, now);
    } else if (kind === core.FAILURE_CACHED) {
      entries.put(slot, new FailureCached(error));
    }
    flight.settle(this.onAskAgain);
    const { hooks } = entries;
    const event = { key, place: handle.place };
    if (hooks.error !== undefined) {
      hooks.notify("error", { ...event, duration: core.above(answer), background, error });
    }
    if (flight.rescued && !background && hooks.stale !== undefined) {
      hooks.notify("stale", { ...event, cause: "error" });
    }
    entries.flush();
  }

  /** Nobody waits for the flight any more: its load is told to stop, in its own request. */
  end(flight: Flight<K, V> | undefined): void {
    if (flight === undefined || !this.isLive(flight)) return;
    this.forget(flight);
    flight.over = true;
    const reason = nobodyWaits(flight.key);
    if (flight.home === undefined) flight.ctx.abort(reason);
    else flight.home(reason);
  }

  private forget(flight: Flight<K, V>): void {
    if (!this.isLive(flight)) return;
    this.rest();
    this.flights[flight.index] = undefined;
  }

  /** There is a load less. */
  private rest(): void {
    if (--this.live === 0) this.alarm.onAlarm = undefined;
  }

  /** The core is another one now. What is under way goes on without it, until its deadline or half a minute more. */
  private orphan(): void {
    const flights = [...this.flights, this.untold];
    // What another core's flights are called by is nothing to the new one, also where there is no room for more than this.
    for (let i = 0; i < flights.length; i++) {
      const flight = flights[i];
      if (flight !== undefined) flight.orphaned = flight.over = true;
    }
    this.flights = [];
    this.untold = this.unbegun = undefined;
    this.live = 0;
    this.alarm.onAlarm = undefined;
    this.queue?.release();
    for (const flight of flights) {
      if (flight === undefined) continue;
      for (const wait of flight.waits()) {
        // In a Worker each has a timer of its own.
        const timer = !host.requestBound ? startTimer(() => wait.timeOut(), hardTimeoutOf(wait.ask)) : undefined;
        const settled = (): void => stopTimer(timer);
        wait.promise.then(settled, settled);
      }
    }
  }
}

/** A random number, though the user's source of them throws. */
function orHalf(random: () => number): number {
  try {
    return random();
  } catch {
    return 0.5;
  }
}

/** For how long the key is not loaded again, if its loader or a rule of the user's says. What a rule throws counts as no time. */
function backoffOf<K, V>({ handle, key, options, ctx }: Flight<K, V>, error: unknown): number {
  try {
    if (ctx.errorBackoff !== undefined) return duration("ctx.errorBackoff", ctx.errorBackoff);
    const isSaid = options !== undefined && !Number.isNaN(options.errorBackoff);
    const rule = isSaid ? undefined : (options?.backoffRule ?? handle.defaults.backoffRule);
    return rule === undefined ? NaN : duration("errorBackoff", rule(error, key) ?? 0);
  } catch {
    return 0;
  }
}

/** Whether a rule of the user's lets a load be tried again. What it throws counts as no. */
function mayTryAgain<K, V>({ handle, key, options }: Flight<K, V>, error: unknown): boolean {
  const rule = options === undefined || Number.isNaN(options.attempts) ? handle.defaults.retryRule : options.retryRule;
  try {
    return rule === undefined ? !isMisuse(error) : rule(error, key) === true;
  } catch {
    return false;
  }
}
