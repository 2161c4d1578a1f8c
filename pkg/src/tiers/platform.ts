// Stores of Cloudflare's platform, by their bindings. The types name what is used of each, so that no types of a platform are needed.

import { checkBinding, checkOptions, shardCount, checkText } from "./binding.js";
import { isMark, isMarkOfMany, withoutKind } from "./names.js";
import { checkFunction } from "../options/options.js";
import { ofLength } from "../runtime/streams.js";
import type { BodyStore, Tier, TierEntry, TierOptions } from "./types.js";

/** How a tier of a binding is made. */
export interface BindingTierOptions extends TierOptions {
  name?: string | undefined;
  /** What all names in the store begin with. Default `"nearcache:"`; of R2 `"nearcache/"`. */
  prefix?: string | undefined;
}

/** A Workers KV namespace, as far as it is used. */
export interface KvNamespace {
  get(key: string, type: "arrayBuffer"): Promise<ArrayBuffer | null>;
  get(keys: string[], type: "text"): Promise<ReadonlyMap<string, string | null>>;
  put(key: string, value: any, options?: { expirationTtl?: number }): Promise<void>;
  delete(key: string): Promise<void>;
}

/** KV keeps nothing for less than a minute, and no value of more. */
const SHORTEST_KV = 60;
const LARGEST_KV = 25 * 1024 * 1024;
/** So many keys it reads at once, if they are text: marks are, in Base64. */
const MOST_KV = 100;

/**
 * Workers KV: everywhere, and eventually: what was written shows elsewhere within a minute or so, purges too. One key costs a
 * read for its value and, if there is one, one for each of its marks (at least two); a value is an operation, and up to 100 marks are one, of
 * which a request has 1,000. KV takes one write a second for a key.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function kvTier(namespace: KvNamespace, options: BindingTierOptions = {}): Tier {
  checkBinding("namespace", namespace, "put", "a KV namespace");
  const { name = "kv", prefix = "nearcache:", ...rest } = checkOptions(options);
  checkText("prefix", prefix);
  return {
    name,
    options: { timeout: 1_000, maxValueBytes: LARGEST_KV, ...rest },
    async get(key) {
      return (await this.getMany!([key]))[0];
    },
    async getMany(keys) {
      const names = await Promise.all(keys.map((key) => shortened(prefix + key)));
      const marks = [...new Set(names.filter((_, at) => isMark(keys[at]!)))];
      const chunks = Array.from({ length: Math.ceil(marks.length / MOST_KV) }, (_, at) =>
        namespace.get(marks.slice(at * MOST_KV, (at + 1) * MOST_KV), "text"),
      );
      const [texts, values] = await Promise.all([
        Promise.all(chunks),
        Promise.all(keys.map((key, at) => (isMark(key) ? null : namespace.get(names[at]!, "arrayBuffer")))),
      ]);
      const found = new Map(texts.flatMap((some) => [...some]));
      return keys.map((key, at) => (isMark(key) ? fromText(found.get(names[at]!)) : toBytes(values[at]!)));
    },
    async set({ name: key, bytes, ttl }) {
      const expirationTtl = Math.max(SHORTEST_KV, Math.ceil(ttl / 1_000));
      await namespace.put(await shortened(prefix + key), isMark(key) ? toText(bytes) : bytes, { expirationTtl });
    },
    async delete(key) {
      await namespace.delete(await shortened(prefix + key));
    },
  };
}

function toText(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** What is no text of ours is a mark that can't be read, which is not the same as none. */
function fromText(text: string | null | undefined): Uint8Array | undefined {
  if (text === null || text === undefined) return undefined;
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

/** KV's longest name, in bytes. */
const LONGEST_KV = 512;

/** KV refuses `.` and `..` too, but no name of ours is one. */
async function shortened(name: string): Promise<string> {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length <= LONGEST_KV) return name;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `${name.slice(0, 100)}~${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** For a path: without a dot, so that none has `..`. */
function encoded(name: string): string {
  return encodeURIComponent(name).replaceAll(".", "%2E");
}

/** A cache of the Cache API, as far as it is used. */
export interface CacheApi {
  match(request: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | undefined>;
  put(request: string, response: any): Promise<void>;
  delete(request: string): Promise<boolean>;
}

/**
 * The Cache API: `caches.default` or one of `caches.open(name)`. Of a data centre, shared by its isolates, and free. A purge reaches
 * the data centre it was made in; elsewhere a value stays until its `ttl`, so keep that short. Does nothing on workers.dev.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function cacheApiTier(cache: CacheApi, options: BindingTierOptions = {}): Tier {
  checkFunction("cache.match", cache?.match);
  const { name = "cache-api", prefix = "nearcache:", ...rest } = checkOptions(options);
  checkText("prefix", prefix);
  const url = (key: string): string => `https://nearcache.internal/${encoded(prefix + key)}`;
  return {
    name,
    options: rest,
    async get(key) {
      const response = await cache.match(url(key));
      return response === undefined ? undefined : toBytes(await response.arrayBuffer());
    },
    async set({ name: key, bytes, ttl }) {
      const headers = {
        "Cache-Control": `public, max-age=${Math.ceil(ttl / 1_000)}`,
        "Content-Type": "application/octet-stream",
      };
      await cache.put(url(key), new Response(bytes as BodyInit, { headers }));
    },
    async delete(key) {
      await cache.delete(url(key));
    },
  };
}

