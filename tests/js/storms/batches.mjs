// A Worker whose requests ask one batcher, and can be told to die. Batches call the origin, in whatever request
// they belong to.

import "nearcache";
import { Batcher } from "../../../pkg/dist/batcher.js";
import { Core } from "../../../pkg/dist/core.js";
import { host } from "../../../pkg/dist/host.js";

const batchers = new Map();
const { keepAlive } = host;
let running;
let torn = 0;

/** Keys with the number of the request that asked, and which of them a batch has mixed. */
function batcherFor(name, given, env) {
  let entry = batchers.get(name);
  if (entry !== undefined) return entry;
  entry = { sizes: [], mixed: 0, errors: 0 };
  const core = new Core(100, Infinity, Infinity, Infinity, false, false, 0);
  const load = async (keys, requests) => {
    if (new Set(requests).size > 1) entry.mixed++;
    if (given.pause) await scheduler.wait(Number(given.pause));
    const response = await env.ORIGIN.fetch(`http://origin/${name}/batch`);
    if (!response.ok) throw new Error(`the origin says ${response.status}`);
    const call = await response.text();
    return keys.map((key) => `${key} by ${call}`);
  };
  const options = { load, batchWindow: given.window ? Number(given.window) : "microtask" };
  if (given.max) options.maxBatchSize = Number(given.max);
  entry.batcher = new Batcher(options, {
    entries: { core, safely: (operation) => operation(core) },
    asker: -1,
    now: () => Date.now(),
    isWanted: () => true,
    run: (_, call) => call(),
    ended({ length }, millis, error) {
      entry.sizes.push(length);
      if (error) entry.errors++;
    },
  });
  batchers.set(name, entry);
  return entry;
}

/** Many promise jobs, in which no other request's code may run. */
async function turns(id, count) {
  running = id;
  for (let i = 0; i < count; i++) {
    await undefined;
    if (running !== id) torn++;
  }
}

let shared;

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const given = Object.fromEntries(url.searchParams);
    if (url.pathname === "/stats") {
      const { sizes, mixed, errors } = batchers.get(given.batcher) ?? {};
      return Response.json({ sizes, mixed, errors, torn });
    }
    if (url.pathname === "/turns") {
      // Alone, after I/O, and when another request's promise wakes them all.
      const id = {};
      await turns(id, 500);
      shared ??= env.ORIGIN.fetch("http://origin/turns").then((response) => response.text());
      await shared;
      await turns(id, 500);
      await scheduler.wait(1);
      await turns(id, 500);
      return new Response("turned");
    }
    const { batcher } = batcherFor(given.batcher, given, env);
    const id = {};
    if (given.wake) {
      // Many requests that go on at the same moment, woken by one promise.
      shared ??= env.ORIGIN.fetch("http://origin/turns").then((response) => response.text());
      await shared;
    }
    if (given.lose)
      host.keepAlive =
        given.lose === "throw"
          ? () => {
              throw new Error("no waitUntil");
            }
          : () => {};
    const values = Promise.all(
      given.keys.split(",").map(async (key, i) => {
        for (let turn = 0; turn < i % 20; turn++) await undefined;
        return batcher.load(key, id);
      }),
    );
    host.keepAlive = keepAlive;
    values.catch(() => {});
    switch (given.die) {
      case "throw":
        throw new Error("dies on purpose");
      case "return":
        return new Response("returned early");
      case "return later":
        await scheduler.wait(Number(given.after ?? 100));
        return new Response("returned early");
    }
    try {
      const got = await values;
      // I/O of its own, afterwards.
      const after = await (await env.ORIGIN.fetch("http://origin/after")).text();
      return Response.json({ got, after });
    } catch (error) {
      return Response.json({ error: String(error?.message ?? error), code: error?.code }, { status: 502 });
    }
  },
};
