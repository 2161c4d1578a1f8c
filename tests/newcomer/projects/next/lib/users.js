import { NearCache } from "nearcache";

let loads = 0;
// One for the process: Next gives pages and route handlers a copy of this module each.
const users = (globalThis.users ??= new NearCache({ maxEntries: 1_000, ttl: "1m" }));

/** The user, loaded once however many ask. */
export const user = (id) =>
  users.getOrSet(id, async () => {
    await new Promise((resolve) => setTimeout(resolve, 200)); // a slow origin
    return { id, loads: ++loads };
  });