/** What lies in a bucket, as far as it is used. */
export interface R2ObjectLike {
  readonly body: ReadableStream<Uint8Array>;
  readonly customMetadata?: Record<string, string>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** An R2 bucket, as far as it is used. */
export interface R2BucketLike {
  get(key: string, options?: any): Promise<R2ObjectLike | null>;
  put(key: string, value: any, options?: any): Promise<unknown>;
  delete(keys: string | string[]): Promise<void>;
}

/**
 * R2: for large values, consistent, without an end by time of its own: what has expired is not believed, and wants a lifecycle rule of the
 * bucket to go. Writes cost more than reads (class A and B operations). It keeps streams too: `bodies` of a chain.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function r2Tier(bucket: R2BucketLike, options: BindingTierOptions = {}): BodyStore {
  checkBinding("bucket", bucket, "put", "an R2 bucket");
  const { name = "r2", prefix = "nearcache/", ...rest } = checkOptions(options);
  checkText("prefix", prefix);
  const path = (key: string): string => prefix + encoded(key);
  return {
    name,
    options: { timeout: 2_000, ...rest },
    async get(key) {
      const object = await bucket.get(path(key));
      return object !== null && hasNotEnded(object) ? toBytes(await object.arrayBuffer()) : undefined;
    },
    async getStream(key, start, end) {
      const object = await bucket.get(path(key), { range: { offset: start, length: end - start } });
      if (object === null || hasNotEnded(object)) return object?.body;
      await object.body.cancel();
      return undefined;
    },
    async setStream({ name: key, length, ttl, stream }) {
      // Its length has to be known, and what has another is not stored.
      await bucket.put(path(key), ofLength(stream, length), endsIn(ttl));
    },
    async set({ name: key, bytes, ttl }) {
      await bucket.put(path(key), bytes, endsIn(ttl));
    },
    async delete(key) {
      await bucket.delete(path(key));
    },
    async deleteMany(keys) {
      // At most 1,000 at once.
      for (let at = 0; at < keys.length; at += 1_000) await bucket.delete(keys.slice(at, at + 1_000).map(path));
    },
  };
}

function endsIn(ttl: number): object {
  return { customMetadata: { until: String(Date.now() + ttl) } };
}

function hasNotEnded({ customMetadata }: R2ObjectLike): boolean {
  return Number(customMetadata?.until ?? Infinity) > Date.now();
}

/** What a {@link StoreObject} does, as its stub offers it by RPC. */
export interface StoreStub {
  getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]>;
  setMany(entries: readonly TierEntry[]): Promise<void>;
  deleteMany(names: readonly string[]): Promise<void>;
  clear(): Promise<void>;
}

/** A namespace of Durable Objects, as far as it is used. */
export interface ObjectNamespace {
  idFromName(name: string): any;
  get(id: any): any;
}

/** How a tier of Durable Objects is made. */
export interface ObjectTierOptions extends BindingTierOptions {
  /** The number of objects that names are spread over: one takes some hundred requests a second. Default 1. */
  shards?: number | undefined;
}

/** A row of an object's SQLite has 2 MB at the most, its name among them. */
const LARGEST_ROW = 2_000_000 - 1_000;

