// Filling the cache before anyone asks, and keeping chosen keys fresh.
import { NearCache } from "nearcache";

const rates = new NearCache({ ttl: "1m" });
let round = 0;
const load = async (key) => {
  if (key === "XXX") throw new Error("no such currency");
  return `${key} ${round}`;
};

const { loaded, failed } = await rates.warmup(
  ["EUR", "USD", "XXX"].map((key) => ({ key })),
  {
    loader: load,
    concurrency: 2,
    onProgress: ({ done, total, key, error }) =>
      console.log(`${done}/${total} ${key}${error ? `: ${error.message}` : ""}`),
  },
);
console.log(
  loaded,
  failed.map(({ key }) => key),
);

// Where timers may live. In a Worker: `scheduled: (event, env, ctx) => ctx.waitUntil(keeper.run())`.
const keeper = rates.keepFresh([{ key: "EUR" }], { every: "30s", loader: load });
round++;
await keeper.run(); // a round by hand
console.log(rates.get("EUR"), rates.get("USD"));
keeper.stop();

// prints:
// 1/3 EUR
// 2/3 USD
// 3/3 XXX: no such currency
// 2 [ 'XXX' ]
// EUR 1 USD 0
