// What is found and refused is loaded anew: what the contract does not say of the class.

import { NearCache } from "nearcache";
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
