import { refusal, show } from "../options.js";
import type { Tier, TierEntry, TierOptions } from "./types.js";

type Argument = string | Uint8Array;
/** One command; its answer with bytes where Redis has strings. */
type Send = (args: readonly Argument[]) => PromiseLike<unknown>;

/** node-redis 5 and newer, as far as it is used. */
export interface NodeRedisClient {
  readonly isReady: boolean;
  withTypeMapping(mapping: any): { sendCommand(args: any): Promise<unknown> };
}

/** ioredis 5, as far as it is used. */
export interface IoRedisClient {
  readonly status: string;
  callBuffer(command: string, ...args: any[]): Promise<unknown>;
}

/** How a Redis tier is made. */
export interface RedisTierOptions extends TierOptions {
  name?: string | undefined;
  /** What all names in Redis begin with. Default `"nearcache:"`. */
  prefix?: string | undefined;
}

/** RESP's type of strings. */
const BLOB_STRING = 36;

/**
 * Redis (or Valkey) by the client that the program has: of node-redis or ioredis. A read of any number of keys is one MGET, and one
 * more for the marks of what was found.
 *
 * The client is its owner's: it connects, reconnects and closes it. While it is not connected the tier fails at once, so that
 * nothing waits in the client's queue. With a maximal memory and no eviction Redis refuses writes; `allkeys-lru` suits a cache,
 * but forgets marks of purges with all else.
 */
export function redisTier(client: NodeRedisClient | IoRedisClient, options: RedisTierOptions = {}): Tier {
  const { name = "redis", prefix = "nearcache:", ...rest } = options;
  return new RedisTier(name, prefix, sender(client), rest);
}

class RedisTier implements Tier {
  constructor(
    readonly name: string,
    private readonly prefix: string,
    private readonly send: Send,
    readonly options: TierOptions,
  ) {}

  async get(name: string): Promise<Uint8Array | undefined> {
    return bytesOf(await this.send(["GET", this.prefix + name]));
  }

  async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const answers = (await this.send(["MGET", ...names.map((name) => this.prefix + name)])) as unknown[];
    return answers.map(bytesOf);
  }

  async set({ name, bytes, ttl }: TierEntry): Promise<void> {
    await this.send(["SET", this.prefix + name, bytes, "PX", String(Math.max(1, Math.ceil(ttl)))]);
  }

  async setMany(entries: readonly TierEntry[]): Promise<void> {
    // The client sends what is asked for in one turn together.
    await Promise.all(entries.map((entry) => this.set(entry)));
  }

  async delete(name: string): Promise<void> {
    await this.deleteMany([name]);
  }

  async deleteMany(names: readonly string[]): Promise<void> {
    await this.send(["UNLINK", ...names.map((name) => this.prefix + name)]);
  }

  async clear(): Promise<void> {
    const pattern = `${this.prefix.replace(/[\\*?[\]]/g, "\\$&")}*`;
    let cursor = "0";
    do {
      const [next, names] = (await this.send(["SCAN", cursor, "MATCH", pattern, "COUNT", "1000"])) as [
        unknown,
        unknown[],
      ];
      cursor = text(next);
      if (names.length > 0) await this.send(["UNLINK", ...names.map(text)]);
    } while (cursor !== "0");
  }
}

function sender(client: NodeRedisClient | IoRedisClient): Send {
  if (typeof (client as IoRedisClient | undefined)?.callBuffer === "function") {
    const io = client as IoRedisClient;
    return async ([command, ...args]) => {
      if (io.status !== "ready") throw new Error(`redis: the client is ${io.status}`);
      return io.callBuffer(command as string, ...args.map(toNode));
    };
  }
  if (typeof (client as NodeRedisClient | undefined)?.withTypeMapping === "function") {
    const node = client as NodeRedisClient;
    const binary = node.withTypeMapping({ [BLOB_STRING]: Buffer });
    return async (args) => {
      if (!node.isReady) throw new Error("redis: the client is not connected");
      return binary.sendCommand(args.map(toNode));
    };
  }
  throw refusal("client", show(client), "a client of node-redis (5 or newer) or ioredis");
}

function toNode(argument: Argument): string | Buffer {
  return typeof argument === "string" ? argument : Buffer.from(argument.buffer, argument.byteOffset, argument.length);
}

function bytesOf(answer: unknown): Uint8Array | undefined {
  return answer instanceof Uint8Array ? answer : undefined;
}

function text(answer: unknown): string {
  return answer instanceof Uint8Array ? new TextDecoder().decode(answer) : String(answer);
}
