import { Alarm, LONGEST } from "./alarm.js";
import { Ctx } from "./context.js";
import {
  type Core,
  DEPARTED,
  FAILED,
  FULL,
  JOIN,
  kind,
  LEAD,
  OVER,
  REFRESH_AHEAD,
  REFRESH_STALE,
  REMEMBERED,
  RESCUED,
  SLOT,
  STALE,
} from "./core.js";
import { deferred } from "./deferred.js";
import { NearCacheError, recursive, showKey, timedOut } from "./errors.js";
import { type Call, Flight, Wait } from "./flight.js";
import { host } from "./host.js";
import { backoff, keep, type Kept } from "./keeping.js";
import { Remembered, type Shelf } from "./shelf.js";
import { offAbort, onAbort } from "./signals.js";
import type { Details } from "./types.js";

/** Loads under way and those who wait for them: does what the core says, with promises and timers. */
export class Loads<K, V> {
  private readonly core: Core;
  private readonly flights: (Flight<K, V> | undefined)[] = [];
  private readonly alarm: Alarm;
  /** Whether any value may be refreshed ahead of its end. */
  private ahead = false;

  constructor(
    private readonly shelf: Shelf<K, V>,
    private readonly random: () => number,
  ) {
    this.core = shelf.core;
    this.alarm = new Alarm(
      () => this.core.in_flight() > 0,
      (at) => this.ring(at),
    );
  }

  /** Asks the core, and does as it says. */
  begin(call: Call<K, V>, slot: number | undefined, now: number): Promise<V> {
    const { core, shelf } = this;
    const held = slot === undefined ? 0 : slot;
    const { miss } = shelf.hooks;
    const expired = miss !== undefined && shelf.holds(slot);
    const draw = held !== 0 && this.ahead ? 1 - this.random() : NaN;
    const left = call.deadline - Math.floor(now);
    const code = core.ask(held, call.view.room.space, now, call.fresh, left, draw);
    if (code >= DEPARTED) shelf.drain();
    const at = code & SLOT;
    let answer: Promise<V>;
    switch (kind(code)) {
      case LEAD:
        call.status = "miss";
        if (miss !== undefined) this.tellMiss(call, expired);
        answer = this.lead(call, slot, at, now);
        break;
      case JOIN:
        call.status = "coalesced";
        if (shelf.hooks.coalesced !== undefined) this.tell("coalesced", call);
        answer = this.join(call, this.flights[at]!, now);
        break;
      case STALE:
      case REFRESH_STALE:
      case REFRESH_AHEAD:
        answer = this.fromStore(call, kind(code), at, now);
        break;
      case FAILED:
        if (shelf.hooks.hit !== undefined) this.tell("hit", call);
        answer = Promise.reject((shelf.values[at] as Remembered).error);
        break;
      case FULL:
        answer = Promise.reject(
          new NearCacheError("ERR_TOO_MANY_LOADS", "too many loads are under way: at most 2097152 at once", call.key),
        );
        break;
      default:
        call.status = "hit";
        this.date(call, at, now);
        answer = Promise.resolve(shelf.values[at] as V);
        if (shelf.hooks.hit !== undefined) this.tell("hit", call);
    }
    shelf.flush();
    return answer;
  }

  /** As `begin`, with how the value came to be. */
  async beginDetailed(call: Call<K, V>, slot: number | undefined, now: number): Promise<Details<V>> {
    const value = await this.begin(call, slot, now);
    if (call.status !== "stale-on-timeout" && call.flight !== undefined) {
      if (call.flight.rescued) call.status = "stale-if-error";
      // It was stored just now, or is the old one, or is not there.
      const held = call.view.slots.get(call.key);
      if (held !== undefined && Object.is(this.shelf.values[held], value)) this.date(call, held, this.shelf.now());
    }
    const { status, age, ttl } = call;
    return { value, status, age, ttl };
  }

  /** A value that is handed out at once, and may be refreshed in the background. */
  private fromStore(call: Call<K, V>, answer: number, slot: number, now: number): Promise<V> {
    const { hooks } = this.shelf;
    const value = this.shelf.values[slot] as V;
    this.date(call, slot, now);
    if (answer === REFRESH_AHEAD) {
      call.status = "hit";
      if (hooks.hit !== undefined) this.tell("hit", call);
    } else {
      call.status = "stale";
      if (hooks.stale !== undefined) this.tellStale(call, this.core.is_loading(slot) ? "revalidate" : "error");
    }
    if (answer !== STALE) {
      // The cache itself waits for what it refreshes, until the same deadline as anybody else.
      const refresh = { ...call, signal: undefined, background: true, flight: undefined };
      this.lead(refresh, slot, slot, now).catch(ignore);
    }
    return Promise.resolve(value);
  }

