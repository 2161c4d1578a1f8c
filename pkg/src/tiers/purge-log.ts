// Purges told to all isolates by a log in a Durable Object, which each looks into when it gets requests.

import { checkBinding, checkText } from "./binding.js";
import { LONGEST } from "../runtime/alarm.js";
import { deferred } from "../runtime/deferred.js";
import { describe, type Duration, duration, optionError, rejectUnknown } from "../options/options.js";
import { TIMEOUT, within, WELL } from "./calls.js";
import { fieldsOf, isRefusal, NO_MESSAGE, parseMessage, type Purge, toPurge } from "./messages.js";
import type { ObjectNamespace, ObjectState } from "./platform.js";
import { keepAlive, LogFollower, type LogFollowerOf, messagePurges, PurgeLog as Log, type PurgeLogOf } from "./wasm.js";

/** How a log is followed. */
export interface PurgeLogOptions {
  /** Which of the namespace's objects: one for each cache whose isolates tell each other. Default "purges". */
  name?: string | undefined;
  /** What was purged so long ago is not handed out. Default 5 s. */
  maxStaleness?: Duration | undefined;
  /** How long the log may take to answer. Default 1 s for a look, of which at most `maxStaleness` counts, and 10 s to take messages. */
  timeout?: Duration | undefined;
  /**
   * What holds where the log can't be reached: "soft", answers go on and `staleness` grows; "hard", the memory is cleared once in
   * `maxStaleness`. Default "soft".
   */
  bound?: "soft" | "hard" | undefined;
}

/** What was told and heard by a log. */
export interface PurgeLogStats {
  /** How far behind the log the memory may be, in ms. `Infinity` before the first look, where tiers may have anything. */
  readonly staleness: number;
  readonly maxStaleness: number;
  /** Looks into the log, and those that failed or took too long. */
  readonly looks: number;
  readonly lookFailures: number;
  /** Messages that were heeded. */
  readonly heard: number;
  /** How often messages were lost: the isolate slept for longer than the log keeps them, or there is another log. */
  readonly gaps: number;
}

/** What came of following: a purge of something, or, without a kind, of what may be anything. */
export interface Heed {
  /** Nothing: what was purged is not known. */
  readonly purge: Purge | undefined;
  /** When it was: what was loaded later is not concerned. */
  readonly at: number;
}

/** A log that is being followed. */
export interface Following {
  /**
   * Call it when a request comes. Nothing: what is in memory is as new as was promised. Else a promise, which never rejects, to wait for
   * before anything is read.
   */
  catchUp(): Promise<void> | undefined;
  stats(): PurgeLogStats;
}

/** A log of purges: see {@link purgeLog}. */
export interface PurgeLog {
  /**
   * Tells messages to all that follow, in JSON. Resolves when the log has them; rejects if it can't be reached, or does not answer in
   * time, when it may have them.
   */
  publish(...texts: string[]): Promise<void>;
  /** @internal `below`: there are tiers, so that what was purged before this isolate began matters. */
  follow(heed: (heed: Heed) => void, below: boolean): Following;
}

/** What a {@link purgeLogObject} offers by RPC. */
export interface PurgeLogStub {
  /** Takes messages, in JSON; the number of the last. Throws, and takes none, if one can't be read. */
  publish(texts: readonly string[]): Promise<number>;
  /** What came after the message with this number, and at this moment (ms since 1970) or later. */
  read(after: number, since: number): Promise<PurgeLogPage>;
}

/** An answer of a log. */
export interface PurgeLogPage {
  /** Which log it is: one that was lost is followed by another. */
  readonly epoch: string;
  /** The number of its last message. */
  readonly head: number;
  /** The moment of the last message that was asked for and is gone, if any is. */
  readonly lost?: number | undefined;
  /** Number, moment and text of each message. */
  readonly records: readonly (readonly [seq: number, at: number, text: string])[];
}

const OPTIONS = new Set(["name", "maxStaleness", "timeout", "bound"]);

