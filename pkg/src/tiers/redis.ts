import { describe, optionError } from "../options/options.js";
import { checkOptions, checkText } from "./binding.js";
import type { Argument, Command } from "./resp.js";
import type { Tier, TierEntry, TierOptions } from "./types.js";

/** Sends commands together; what is answered to each, with bytes where Redis has strings. Rejects with the first error. */
export type Send = (commands: readonly Command[]) => Promise<readonly unknown[]>;

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
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function redisTier(client: NodeRedisClient | IoRedisClient, options: RedisTierOptions = {}): Tier {
  const { name = "redis", prefix = "nearcache:", ...rest } = checkOptions(options);
  return new RedisTier(name, checkText("prefix", prefix), sender(client), rest);
}

/** Redis by whatever sends commands to it. */
export class RedisTier implements Tier {
  constructor(
    readonly name: string,
    protected readonly prefix: string,
    private readonly send: Send,
    readonly options?: TierOptions,
  ) {}

  async get(name: string): Promise<Uint8Array | undefined> {
    return bytesOf(await this.one("GET", this.prefix + name));
  }

  async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const answers = (await this.one("MGET", ...names.map((name) => this.prefix + name))) as unknown[];
    return answers.map(bytesOf);
  }

  async set(entry: TierEntry): Promise<void> {
    await this.setMany([entry]);
  }

  async setMany(entries: readonly TierEntry[]): Promise<void> {
    const toCommand = ({ name, bytes, ttl }: TierEntry): Command => [
      "SET",
      this.prefix + name,
      bytes,
      "PX",
      String(Math.max(1, Math.ceil(ttl))),
    ];
    await this.send(entries.map(toCommand));
  }

  async delete(name: string): Promise<void> {
    await this.deleteMany([name]);
  }

  async deleteMany(names: readonly string[]): Promise<void> {
    await this.one("UNLINK", ...names.map((name) => this.prefix + name));
  }

  async clear(): Promise<void> {
    const pattern = `${this.prefix.replace(/[\\*?[\]]/g, "\\$&")}*`;
    let cursor = "0";
    do {
      const [next, names] = (await this.one("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")) as [unknown, unknown[]];
      cursor = text(next);
      if (names.length > 0) await this.one("UNLINK", ...names.map(text));
    } while (cursor !== "0");
  }

  private async one(...command: Argument[]): Promise<unknown> {
    return (await this.send([command]))[0];
  }
}

function sender(client: NodeRedisClient | IoRedisClient): Send {
  if (typeof (client as IoRedisClient | undefined)?.callBuffer === "function") {
    const io = client as IoRedisClient;
    return async (commands) => {
      if (io.status !== "ready") throw new Error(`redis: the client is ${io.status}`);
      // The client sends what is asked for in one turn together.
      return Promise.all(commands.map(([command, ...args]) => io.callBuffer(command as string, ...args.map(toNode))));
    };
  }
  if (typeof (client as NodeRedisClient | undefined)?.withTypeMapping === "function") {
    const node = client as NodeRedisClient;
    const binary = node.withTypeMapping({ [BLOB_STRING]: Buffer });
    return async (commands) => {
      if (!node.isReady) throw new Error("redis: the client is not connected");
      return Promise.all(commands.map((args) => binary.sendCommand(args.map(toNode))));
    };
  }
  throw optionError("client", describe(client), "a client of node-redis (5 or newer) or ioredis");
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
