// One of the isolates of an edge: a cache over a store that all share, with leases or without.

import { DurableObject } from "cloudflare:workers";
import { NearCache } from "nearcache";
import { leaseObject, objectLease, objectTier, storeObject, tiers } from "nearcache/tiers";

export class StoreObject extends storeObject(DurableObject) {}

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

const isolates = {};
function isolate(kind, env) {
  return (isolates[kind] ??= (() => {
    const lines = [];
    const log = (line) => lines.push(line);
    const lease = kind === "plain" ? undefined : objectLease(env.LEASE, { ttl: 600, wait: 5_000 });
    const chain = tiers([objectTier(env.STORE, { prefix: `${kind}:` })], { log, lease });
    return { cache: new NearCache({ ttl: "5m", tiers: chain }), lines };
  })());
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const kind = searchParams.get("kind");
    const key = searchParams.get("key");
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
