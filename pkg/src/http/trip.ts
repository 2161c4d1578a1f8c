// A trip to the origin: led by one request, waited for by any number of others.

import type { Trip } from "../../generated/http.js";
import { deferred } from "../runtime/deferred.js";
import { toError } from "../options/errors.js";
import { Passing } from "./apart.js";
import type { Edge } from "./edge.js";
import { flatten, unflatten } from "./fields.js";
import { Filling, LATE, within } from "./filling.js";
import type { AskOrigin, OriginResponse } from "./types.js";

/** How one request is carried out. */
export interface Ways {
  readonly trips: Trips;
  /** Tiers below the memory, and who is told of purges. */
  readonly edge?: Edge | undefined;
  readonly origin: AskOrigin;
  /** The body of the client's request. */
  readonly body: ReadableStream<Uint8Array> | null;
  /** Keeps what goes on after the answer. */
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** What to answer after an error that nobody expected. */
  readonly failed: (error: unknown) => Response;
  /**
   * Where the origin can't be asked once the client is answered: what to answer instead of what is stale when the trip has
   * ended; "stale", that, without a trip.
   */
  readonly afterRefresh?: "stale" | (() => Response | Promise<Response>) | undefined;
}

// As in `trip.rs`.
const SEND_AGAIN = 0;
const DONE = 1;
const READ = 2;
const APART = 3;
const TIMED_OUT = 0;
const UNREACHABLE = 1;
const STALLED = 2;

/** Trips under way by the number of their flight. */
export class Trips {
  readonly #trips = new Map<number, Led>();

  /** The trip that another request leads, if it is still known. */
  join(flight: number): Shared | undefined {
    return this.#trips.get(flight)?.shared;
  }

  /**
   * Begins a trip, for a request unless it is in the background. `taken()` is called when the head is there and the body is
   * about to be read: it says whether the request's answer has the body as it comes, for which it then asks at once.
   */
  lead(trip: Trip, ways: Ways, taken?: () => boolean): Led {
    const led = new Led(trip, ways, taken);
    const flight = trip.flight();
    if (flight !== 0) this.#trips.set(flight, led);
    for (const gone of trip.sweep()) this.#trips.delete(gone);
    led.ended = led.run().finally(() => {
      if (this.#trips.get(flight) === led) this.#trips.delete(flight);
      free(trip);
    });
    return led;
  }
}

export class Led {
  /** What others see of it: nothing that belongs to the leader's request. */
  readonly shared: Shared;
  ended!: Promise<void>;
  #response: OriginResponse | undefined;
  #passing: Passing | undefined;
  #abort = () => {};
  /** Whether what comes is for the one who leads alone, whether that one has an answer, and whether it is this. */
  #isOwn = false;
  #isLeft = false;
  #isTaken = false;
  // The one kind of promise that may be waited for by other requests: see docs/workerd-promises.md.
  readonly #told = deferred<void>();
  readonly #end = deferred<void>();

