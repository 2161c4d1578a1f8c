// Ways to make a promise, each by a function that can be compiled first. Other requests then wait for what it made, or
// settle it. Who is continued as another request can't read his own body, and is answered 500 by the runtime.

import { waitUntil } from "cloudflare:workers";
// V8's own syntax, which nothing else can parse: run-marks.mjs writes that file.
import { compile, tierOf } from "./natives.js";

class Subclass extends Promise {}
const itself = (value) => value;

/** Each gets a promise to make its own of, or makes `{ promise, resolve }`. */
const ways = {
  "async function": async (source) => await source,
  "p.then()": (source) => source.then(itself),
  "p.catch()": (source) => source.catch(itself),
  "p.finally()": (source) => source.finally(itself),
  "Promise.all().then()": (source) => Promise.all([source]).then(itself),
  "Promise.race()": (source) => Promise.race([source]),
  "new Promise(executor)": () => {
    let resolve;
    const promise = new Promise((settle) => (resolve = settle));
    return { promise, resolve };
  },
  "new Subclass(executor)": () => {
    let resolve;
    const promise = new Subclass((settle) => (resolve = settle));
    return { promise, resolve };
  },
  "Reflect.construct(Promise)": () => {
    let resolve;
    const promise = Reflect.construct(Promise, [(settle) => (resolve = settle)]);
    return { promise, resolve };
  },
  "Promise.withResolvers()": () => Promise.withResolvers(),
};

function make(way) {
  const source = Promise.withResolvers();
  const made = ways[way](source.promise);
  return { promise: made.promise ?? made, resolve: made.resolve ?? source.resolve };
}

let made;

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const way = searchParams.get("way");
    switch (pathname) {
      case "/ways":
        return Response.json(Object.keys(ways));
      case "/compile": {
        compile(ways[way], searchParams.get("tier"), () => make(way).resolve());
        return new Response(tierOf(ways[way]));
      }
      // This request makes and settles it; `/wait` is another's, for it.
      case "/make": {
        const { promise, resolve } = make(way);
        made = { promise };
        waitUntil(scheduler.wait(40).then(() => resolve()));
        return new Response(tierOf(ways[way]));
      }
      case "/wait":
        await made.promise;
        return new Response(await request.text());
      // This request makes it and waits; `/settle` is another.
      case "/own":
        made = make(way);
        // So that the runtime has no reason to take it for hung.
        setTimeout(() => {}, 1_000);
        await made.promise;
        return new Response(await request.text());
      case "/settle":
        made.resolve();
        return new Response("settled");
    }
  },
};
