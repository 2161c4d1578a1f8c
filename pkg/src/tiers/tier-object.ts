import { deleteMany, getMany, setMany } from "./calls.js";
import type { StoreStub } from "./platform.js";
import type { Tier, TierEntry } from "./types.js";

/**
 * The class of objects behind {@link objectTier} that keep nothing themselves, and pass all on to a tier. An object's requests share what they
 * open, which a Worker's must not: so a connection to Redis stays open from one to the next.
 *
 * ```ts
 * import { connect } from "cloudflare:sockets";
 * import { DurableObject } from "cloudflare:workers";
 * export class RedisObject extends tierObject(DurableObject, (env) =>
 *   redisSocketTier(connect, env.REDIS_URL, { idleTimeout: "10s" })) {}
 * // and in the Worker:
 * const chain = tiers([objectTier(env.REDIS, { shards: 4 })]);
 * ```
 *
 * A call costs a request to the object, and the way from it to Redis. An open connection keeps the object in memory, which is paid for by time.
 */
export function tierObject<B extends abstract new (...args: any[]) => any>(
  Base: B,
  make: (env: any) => Tier,
): new (ctx: any, env: any) => InstanceType<B> & StoreStub {
  abstract class Front extends Base {
    readonly #tier: Tier;

    constructor(...args: any[]) {
      super(...args);
      this.#tier = make(args[1]);
    }

    async getMany(names: readonly string[]): Promise<(Uint8Array | undefined)[]> {
      return [...(await getMany(this.#tier, names))];
    }

    async setMany(entries: readonly TierEntry[]): Promise<void> {
      await setMany(this.#tier, entries);
    }

    async deleteMany(names: readonly string[]): Promise<void> {
      await deleteMany(this.#tier, names);
    }

    async clear(): Promise<void> {
      await this.#tier.clear?.();
    }
  }
  return Front as unknown as new (ctx: any, env: any) => InstanceType<B> & StoreStub;
}
