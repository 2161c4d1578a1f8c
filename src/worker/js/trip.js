// A trip to the origin: led by one request, waited for by any number of others.

import { flatten, unflatten } from "./fields.js";
import { Filling } from "./filling.js";
import { failed } from "./instance.js";

// As in `trip.rs`.
const SEND_AGAIN = 0;
const DONE = 1;
const READ = 2;
const TIMED_OUT = 0;
const UNREACHABLE = 1;
const STALLED = 2;

/** Trips under way by the number of their flight. */
const trips = new Map();

/** The trip that another request leads, if it is still known. */
export const join = (flight) => trips.get(flight)?.shared;

/**
 * Begins a trip, for a request unless it is in the background. `taken()` is called when the head is there and the body is about to
 * be read: it says whether the request's answer has the body as it comes.
 */
export function lead(proxy, trip, taken, request) {
  const led = new Led(proxy, trip);
  const flight = trip.flight();
  if (flight !== 0) trips.set(flight, led);
  for (const gone of proxy.sweep()) trips.delete(gone);
  led.ended = led.run(trip.sendsBody() ? request?.body : undefined, taken).finally(() => {
    if (trips.get(flight) === led) trips.delete(flight);
    trip.free();
  });
  return led;
}

class Led {
  #proxy;
  #trip;
  #response;
  #told;
  #end;
  /** What others see of it: nothing that belongs to the leader's request. */
  shared;

  constructor(proxy, trip) {
    this.#proxy = proxy;
    this.#trip = trip;
    // The one kind of promise that may be waited for by other requests: see docs/workerd-promises.md.
    this.#told = Promise.withResolvers();
    this.#end = Promise.withResolvers();
    this.shared = new Shared(this.#told.promise, this.#end.promise);
  }

  news() {
    return this.shared.news();
  }

  get told() {
    return this.shared.told;
  }

  get over() {
    return this.shared.over;
  }

  /** The body for the leader's own answer. */
  take(start, end) {
    return this.shared.filling === undefined ? this.#response?.body : this.shared.take(start, end);
  }

  async run(body, taken) {
    try {
      for (;;) {
        const came = await this.#ask(body, taken);
        if (came === SEND_AGAIN) {
          this.#response.body?.cancel().catch(() => {});
          continue;
        }
        if (came === READ) await this.#read(taken);
        break;
      }
    } catch (error) {
      failed(error);
      this.#trip.fail(UNREACHABLE, "the trip failed");
    } finally {
      this.#tell();
      this.shared.over = true;
      this.#end.resolve();
    }
  }

  #tell() {
    this.shared.told = true;
    this.#told.resolve();
  }

  /** Sends the request and waits for the head. What comes of it, as the wasm says. */
  async #ask(body, taken) {
    const trip = this.#trip;
    const controller = new AbortController();
    const limit = this.#proxy.headTimeout();
    let late = false;
    const timer = setTimeout(() => ((late = true), controller.abort()), limit);
    this.abort = () => controller.abort();
    try {
      this.#response = await fetch(trip.url(), {
        method: trip.method(),
        headers: unflatten(trip.fields()),
        body,
        redirect: "manual",
        signal: controller.signal,
        encodeResponseBody: "manual",
      });
    } catch (error) {
      trip.fail(late ? TIMED_OUT : UNREACHABLE, late ? "" : reason(error));
      return DONE;
    } finally {
      clearTimeout(timer);
    }
    const { status, headers } = this.#response;
    const came = trip.head(status, flatten(headers));
    // What nobody takes is not to be sent for nothing.
    if (came === DONE && !(taken && trip.passes())) controller.abort();
    return came;
  }

  /** Reads the body for the cache, while the leader's client has it at once. */
  async #read(taken) {
    const trip = this.#trip;
    const filling = new Filling();
    this.shared.filling = filling;
    taken?.();
    this.#tell();
    const idle = this.#proxy.idleTimeout();
    const total = this.#proxy.totalTimeout();
    const end = await filling.read(this.#response.body, { idle, total, room: (bytes) => trip.grow(bytes) });
    switch (end) {
      case "whole":
        trip.whole(filling.bytes());
        break;
      case "too long":
        trip.tooLong();
        // It goes on to the leader, if there is one.
        if (!taken) filling.cancel();
        break;
      case "late":
        this.abort();
        trip.fail(STALLED, "");
        break;
      default:
        trip.fail(UNREACHABLE, reason(end));
    }
  }
}

/** What every request may see of a trip. */
class Shared {
  told = false;
  over = false;
  filling;
  #told;
  #end;

  constructor(told, end) {
    this.#told = told;
    this.#end = end;
  }

  /** Settles when there is more to know than was told before. */
  news() {
    return this.told ? this.#end : this.#told;
  }

  take(start, end) {
    return this.filling.stream(start, end);
  }
}

/** Why a connection failed, without what is the runtime's own business. */
function reason(error) {
  const text = String(error?.message ?? error);
  return /internal error|reference =/i.test(text) ? "no connection, or it broke" : text;
}
