import { NearCache, type Duration } from "nearcache";

/** A duration in milliseconds, as the cache itself reads it. */
export function toMs(ttl: Duration): number {
  const cache = new NearCache<string, number>({ ttl, clock: () => 0 });
  return cache.set("x", 0).remainingTtl("x") ?? 0;
}
