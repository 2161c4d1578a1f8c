import { askWith } from "../policy/calls.js";
import type { Asker } from "../batches/asker.js";
import { ignore } from "../runtime/deferred.js";
import { hostClock, UNREAD } from "../runtime/clock.js";
import { Context } from "../policy/context.js";
import * as core from "../core/core.js";
import { type EntryTable, type FailureCached, NONE } from "../entries/entries.js";
import { recursive, timedOut, tooManyLoads } from "../options/errors.js";
import { type Ask, Flight, hardTimeoutOf, Provenance, Wait } from "./flight.js";
import type { CacheHandle } from "./handle.js";
import { host } from "../runtime/host.js";
import { Joins } from "./joins.js";
import { Loads } from "./loads.js";
import { type CallOptions, refuses, type Validate } from "../policy/policy.js";
import { Requests } from "./requests.js";
import { onAbort } from "../runtime/signals.js";
import type { Events } from "../hooks/events.js";
import type { Loader } from "../types/loader.js";
import type { Details } from "../types/types.js";

/** What `ask_with` is told of a get that asks again: what it was counted as before. */
const MISSED = 1;
const JOINED = 2;

/** Turns the core's answers about loads into promises and timers. */
export class Driver<K, V> {
  readonly loads: Loads<K, V>;
  /** There in a Worker, where each request waits for itself. */
  private readonly requests: Requests<K, V> | undefined;
  readonly onAskAgain = (wait: Wait<K, V>): Promise<V> => this.askAgain(wait);

  constructor(
    readonly entries: EntryTable<K, V>,
    private readonly random: () => number,
  ) {
    this.loads = new Loads(entries, random, (at) => this.onAlarm(at), this.onAskAgain);
    this.requests = host.requestBound ? new Requests(this) : undefined;
  }

  /** Asks the core for a key, and does as it says. `provenance` is filled in where somebody wants to know. */
  ask(
    handle: CacheHandle<K, V>,
    key: K,
    loader: Loader<K, V>,
    options: CallOptions<K> | undefined,
    provenance?: Provenance<K, V>,
  ): Promise<V> {
    try {
      // For whom a loader or a batch asks, the core is to be told.
      const isPlain = options === undefined && provenance === undefined && this.loads.asker === undefined;
      return (isPlain && this.joinAgain(handle, key)) || this.tryAsk(handle, key, loader, options, provenance);
    } catch (error) {
      if (!this.entries.recover(error)) throw error;
      // By a core that has just been made it is a miss, or it is what no core can bear.
      try {
        if (provenance !== undefined) provenance.counted = 0;
        return this.tryAsk(handle, key, loader, options, provenance);
      } catch (error) {
        this.entries.recover(error);
        return Promise.resolve(loader(key, new Context<K, V>(key, undefined)));
      }
    }
  }

  /** As `ask`, with how the value came to be. */
  async askDetailed(
    handle: CacheHandle<K, V>,
    key: K,
    loader: Loader<K, V>,
    options: CallOptions<K>,
  ): Promise<Details<V>> {
    const asked = new Provenance<K, V>();
    const value = await this.ask(handle, key, loader, options, asked);
    let last = asked;
    while (last.wait?.again !== undefined) last = last.wait.again;
    let { status, age, ttl, wait } = last;
    // Of those who asked again together the first leads.
    if (last !== asked && asked.place > 0 && status === "miss") status = "coalesced";
    if (wait?.softened !== undefined) {
      ({ age, ttl } = wait.softened);
      status = "stale-on-timeout";
    } else if (wait !== undefined) {
      if (wait.flight.rescued) status = "stale-if-error";
      if (wait.flight.dated !== undefined) ({ age, ttl } = wait.flight.dated);
    }
    return { value, status, age, ttl };
  }

  /** What `leave` and `time_out` answered. */
  left(flight: Flight<K, V>, code: number): void {
    if ((code & core.LAST) !== 0) this.loads.end(flight);
    if (core.hasNews(code)) this.entries.drain();
  }

