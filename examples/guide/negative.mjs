// What is not there, what fails, and what is not to be stored.
import { NearCache } from "nearcache";

let now = 0;
let calls = 0;
class NotFound extends Error {}
const users = new NearCache({
  ttl: "10m",
  negativeTtl: "30s", // undefined and null live shorter
  errorBackoff: (error) => (error instanceof NotFound ? "1m" : 0), // some errors are worth remembering
  clock: () => now,
});

const absent = () => (calls++, undefined);
await users.getOrSet("nobody", absent);
await users.getOrSet("nobody", absent);
console.log("asked for nobody", calls);
now += 31_000;
await users.getOrSet("nobody", absent);
console.log("and after half a minute", calls);

const missing = () => {
  calls++;
  throw new NotFound("no such user");
};
calls = 0;
for (let i = 0; i < 3; i++) await users.getOrSet("gone", missing).catch((error) => console.log(error.message));
console.log("asked for gone", calls);

const secret = (key, ctx) => {
  ctx.skip();
  return "for you only";
};
console.log(await users.getOrSet("token", secret), users.has("token"));

// prints:
// asked for nobody 1
// and after half a minute 2
// no such user
// no such user
// no such user
// asked for gone 1
// for you only false