/**
 * A log of purges in a Durable Object of the class that {@link purgeLogObject} makes, as the transport of an `invalidation`, or as
 * `purgeLog` of an `HttpCache`.
 *
 * While the log can be reached, no request is answered with what was purged more than `maxStaleness` before it came. An isolate looks when
 * it gets a request and its last look is older than half of that; the request waits for it, a round trip, only where it is older than
 * all of it. All requests share a look, and without requests there is none.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function purgeLog(namespace: ObjectNamespace, options: PurgeLogOptions = {}): PurgeLog {
  checkBinding("namespace", namespace, "idFromName", "a namespace of Durable Objects");
  rejectUnknown(options, OPTIONS);
  const { name = "purges", maxStaleness = 5_000, timeout, bound = "soft" } = options;
  checkText("name", name);
  if (bound !== "soft" && bound !== "hard") throw optionError("bound", describe(bound), '"soft" or "hard"');
  const longest = duration("maxStaleness", maxStaleness);
  if (!(longest >= 1 && longest < Infinity))
    throw optionError("maxStaleness", describe(maxStaleness), "a finite time above 0");
  const patience = Math.min(duration("timeout", timeout ?? 1_000), longest);
  const longestPublish = Math.min(duration("timeout", timeout ?? 10_000), LONGEST);
  // A stub belongs to the request that made it.
  const stub = (): PurgeLogStub => namespace.get(namespace.idFromName(name)) as PurgeLogStub;
  return {
    async publish(...texts) {
      const told = (async () => stub().publish(texts))();
      const { end } = await within(CLOCK, longestPublish, () => told);
      if (end === TIMEOUT) throw new Error(`the log of purges has not answered in ${longestPublish} ms`);
      await told;
    },
    follow: (heed, below) =>
      new LogReader(new LogFollower(longest, patience, bound === "hard", below), stub, heed, longest),
  };
}

class LogReader implements Following {
  /** Settled when the look under way has ended. docs/workerd-promises.md says why it is made so. */
  #ended = deferred<void>();
  #number = 0;
  #timeout = 0;

  constructor(
    private readonly follower: LogFollowerOf,
    private readonly stub: () => PurgeLogStub,
    private readonly heed: (heed: Heed) => void,
    private readonly maxStaleness: number,
  ) {}

  catchUp(): Promise<void> | undefined {
    const next = this.follower.poll(Date.now());
    const { wait, clear, look } = next;
    next.free();
    if (clear) this.#clear();
    let own: Promise<void> | undefined;
    if (look !== undefined) {
      this.#ended = deferred();
      const [number, after, since, timeout] = look as unknown as [number, number, number, number];
      [this.#number, this.#timeout] = [number, timeout];
      own = this.#look(number, after, since, timeout, this.#ended.resolve);
      keepAlive(own);
    }
    return wait ? (own ?? this.#others()) : undefined;
  }

  stats(): PurgeLogStats {
    const [staleness, looks, lookFailures, heard, gaps] = this.follower.figures(Date.now()) as unknown as number[];
    const { maxStaleness } = this;
    return {
      staleness: staleness!,
      maxStaleness,
      looks: looks!,
      lookFailures: lookFailures!,
      heard: heard!,
      gaps: gaps!,
    };
  }

  async #look(number: number, after: number, since: number, timeout: number, ended: () => void): Promise<void> {
    try {
      const came = await within(CLOCK, timeout, () => this.stub().read(after, since));
      if (came.end !== WELL || !this.#take(number, came.value)) this.#fail(number);
    } finally {
      ended();
    }
  }

  #fail(number: number): void {
    if (this.follower.failed(Date.now(), number)) this.#clear();
  }

  /** Heeds a page; whether it was one. */
  #take(number: number, page: PurgeLogPage): boolean {
    if (typeof page?.epoch !== "string" || typeof page.head !== "number" || !Array.isArray(page.records)) return false;
    const numbers = new Float64Array(page.records.length * 3);
    const fields: string[] = [];
    page.records.forEach(([seq, at, text], index) => {
      numbers.set([seq, at, text.length], index * 3);
      fields.push(...(fieldsOf(parseMessage(text) ?? {}) ?? UNREADABLE));
    });
    const lost = page.lost ?? undefined;
    const steps = this.follower.page(Date.now(), number, page.epoch, page.head, lost, numbers, fields);
    const [what, at] = [steps.what, steps.at];
    steps.free();
    at.forEach((moment, index) => {
      const said = what.slice(index * 3, index * 3 + 3);
      this.heed({ purge: said[0] === "clear" ? undefined : toPurge(said), at: moment });
    });
    return true;
  }

  #clear(): void {
    this.heed({ purge: undefined, at: Date.now() });
  }

  /** Waits for a look of another request's. Where that one is gone this one looks. */
  async #others(): Promise<void> {
    const number = this.#number;
    const { end } = await within(CLOCK, this.#timeout, () => this.#ended.promise);
    if (end === WELL) return;
    this.#fail(number);
    await this.catchUp();
  }
}

