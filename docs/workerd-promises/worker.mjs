// Requests share a promise, as in every cache that coalesces loads: the first to ask for a key makes it, and whoever comes
// while it is pending waits for it. POST /WAY?KEY says how it is made.
import { waitUntil } from "cloudflare:workers";

const load = () => scheduler.wait(10).then(() => "value");

/** Promises of what `load` brings. By the rules of the language it does not matter which is used. */
const ways = {
  async: async () => await load(),
  then: () => load().then((value) => value),
  executor: () => new Promise((resolve, reject) => void load().then(resolve, reject)),
  withResolvers() {
    const { promise, resolve, reject } = Promise.withResolvers();
    load().then(resolve, reject);
    return promise;
  },
};
const pending = new Map();

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
    // Only a request that goes on as itself may read its body.
    return new Response(`${value} ${await request.text()}`);
  },
};
