// Stale values: at once while they are refreshed, and instead of an error.
import { NearCache } from "nearcache";

let now = 0; // milliseconds, so that the example needs no waiting
let origin = async () => "v1";
const prices = new NearCache({
  ttl: "10s",
  staleWhileRevalidate: "1m", // for so long after `ttl`, nobody waits for a refresh
  staleIfError: "1h", // for so long after `ttl`, a failure is answered with the last good value
  errorBackoff: "30s", // for so long after a failure, the origin is left alone
  clock: () => now,
});
const price = async () => {
  const { value, status, age, ttl } = await prices.getOrSet("apple", () => origin(), { details: true });
  console.log(`${now / 1000} s: ${value}, ${status}, ${age / 1000} s old, fresh for ${ttl / 1000} s`);
};

await price();
now += 5_000;
await price();

now += 15_000;
origin = async () => "v2";
await price(); // stale, at once; the refresh runs behind
await price();

now += 120_000;
origin = async () => {
  throw new Error("down");
};
await price(); // too old to be handed out without asking, and the origin fails
now += 1_000;
await price(); // nobody asks the origin again so soon

// prints:
// 0 s: v1, miss, 0 s old, fresh for 10 s
// 5 s: v1, hit, 5 s old, fresh for 5 s
// 20 s: v1, stale, 20 s old, fresh for 0 s
// 20 s: v2, hit, 0 s old, fresh for 10 s
// 140 s: v2, stale-if-error, 120 s old, fresh for 0 s
// 141 s: v2, stale, 121 s old, fresh for 0 s
