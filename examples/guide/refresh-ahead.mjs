// Refreshing before the end: XFetch, and jitter.
import { NearCache } from "nearcache";

let now = 0;
let loads = 0;
const report = new NearCache({
  ttl: "1m",
  refreshAhead: 1, // the longer loads take and the nearer the end, the likelier a get refreshes in the background
  random: () => 0.99, // an unlikely draw, so that the example is the same every time
  clock: () => now,
});
const load = async () => {
  now += 2_000; // it takes two seconds
  return `report ${++loads}`;
};
const get = async () => {
  const { value, ttl } = await report.getOrSet("sales", load, { details: true });
  console.log(`${now / 1000} s: ${value}, fresh for ${ttl / 1000} s`);
};

await get();
now += 30_000;
await get(); // far from its end
now += 25_000;
await get(); // five seconds before its end: handed out, and refreshed behind
await get();

// What was stored together does not expire together: up to a tenth of its ttl is taken off.
const draws = [0.5, 0.25, 0.75]; // the first chooses how keys are hashed
const spread = new NearCache({ ttl: 1_000, jitter: 0.1, random: () => draws.shift(), clock: () => now });
spread.set("a", 1).set("b", 2);
console.log(spread.remainingTtl("a"), spread.remainingTtl("b"));

// prints:
// 2 s: report 1, fresh for 60 s
// 32 s: report 1, fresh for 30 s
// 59 s: report 1, fresh for 5 s
// 59 s: report 2, fresh for 60 s
// 925 975
