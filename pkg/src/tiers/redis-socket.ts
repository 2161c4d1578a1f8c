import { bytes, checkFunction, type Duration, duration, optionError } from "../options/options.js";
import { checkOptions, checkText } from "./binding.js";
import { type Connect, Connection, type RedisAddress } from "./connection.js";
import { RedisTier, type RedisTierOptions } from "./redis.js";
import type { Command } from "./resp.js";
import type { Tier, TierOptions } from "./types.js";

/** How a tier of Redis by sockets is made. */
export interface RedisSocketTierOptions extends RedisTierOptions {
  /** How long a connection may take to come about, TLS included. Default 1 s. */
  connectTimeout?: Duration | undefined;
  /** How long Redis may take to reply; after that the connection is given up. Default 1 s. */
  commandTimeout?: Duration | undefined;
  /** A reply of more bytes is a failure: so much memory a server can make it take. Default 32 MiB. */
  maxReplyBytes?: number | undefined;
  /**
   * So long a connection that nobody uses stays open for the next call. Default 0: each read and each turn's writes have one of
   * their own. A Worker's requests must not share one, since the runtime breaks it for all; those of a Durable Object may:
   * see {@link tierObject}.
   */
  idleTimeout?: Duration | undefined;
}

/**
 * Redis (or Valkey) from Workers, over TCP or TLS, without a client:
 *
 * ```ts
 * import { connect } from "cloudflare:sockets";
 * const tier = redisSocketTier(connect, "rediss://user:password@redis.example.com:6380/0");
 * ```
 *
 * A socket belongs to the request that opened it, so a read of any number of keys opens one, sends all there is to ask at once,
 * and closes it after the marks of what was found: a round trip to connect (TLS: one or two more), and two for commands. Each is a
 * subrequest, and one of the six connections that a request may have at a time.
 *
 * @throws {NearCacheError} `ERR_OPTION`
 */
export function redisSocketTier(connect: Connect, url: string, options: RedisSocketTierOptions = {}): Tier {
  const {
    name = "redis",
    prefix = "nearcache:",
    connectTimeout = 1_000,
    commandTimeout = 1_000,
    maxReplyBytes = 32 * 1024 * 1024,
    idleTimeout = 0,
    ...rest
  } = checkOptions(options);
  checkFunction("connect", connect);
  const address = parseRedisUrl(url);
  const limits = {
    connectTimeout: timer("connectTimeout", connectTimeout),
    commandTimeout: timer("commandTimeout", commandTimeout),
    maxReplyBytes: bytes("maxReplyBytes", maxReplyBytes),
  };
  const open = (): Connection => new Connection(connect, address, limits);
  // Some values come in one reply.
  const tierOptions = { timeout: 1_000, maxValueBytes: limits.maxReplyBytes / 4, ...rest };
  return new RedisSocketTier(name, checkText("prefix", prefix), open, timer("idleTimeout", idleTimeout), tierOptions);
}

/** What a timer can wait for. */
function timer(option: string, given: Duration): number {
  return Math.min(duration(option, given), 2 ** 31 - 1);
}

class RedisSocketTier extends RedisTier {
  /** The connection that stays open, how many use it, and the timer that closes it. */
  #kept: Connection | undefined = undefined;
  #users = 0;
  #idle: unknown = undefined;

  constructor(
    name: string,
    prefix: string,
    private readonly open: () => Connection,
    private readonly idleTimeout: number,
    options: TierOptions,
  ) {
    super(name, prefix, (commands) => this.#use((connection) => send(connection, commands)), options);
  }

  session(): Tier {
    const connection = this.#begin();
    const { name, prefix } = this;
    const close = async (): Promise<void> => this.#end(connection);
    return Object.assign(new RedisTier(name, prefix, (commands) => send(connection, commands)), { close });
  }

  override async clear(): Promise<void> {
    const session = this.session();
    try {
      await session.clear?.();
    } finally {
      await session.close?.();
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle as number);
    this.#kept?.close();
  }

  async #use<T>(call: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = this.#begin();
    try {
      return await call(connection);
    } finally {
      this.#end(connection);
    }
  }

  #begin(): Connection {
    if (this.idleTimeout === 0) return this.open();
    clearTimeout(this.#idle as number);
    if (this.#kept === undefined || this.#kept.ended) {
      this.#kept = this.open();
      this.#users = 0;
    }
    this.#users++;
    return this.#kept;
  }

  #end(connection: Connection): void {
    if (connection !== this.#kept) connection.close();
    else if (--this.#users === 0) this.#idle = setTimeout(() => connection.close(), this.idleTimeout);
  }
}

async function send(connection: Connection, commands: readonly Command[]): Promise<readonly unknown[]> {
  const replies = await connection.send(commands);
  const failed = replies.find((reply) => reply instanceof Error);
  if (failed !== undefined) throw failed;
  return replies;
}

/** Refusals never show the URL, which may have a password in it. */
function parseRedisUrl(given: string): RedisAddress {
  const allowed = "redis://[user:password@]host[:port][/database], or rediss:// for TLS";
  const refused = (what: string) => optionError("url", what, allowed);
  if (typeof given !== "string") throw refused(`a ${typeof given}`);
  let url: URL;
  let user: string;
  let password: string;
  try {
    url = new URL(given);
    [user, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  } catch {
    throw refused("what is no URL");
  }
  if (url.protocol !== "redis:" && url.protocol !== "rediss:") throw refused(`the protocol ${url.protocol}`);
  if (url.hostname === "") throw refused("a URL without a host");
  if (user !== "" && password === "") throw refused("a user without a password");
  const database = /^\/?(\d{0,9})$/.exec(url.pathname)?.[1];
  if (database === undefined || url.search !== "" || url.hash !== "") throw refused("something else behind the host");
  const greeting: Command[] = [];
  if (password !== "") greeting.push(user === "" ? ["AUTH", password] : ["AUTH", user, password]);
  if (database !== "" && Number(database) !== 0) greeting.push(["SELECT", database]);
  return { hostname: url.hostname, port: Number(url.port || 6379), tls: url.protocol === "rediss:", greeting };
}
