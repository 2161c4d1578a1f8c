// A function with a cache in front.
import { NearCache } from "nearcache";

const cache = new NearCache({ ttl: "1m" });
let calls = 0;
const search = cache.wrap(async (query, trace) => `${++calls}: ${query.text}`, { skipArgs: 1 });

console.log(await search({ text: "tea", page: 1 }, "request 1"));
console.log(await search({ page: 1, text: "tea" }, "request 2")); // key order does not matter, and `trace` is left out
console.log(await search({ page: 2, text: "tea" }, "request 3"));
console.log(await search.refresh({ page: 2, text: "tea" }));
console.log(search.invalidate({ page: 2, text: "tea" }));
console.log(await search.bypass({ text: "tea" }));

const byId = cache.wrap(async (user) => `${++calls}: ${user.name}`, { getKey: (user) => user.id });
console.log(await byId({ id: 1, name: "Ann" }), await byId({ id: 1, name: "ANN" }));

// What no key can be made of is an error, not a collision.
await search(() => {}).catch((error) => console.log(error.code));

// prints:
// 1: tea
// 1: tea
// 2: tea
// 3: tea
// true
// 4: tea
// 5: Ann 5: Ann
// ERR_KEY
