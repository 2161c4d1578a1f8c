// Purges told to other isolates' memories, where connections may live: Node, browsers.

import { checkText } from "./binding.js";
import { checkFunction, describe, optionError, rejectUnknown } from "../options/options.js";
import { fieldsOf, parseMessage, type Purge, type PurgeMessage, type PurgeSubject, toPurge } from "./messages.js";
import type { Following, PurgeLog, PurgeLogStats } from "./purge-log.js";
import type { TierChain } from "./types.js";
import { Follower, messagePurges } from "./wasm.js";

/** Carries messages between isolates. */
export interface Transport {
  publish(text: string): unknown;
  /**
   * Calls `message` with each message that others publish; one's own may be among them. Calls `lost` when the connection is there again
   * after it was not. Returns, or promises, the way to end that.
   */
  subscribe(message: (text: string) => void, lost: () => void): (() => unknown) | PromiseLike<() => unknown>;
}

/** A cache, as far as it is purged. */
export interface Purged {
  deleteByTag(tag: string): unknown;
  expireByTag?(tag: string): unknown;
  clear(): void;
}

/** How a cache is told. */
export interface InvalidationOptions {
  /** What carries messages: `broadcast`, `redisPubSub`, one of your own, or a `purgeLog`. */
  transport: Transport | PurgeLog;
  /** The cache's tiers: purges that others tell reach its memory only, since who told them has told the tiers. */
  tiers?: TierChain | undefined;
  /** Told when messages were lost or can't be read, and the memory is cleared. Default `console.warn`. */
  log?: ((line: string) => void) | undefined;
}

/** What was told so far. */
export interface InvalidationStats {
  readonly published: number;
  readonly heard: number;
  /** How often messages were lost, as far as their numbers show. */
  readonly gaps: number;
  /** How often the memory was cleared. */
  readonly clears: number;
  /** With a `purgeLog`: how far behind it the memory may be, and what its looks came to. */
  readonly log?: PurgeLogStats | undefined;
}

/** A cache that tells its purges, and hears of others'. */
export interface Invalidation {
  /**
   * Something happened to one of an entity, or to all of it: purges the tag `entity:id`, or, without `id` and for "create", the tag `entity`,
   * here, in the tiers, and in the memory of all who listen. So give entries both tags.
   */
  publish(entity: string, id?: string, action?: "create" | "update" | "delete" | "expire"): Promise<void>;
  /** The same of a tag as it is. */
  publish(message: PurgeMessage): Promise<void>;
  /** Clears this cache, its tiers, and the memory of all who listen. */
  clear(): Promise<void>;
  /** A message that came some other way, from a webhook for one. */
  handle(text: string): void;
  /**
   * Where a `purgeLog` is the transport: call it when a request comes, before the cache is asked. Nothing, or a promise to wait for, which
   * never rejects: then the memory has nothing that was purged more than `maxStaleness` ago. With others it does nothing.
   */
  catchUp(): Promise<void> | undefined;
  stats(): InvalidationStats;
  /** Hears nothing more. */
  close(): Promise<void>;
}

const OPTIONS = new Set(["transport", "tiers", "log"]);

