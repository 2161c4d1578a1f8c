import { NearCache } from "nearcache";

/** `find` with a cache before it: a user is fresh for a minute, and nobody waits longer than five seconds. */
export function cachedUsers(find) {
  const users = new NearCache({ maxEntries: 1_000, ttl: "1m", hardTimeout: "5s" });
  return (id) => users.getOrSet(id, find);
}
