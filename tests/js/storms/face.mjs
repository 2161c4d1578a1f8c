// A Worker in front of the weather, by a sharer that the request names. It answers with the value and with the request's own
// body, read afterwards: only a request that goes on as itself may read it. Whoever knows of an error says so with 502 and
// a header, so that it can't be taken for the runtime's bare 500.

import { waitUntil } from "cloudflare:workers";
import { sharers } from "./sharers.mjs";

const made = new Map();
const told = (status, text) => new Response(text, { status, headers: { "x-told": "yes" } });

export default {
  async fetch(request, env) {
    const given = Object.fromEntries(new URL(request.url).searchParams);
    const fetched = async (key, ctx) => {
      const response = await env.ORIGIN.fetch(`http://origin/${key}`, { signal: ctx?.signal });
      if (!response.ok) throw new Error(`the origin says ${response.status}`);
      if (ctx) ctx.ttl = Number(response.headers.get("x-lifetime"));
      return response.text();
    };
    const load = (key, ctx) => {
      const value = fetched(key, ctx);
      // The help that each of them can be given: their loads outlive the request that began them.
      if (given.keep) waitUntil(value.then(nothing, nothing));
      return value;
    };
    let sharer = made.get(given.sharer);
    if (sharer === undefined) made.set(given.sharer, (sharer = sharers[given.sharer](load)));
    if (given.figures) return Response.json({ inFlight: sharer.inFlight?.() ?? 0 });

    const options = given.leave ? { signal: AbortSignal.timeout(Number(given.leave)) } : {};
    const value = sharer.get(given.key, load, options);
    value.catch(nothing);

    if (given.die === "throw") throw new Error("dies on purpose");
    if (given.die === "return") return told(299, "returned early");
    if (given.die === "return later") {
      await scheduler.wait(10);
      return told(299, "returned early");
    }
    try {
      const got = await value;
      return new Response(`${got}|${await request.text()}`);
    } catch (error) {
      return told(502, `${error?.name} ${error?.code}: ${error?.message}`);
    }
  },
};

const nothing = () => {};
