// Requests that share a promise, as every cache that coalesces loads has it: the first one for a key makes it, and all
// who come while it is pending wait for it. `/WAY?KEY` says how it is made.

import { waitUntil } from "cloudflare:workers";

const pending = new Map();
const load = () => scheduler.wait(10).then(() => "value");

/** Makes a promise of what `load` brings. The five do the same, by the language's rules. */
const ways = {
  async: async () => await load(),
  then: () => load().then((value) => value),
  executor: () => new Promise((resolve, reject) => load().then(resolve, reject)),
  finally: () => load().finally(() => {}),
  withResolvers() {
    const { promise, resolve, reject } = Promise.withResolvers();
    load().then(resolve, reject);
    return promise;
  },
};

export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    let shared = pending.get(search);
    if (shared === undefined) {
      shared = ways[pathname.slice(1)]();
      pending.set(search, shared);
      waitUntil(shared.then(() => pending.delete(search)));
    }
    const value = await shared;
    // The request's own body: only its own request may read it.
    return new Response(`${value} ${await request.text()}`);
  },
};
