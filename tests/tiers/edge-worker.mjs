// One of the isolates of an edge: a cache over a store that all share, with leases or without.

import { DurableObject } from "cloudflare:workers";
import { NearCache } from "nearcache";
import {
  invalidation,
  leaseObject,
  objectLease,
  objectTier,
  purgeLog,
  purgeLogObject,
  storeObject,
  tiers,
} from "nearcache/tiers";

export class StoreObject extends storeObject(DurableObject) {}
export class PurgeLogObject extends purgeLogObject(DurableObject) {}

/** An object that can be told to fail. */
let broken = false;
export class LeaseObject extends leaseObject(DurableObject) {
  async fail(yes) {
    broken = yes;
  }
  async acquire(...args) {
    if (broken) throw new Error("broken");
    return super.acquire(...args);
  }
}

/** Memories alone, which follow a log of purges. */
const followers = {};
function follower(maxStaleness, env) {
  return (followers[maxStaleness] ??= (() => {
    const cache = new NearCache({ ttl: "5m" });
    const told = invalidation(cache, {
      transport: purgeLog(env.PURGE_LOG, { maxStaleness: Number(maxStaleness), name: maxStaleness }),
    });
    return { cache, told };
  })());
}

const isolates = {};
function isolate(kind, env) {
  return (isolates[kind] ??= (() => {
    const lines = [];
    const log = (line) => lines.push(line);
    const lease = kind === "plain" ? undefined : objectLease(env.LEASE, { ttl: 600, wait: 5_000, timeout: 4_000 });
    const chain = tiers([objectTier(env.STORE, { prefix: `${kind}:` })], { log, lease });
    return { cache: new NearCache({ ttl: "5m", tiers: chain }), lines };
  })());
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const kind = searchParams.get("kind");
    const key = searchParams.get("key");
    if (pathname.startsWith("/followed/")) {
      const { cache, told } = follower(searchParams.get("bound"), env);
      if (pathname === "/followed/publish") {
        await told.publish("page", key, "update");
        return new Response("published");
      }
      if (pathname === "/followed/stats") return Response.json(told.stats());
      await told.catchUp();
      const load = async () => (await fetch(`${env.ORIGIN}/${key}`)).text();
      return new Response(await cache.getOrSet(key, load, { tags: [`page:${key}`] }));
    }
    if (pathname === "/log")
      return env.PURGE_LOG.get(env.PURGE_LOG.idFromName(searchParams.get("bound"))).fetch(request);
    const { cache, lines } = isolate(kind, env);
    if (pathname === "/lines") return Response.json(lines);
    if (pathname === "/break") {
      for (let shard = 0; shard < 16; shard++) {
        await env.LEASE.get(env.LEASE.idFromName(`lease ${shard}`)).fail(searchParams.get("yes") === "true");
      }
      return new Response("so be it");
    }
    if (pathname === "/die") {
      // As an isolate that takes the lease and then goes: it never renews it, and never gives it back.
      const name = `: ${key}`;
      const token = await objectLease(env.LEASE).stub(name).acquire(name, 600);
      return new Response(String(token));
    }
    const load = async () => (await fetch(`${env.ORIGIN}/${key}`)).text();
    return new Response(await cache.getOrSet(key, load));
  },
};