/**
 * Durable Objects of the class `StoreObject` (`nearcache/tiers` exports what makes it: {@link storeObject}): consistent everywhere, far
 * from most. A read of many keys is one call for each shard they are in.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function objectTier(namespace: ObjectNamespace, options: ObjectTierOptions = {}): Tier {
  checkBinding("namespace", namespace, "idFromName", "a namespace of Durable Objects");
  const { name = "durable-object", prefix = "nearcache:", shards = 1, ...rest } = checkOptions(options);
  checkText("prefix", prefix);
  shardCount(shards);
  const stub = (shard: number): StoreStub => namespace.get(namespace.idFromName(`${prefix}${shard}`)) as StoreStub;
  // A value and its key's mark lie together.
  const shardOf = (key: string): number => {
    const hashed = withoutKind(key);
    let hash = 0;
    for (let at = 0; at < hashed.length; at++) hash = (Math.imul(hash, 31) + hashed.charCodeAt(at)) | 0;
    return (hash >>> 0) % shards;
  };
  /**
   * Calls each shard that has some of these, or is to have them, with the places of what it has. Marks of tags and of all, of which
   * each read of a value wants some, lie in every shard, so that a key's read asks only its own; else all reads would ask the one
   * shard that has them.
   */
  const spread = async <T>(
    items: readonly T[],
    key: (item: T) => string,
    isRead: boolean,
    call: (stub: StoreStub, items: T[], places: number[]) => Promise<void>,
  ) => {
    const byShard = new Map<number, number[]>();
    const add = (shard: number, place: number): void => {
      const places = byShard.get(shard);
      if (places === undefined) byShard.set(shard, [place]);
      else places.push(place);
    };
    const isOfMany = items.map((item) => isMarkOfMany(key(item)));
    items.forEach((item, place) => {
      if (!isOfMany[place]) add(shardOf(key(item)), place);
    });
    items.forEach((item, place) => {
      if (!isOfMany[place]) return;
      const [asked = shardOf(key(item))] = byShard.keys();
      if (isRead) add(asked, place);
      else for (let shard = 0; shard < shards; shard++) add(shard, place);
    });
    await Promise.all(
      [...byShard].map(([shard, places]) =>
        call(
          stub(shard),
          places.map((place) => items[place]!),
          places,
        ),
      ),
    );
  };
  const self = (item: string): string => item;
  const setMany = (entries: readonly TierEntry[]): Promise<void> =>
    spread(
      entries,
      (entry) => entry.name,
      false,
      (stub, some) => stub.setMany(some),
    );
  const deleteMany = (names: readonly string[]): Promise<void> =>
    spread(names, self, false, (stub, some) => stub.deleteMany(some));
  return {
    name,
    options: { timeout: 1_000, maxValueBytes: LARGEST_ROW, ...rest },
    async get(key) {
      return (await stub(shardOf(key)).getMany([key]))[0];
    },
    async getMany(names) {
      const answers: (Uint8Array | undefined)[] = new Array(names.length);
      await spread(names, self, true, async (stub, some, places) => {
        const got = await stub.getMany(some);
        places.forEach((place, at) => (answers[place] = got[at]));
      });
      return answers;
    },
    set: (entry) => setMany([entry]),
    setMany,
    delete: (key) => deleteMany([key]),
    deleteMany,
    async clear() {
      await Promise.all(Array.from({ length: shards }, (_, shard) => stub(shard).clear()));
    },
  };
}

/** What a store needs of a Durable Object's state. */
export interface ObjectState {
  readonly storage: {
    readonly sql: { exec(query: string, ...bindings: any[]): { toArray(): Record<string, any>[] } };
    getAlarm(): Promise<number | null>;
    setAlarm(at: number): Promise<void>;
    transactionSync<T>(body: () => T): T;
  };
}

/** How often what has expired is removed. */
const SWEEP_EVERY = 60_000;

/**
 * The class of the objects behind {@link objectTier}, with SQLite for storage and an alarm for what has expired:
 *
 * ```ts
 * import { DurableObject } from "cloudflare:workers";
 * export class StoreObject extends storeObject(DurableObject) {}
 * ```
 *
 * In wrangler's config: `"new_sqlite_classes": ["StoreObject"]`.
 */
export function storeObject<B extends abstract new (...args: any[]) => any>(
  Base: B,
): new (ctx: any, env: any) => InstanceType<B> & StoreStub {
  abstract class Store extends Base {
    #sql: ObjectState["storage"]["sql"];
    #storage: ObjectState["storage"];

    constructor(...args: any[]) {
      super(...args);
      this.#storage = (args[0] as ObjectState).storage;
      this.#sql = this.#storage.sql;
      this.#sql.exec(
        "CREATE TABLE IF NOT EXISTS entry (name TEXT PRIMARY KEY, bytes BLOB NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID",
      );
      this.#sql.exec("CREATE INDEX IF NOT EXISTS entry_until ON entry (until)");
    }

    async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
      const now = Date.now();
      return names.map((name) => {
        const [row] = this.#sql.exec("SELECT bytes FROM entry WHERE name = ? AND until > ?", name, now).toArray();
        return row === undefined ? undefined : new Uint8Array(row.bytes as ArrayBuffer);
      });
    }

    async setMany(entries: readonly TierEntry[]): Promise<void> {
      const now = Date.now();
      this.#storage.transactionSync(() => {
        for (const { name, bytes, ttl } of entries) {
          // Whole milliseconds that SQLite can hold.
          const until = Math.min(Math.ceil(now + ttl), Number.MAX_SAFE_INTEGER);
          this.#sql.exec("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", name, bytes, until);
        }
      });
      if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(now + SWEEP_EVERY);
    }

    async deleteMany(names: readonly string[]): Promise<void> {
      this.#storage.transactionSync(() => {
        for (const name of names) this.#sql.exec("DELETE FROM entry WHERE name = ?", name);
      });
    }

    async clear(): Promise<void> {
      this.#sql.exec("DELETE FROM entry");
    }

    async alarm(): Promise<void> {
      const now = Date.now();
      this.#sql.exec("DELETE FROM entry WHERE until <= ?", now);
      const [row] = this.#sql.exec("SELECT min(until) AS next FROM entry").toArray();
      const next = row?.next as number | null;
      if (next !== null) await this.#storage.setAlarm(Math.max(now + SWEEP_EVERY, next));
    }
  }
  return Store as unknown as new (ctx: any, env: any) => InstanceType<B> & StoreStub;
}

function toBytes(buffer: ArrayBuffer | null): Uint8Array | undefined {
  return buffer === null ? undefined : new Uint8Array(buffer);
}
