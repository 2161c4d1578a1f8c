// What is found and refused is loaded anew: what the contract does not say of the class.

import { cached, NearCache } from "nearcache";
import { equal, rejects, test, throws } from "../runner.mjs";

test("a call's own rule takes the place of the cache's", async () => {
  const cache = new NearCache({ validate: (value) => value !== "bad" });
  cache.set("k", "good");
  const asked = [];
  const validate = (value, key) => (asked.push([value, key]), value === "better");
  equal(await cache.getOrSet("k", () => "better", { validate }), "better");
  equal(asked, [
    ["good", "k"],
    ["better", "k"],
  ]);
  cache.set("k", "bad");
  equal(await cache.getOrSet("k", () => "loaded", { validate: () => true }), "bad");
});

test("a rule that throws refuses, and so does one that says anything but true", async () => {
  const rules = [
    () => {
      throw new Error("a slip");
    },
    () => "yes",
    () => undefined,
  ];
  for (const validate of rules) {
    const cache = new NearCache({ validate });
    cache.set("k", "v");
    equal(cache.get("k"), undefined);
    await rejects(() => cache.getOrSet("k", () => "v"), { code: "ERR_INVALID", key: "k" });
  }
});

test("a rule may call the cache", async () => {
  const cache = new NearCache({
    validate(value, key) {
      if (value === "old") cache.set(key, "repaired");
      return true;
    },
  });
  cache.set("k", "old");
  equal(cache.get("k"), "repaired");
  cache.set("j", "old");
  equal(await cache.getOrSet("j", () => "loaded"), "repaired");
});

test("a rule that is no function is an error", () => {
  throws(() => new NearCache({ validate: true }), {
    code: "ERR_OPTION",
    message: "validate: got true, wants a function",
  });
});

test("the rule of a wrapped or decorated function is asked at hits, too", async () => {
  const cache = new NearCache();
  const revoked = new Set();
  let made = 0;
  const options = { validate: (token) => !revoked.has(token) };
  const load = async () => `token ${++made}`;
  const wrapped = cache.wrap(load, options);
  const method = cached({ cache, ...options })(load, {
    kind: "method",
    name: "token",
    static: false,
    addInitializer() {},
  });
  const object = {};
  for (const ask of [() => wrapped("k"), () => method.call(object)]) {
    const first = await ask();
    equal(await ask(), first);
    revoked.add(first);
    const second = await ask();
    equal([second !== first, await ask()], [true, second]);
  }
});

test("a namespace's rule sees what was stored by whoever has none", async () => {
  for (const eviction of ["lru", "adaptive"]) {
    const cache = new NearCache({ eviction });
    const writer = cache.namespace("users");
    const reader = cache.namespace("users", { validate: (value) => value !== "bad" });
    for (const find of [(key) => reader.get(key), (key) => reader.getOrSet(key, () => undefined)]) {
      writer.set("k", "bad");
      equal(writer.get("k"), "bad");
      equal(await find("k"), undefined);
      equal(writer.get("k"), undefined, "it is removed");
      writer.set("k", "good");
      equal([await find("k"), await find("k"), reader.get("k")], ["good", "good", "good"]);
    }
  }
});
