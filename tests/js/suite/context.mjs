// What a loader may say of its value by its context.

import { NearCache } from "nearcache";
import { equal, rejects, test } from "../runner.mjs";
import { wrongEntry } from "./wrong-options.mjs";

test("every wrong word of a loader is an error that names it, and nothing is stored", async () => {
  const words = ["ttl", "staleWhileRevalidate", "staleIfError", "refreshAhead", "jitter", "bytes", "tags"];
  const wordOf = ([options]) => Object.keys(options).join();
  const cases = wrongEntry.filter((wrong) => words.includes(wordOf(wrong)));
  equal(new Set(cases.map(wordOf)).size, words.length);
  for (const [options, message] of cases) {
    for (const begin of ["getOrSet", "update"]) {
      const cache = new NearCache();
      await rejects(
        cache[begin]("k", (_, ctx) => Object.assign(ctx, options)),
        { code: "ERR_OPTION", message: `ctx.${message}` },
      );
      equal([cache.size, cache.stats().inFlight], [0, 0]);
    }
  }
});

test("a word that a loader may not set is an error where it sets it, and so is a slip", async () => {
  const cache = new NearCache();
  for (const begin of ["getOrSet", "update"]) {
    let reached = false;
    const load = async (_, ctx) => {
      ctx.swrr = 1;
      reached = true;
    };
    await rejects(cache[begin]("k", load), {
      code: "ERR_OPTION",
      message:
        /^ctx\.swrr: unknown property, did you mean swr\? Known are ttl, idleTtl, staleWhileRevalidate, swr, [^]*bytes$/,
    });
    for (const word of ["tag", "skipp", "negativeTtl", "toString"]) {
      const set = (_, ctx) => Object.assign(ctx, { [word]: 1 });
      await rejects(cache[begin]("k", set), { code: "ERR_OPTION", message: new RegExp(`^ctx\\.${word}: `) });
    }
    equal([reached, cache.size], [false, 0]);
  }
});

test("a loader's swr is its staleWhileRevalidate, alone or beside its ttl", async () => {
  let now = 0;
  const cache = new NearCache({ clock: () => now, ttl: 10 });
  await cache.getOrSet("alone", (_, ctx) => ((ctx.swr = "1s"), 1));
  await cache.getOrSet("beside", (_, ctx) => (Object.assign(ctx, { ttl: 10, swr: 1_000 }), 1));
  now = 100;
  for (const key of ["alone", "beside"]) {
    equal((await cache.getOrSet(key, () => 2, { details: true })).status, "stale");
  }
  const both = (_, ctx) => Object.assign(ctx, { swr: 1, staleWhileRevalidate: 1 });
  await rejects(cache.getOrSet("both", both), {
    message: "ctx.swr: got staleWhileRevalidate as well, wants one of the two names",
  });
});