  private lead(call: Call<K, V>, known: number | undefined, slot: number, now: number): Promise<V> {
    const { key, deadline, policy } = call;
    // What lies there after the core has let go of the dead may be used.
    const last = known === undefined ? undefined : this.shelf.values[slot];
    if (known === undefined) this.shelf.place(slot, key, call.view);
    const id = this.core.flight();
    const wait = new Wait<V>(deadline, policy.hardTimeout);
    const ctx = new Ctx<K, V>(key, last instanceof Remembered ? undefined : last);
    const { load, error } = this.shelf.hooks;
    const flight = new Flight<K, V>(id, call, load === undefined && error === undefined ? 0 : now, ctx, wait);
    call.flight = flight;
    this.flights[id % FLIGHT_INDEX] = flight;
    if (host.requestBound) this.bind(flight);
    else if (deadline < Infinity) this.alarm.set(deadline, now);

    try {
      const loaded = call.loader(key, ctx);
      flight.starting = false;
      if (isThenable(loaded)) {
        // Others than promises may resolve with one another, or throw.
        const promise = loaded instanceof Promise ? loaded : Promise.resolve(loaded);
        promise.then(
          (value) => this.loaded(flight, value),
          (error) => this.failed(flight, error),
        );
      } else {
        this.loaded(flight, loaded);
      }
    } catch (error) {
      flight.starting = false;
      this.failed(flight, error);
    }
    return this.wait(call, flight, wait, now);
  }

  /** In a Worker the load outlives the request's answer, and is told to stop in its own request. */
  private bind(flight: Flight<K, V>): void {
    const home = deferred<unknown>();
    flight.home = home.resolve;
    keepAlive(
      home.promise.then((reason) => {
        if (reason !== undefined) flight.ctx.abort(reason);
      }),
    );
  }

  private join(call: Call<K, V>, flight: Flight<K, V>, now: number): Promise<V> {
    call.flight = flight;
    if (flight.starting) {
      this.left(flight, this.core.leave(flight.id, 1));
      return Promise.reject(recursive(call.key));
    }
    if (host.requestBound) {
      flight.first.callers++;
      return this.softly(call, flight, this.follow(call, flight, now));
    }
    const wait = flight.join(call.deadline, call.policy.hardTimeout);
    if (call.deadline < Infinity) this.alarm.set(call.deadline, now);
    return this.wait(call, flight, wait, now);
  }

  private wait(call: Call<K, V>, flight: Flight<K, V>, wait: Wait<V>, now: number): Promise<V> {
    if (flight.over) return wait.promise;
    if (host.requestBound) return this.softly(call, flight, this.follow(call, flight, now));
    return this.softly(call, flight, call.signal === undefined ? wait.promise : this.heed(call, flight, wait));
  }

  /**
   * Waits, and takes the last good value, if there is one, when `softTimeout` has passed. The wait goes on for the
   * cache itself, and so does the load.
   */
  private softly(call: Call<K, V>, flight: Flight<K, V>, promise: Promise<V>): Promise<V> {
    const { softTimeout } = call.policy;
    if (!(softTimeout < Infinity) || call.background) return promise;
    const fallback = (): number => {
      const slot = call.view.slots.get(call.key);
      return slot !== undefined && this.core.is_usable(slot, this.shelf.now()) ? slot : 0;
    };
    if (fallback() === 0) return promise;
    return new Promise<V>((resolve, reject) => {
      const timer = startTimer(() => {
        const slot = fallback();
        // What is there may have been written meanwhile; anything that may be handed out will do.
        if (slot === 0 || flight.over) return;
        call.status = "stale-on-timeout";
        this.date(call, slot, this.shelf.now());
        this.core.count_soft_timeout(call.view.room.space);
        resolve(this.shelf.values[slot] as V);
        if (this.shelf.hooks.stale !== undefined) this.tellStale(call, "timeout");
        this.shelf.flush();
      }, softTimeout);
      const settled = (): void => clearTimeout(timer);
      promise.then(resolve, reject);
      promise.then(settled, settled);
    });
  }