const CLOCK = {
  setTimer: (callback: () => void, millis: number): unknown => setTimeout(callback, millis),
  clearTimer: (timer: unknown): void => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/** What stands for a message that can't be read. */
const UNREADABLE = ["", "", "", "", "", ""];

/** What a log keeps. */
export interface PurgeLogBounds {
  /** So many messages. Default 10,000. */
  maxRecords?: number | undefined;
  /** So many bytes of messages. Default 1 MiB. */
  maxBytes?: number | undefined;
  /** Each for so long, in ms. Default a day: as long as anything lies in a tier. */
  maxAge?: number | undefined;
}

/**
 * The class of the objects behind {@link purgeLog}, with SQLite for storage:
 *
 * ```ts
 * import { DurableObject } from "cloudflare:workers";
 * export class PurgeLogObject extends purgeLogObject(DurableObject) {}
 * ```
 *
 * Other services publish by its `fetch`: POST of a message, or of an array of them. Whoever can reach it can purge, so that a Worker
 * that hands requests on to it has to see who asks.
 */
export function purgeLogObject<B extends abstract new (...args: any[]) => any>(
  Base: B,
  { maxRecords = 10_000, maxBytes = 1 << 20, maxAge = 86_400_000 }: PurgeLogBounds = {},
): new (ctx: any, env: any) => InstanceType<B> & PurgeLogStub {
  abstract class LogHolder extends Base {
    #storage: ObjectState["storage"];
    #sql: ObjectState["storage"]["sql"];
    #log: PurgeLogOf | undefined = undefined;
    #epoch = "";

    constructor(...args: any[]) {
      super(...args);
      this.#storage = (args[0] as ObjectState).storage;
      this.#sql = this.#storage.sql;
    }

    /** What was kept, read once. */
    #open(): PurgeLogOf {
      if (this.#log !== undefined) return this.#log;
      const sql = this.#sql;
      sql.exec("CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, text TEXT NOT NULL)");
      sql.exec(
        "CREATE TABLE IF NOT EXISTS log (epoch TEXT NOT NULL, floor INTEGER NOT NULL, floor_at INTEGER NOT NULL)",
      );
      let [kept] = sql.exec("SELECT epoch, floor, floor_at FROM log").toArray();
      if (kept === undefined) {
        kept = { epoch: crypto.randomUUID(), floor: 0, floor_at: 0 };
        sql.exec("INSERT INTO log VALUES (?, 0, 0)", kept.epoch);
      }
      this.#epoch = kept.epoch;
      const rows = sql.exec("SELECT seq, at, text FROM record ORDER BY seq").toArray();
      const numbers = Float64Array.from(rows.flatMap(({ seq, at, text }) => [seq, at, text.length]));
      const fields = rows.flatMap(({ text }) => fieldsOf(parseMessage(text) ?? {}) ?? UNREADABLE);
      this.#log = new Log(maxRecords, maxBytes, maxAge, kept.floor, kept.floor, kept.floor_at, numbers, fields);
      return this.#log;
    }

    async publish(texts: readonly string[]): Promise<number> {
      const messages = texts.map((text) => {
        const fields = fieldsOf(parseMessage(text) ?? {});
        if (fields === undefined || messagePurges("log", 1, fields) === undefined)
          throw new TypeError(unreadable(text));
        return { text, fields };
      });
      const log = this.#open();
      try {
        this.#storage.transactionSync(() => {
          for (const { text, fields } of messages) this.#append(log, text, fields);
        });
      } catch (error) {
        // The storage has none of them, so that what is in memory is not the log any more.
        this.#log = undefined;
        throw error;
      }
      return log.head();
    }

    #append(log: PurgeLogOf, text: string, fields: string[]): void {
      const sql = this.#sql;
      const [seq, at, floor, floorAt, ...removed] = log.append(Date.now(), text.length, fields)!;
      sql.exec("INSERT INTO record VALUES (?, ?, ?)", seq, at, text);
      for (const gone of removed) sql.exec("DELETE FROM record WHERE seq = ?", gone);
      sql.exec("UPDATE log SET floor = ?, floor_at = ?", floor, floorAt);
    }

    async read(after: number, since: number): Promise<PurgeLogPage> {
      const log = this.#open();
      const rows = this.#sql
        .exec("SELECT seq, at, text FROM record WHERE seq > ? AND at >= ? ORDER BY seq", after, since)
        .toArray();
      return {
        epoch: this.#epoch,
        head: log.head(),
        lost: log.lost(after, since),
        records: rows.map(({ seq, at, text }) => [seq, at, text] as const),
      };
    }

    async fetch(request: Request): Promise<Response> {
      if (request.method !== "POST") return problem(405, `got ${request.method}, wants POST`);
      let json: unknown;
      try {
        json = JSON.parse(await request.text());
      } catch (error) {
        return problem(400, `the body is no JSON: ${(error as Error).message}`);
      }
      try {
        const messages: unknown[] = Array.isArray(json) ? json : [json];
        return Response.json({ seq: await this.publish(messages.map((message) => JSON.stringify(message) ?? "")) });
      } catch (error) {
        if (isRefusal(error)) return problem(400, (error as Error).message);
        console.error("nearcache: the log of purges failed:", error);
        return problem(500, "the log of purges failed");
      }
    }
  }
  return LogHolder as unknown as new (ctx: any, env: any) => InstanceType<B> & PurgeLogStub;
}

const unreadable = (text: string): string =>
  `${NO_MESSAGE}: ${text.slice(0, 100)}; wants {"v":1,"entity":…,"id":…,"action":"create", "update", "delete" or "expire"}, ` +
  `with tag, url or prefix instead of an entity, or {"v":1,"action":"clear"}`;

const problem = (status: number, error: string): Response => Response.json({ error }, { status });