  constructor(
    readonly trip: Trip,
    readonly ways: Ways,
    readonly taken?: () => boolean,
  ) {
    this.shared = new Shared(this.#told.promise, this.#end.promise);
  }

  news(): Promise<void> {
    return this.shared.news();
  }

  get told(): boolean {
    return this.shared.told;
  }

  get over(): boolean {
    return this.shared.over;
  }

  /** The body for the leader's own answer. */
  take(start?: number, end?: number): ReadableStream<Uint8Array> | null | undefined {
    this.#isTaken = true;
    if (this.#passing !== undefined) return this.#passing.body;
    return this.shared.filling === undefined ? this.#response?.body : this.shared.take(start, end);
  }

  /** The request that leads has its answer. What nobody takes is not to be sent for nothing. */
  leave(): void {
    this.#isLeft = true;
    if (!this.#isTaken) this.#passing?.leave();
    this.#release();
  }

  #release(): void {
    const isWanted = this.taken !== undefined && (this.#isTaken || !this.#isLeft);
    if (this.#isOwn && !isWanted) this.#discard();
  }

  #discard(): void {
    this.#abort();
    // A handler of the program's has no connection that could be aborted.
    this.shared.filling?.cancel();
    this.#response?.body?.cancel().catch(() => {});
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const { edge } = this.ways;
    let release: (() => Promise<void>) | undefined;
    try {
      if (edge !== undefined) {
        const looked = await edge.find(this.trip);
        if (looked.found) return;
        release = looked.release;
      }
      for (;;) {
        const came = await this.#ask();
        if (came === SEND_AGAIN) {
          this.#response?.body?.cancel().catch(() => {});
          continue;
        }
        if (came === READ) await this.#read();
        if (came === APART) {
          // Nobody else is to wait for that.
          if (release !== undefined) this.ways.waitUntil(release());
          release = undefined;
          await this.#store();
        }
        break;
      }
    } catch (error) {
      this.ways.failed(error);
      this.#discard();
      try {
        this.trip.fail(UNREACHABLE, "the trip failed");
      } catch {
        // Its instance has failed, and nobody asks it again.
      }
    } finally {
      this.#tell();
      this.shared.over = true;
      this.#end.resolve();
      try {
        edge?.after(this.trip, release);
      } catch (error) {
        this.ways.failed(error);
      }
    }
  }

  #tell(): void {
    this.shared.told = true;
    this.#told.resolve();
  }

  /** Sends the request and waits for the head. What comes of it, as the wasm says. */
  async #ask(): Promise<number> {
    const { trip, ways } = this;
    const controller = new AbortController();
    this.#abort = () => controller.abort();
    try {
      const asking = ways.origin({
        url: trip.url(),
        method: trip.method(),
        headers: unflatten(trip.fields()),
        body: trip.sendsBody() ? ways.body : null,
        signal: controller.signal,
      });
      const answer = await within(asking, trip.headTimeout());
      if (answer === LATE) {
        // What is asked may not know of signals, and answer all the same.
        asking.then(({ body }) => body?.cancel()).catch(() => {});
        controller.abort();
        trip.fail(TIMED_OUT, "");
        return DONE;
      }
      this.#response = answer;
    } catch (error) {
      trip.fail(UNREACHABLE, reason(error));
      return DONE;
    }
    const { status, headers } = this.#response;
    const came = trip.head(status, flatten(headers));
    if (came === DONE) {
      this.#isOwn = trip.passes();
      if (this.#isOwn) this.#release();
      else this.#discard();
    }
    return came;
  }

  /** Has the body stored apart, while the leader's client has it as it comes. */
  async #store(): Promise<void> {
    const { trip, taken } = this;
    const { body, headers } = this.#response!;
    const length = Number(headers.get("content-length"));
    this.#passing = new Passing(body!, taken?.() === true, {
      length,
      partBytes: trip.partBytes(),
      idle: trip.idleTimeout(),
      total: trip.totalTimeout(),
      bodies: this.ways.edge!.bodies!,
    });
    this.#tell();
    const { stored: storing, over } = this.#passing.run();
    this.ways.waitUntil(over);
    const stored = await storing;
    if (stored !== undefined) trip.apart(stored.name, length, stored.digests);
  }

  /** Reads the body for the cache, while the leader's client has it at once. */
  async #read(): Promise<void> {
    const { trip, taken } = this;
    const room = trip.room()!;
    const filling = new Filling();
    this.shared.filling = filling;
    taken?.();
    this.#tell();
    const end = await filling.read(this.#response!.body, {
      idle: trip.idleTimeout(),
      total: trip.totalTimeout(),
      room: { grow: (bytes) => room.grow(bytes), free: () => free(room) },
    });
    switch (end) {
      case "whole":
        trip.whole(filling.bytes());
        break;
      case "too long":
        trip.tooLong();
        this.#isOwn = true;
        this.#release();
        break;
      case "late":
        this.#discard();
        trip.fail(STALLED, "");
        break;
      default:
        trip.fail(UNREACHABLE, reason(end));
    }
  }
}

/** What every request may see of a trip. */
export class Shared {
  told = false;
  over = false;
  filling: Filling | undefined;
  readonly #told: Promise<void>;
  readonly #end: Promise<void>;

  constructor(told: Promise<void>, end: Promise<void>) {
    this.#told = told;
    this.#end = end;
  }

  /** Settles when there is more to know than was told before. */
  news(): Promise<void> {
    return this.told ? this.#end : this.#told;
  }

  leave(): void {}

  take(start = 0, end = Infinity): ReadableStream<Uint8Array> | undefined {
    return this.filling?.stream(start, end);
  }
}

/** Gives back what is the wasm's. An instance that has failed in a call takes nothing back. */
export function free(given: { free(): void }): void {
  try {
    given.free();
  } catch {
    // It goes with its instance.
  }
}

/** Why a connection failed, without what is the runtime's own business. */
function reason(error: unknown): string {
  const { message, cause } = toError(error);
  // Node says only in the cause what happened.
  const text = toError((cause as Error | undefined)?.message ?? message).message;
  return /internal error|reference =/i.test(text) ? "no connection, or it broke" : text;
}
