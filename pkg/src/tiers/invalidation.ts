// Purges told to other isolates' memories, where connections may live: Node, browsers.

import { fn, known, refusal, show } from "../options.js";
import type { TierChain } from "./types.js";
import { Follower, messageTag } from "./wasm.js";

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
  clear(): void;
}

/** How a cache is told. */
export interface InvalidationOptions {
  transport: Transport;
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
}

/** A cache that tells its purges, and hears of others'. */
export interface Invalidation {
  /**
   * Something happened to one of an entity, or to all of it: purges the tag `entity:id`, or, without `id` and for "create", the tag `entity`,
   * here, in the tiers, and in the memory of all who listen. So give entries both tags.
   */
  publish(entity: string, id?: string, action?: "create" | "update" | "delete"): Promise<void>;
  /** Clears this cache, its tiers, and the memory of all who listen. */
  clear(): Promise<void>;
  /** A message that came some other way, from a webhook for one. */
  handle(text: string): void;
  stats(): InvalidationStats;
  /** Hears nothing more. */
  close(): Promise<void>;
}

const OPTIONS = new Set(["transport", "tiers", "log"]);
/** So many characters can a message have. */
const LONGEST = 4_096;

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
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function invalidation(cache: Purged, options: InvalidationOptions): Invalidation {
  known(options, OPTIONS);
  fn("transport.publish", options.transport?.publish);
  fn("transport.subscribe", options.transport?.subscribe);
  return new Invalidator(cache, options);
}

class Invalidator implements Invalidation {
  /** A name that no other process has: its messages are counted. */
  readonly #source = crypto.randomUUID();
  readonly #follower = new Follower();
  readonly #ended: Promise<() => unknown>;
  readonly #log: (line: string) => void;
  #published = 0;
  #heard = 0;
  #clears = 0;

  constructor(
    private readonly cache: Purged,
    private readonly options: InvalidationOptions,
  ) {
    this.#log = options.log ?? ((line) => console.warn(line));
    const ended = options.transport.subscribe(
      (text) => this.handle(text),
      () => {
        this.#follower.reconnected();
        this.#clear("the connection was lost");
      },
    );
    this.#ended = Promise.resolve(ended);
    this.#ended.catch(() => {});
  }

  async publish(entity: string, id?: string, action: "create" | "update" | "delete" = "update"): Promise<void> {
    await this.#tell(entity, id, action);
  }

  async clear(): Promise<void> {
    await this.#tell(undefined, undefined, "clear");
  }

  async #tell(entity: string | undefined, id: string | undefined, action: string): Promise<void> {
    const seq = this.#published + 1;
    const tag = messageTag(this.#source, seq, entity, id, action);
    if (tag === undefined) {
      const wanted = "an entity of 1 to 256 bytes, an id of 1 to 1,024, and as action create, update or delete";
      throw refusal("publish", [entity, id, action].map(show).join(", "), wanted);
    }
    this.#published = seq;
    if (entity === undefined) this.cache.clear();
    else this.cache.deleteByTag(tag);
    // Those who listen find the tiers purged already.
    await this.options.tiers?.flush();
    const message = { v: 1, source: this.#source, seq, at: Date.now(), entity, id, action };
    await this.options.transport.publish(JSON.stringify(message));
  }

  handle(text: string): void {
    this.#heard++;
    const heed = this.#heed(text);
    if (heed === undefined) return;
    const [what, of] = heed;
    if (what === "purge") this.#here(() => void this.cache.deleteByTag(of!));
    else this.#clear(of);
  }

  #heed(text: string): string[] | undefined {
    const message = text.length <= LONGEST ? parse(text) : undefined;
    const { v, source, seq = NaN, entity, id, action } = message ?? {};
    if (v !== 1 || typeof seq !== "number" || typeof action !== "string") return this.#follower.refuse();
    if (![source, entity, id].every((text) => text === undefined || typeof text === "string")) {
      return this.#follower.refuse();
    }
    return this.#follower.handle(source as string, seq, entity as string, id as string, action);
  }

  stats(): InvalidationStats {
    return { published: this.#published, heard: this.#heard, gaps: this.#follower.gaps(), clears: this.#clears };
  }

  async close(): Promise<void> {
    await (
      await this.#ended
    )();
  }

  #clear(why: string | undefined): void {
    this.#clears++;
    if (why !== undefined) this.#log(`nearcache: ${why}; the memory is cleared`);
    this.#here(() => this.cache.clear());
  }

  #here(purge: () => void): void {
    const { tiers } = this.options;
    if (tiers === undefined) purge();
    else tiers.hereOnly(purge);
  }
}

/** The fields of a message; none if it is no object. */
function parse(text: string): Record<string, unknown> | undefined {
  try {
    const json = JSON.parse(text);
    return typeof json === "object" && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}

/** Between the isolates of one origin or process: a `BroadcastChannel` of this name. */
export function broadcast(name: string): Transport {
  const channel = new BroadcastChannel(name);
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
