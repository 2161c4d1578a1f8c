// What is beside an HTTP cache's memory: tiers below it, and a log of purges that all isolates follow.

import type { Ask, Edge as WasmEdge, Trip } from "../../generated/http.js";
import type { AttachedBodies, AttachedBytes, TierHost, Tiers } from "../types/tiering.js";
import type { Following, PurgeLog } from "../tiers/purge-log.js";
import type { Place } from "../hooks/events.js";
import { isRefusal, LONGEST } from "../tiers/messages.js";
import { believed } from "./apart.js";
import { bodyMetrics, CACHE, logMetrics } from "./metrics.js";
import type { HttpStats } from "./types.js";

/** What there is beside the memory. */
export interface Beside {
  readonly tiers?: Tiers | undefined;
  readonly purgeLog?: PurgeLog | undefined;
}

/** The figures of what is there of it. */
export type EdgeStats = Pick<HttpStats, "tiers" | "bodies" | "log">;

/** What came of looking below: all is told, or the origin is to be asked, and then perhaps a lease to be given back. */
export type Looked = { readonly found: true } | { readonly found: false; readonly release?: () => Promise<void> };

/** No namespace, and no scope: each part of a cache around a value has marks of its own, which cost reads. */
const PLACE = { namespaces: [], scopes: [] } as unknown as Place;
/** So many messages wait for a log that can't be reached. */
const MOST_UNTOLD = 1_024;
/** How long it is left alone, in ms. */
const UNTOLD_AGAIN = 1_000;
/** For the silence of a body that is read from a store, in ms. */
const SILENCE = 30_000;

export class Edge {
  #edge: WasmEdge;
  readonly #tiers: AttachedBytes | undefined;
  readonly #log: PurgeLog | undefined;
  readonly #following: Following | undefined;
  #untold: string[] = [];
  #again = -Infinity;