  /**
   * Those who waited ask again, each as the load that asked, if one did: what a load waits for needs no place, and a circle
   * that closes is found.
   */
  askAgain(wait: Wait<K, V>): Promise<V> {
    const { handle, key, loader, options, askedAt } = wait.ask;
    let asked = 0;
    const ask = (provenance: Provenance<K, V>): Promise<V> =>
      this.loads.runAs(wait.askers?.[asked], () => this.ask(handle, key, loader, options, provenance));
    try {
      const promise = ask((wait.again = new Provenance<K, V>(wait.ask === wait.flight ? MISSED : JOINED, askedAt)));
      // They share what comes of it, but each is a get of its own, which is counted and told of.
      while (++asked < wait.callers) {
        try {
          ask(new Provenance<K, V>(JOINED, askedAt)).catch(ignore);
        } catch {
          // A user's clock: the first has asked.
        }
      }
      return promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Takes the value that is there now for those who have reached their soft deadline, if there is one that will do. */
  soften(wait: Wait<K, V>, now: number): void {
    const { entries } = this;
    const { handle, key } = wait.ask;
    const slot = handle.slots.get(key) ?? 0;
    if (entries.core.soften(wait.flight.index, wait.group, slot, now, this.requests === undefined) === 0) return;
    wait.softened = entries.dated(slot, entries.clock.known());
    this.release(wait);
    wait.resolve(entries.values[slot] as V);
    // In a Worker a group has many waits, and is told of once.
    if (entries.hooks.stale !== undefined && wait.flight.told !== wait.group) {
      wait.flight.told = wait.group;
      entries.hooks.notify("stale", { key, place: handle.place, cause: "timeout" });
    }
  }

  /** As `ask`, of what the core would answer as it did the last time. */
  private joinAgain(handle: CacheHandle<K, V>, key: K): Promise<V> | undefined {
    const { entries } = this;
    const joins = entries.untold;
    if (!(joins instanceof Joins) || !joins.takes(handle, key)) return undefined;
    // A clock of the user's may have used the cache.
    return entries.clock.now() === joins.now && joins === entries.untold ? joins.join() : undefined;
  }

  /** Whether nobody but the core need hear of one who asks next like the one that has just joined. */
  private mayJoinAgain(validate: Validate<K> | undefined): boolean {
    const { hooks } = this.entries;
    return validate === undefined && !this.loads.ahead && hooks.coalesced === undefined && this.requests === undefined;
  }

  /** Whether there is a value, fresh or stale, that a rule of the user's refuses. */
  finds(handle: CacheHandle<K, V>, key: K, validate: Validate<K>): boolean {
    const { entries } = this;
    const now = entries.clock.now();
    const slot = handle.slots.get(key) ?? 0;
    return entries.safely((core) => core.is_usable(slot, now)) && refuses(validate, entries.valueAt(slot), key);
  }

  private tryAsk(
    handle: CacheHandle<K, V>,
    key: K,
    loader: Loader<K, V>,
    options: CallOptions<K> | undefined,
    provenance: Provenance<K, V> | undefined,
  ): Promise<V> {
    const { entries } = this;
    if (this.loads.unbegun !== undefined) this.loads.giveUpUnbegun();
    const again = provenance === undefined ? 0 : provenance.counted;
    const askedAt = provenance === undefined ? NaN : provenance.askedAt;
    const { defaults } = handle;
    // What is the user's comes first, since it may use the cache: then the slot is looked up.
    const validate = options?.validate ?? defaults.validate;
    const invalid = validate !== undefined && this.finds(handle, key, validate);
    const random = this.loads.ahead ? this.random() : NaN;
    const { clock } = entries;
    let now = clock === hostClock ? UNREAD : clock.now();
    const known = entries.slotOf(handle.partition, key);
    if (now === UNREAD) {
      const until = known === 0 ? NaN : entries.columns.freshUntil[known]!;
      now = Number.isNaN(until) ? hostClock.now() : hostClock.against(until);
    }
    let answer = 0;
    let flight: Flight<K, V> | undefined;
    let promise: Promise<V> | undefined;
    try {
      if (known === 0 && options === undefined && provenance === undefined && this.loads.mayLag(handle)) {
        flight = this.flight(handle, key, loader, options, now, 0, -1, false);
        promise = this.lead(flight, now, provenance);
        entries.flush();
        return promise;
      }
      const number = handle.number(entries.core);
      const hash = known === 0 ? entries.hash(key, handle.partition) : 0;
      const asker = this.loads.asker === undefined ? -1 : this.loads.asker.node;
      const policy = entries.policies.number(defaults.policy);
      const batched = this.loads.queue !== undefined && "isBatch" in loader;
      answer =
        options === undefined && again === 0 && !batched
          ? entries.core.ask(known, number, hash, now, policy, invalid, random, asker)
          : askWith(
              entries.core,
              known,
              number,
              hash,
              now,
              policy,
              options,
              invalid,
              random,
              asker,
              again,
              askedAt,
              batched,
            );
      const code = answer | 0;
      if (core.hasNews(code)) entries.drain();
      const at = code & core.SLOT;
      const kind = core.kind(code);
      const { hooks } = entries;
      let value: V | undefined;
      switch (kind) {
        case core.LEAD_ABSENT:
        case core.LEAD_EXPIRED:
        case core.LEAD_FORCED:
        case core.LEAD_INVALID: {
          if (known === 0) entries.place(at, key, handle.partition, number);
          if (hooks.miss !== undefined) {
            hooks.notify("miss", { key, place: handle.place, cause: LEADS[kind]! });
          }
          const index = core.above(answer);
          flight = this.flight(handle, key, loader, options, again === 0 ? now : askedAt, at, index, false);
          promise = this.lead(flight, now, provenance);
          break;
        }
        case core.JOIN: {
          if (provenance !== undefined) provenance.status = "coalesced";
          // One whose load was lost has been told of.
          if (hooks.coalesced !== undefined && again !== JOINED)
            hooks.notify("coalesced", { key, place: handle.place });
          const joined = this.loads.at(core.above(answer))!;
          let wait = joined.wait(at);
          if (wait === undefined) {
            const ask = { handle, key, loader, options, askedAt: again === 0 ? now : askedAt };
            if (this.requests === undefined) this.loads.setAlarm(ask, now);
            wait = this.beginWait(joined, at, ask);
          }
          promise = this.wait(wait, now, provenance, options?.signal);
          // What the news was about may have changed what the core would answer.
          if (options === undefined && provenance === undefined && !core.hasNews(code) && this.mayJoinAgain(validate)) {
            entries.untold = new Joins(handle, key, now, wait);
          }
          break;
        }
        case core.HIT:
        case core.REFRESH_AHEAD:
          if (provenance !== undefined) Object.assign(provenance, { status: "hit" }, this.entries.dated(at, now));
          if (hooks.hit !== undefined) hooks.notify("hit", { key, place: handle.place });
          value = entries.values[at] as V;
          break;
        case core.STALE_REVALIDATE:
        case core.STALE_ERROR:
        case core.REFRESH_STALE:
          if (provenance !== undefined) Object.assign(provenance, { status: "stale" }, this.entries.dated(at, now));
          if (hooks.stale !== undefined) {
            const cause = kind === core.STALE_ERROR ? "error" : "revalidate";
            hooks.notify("stale", { key, place: handle.place, cause });
          }
          value = entries.values[at] as V;
          break;
        case core.FAILED:
          if (hooks.hit !== undefined) hooks.notify("hit", { key, place: handle.place });
          promise = Promise.reject((entries.values[at] as FailureCached).error);
          break;
        case core.RECURSIVE:
          promise = Promise.reject(recursive(key));
          break;
        case core.TIMED_OUT:
          promise = Promise.reject(timedOut(key, hardTimeoutOf({ handle, key, loader, options, askedAt: now })));
          break;
        default: {
          // It may have had a slot for a moment.
          entries.columns.look();
          const cause = kind === core.REFUSED ? LEADS[at]! : "absent";
          if (hooks.miss !== undefined) hooks.notify("miss", { key, place: handle.place, cause });
          promise = Promise.reject(kind === core.REFUSED ? this.loads.queue!.full(key) : tooManyLoads(key));
        }
      }
      if (kind === core.REFRESH_AHEAD || kind === core.REFRESH_STALE) {
        flight = this.flight(handle, key, loader, options, now, at, core.above(answer), true);
        this.refresh(flight, now);
      }
      // A value's `then` may be a getter of the user's, who may use the cache.
      promise ??= Promise.resolve(value as V);
      entries.flush();
      return promise;
    } catch (error) {
      // Where the stack is full there is room for this alone. Nobody has the promise.
      this.loads.unbegun = { answer, flight, index: undefined, next: this.loads.unbegun };
      promise?.then(ignore, ignore);
      throw error;
    }
  }

  /** A load to begin. */
  private flight(
    handle: CacheHandle<K, V>,
    key: K,
    loader: Loader<K, V>,
    options: CallOptions<K> | undefined,
    askedAt: number,
    slot: number,
    index: number,
    background: boolean,
  ): Flight<K, V> {
    const { values } = this.entries;
    // A new key has none.
    const stale = values[slot] === NONE ? undefined : this.entries.valueAt(slot);
    const ctx = new Context<K, V>(key, stale, 1, background);
    return new Flight(handle, key, loader, options, askedAt, index, slot, ctx, background, host.requestBound);
  }

  /** Begins a load that the one who asked waits for. */
  private lead(flight: Flight<K, V>, now: number, provenance: Provenance<K, V> | undefined): Promise<V> {
    flight.isDetailed = provenance !== undefined;
    this.loads.begin(flight, now);
    if (flight.loaded && provenance === undefined) return Promise.resolve(flight.value as V);
    // Whoever joined the group while the loader was on the stack has begun its promise.
    const wait = flight.wait(0) ?? this.beginWait(flight, 0, flight);
    if (this.requests !== undefined && flight.keeps) this.requests.hold(flight);
    const promise = this.wait(wait, now, provenance, flight.options?.signal);
    flight.give(wait, this.onAskAgain);
    return promise;
  }

  /** A promise for a group, which in a Worker is one caller's own. */
  private beginWait(flight: Flight<K, V>, group: number, ask: Ask<K, V>): Wait<K, V> {
    const wait = new Wait(flight, group, ask);
    if (this.requests === undefined) flight.share(wait);
    return wait;
  }

  /** Begins a load that nobody waits for but the cache itself, until the same deadline as anybody else. */
  private refresh(flight: Flight<K, V>, now: number): void {
    this.loads.begin(flight, now);
    this.requests?.hold(flight);
  }

  /** A caller's promise for the end of a wait. */
  private wait(
    wait: Wait<K, V>,
    now: number,
    provenance: Provenance<K, V> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<V> {
    if (provenance !== undefined) {
      provenance.wait = wait;
      wait.flight.isDetailed = true;
      provenance.place = wait.callers;
    }
    if (this.loads.asker !== undefined) (wait.askers ??= []).push(this.loads.asker);
    wait.callers++;
    try {
      if (wait.over) return wait.promise;
      if (this.requests !== undefined) return this.requests.follow(wait, now, signal);
      // Those who ask again share this promise, and each has its signal beside the one from before.
      return signal === undefined || (provenance?.counted ?? 0) > 0 ? wait.promise : this.withSignal(wait, signal);
    } catch (error) {
      // Where the stack is full.
      wait.callers--;
      throw error;
    }
  }

  /** A caller's promise that its signal may end. */
  private withSignal(wait: Wait<K, V>, signal: AbortSignal): Promise<V> {
    const asker = this.loads.asker;
    return new Promise<V>((resolve, reject) => {
      const abort = (): void => {
        const { present } = wait;
        if (present.over) return;
        present.callers--;
        present.askers = present.askers?.filter((other) => other !== asker);
        reject(signal.reason);
        // Another may begin, by this time.
        this.entries.clock.readOrLast();
        this.entries.safely(() => this.left(present.flight, this.leaveAs(asker, present)));
        this.entries.flush();
      };
      const settled = onAbort(signal, abort);
      wait.promise.then(resolve, reject);
      wait.promise.then(settled, settled);
    });
  }

  /** One waits no more, of a load that may have ended. */
  leaveAs(asker: Asker | undefined, { flight, group }: Wait<K, V>): number {
    return this.loads.isLive(flight) ? this.entries.core.leave(flight.index, group, asker?.node ?? -1, false) : 0;
  }

  /** A group is over: the loads that waited in it don't wait for its flight any more. */
  private release(wait: Wait<K, V>): void {
    wait.over = true;
    wait.askers?.forEach((asker) => this.leaveAs(asker, wait));
  }

  /** Deadlines may have come: it is `at`, whatever a test's clock says. */
  private onAlarm(at: number): void {
    const { entries } = this;
    const now = Math.max(entries.clock.readOrLast(), at);
    entries.safely((machine) => {
      for (let answer = machine.timeout(now); answer >= 0; answer = machine.timeout(now)) {
        const code = answer | 0;
        const flight = this.loads.at(core.above(answer));
        const wait = flight?.wait(code & core.SLOT);
        if (core.kind(code) === core.SOFT) {
          if (wait !== undefined) this.soften(wait, now);
        } else {
          if ((code & core.LAST) !== 0) this.loads.end(flight);
          if (wait !== undefined) {
            this.release(wait);
            wait.timeOut();
          }
        }
      }
      this.loads.queue?.start(now);
      entries.drain();
      const next = machine.next_deadline();
      if (next < Infinity) this.loads.alarm.set(next, now);
    });
    entries.flush();
  }
}

/** Why a load begins, by the kind of the answer. */
const LEADS: Record<number, Events<unknown, unknown>["miss"]["cause"]> = {
  [core.LEAD_ABSENT]: "absent",
  [core.LEAD_EXPIRED]: "expired",
  [core.LEAD_FORCED]: "forced",
  [core.LEAD_INVALID]: "invalid",
};