  /**
   * Waits, in a Worker, for a load that may be another request's, and begins it again if it is lost with that
   * request. The flight's own promise says nothing of deadlines and signals: each caller, the leader
   * too, sees to its own, so that nobody's end is taken for the load's.
   */
  private follow(call: Call<K, V>, flight: Flight<K, V>, now: number): Promise<V> {
<<<<<<< HEAD
    const { promise, resolve, reject } = deferred<V>();
    const { signal, deadline } = call;
    let waits = true;
    const leave = (): boolean => {
      if (!waits) return false;
      waits = false;
      flight.first.callers--;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      return true;
    };
    const abort = (): void => {
      if (call.status === "stale-on-timeout" || !leave()) return;
      reject(signal!.reason);
      this.left(flight, this.core.leave(flight.id, 1));
    };
    const late = (): void => {
      if (!leave()) return;
      reject(timedOut(call.key, call.policy.hardTimeout));
      this.left(flight, this.core.time_out(flight.id, 1));
    };
    const timer = deadline < Infinity ? startTimer(late, deadline - now) : undefined;
    signal?.addEventListener("abort", abort, { once: true });
    flight.first.promise.then(
      (value) => {
        if (leave()) resolve(value);
      },
      (error) => {
        const now = this.shelf.now();
        if (waits && !flight.failed && now >= deadline) late();
        if (!leave()) return;
        if (flight.failed) reject(error);
        else {
          // The load has not failed, so the rejection is the runtime's: the leader's request has ended.
          this.lost(flight, call);
          resolve(this.begin(call, call.view.slots.get(call.key), now));
        }
      },
    );
    if (signal?.aborted) abort();
    return promise;
=======
    return new Promise<V>((resolve, reject) => {
      const { signal, deadline } = call;
      let waits = true;
      const leave = (): boolean => {
        if (!waits) return false;
        waits = false;
        flight.first.callers--;
        clearTimeout(timer);
        if (signal !== undefined) offAbort(signal, abort);
        return true;
      };
      const abort = (): void => {
        if (call.status === "stale-on-timeout" || !leave()) return;
        reject(signal!.reason);
        this.left(flight, this.core.leave(flight.id, 1));
      };
      const late = (): void => {
        if (!leave()) return;
        reject(timedOut(call.key, call.policy.hardTimeout));
        this.left(flight, this.core.time_out(flight.id, 1));
      };
      const timer = deadline < Infinity ? startTimer(late, deadline - now) : undefined;
      if (signal !== undefined) onAbort(signal, abort);
      flight.first.promise.then(
        (value) => {
          if (leave()) resolve(value);
        },
        (error) => {
          const now = this.shelf.now();
          if (waits && !flight.failed && now >= deadline) late();
          if (!leave()) return;
          if (flight.failed) reject(error);
          else {
            // The load has not failed, so the rejection is the runtime's: the leader's request has ended.
            this.lost(flight, call);
            resolve(this.begin(call, call.view.slots.get(call.key), now));
          }
        },
      );
      if (signal?.aborted) abort();
    });
>>>>>>> h/face
  }

  /** A wait that a signal can end. */
  private heed(call: Call<K, V>, flight: Flight<K, V>, wait: Wait<V>): Promise<V> {
    const signal = call.signal!;
    return new Promise<V>((resolve, reject) => {
      const abort = (): void => {
        // A wait that its deadline has ended counts nobody any more.
        if (flight.over || wait.callers === 0 || call.status === "stale-on-timeout") return;
        wait.callers--;
        reject(signal.reason);
        this.left(flight, this.core.leave(flight.id, 1));
      };
      if (signal.aborted) abort();
      else onAbort(signal, abort);
      const heard = (): void => offAbort(signal, abort);
      wait.promise.then(resolve, reject);
      wait.promise.then(heard, heard);
    });
  }

  private loaded(flight: Flight<K, V>, value: V): void {
    if (flight.over) return;
    const { ctx, call } = flight;
    const { core, shelf } = this;
    let kept: Kept;
    try {
      kept = keep(core, this.random, call, ctx, value);
      this.ahead ||= (ctx.refreshAhead ?? call.policy.refreshAhead) > 0;
    } catch (error) {
      this.failed(flight, error);
      return;
    }
    const now = shelf.now();
    const code = core.settle(flight.id, now, kept.ttl, kept.weight);
    this.ended(flight, code);
    const slot = code & SLOT;
    if (slot !== 0) shelf.put(slot, value);
    flight.resolve(value);
    const { hooks } = shelf;
    if (hooks.load !== undefined) hooks.put("load", this.about(flight, now));
    shelf.flush();
  }

  private failed(flight: Flight<K, V>, error: unknown): void {
    if (flight.over) return;
    const { core, shelf } = this;
    const time = backoff(flight.call, flight.ctx, error);
    // The rule is the user's, and may have ended the load by using the cache.
    if (flight.over) return;
    const now = shelf.now();
    const code = core.fail(flight.id, now, time);
    this.ended(flight, code);
    const slot = code & SLOT;
    if (kind(code) === RESCUED) {
      flight.rescued = true;
      flight.resolve(shelf.values[slot] as V);
    } else {
      if (kind(code) === REMEMBERED) shelf.put(slot, new Remembered(error));
      flight.reject(error);
    }
    const { hooks } = shelf;
    if (hooks.error !== undefined) hooks.put("error", { ...this.about(flight, now), error });
    if (flight.rescued && hooks.stale !== undefined && !flight.call.background) this.tellStale(flight.call, "error");
    shelf.flush();
  }