  constructor(
    edge: WasmEdge,
    { tiers, purgeLog }: Beside,
    private readonly waitUntil: (promise: Promise<unknown>) => void,
  ) {
    // Who follows a log needs no marks in the tiers: a read is one round trip, whatever the tags.
    this.#tiers = tiers?.attach(hostOf(waitUntil), purgeLog === undefined);
    this.#log = purgeLog;
    this.#edge = edge;
    this.#following = purgeLog?.follow(({ purge, at }) => {
      if (purge === undefined) this.#edge.forget(at);
      else this.#edge.purge(purge.kind, purge.name, purge.soft, at);
    }, tiers !== undefined);
    this.use(edge);
  }

  /** The memory is another one now. */
  use(edge: WasmEdge): void {
    this.#edge = edge;
    edge.attach(this.#tiers !== undefined, this.bodies?.most ?? 0, true);
  }

  /** Where bodies lie apart, if there is such a store. */
  get bodies(): AttachedBodies | undefined {
    return this.#tiers?.bodies;
  }

  /** The body of an answer that lies apart: nothing if it is not there. `undefined` at once for any other answer. */
  open(ask: Ask): Promise<ReadableStream<Uint8Array> | undefined> | undefined {
    const apart = ask.apart();
    if (apart === undefined) return undefined;
    const [start, end, from, to, partBytes] = apart.numbers() as unknown as [number, number, number, number, number];
    const [name, digests] = [apart.name(), apart.digests()];
    apart.free();
    const { bodies } = this;
    if (bodies === undefined) return Promise.resolve(undefined);
    const wanted = { start, end, from, to, partBytes, digests };
    // What is not what was stored goes, so that the next one who asks finds it missing, and the origin's takes its place.
    const ends = {
      whole: () => bodies.had(),
      refused: () => this.waitUntil(bodies.refuse(name)),
      lost: () => bodies.lose(),
    };
    return bodies.open(name, from, to).then((source) => source && believed(source, wanted, SILENCE, ends));
  }

  #remove(names: readonly string[]): void {
    for (const name of names) this.waitUntil(this.bodies?.remove(name) ?? Promise.resolve());
  }

  /** For a request that has come: nothing, or what to wait for until the memory is as new as was promised. */
  catchUp(): Promise<void> | undefined {
    if (this.#untold.length > 0 && Date.now() >= this.#again) this.waitUntil(this.tell().catch(() => {}));
    return this.#following?.catchUp();
  }

  /** Looks below for what a trip is for. Never rejects. */
  async find(trip: Trip): Promise<Looked> {
    const name = trip.nameBelow();
    if (this.#tiers === undefined || name === undefined) return { found: false };
    if (await this.#look(trip, name)) return { found: true };
    const turn = await this.#tiers.turn(PLACE, name);
    if (turn?.kind === "holder") return { found: false, release: turn.release };
    // Once: what another has not stored is nothing to queue up for.
    return { found: turn?.kind === "after" && (await this.#look(trip, name)) };
  }

  async #look(trip: Trip, first: string): Promise<boolean> {
    const seen = new Set<string>();
    for (let name = first; !seen.has(name);) {
      seen.add(name);
      const found = await this.#tiers!.read(PLACE, name);
      if (found === undefined) return false;
      const came = trip.found(found.layer, found.began, found.bytes) as true | string | undefined;
      if (typeof came !== "string") return came === true;
      name = came;
    }
    return false;
  }

  /** A trip has ended: what it has brought goes into the tiers, and what it has purged is told, behind the answer. */
  after(trip: Trip, release?: () => Promise<void>): void {
    const writes: Promise<void>[] = [];
    for (let share = trip.share(); share !== undefined; share = trip.share()) {
      const [ttl, staleWhileRevalidate, staleIfError, began] = share.numbers() as unknown as number[];
      const life = {
        ttl: ttl!,
        staleWhileRevalidate: staleWhileRevalidate!,
        staleIfError: staleIfError!,
        age: 0,
        tags: share.tags(),
        bytes: NaN,
      };
      const payload = share.payload();
      for (const name of share.names()) {
        writes.push(this.#tiers!.write(PLACE, name, payload, began!, life, release !== undefined));
      }
      share.free();
    }
    if (writes.length > 0 || release !== undefined) this.waitUntil(Promise.all(writes).then(release));
    const told = this.tell();
    this.waitUntil(told.catch(() => {}));
  }

  /** Tells what was purged. Rejects if the log can't be reached: then it is told later. */
  async tell(): Promise<void> {
    this.#remove(this.#edge.orphans());
    const said = this.#edge.told();
    for (let at = 0; at < said.length; at += 3) this.#take(said[at]!, said[at + 1]!, said[at + 2] === "soft");
    const texts = this.#untold;
    if (this.#log === undefined || texts.length === 0) return;
    this.#untold = [];
    try {
      await publish(this.#log, texts);
    } catch (error) {
      this.#again = Date.now() + UNTOLD_AGAIN;
      const untold = [...texts, ...this.#untold];
      this.#untold = untold.length > MOST_UNTOLD ? [EVERYTHING] : untold;
      throw error;
    }
  }

  #take(kind: string, name: string, soft: boolean): void {
    if (this.#log !== undefined) {
      this.#untold.push(messageOf(kind, name, soft));
    } else if (kind === "tag") {
      this.#tiers?.purge(PLACE, "tag", `t:${name}`);
    } else if (kind === "url") {
      this.#tiers?.purge(PLACE, "tag", `u:${name}`);
    } else {
      // Marks are looked up by name: a prefix is not told by any.
      this.#tiers?.purge(PLACE, "all");
    }
  }

  /** What there is of each, and nothing of what is not there. */
  stats(): EdgeStats {
    const [tiers, bodies, log] = [this.#tiers?.stats(), this.bodies?.stats(), this.#following?.stats()];
    return { ...(tiers && { tiers }), ...(bodies && { bodies }), ...(log && { log }) };
  }

  /** Lines for a page of Prometheus. */
  metrics(): string {
    const [bodies, log] = [this.bodies?.stats(), this.#following?.stats()];
    const tiers = this.#tiers?.page(CACHE, undefined).text() ?? "";
    return tiers + (bodies === undefined ? "" : bodyMetrics(bodies)) + (log === undefined ? "" : logMetrics(log));
  }
}

/** All or nothing: one message that the log refuses would keep back all others for ever, so that all there is stands for them. */
async function publish(log: PurgeLog, texts: readonly string[]): Promise<void> {
  try {
    await log.publish(...texts);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await log.publish(EVERYTHING);
  }
}

const EVERYTHING = '{"v":1,"action":"clear"}';
/** So long are names in messages, in UTF-8. */
const LONGEST_TAG = 1_024;
const LONGEST_URL = 2_048;

/** A message for what was purged: for a name that no message has, of more than that. */
function messageOf(kind: string, name: string, soft: boolean): string {
  const action = soft ? "expire" : "delete";
  const all = soft ? '{"v":1,"action":"expire"}' : EVERYTHING;
  if (kind === "everything" || name === "" || name.includes("\0")) return all;
  const bytes = new TextEncoder().encode(name).length;
  const text = JSON.stringify({ v: 1, [kind]: name, action });
  // A client may ask for what takes twice as much in JSON, or six times.
  if (bytes <= (kind === "tag" ? LONGEST_TAG : LONGEST_URL) && text.length <= LONGEST) return text;
  if (kind === "tag") return all;
  // A character has four bytes at the most, and six in JSON. Half of one is none.
  const prefix = name.slice(0, LONGEST_URL / 4).replace(/[\ud800-\udbff]$/, "");
  return JSON.stringify({ v: 1, prefix, action });
}

const hostOf = (keepAlive: (promise: Promise<unknown>) => void): TierHost => ({
  // In a Worker it is. Elsewhere nothing is taken for lost by this clock that is not.
  requestBound: true,
  now: () => Date.now(),
  random: () => 1 - Math.random(),
  keepAlive,
  afterPromiseJobs: (callback) => queueMicrotask(callback),
  setTimer: (callback, millis) => setTimeout(callback, millis),
  clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
});
