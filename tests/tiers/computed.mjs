// What is computed, and the tiers below.

import { equal, held, rejects, settleDown, test } from "../js/runner.mjs";
import { world } from "./chain.mjs";

/** What a memory that has nothing finds below. */
async function below({ isolate, advance }) {
  advance(1);
  return isolate().cache.getOrSet("k", () => "loaded");
}

test("what is computed is found below after a restart, with its lifetime and tags, and so is that nothing is there", async () => {
  const edge = world();
  const { isolate, advance } = edge;
  const first = isolate();
  await first.cache.compute("k", () => "one", { ttl: 20_000, tags: ["t"] });
  await first.chain.flush();
  advance(5_000);
  const second = isolate();
  const { value, ttl } = await second.cache.getOrSet("k", () => "loaded", { details: true });
  equal([value, ttl], ["one", 15_000]);
  equal(await second.cache.compute("k", (value) => `${value} and two`), "one and two");
  await second.chain.flush();
  const third = isolate();
  equal(await third.cache.getOrSet("k", () => "loaded"), "one and two");
  advance(1);
  await third.cache.compute("k", () => undefined);
  await third.chain.flush();
  equal(await below(edge), "loaded");
});

test("what is computed bears its tags below", async () => {
  const edge = world();
  const { isolate, advance } = edge;
  const { cache, chain } = isolate();
  await cache.compute("k", () => "one", { tags: ["t"] });
  await chain.flush();
  advance(1);
  isolate().cache.deleteByTag("t");
  equal(await below(edge), "loaded");
});

for (const [what, change, wins] of [
  ["a delete", (cache) => cache.delete("k"), "loaded"],
  ["an expire", (cache) => cache.expire("k"), "loaded"],
  ["a tag purge", (cache) => cache.deleteByTag("t"), "loaded"],
  ["a clear", (cache) => cache.clear(), "loaded"],
  ["a set", (cache) => cache.set("k", "set"), "set"],
]) {
  for (const next of ["computed", undefined]) {
    test(`${what} meanwhile wins over ${next ?? "nothing"} that is computed, in memory and below`, async () => {
      const edge = world();
      const { cache, chain } = edge.isolate();
      cache.set("k", "old", { tags: ["t"] });
      await chain.flush();
      const compute = held();
      const computing = cache.compute("k", compute, { tags: ["t"] });
      edge.advance(1);
      change(cache);
      edge.advance(1);
      compute.loads[0].resolve(next);
      equal(await computing, next);
      await chain.flush();
      equal(cache.get("k") ?? "loaded", wins);
      equal(await below(edge), wins);
    });
  }
}

test("a computation that fails, or is given up, changes nothing below, also where memory has nothing", async () => {
  const edge = world();
  const first = edge.isolate();
  first.cache.set("k", "old");
  await first.chain.flush();
  for (const { cache, chain } of [first, edge.isolate()]) {
    const before = [cache.get("k"), chain.stats()[0].writes];
    const thrown = () => {
      throw new Error("thrown");
    };
    await rejects(cache.compute("k", thrown), { message: "thrown" });
    for (const late of ["late", undefined]) {
      const compute = held();
      const controller = new AbortController();
      const computing = cache.compute("k", compute, { signal: controller.signal });
      controller.abort(new Error("left"));
      await rejects(computing, { message: "left" });
      compute.loads[0].resolve(late);
      await settleDown();
    }
    await chain.flush();
    equal([cache.get("k"), chain.stats()[0].writes], before);
    equal(await below(edge), "old");
  }
});

test("what is computed and not stored leaves no older value, here or below", async () => {
  for (const options of [{ ttl: 0 }, { bytes: 11 }]) {
    const edge = world();
    const { cache, chain } = edge.isolate({ maxBytes: 100, maxEntryBytes: 10 });
    cache.set("k", "old", { bytes: 1 });
    await chain.flush();
    edge.advance(1);
    equal(await cache.compute("k", () => "new", options), "new");
    await chain.flush();
    equal(cache.get("k"), undefined);
    equal(await below(edge), "loaded", JSON.stringify(options));
  }
});
