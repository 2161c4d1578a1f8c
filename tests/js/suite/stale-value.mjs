// What the tests of stale values begin with.

import { NearCache } from "nearcache";
import { handClock } from "../runner.mjs";

export const down = new Error("down");
export const fails = () => Promise.reject(down);

/** A cache under a clock of the test's, with one value that was loaded at the start. */
export async function warm(options, loader = () => "old", call = undefined) {
  const clock = handClock();
  const cache = new NearCache({ clock, ttl: 100, hardTimeout: 500, ...options });
  await cache.getOrSet("k", loader, call);
  return { cache, clock };
}

export const details = (cache, loader, options) => cache.getOrSet("k", loader, { ...options, details: true });
