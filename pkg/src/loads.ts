import { Alarm, LONGEST } from "./alarm.js";
import { type Core, DEPARTED, FULL, JOIN, LEAD, OVER, SKIP, SLOT } from "./core.js";
import { NearCacheError, recursive, showKey, timedOut } from "./errors.js";
import { Flight, Wait, type Loader } from "./flight.js";
import { host } from "./host.js";
import { bytes, duration } from "./options.js";
import type { Shelf } from "./shelf.js";

/** A `getOrSet` that found nothing. */
export interface Call<K, V> {
  readonly key: K;
  readonly loader: Loader<K, V>;
  readonly ttl: number;
  readonly weight: number | undefined;
  readonly fresh: boolean;
  readonly timeout: number;
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** Loads under way and those who wait for them: does what the core says, with promises and timers. */
export class Loads<K, V> {
  private readonly core: Core;
  private readonly flights: (Flight<K, V> | undefined)[] = [];
  private readonly alarm: Alarm;

  constructor(
    private readonly shelf: Shelf<K, V>,
    private readonly sizeOf: ((value: V, key: K) => number) | undefined,
  ) {
    this.core = shelf.core;
    this.alarm = new Alarm(() => this.core.in_flight() > 0, (at) => this.ring(at));
  }

  /** Asks the core, and does as it says. `left` is the time until the call's deadline. */
  begin(call: Call<K, V>, slot: number | undefined, now: number, left: number): Promise<V> {
    const code = this.core.ask(slot === undefined ? 0 : slot, now, call.fresh, left);
    if (code >= DEPARTED) this.shelf.drain();
    if ((code & LEAD) !== 0) return this.lead(call, slot, code & SLOT, now);
    if ((code & JOIN) !== 0) return this.join(call, this.flights[code & SLOT]!, now);
    if ((code & FULL) !== 0) {
      return Promise.reject(
        new NearCacheError("ERR_TOO_MANY_LOADS", "too many loads are under way: at most 2097152 at once", call.key),
      );
    }
    return Promise.resolve(this.shelf.values[code & SLOT] as V);
  }

