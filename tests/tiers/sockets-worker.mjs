// Redis over sockets, as a Worker has it: each request runs one of the tests' steps, inside the runtime.

import { connect } from "cloudflare:sockets";
import { DurableObject } from "cloudflare:workers";
import { NearCache } from "nearcache";
import { objectTier, redisSocketTier, tierObject, tiers } from "nearcache/tiers";
import { testTier } from "nearcache/tiers/conformance";

export class RedisObject extends tierObject(DurableObject, (env) =>
  redisSocketTier(connect, env.URL, {
    prefix: "object:",
    idleTimeout: "1m",
    connectTimeout: "20s",
    commandTimeout: "20s",
  }),
) {}

const makeTier = (kind, env, { url, ...options }) =>
  kind === "object" ? objectTier(env.REDIS, options) : redisSocketTier(connect, url ?? env.URL, options);

/** A cache with its tier, as an isolate has it. */
const isolates = {};
function isolate(name, env, { kind, tier, clockSkew = 0 }) {
  return (isolates[name] ??= (() => {
    const lines = [];
    const log = (line) => lines.push(line);
    const chain = tiers([makeTier(kind, env, tier)], { clockSkew, lateWrites: 0, log });
    return { cache: new NearCache({ ttl: "5m", tiers: chain }), chain, lines, loads: 0, batches: [] };
  })());
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const asked = await request.json();
    if (pathname === "/conformance") {
      const make = () => makeTier(asked.kind, env, asked.tier);
      const results = await testTier({ make, shortestTtl: 50 });
      return Response.json(results.map(({ title, error }) => ({ title, error: error?.message })));
    }
    if (pathname === "/call") {
      const tier = makeTier(asked.kind, env, asked.tier);
      const before = Date.now();
      try {
        const got = await tier.get("nothing");
        return Response.json({ got: got === undefined ? null : got.length, millis: Date.now() - before });
      } catch (error) {
        return Response.json({ error: String(error.message), code: error.code, millis: Date.now() - before });
      }
    }
    const one = isolate(asked.isolate, env, asked);
    if (pathname === "/get") {
      const load = async (key) => {
        one.loads++;
        return `value of ${key}`;
      };
      const before = Date.now();
      const value = await one.cache.getOrSet(asked.key, load, { tags: ["tag"] });
      const millis = Date.now() - before;
      if (asked.flush) await one.chain.flush();
      return Response.json({ value, millis });
    }
    if (pathname === "/getMany") {
      const keys = Array.from({ length: asked.count }, (_, at) => `key ${at}`);
      const before = Date.now();
      const values = await one.cache.getMany(keys, async (missing) => {
        one.batches.push(missing.length);
        return missing.map((key) => `value of ${key}`);
      });
      const millis = Date.now() - before;
      await one.chain.flush();
      const right = values.filter((value, at) => value === `value of key ${at}`).length;
      return Response.json({ right, batches: one.batches, millis });
    }
    if (pathname === "/purge") {
      one.cache.deleteByTag("tag");
      await one.chain.flush();
      return Response.json("purged");
    }
    return Response.json({ stats: one.chain.stats()[0], loads: one.loads, lines: one.lines });
  },
};
