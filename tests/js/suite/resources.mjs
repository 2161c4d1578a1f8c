// Named kinds of data.

import { NearCache, resource } from "nearcache";
import { equal, handClock, ok, rejects, test, throws } from "../runner.mjs";

test("a resource keeps its data in a namespace of its own, by its own lifetime", async () => {
  const clock = handClock();
  const cache = new NearCache({ ttl: "1m", clock });
  const rates = resource(cache, "rates", { ttl: "1s" });
  let loads = 0;
  const load = async (id) => `${id} ${++loads}`;
  equal(await rates.getOrSet("EUR", load), "EUR 1");
  equal([rates.get("EUR"), cache.get("EUR"), cache.namespace("rates").get("EUR")], ["EUR 1", undefined, "EUR 1"]);
  clock.pass(1_000);
  equal(await rates.getOrSet("EUR", load), "EUR 2");
  rates.set("USD", "set");
  equal(await rates.update("USD", async () => "written"), "written");
  equal([rates.name, rates.get("USD"), rates.stats().entries], ["rates", "written", 2]);
});

test("one of a resource is purged by its id, all of it without, and nothing else", async () => {
  const cache = new NearCache();
  const carts = resource(cache, "cart", { scope: "user" });
  const orders = resource(cache, "order");
  for (const user of ["ann", "bob"]) for (const id of ["1", "2"]) carts.of(user).set(id, user + id);
  orders.set("1", "order");
  equal(carts.invalidate("1"), 2);
  equal([carts.of("ann").get("1"), carts.of("ann").get("2"), orders.get("1")], [undefined, "ann2", "order"]);
  equal([carts.invalidate(), carts.of("bob").get("2"), orders.get("1")], [2, undefined, "order"]);
});

test("the messages of invalidation name a resource by the tags that its values bear", async () => {
  const cache = new NearCache();
  const carts = resource(cache, "cart", { scope: "user", tags: ["shop"] });
  await carts.of("ann").getOrSet(42, async (_, ctx) => ((ctx.tags = ["loader"]), 1), { tags: ["call"] });
  for (const tag of ["cart", "cart:42", "shop", "call", "loader"]) {
    await carts.of("ann").getOrSet(42, async (_, ctx) => ((ctx.tags = ["loader"]), 1), { tags: ["call"] });
    equal([cache.deleteByTag(tag), carts.of("ann").get(42)], [1, undefined], tag);
  }
});

test("a user's data are his alone, and are forgotten together", async () => {
  const cache = new NearCache();
  const carts = resource(cache, "cart", { scope: "user" });
  carts.of("ann").set("1", "ann's");
  equal([carts.of("bob").get("1"), [...cache.namespace("cart").keys()]], [undefined, []]);
  carts.of("bob").set("1", "bob's");
  carts.forget("ann");
  equal([carts.of("ann").get("1"), carts.of("bob").get("1")], [undefined, "bob's"]);
  ok(!("getOrSet" in carts), "nothing can be had without saying whose it is");
});

test("answers of a wrapped function are data of the resource", async () => {
  const cache = new NearCache();
  const weather = resource(cache, "weather");
  let calls = 0;
  const tool = weather.wrap(async ({ city, days }) => `${city} ${days} ${++calls}`);
  equal([await tool({ city: "Ulm", days: 2 }), await tool({ days: 2, city: "Ulm" })], ["Ulm 2 1", "Ulm 2 1"]);
  equal(weather.invalidate(), 1);
  equal(await tool({ city: "Ulm", days: 2 }), "Ulm 2 2");
});

test("a load that a purge of its resource overtook is not stored", async () => {
  const cache = new NearCache();
  const carts = resource(cache, "cart");
  let answer;
  const asked = carts.getOrSet("1", () => new Promise((resolve) => (answer = resolve)));
  await Promise.resolve();
  carts.invalidate("1");
  answer("old");
  equal([await asked, carts.get("1")], ["old", undefined]);
});

test("wrong options of resources are named", () => {
  const cache = new NearCache();
  const refused = (body, ...parts) => {
    const { message } = throws(body, { code: "ERR_OPTION" });
    for (const part of parts) ok(message.includes(part), message);
  };
  const wrong = (options, ...parts) => refused(() => resource(cache, "cart", options), ...parts);
  wrong({ scope: "usr" }, "scope", '"global" or "user"');
  wrong({ tlt: 1 }, "tlt: unknown option. Known are scope, tags, ttl,");
  wrong({ scopes: "user" }, "scopes: unknown option, did you mean scope?");
  wrong({ tags: "a" }, "tags", "an array of strings");
  wrong({ tags: [1] }, "tags[0]: got 1");
  wrong({ tiers: ["redis"] }, "tiers", "none");
  refused(() => resource({}, "cart"), "cache");
  refused(() => resource(cache, ""), 'name: got ""');
});

test("an invalidation concerns its own id and resource, whatever their names", async () => {
  const cache = new NearCache();
  const [a, ab, aEmpty] = ["a", "a:b", "a:"].map((name) => resource(cache, name));
  const long = "x".repeat(100_000);
  const all = () => [a.get("b"), a.get("b:c"), a.get(""), a.get(long), ab.get("c"), aEmpty.get("b"), aEmpty.get("")];
  const fill = () => {
    for (const id of ["b", "b:c", "", long]) a.set(id, 1);
    ab.set("c", 1);
    for (const id of ["b", ""]) aEmpty.set(id, 1);
  };
  for (const [gone, invalidate] of [
    [[0], () => a.invalidate("b")],
    [[1], () => a.invalidate("b:c")],
    [[2], () => a.invalidate("")],
    [[3], () => a.invalidate(long)],
    [[0, 1, 2, 3], () => a.invalidate()],
    [[4], () => ab.invalidate("c")],
    [[5], () => aEmpty.invalidate("b")],
  ]) {
    fill();
    equal(invalidate(), gone.length);
    equal(
      all(),
      Array.from({ length: 7 }, (_, i) => (gone.includes(i) ? undefined : 1)),
    );
  }
  for (const id of [null, {}, ["b"], true, Symbol("b")]) {
    throws(() => a.set(id, 1), { code: "ERR_OPTION", message: /^id: got/ });
    throws(() => a.invalidate(id), { code: "ERR_OPTION" });
    await rejects(
      a.getOrSet(id, () => 1),
      { code: "ERR_OPTION" },
    );
    await rejects(
      a.update(id, () => 1),
      { code: "ERR_OPTION" },
    );
  }
});

test("tags and options of a resource's calls are read as the cache's own are", async () => {
  const cache = new NearCache();
  const posts = resource(cache, "posts");
  const wrong = (message) => ({ code: "ERR_OPTION", message });
  throws(() => posts.set(1, "v", { tags: "post" }), wrong(/tags/));
  throws(() => posts.set(1, "v", null), wrong(/options/));
  throws(() => posts.wrap(async () => 1, { tags: "post" }), wrong(/tags/));
  await rejects(() => posts.getOrSet(1, () => "v", { tags: ["a", 5] }), wrong(/tags\[1\]/));
  equal([cache.size, cache.namespace("posts").size], [0, 0], "nothing is half done");
  posts.set(1, "v", { tags: ["post"] });
  equal(cache.namespace("posts").info(1).tags.sort(), ["post", "posts", "posts:1"]);
});