  /** Some of the flights' waits may have reached their deadline: it is `at`, whatever a test's clock says. */
  private ring(at: number): void {
    const now = Math.max(this.shelf.now(), at);
    for (let index = this.core.due(now); index >= 0; index = this.core.due(now)) {
      const flight = this.flights[index];
      if (flight === undefined) continue;
      const others = flight.others;
      if (flight.first.deadline <= now) this.expire(flight, flight.first);
      if (others === undefined) continue;
      flight.others = others.filter((wait) => wait.deadline > now);
      for (const wait of others) if (wait.deadline <= now) this.expire(flight, wait);
    }
    const next = this.core.next_deadline();
    if (next < Infinity) this.alarm.set(next, now);
    this.shelf.flush();
  }

  private expire(flight: Flight<K, V>, wait: Wait<V>): void {
    if (flight.over || wait.callers === 0) return;
    const error = timedOut(flight.call.key, wait.timeout);
    this.left(flight, this.core.time_out(flight.id, wait.callers));
    wait.callers = 0;
    wait.reject(error);
  }

  /** Some have left; when they were the last, the load is told to stop. */
  private left(flight: Flight<K, V>, code: number): void {
    // In a Worker the core forgets a load when the last deadline has passed, which may be before the timers ring.
    const last = (code & OVER) !== 0 || (host.requestBound && flight.first.callers === 0);
    if (flight.over || !last) {
      if (code >= DEPARTED) this.shelf.drain();
      return;
    }
    flight.over = true;
    this.ended(flight, code);
    const { key } = flight.call;
    const reason = new NearCacheError("ERR_TIMEOUT", `nobody waits for ${showKey(key)} any more`, key);
    if (flight.home === undefined) flight.ctx.abort(reason);
    else flight.home(reason);
  }

  /** The load is gone with its request, so that there is nobody to tell. */
  private lost(flight: Flight<K, V>, call: Call<K, V>): void {
    flight.over = true;
    this.ended(flight, this.core.lost(flight.id, call.view.room.space));
  }

  private ended(flight: Flight<K, V>, code: number): void {
    const index = flight.id % FLIGHT_INDEX;
    if (this.flights[index] === flight) this.flights[index] = undefined;
    if (code >= DEPARTED) this.shelf.drain();
  }

  /** Notes what `details` tells of a value in memory. */
  private date(call: Call<K, V>, slot: number, now: number): void {
    if (!call.detailed) return;
    call.age = this.core.age(slot, now);
    call.ttl = Math.max(this.core.remaining(slot, now), 0);
  }

  private tell(event: "hit" | "coalesced", { key, view }: Call<K, V>): void {
    this.shelf.hooks.put(event, { key, place: view.place });
  }

  private tellStale({ key, view }: Call<K, V>, cause: "revalidate" | "error" | "timeout"): void {
    this.shelf.hooks.put("stale", { key, place: view.place, cause });
  }

  private tellMiss({ key, view, fresh }: Call<K, V>, expired: boolean): void {
    const cause = fresh ? "forced" : expired ? "expired" : "absent";
    this.shelf.hooks.put("miss", { key, place: view.place, cause });
  }

  /** What a hook is told of a load that has ended. */
  private about({ call, began }: Flight<K, V>, now: number) {
    return { key: call.key, place: call.view.place, duration: Math.max(now - began, 0), background: call.background };
  }
}

/** Flights' indexes are the low 21 bits of their ids. */
const FLIGHT_INDEX = 2 ** 21;

const ignore = (): void => {};

/** In a Worker, keeps the request until the promise has settled. Outside a request there is nothing to keep. */
export function keepAlive(promise: Promise<unknown>): void {
  try {
    host.keepAlive(promise.then(ignore, ignore));
  } catch {
    // A loader out there can do no I/O either.
  }
}

/** A timer, where there may be one: outside a request, a Worker has none. */
export function startTimer(callback: () => void, millis: number): ReturnType<typeof setTimeout> | undefined {
  try {
    return setTimeout(callback, Math.min(millis, LONGEST));
  } catch {
    return undefined;
  }
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return (
    value instanceof Promise ||
    (typeof value === "object" && value !== null && typeof (value as PromiseLike<T>).then === "function")
  );
}