/**
 * Tells a cache's purges to others', and heeds theirs. The messages are JSON, documented in the crate's `tier::message`, so that other
 * services can publish them. They are numbered: where one is lost the memory is cleared, and so no entry outlives its purge
 * unnoticed for longer than it takes the next message of that source to come.
 *
 * ```ts
 * const told = invalidation(cache, { transport: broadcast("shop"), tiers: chain });
 * await told.publish("order", "42", "update");
 * ```
 *
 * In Workers, where nothing listens between requests, `purgeLog(env.PURGE_LOG)` is the transport, and each request begins with
 * `await told.catchUp()`.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function invalidation(cache: Purged, options: InvalidationOptions): Invalidation {
  rejectUnknown(options, OPTIONS);
  const { transport } = options;
  checkFunction("transport.publish", transport?.publish);
  if (!("follow" in transport)) checkFunction("transport.subscribe", transport?.subscribe);
  return new Invalidator(cache, options);
}

class Invalidator implements Invalidation {
  /** A name that no other process has: its messages are counted. Made late, since a Worker's global scope has no randomness. */
  #source: string | undefined = undefined;
  readonly #follower = new Follower();
  readonly #following: Following | undefined;
  readonly #ended: Promise<() => unknown>;
  readonly #log: (line: string) => void;
  #published = 0;
  #heard = 0;
  #clears = 0;

  constructor(
    private readonly cache: Purged,
    private readonly options: InvalidationOptions,
  ) {
    const { transport, tiers, log } = options;
    this.#log = log ?? ((line) => console.warn(line));
    if ("follow" in transport) {
      this.#following = transport.follow(({ purge, at }) => {
        if (purge === undefined) this.#clear("not all that was purged is known", at);
        else this.#apply(purge, at);
      }, tiers !== undefined);
      this.#ended = Promise.resolve(() => {});
      return;
    }
    const ended = transport.subscribe(
      (text) => this.handle(text),
      () => {
        this.#follower.reconnected();
        this.#clear("the connection was lost");
      },
    );
    this.#ended = Promise.resolve(ended);
    this.#ended.catch(() => {});
  }

  async publish(
    about: string | PurgeMessage,
    id?: string,
    action: "create" | "update" | "delete" | "expire" = "update",
  ): Promise<void> {
    if (typeof about === "object" && about !== null) {
      const { action: what, ...subject } = about;
      await this.#tell(subject, what);
    } else {
      await this.#tell({ entity: about, id }, action);
    }
  }

  async clear(): Promise<void> {
    await this.#tell({}, "clear");
  }

  async #tell(subject: PurgeSubject, action: string): Promise<void> {
    const seq = this.#published + 1;
    const source = (this.#source ??= crypto.randomUUID());
    const fields = fieldsOf({ ...subject, action });
    const purge = fields && messagePurges(source, seq, fields);
    if (purge === undefined) {
      const wanted =
        "an entity of 1 to 256 bytes with an id of 1 to 1,024 or none, or a tag, url or prefix; and as action create, update, delete or expire";
      throw optionError("publish", [...Object.values(subject), action].map(describe).join(", "), wanted);
    }
    this.#published = seq;
    this.#purge(toPurge(purge));
    // Those who listen find the tiers purged already.
    await this.options.tiers?.flush();
    const message = { v: 1, source, seq, at: Date.now(), ...subject, action };
    await this.options.transport.publish(JSON.stringify(message));
  }

  handle(text: string): void {
    this.#heard++;
    const heed = this.#heed(text);
    if (heed === undefined) return;
    if (heed[0] === "clear") this.#clear(heed[1]);
    else this.#apply(toPurge(heed));
  }

  #heed(text: string): string[] | undefined {
    const message = parseMessage(text);
    const { source, seq = NaN } = message ?? {};
    const fields = message && fieldsOf(message);
    if (fields === undefined || typeof seq !== "number") return this.#follower.refuse();
    if (source !== undefined && typeof source !== "string") return this.#follower.refuse();
    return this.#follower.handle(source, seq, fields);
  }

  catchUp(): Promise<void> | undefined {
    return this.#following?.catchUp();
  }

  stats(): InvalidationStats {
    const log = this.#following?.stats();
    const [heard, gaps] = log === undefined ? [this.#heard, this.#follower.gaps()] : [log.heard, log.gaps];
    return { published: this.#published, heard, gaps, clears: this.#clears, ...(log && { log }) };
  }

  async close(): Promise<void> {
    await (
      await this.#ended
    )();
  }

  #clear(why: string | undefined, at?: number): void {
    this.#clears++;
    if (why !== undefined) this.#log(`nearcache: ${why}; the memory is cleared`);
    this.#here(() => this.cache.clear(), at);
  }

  #apply(purge: Purge, at?: number): void {
    this.#here(() => this.#purge(purge), at);
  }

  /** URLs are for HTTP caches. */
  #purge({ kind, name, soft }: Purge): void {
    const { cache } = this;
    if (kind === "everything") cache.clear();
    else if (kind === "tag" && soft && cache.expireByTag !== undefined) cache.expireByTag(name);
    else if (kind === "tag") cache.deleteByTag(name);
  }

  #here(purge: () => void, at?: number): void {
    const { tiers } = this.options;
    if (tiers === undefined) purge();
    else tiers.hereOnly(purge, at);
  }
}

/** Between the isolates of one origin or process: a `BroadcastChannel` of this name. @throws {NearCacheError} `ERR_OPTION` */
export function broadcast(name: string): Transport {
  const channel = new BroadcastChannel(checkText("name", name));
  (channel as { unref?: () => void }).unref?.();
  return {
    publish: (text) => channel.postMessage(text),
    subscribe(message) {
      channel.onmessage = ({ data }: MessageEvent) => {
        if (typeof data === "string") message(data);
      };
      return () => channel.close();
    },
  };
}

/** node-redis, as far as it is used: one client to publish, and a duplicate of it that has subscribed. */
export interface PubSubClient {
  publish(channel: string, text: string): Promise<unknown>;
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  on(event: "ready", listener: () => void): unknown;
  off(event: "ready", listener: () => void): unknown;
}

/**
 * Redis pub/sub by node-redis: `subscriber` is a connected `client.duplicate()`. Redis keeps no message for those who are away, so a
 * connection that was lost clears the memory when it is there again.
 */
export function redisPubSub(client: PubSubClient, subscriber: PubSubClient, channel = "nearcache:purges"): Transport {
  return {
    publish: (text) => client.publish(channel, text),
    async subscribe(message, lost) {
      await subscriber.subscribe(channel, message);
      subscriber.on("ready", lost);
      return async () => {
        subscriber.off("ready", lost);
        await subscriber.unsubscribe(channel);
      };
    },
  };
}