  private lead(call: Call<K, V>, known: number | undefined, slot: number, now: number): Promise<V> {
    const { key, deadline, timeout } = call;
    if (known === undefined) this.shelf.place(slot, key);
    const id = this.core.flight();
    const wait = new Wait<V>(deadline, timeout);
    const flight = new Flight<K, V>(key, id, wait, call.ttl, call.weight);
    this.flights[id % FLIGHT_INDEX] = flight;
    if (host.requestBound) this.bind(flight);
    else if (deadline < Infinity) this.alarm.set(deadline, now);

    try {
      const loaded = call.loader(key, flight.ctx);
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
    const home = new Promise<unknown>((resolve) => (flight.home = resolve)).then((reason) => {
      if (reason !== undefined) flight.ctx.abort(reason);
    });
    try {
      host.keepAlive(home.then(ignore, ignore));
    } catch {
      // Outside a request there is nothing to keep alive; a loader there can do no I/O either.
    }
  }

  private join(call: Call<K, V>, flight: Flight<K, V>, now: number): Promise<V> {
    if (flight.starting) {
      this.left(flight, this.core.leave(flight.id, 1));
      return Promise.reject(recursive(call.key));
    }
    if (host.requestBound) {
      flight.first.callers++;
      return this.follow(call, flight, now);
    }
    const wait = flight.join(call.deadline, call.timeout);
    if (call.deadline < Infinity) this.alarm.set(call.deadline, now);
    return this.wait(call, flight, wait, now);
  }

  private wait(call: Call<K, V>, flight: Flight<K, V>, wait: Wait<V>, now: number): Promise<V> {
    if (flight.over) return wait.promise;
    if (host.requestBound) return this.follow(call, flight, now);
    return call.signal === undefined ? wait.promise : this.heed(call.signal, flight, wait);
  }

  /**
   * Waits, in a Worker, for a load that may be another request's, and begins it again if it is lost with that
   * request. The flight's own promise says nothing of deadlines and signals: each caller, the leader
   * too, sees to its own, so that nobody's end is taken for the load's.
   */
  private follow(call: Call<K, V>, flight: Flight<K, V>, now: number): Promise<V> {
    return new Promise<V>((resolve, reject) => {
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
        if (!leave()) return;
        reject(signal!.reason);
        this.left(flight, this.core.leave(flight.id, 1));
      };
      const late = (): void => {
        if (!leave()) return;
        reject(timedOut(call.key, call.timeout));
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
            this.lost(flight);
            resolve(this.begin(call, this.shelf.slots.get(call.key), now, deadline - now));
          }
        },
      );
      if (signal?.aborted) abort();
    });
  }

  /** A wait that a signal can end. */
  private heed(signal: AbortSignal, flight: Flight<K, V>, wait: Wait<V>): Promise<V> {
    return new Promise<V>((resolve, reject) => {
      const abort = (): void => {
        // A wait that its deadline has ended counts nobody any more.
        if (flight.over || wait.callers === 0) return;
        wait.callers--;
        reject(signal.reason);
        this.left(flight, this.core.leave(flight.id, 1));
      };
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
      const heard = (): void => signal.removeEventListener("abort", abort);
      wait.promise.then(resolve, reject);
      wait.promise.then(heard, heard);
    });
  }

  private loaded(flight: Flight<K, V>, value: V): void {
    if (flight.over) return;
    const { ctx, key } = flight;
    let ttl: number;
    let weight = 0;
    try {
      ttl = ctx.skipped ? SKIP : ctx.ttl === undefined ? flight.ttl : duration("ctx.ttl", ctx.ttl);
      const given = ctx.bytes === undefined ? flight.bytes : ctx.bytes;
      if (given !== undefined) weight = bytes("ctx.bytes", given);
      else if (this.sizeOf !== undefined && ttl !== SKIP) weight = bytes("sizeOf", this.sizeOf(value, key));
    } catch (error) {
      this.failed(flight, error);
      return;
    }
    const code = this.core.settle(flight.id, this.shelf.now(), ttl, weight);
    this.ended(flight, code);
    const slot = code & SLOT;
    if (slot !== 0) this.shelf.values[slot] = value;
    flight.resolve(value);
  }

  private failed(flight: Flight<K, V>, error: unknown): void {
    if (flight.over) return;
    this.ended(flight, this.core.fail(flight.id, this.shelf.now()));
    flight.reject(error);
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
  }

  private expire(flight: Flight<K, V>, wait: Wait<V>): void {
    if (flight.over || wait.callers === 0) return;
    const error = timedOut(flight.key, wait.timeout);
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
    const reason = new NearCacheError("ERR_TIMEOUT", `nobody waits for ${showKey(flight.key)} any more`, flight.key);
    if (flight.home === undefined) flight.ctx.abort(reason);
    else flight.home(reason);
  }

  /** The load is gone with its request, so that there is nobody to tell. */
  private lost(flight: Flight<K, V>): void {
    flight.over = true;
    this.ended(flight, this.core.lost(flight.id));
  }

  private ended(flight: Flight<K, V>, code: number): void {
    const index = flight.id % FLIGHT_INDEX;
    if (this.flights[index] === flight) this.flights[index] = undefined;
    if (code >= DEPARTED) this.shelf.drain();
  }
}

/** Flights' indexes are the low 21 bits of their ids. */
const FLIGHT_INDEX = 2 ** 21;

const ignore = (): void => {};

/** A timer, where there may be one: outside a request, a Worker has none. */
function startTimer(callback: () => void, millis: number): ReturnType<typeof setTimeout> | undefined {
  try {
    return setTimeout(callback, Math.min(millis, LONGEST));
  } catch {
    return undefined;
  }
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return value instanceof Promise || (typeof value === "object" && value !== null && typeof (value as PromiseLike<T>).then === "function");
}
