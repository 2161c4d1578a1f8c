// How long to wait: softTimeout, hardTimeout, and a signal.
import { NearCache } from "nearcache";

const cache = new NearCache({ hardTimeout: "50ms", softTimeout: "10ms", staleIfError: "1h" });
const slow = (ms, value) => () => new Promise((resolve) => setTimeout(resolve, ms, value));

// softTimeout: where there is an old value, a get takes that instead of waiting longer. The load goes on.
cache.set("news", "old", { staleIfError: "1h", ttl: "1m" });
cache.expire("news");
const { value, status } = await cache.getOrSet("news", slow(30, "new"), { details: true });
console.log(value, status);
await slow(40)();
console.log(cache.get("news"));

// hardTimeout: nobody waits longer than that.
await cache.getOrSet("never", slow(1_000)).catch((error) => console.log(error.code));

// A signal takes one caller out. The loader's own signal aborts when the last one has left.
const leave = new AbortController();
const loader = (key, { signal }) =>
  new Promise((_, reject) =>
    signal.addEventListener("abort", () => (console.log("the load may stop"), reject(signal.reason))),
  );
const one = cache.getOrSet("x", loader, { signal: leave.signal });
leave.abort(new Error("the visitor has gone"));
await one.catch((error) => console.log(error.message));

// prints:
// old stale-on-timeout
// new
// ERR_TIMEOUT
// the load may stop
// the visitor has gone
