// A Worker in front of a slow origin, whose requests can be told to die. The class is used as anyone would;
// only `lose` reaches behind it, to take away what keeps a load alive.

import { NearCache } from "nearcache";
import { host } from "../../../pkg/dist/host.js";

const caches = new Map();
/** Options that a request may say, for the cache that it makes or for its call. */
const NUMBERS = ["ttl", "staleWhileRevalidate", "staleIfError", "errorBackoff", "hardTimeout"];
const numbers = (given) =>
  Object.fromEntries(NUMBERS.filter((name) => name in given).map((name) => [name, Number(given[name])]));
const { keepAlive } = host;

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const given = Object.fromEntries(url.searchParams);
    const ask = (path, init) =>
      env.ORIGIN ? env.ORIGIN.fetch(`http://origin${path}`, init) : fetch(env.ORIGIN_URL + path, init);
    if (url.pathname === "/ready") return new Response("ready");

    let cache = caches.get(given.cache);
    if (cache === undefined) caches.set(given.cache, (cache = new NearCache(numbers(given))));
    if (url.pathname === "/delete") return Response.json(cache.delete(given.key));
    if (url.pathname === "/peek") return Response.json(cache.peek(given.key) ?? null);
    if (url.pathname === "/stats") return Response.json(cache.stats());

    async function load(key, ctx) {
      if (given.pause) await scheduler.wait(Number(given.pause));
      const response = await ask(`/${given.cache}/${key}`, { signal: ctx.signal });
      if (!response.ok) throw new Error(`the origin says ${response.status}`);
      return response.text();
    }
    const options = {
      ...(given.timeout && { hardTimeout: Number(given.timeout) }),
      ...(given.soft && { softTimeout: Number(given.soft) }),
      ...(given.details && { details: true }),
      ...(given.leave && { signal: AbortSignal.timeout(Number(given.leave)) }),
    };
    const get = (key) => {
      if (given.lose)
        host.keepAlive =
          given.lose === "throw"
            ? () => {
                throw new Error("no waitUntil");
              }
            : () => {};
      try {
        if (given.write) return cache.update(key, load, options);
        return cache.getOrSet(key, load, options);
      } finally {
        host.keepAlive = keepAlive;
      }
    };
    const values = Promise.all((given.keys ?? given.key).split(",").map(get));
    values.catch(() => {});

    switch (given.die) {
      case "throw":
        throw new Error("dies on purpose");
      case "throw later":
        await scheduler.wait(Number(given.after ?? 100));
        throw new Error("dies on purpose");
      case "return":
        return new Response("returned early");
      case "return later":
        await scheduler.wait(Number(given.after ?? 100));
        return new Response("returned early");
    }
    try {
      const [value] = await values;
      const remainingTtl = cache.remainingTtl((given.keys ?? given.key).split(",")[0]);
      // I/O of its own, afterwards.
      const after = given.after === "no" ? "after" : await (await ask("/after")).text();
      return Response.json({ value, after, remainingTtl: remainingTtl === Infinity ? "Infinity" : remainingTtl });
    } catch (error) {
      if (given.linger) await scheduler.wait(Number(given.linger));
      return Response.json(
        { error: String(error?.message ?? error), name: error?.name, code: error?.code },
        { status: 502 },
      );
    }
  },
};
