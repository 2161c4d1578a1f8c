// The wasm fails because it gets no more memory. In Node alone: other runtimes do not give 4 GiB.

import { freshPackage } from "../fresh.mjs";
import { equal, held, never, test } from "../runner.mjs";

for (const requestBound of [false, true]) {
  const whenItFails = (title, body) => {
    const realTime = "the package's copy is in a world of its own";
    test(requestBound ? `in a Worker: ${title}` : title, { realTime, requestBound }, async () => {
      const copy = await freshPackage({ requestBound });
      const { error: log } = console;
      const logged = [];
      console.error = (...words) => logged.push(words);
      try {
        await body({ ...copy, logged });
      } finally {
        console.error = log;
        copy.leave();
      }
    });
  };

  whenItFails(
    "after the wasm has failed the cache goes on empty, and says so once",
    async ({ NearCache, exhaustMemory, instances, logged, world }) => {
      // The symptom: "recursive use of an object" from every later call, for ever, and no loader was called.
      const cache = new NearCache({ ttl: 1000, maxEntries: 100_000 });
      const inner = cache.namespace("inner", { ttl: 50 });
      const scope = inner.scope("s");
      cache.set("before", 1);
      const load = held();
      const waiting = [cache.getOrSet("k", load), cache.getOrSet("k", load), scope.getOrSet("k", load)];
      const write = held();
      const update = cache.update("w", write);
      exhaustMemory();
      let n = 0;
      while (instances() === 1) cache.set(`key ${n++}`, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
      equal([logged.length, cache.get("before"), cache.has("key 0")], [1, undefined, false]);
      equal([cache.set("after", 1).get("after"), cache.remainingTtl("after")], [1, 1000]);
      equal([scope.set("j", 2).get("j"), scope.remainingTtl("j"), inner.size, scope.size], [2, 50, 1, 1]);
      load.loads.forEach(({ resolve }, i) => resolve(`value ${i}`));
      equal(await Promise.all(waiting), ["value 0", "value 0", "value 1"], "waiters of loads under way");
      equal([cache.has("k"), scope.has("k")], [false, false], "what they brought");
      write.loads[0].resolve("written");
      equal([await update, cache.has("w")], ["written", false]);
      equal(await cache.getOrSet("k", async () => "anew"), "anew");
      equal([cache.get("k"), cache.stats().inFlight], ["anew", 0]);
      equal([logged.length, /wasm/.test(logged[0][0]), instances()], [1, true, 2]);
    },
  );

  whenItFails(
    "a batch that was open as the wasm failed takes no place of those that come after it",
    async ({ NearCache, exhaustMemory, instances }) => {
      const load = async (keys) => keys.map((key) => `v${key}`);
      const cache = new NearCache({ maxEntries: 100_000, maxConcurrentLoads: 1, batch: { load } });
      const before = instances();
      exhaustMemory();
      const first = cache.getOrSet("a");
      let n = 0;
      while (instances() === before) cache.set(`key ${n++}`, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
      equal(await first, "va");
      for (const key of ["b", "c"]) equal(await cache.getOrSet(key), `v${key}`);
      const { inFlight, queued } = cache.stats();
      equal([inFlight, queued], [0, 0]);
    },
  );

  whenItFails(
    "loads go on until their deadlines when the wasm fails as it is told of one",
    async ({ NearCache, exhaustMemory, instances, world }) => {
      for (const ends of [true, false]) {
        const cache = new NearCache({ maxEntries: 100_000, hardTimeout: 1000 });
        const before = instances();
        exhaustMemory();
        const load = held();
        const asked = [];
        // Each tells of the one before, which takes memory now and then.
        while (instances() === before) asked.push(cache.getOrSet(asked.length, load).catch((error) => error.code));
        if (ends) for (const { resolve } of load.loads) resolve("v");
        else await world.pass(1000);
        equal([...new Set(await Promise.all(asked))], [ends ? "v" : "ERR_TIMEOUT"]);
        equal([await cache.getOrSet("k", () => "anew"), cache.get("k"), cache.stats().inFlight], ["anew", "anew", 0]);
      }
    },
  );

  whenItFails(
    "whatever is asked next when the wasm fails as it is told of a load does what it does in an empty cache",
    async ({ NearCache, exhaustMemory, instances, world }) => {
      const uses = {
        set: (cache) => cache.set("x", 1).get("x") === 1,
        delete: (cache) => cache.delete("x") === false,
        expire: (cache) => cache.expire("x") === false,
        info: (cache) => cache.info("x") === undefined,
        on: (cache) => typeof cache.on("evict", () => {}) === "function",
        namespace: (cache, n) => cache.namespace("q", { ttl: 1_000 + n }).get("x") === undefined,
        getMany: async (cache) => (await cache.getMany(["x"]))[0] === "batched",
        stats: (cache) => cache.stats().hits === 0,
        clear: (cache) => (cache.clear(), cache.size === 0),
      };
      for (const [what, use] of Object.entries(uses)) {
        const batch = { load: (keys) => keys.map(() => "batched") };
        const cache = new NearCache({ maxEntries: 100_000, hardTimeout: 1000, batch });
        const before = instances();
        exhaustMemory();
        const load = held();
        const asked = [];
        for (let n = 0; instances() === before; n++) {
          asked.push(cache.getOrSet(n, load));
          equal(await use(cache, n), true, what);
          cache.delete("x");
          if (what === "clear" && n > 500) break;
        }
        for (const { resolve } of load.loads) resolve("v");
        equal([...new Set(await Promise.all(asked))], ["v"], what);
        equal([await cache.getOrSet("k", () => "anew"), cache.get("k"), cache.stats().inFlight], ["anew", "anew", 0]);
      }
      const cache = new NearCache({ maxEntries: 100_000, hardTimeout: 10_000 });
      const before = instances();
      exhaustMemory();
      const updates = [];
      for (let n = 0; instances() === before; n++) {
        updates.push(cache.update("u", never, { hardTimeout: 10 }).catch((error) => error.code));
        cache.getOrSet(n, never).catch(() => {});
        await world.pass(10);
      }
      equal([...new Set(await Promise.all(updates))], ["ERR_TIMEOUT"]);
    },
  );

  whenItFails(
    "who waits gets what was loaded at once, though it is weighed or refused by what ends the wasm",
    async ({ NearCache, exhaustMemory, instances }) => {
      for (const fails of [false, true]) {
        let meddle = () => {};
        const said = { sizeOf: () => (meddle(), 1), retry: { attempts: 2, when: () => (meddle(), false) } };
        const cache = new NearCache({ maxEntries: 100_000, hardTimeout: 1000, ...said });
        const load = held();
        const asked = [cache.getOrSet("k", load), cache.getOrSet("k", load)];
        meddle = () => {
          meddle = () => {};
          const before = instances();
          exhaustMemory();
          for (let n = 0; instances() === before; n++) cache.set(n, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
        };
        if (fails) load.loads[0].reject(new Error("down"));
        else load.loads[0].resolve("v");
        const got = await Promise.allSettled(asked);
        equal(
          got.map(({ value, reason }) => value ?? reason.message),
          fails ? ["down", "down"] : ["v", "v"],
        );
      }
    },
  );

  whenItFails(
    "a get whose own call breaks the wasm is answered by its loader",
    async ({ NearCache, exhaustMemory, instances, logged, world }) => {
      const cache = new NearCache({ maxEntries: 100_000 });
      exhaustMemory();
      for (let i = 0; instances() === 1; i++) {
        equal(await cache.getOrSet(i, async (_, ctx) => ((ctx.tags = [`${i} ${"y".repeat(5000)}`]), i)), i);
      }
      equal([logged.length, await cache.getOrSet("k", () => "v"), cache.get("k")], [1, "v", "v"]);
    },
  );

  whenItFails(
    "what finds no memory on its way into the wasm is no error of the caller's",
    async ({ NearCache, exhaustMemory, instances }) => {
      // The symptom: "unreachable" from every call that hands in a string, for ever, since the core itself was well.
      let broken = false;
      const clock = () => {
        if (broken) throw new WebAssembly.RuntimeError("the user's own");
        return 1_000;
      };
      const cache = new NearCache({ maxEntries: 100, clock }).set("before", 1);
      broken = true;
      const told = await (async () => cache.getOrSet("other", () => 2))().catch(({ message }) => message);
      broken = false;
      equal([told, instances(), cache.get("before")], ["the user's own", 1, 1]);
      exhaustMemory();
      cache.set("k", 1, { tags: ["x".repeat(1_000_000)] });
      equal([instances(), cache.has("before"), cache.set("k", 2, { tags: ["t"] }).get("k")], [2, false, 2]);
    },
  );

  whenItFails(
    "those who compute a key still come one after the other when the wasm has failed, until their deadlines",
    async ({ NearCache, exhaustMemory, instances, world }) => {
      const cache = new NearCache({ hardTimeout: 1000, maxEntries: 100_000 });
      const [other, first, second] = [held(), held(), held()];
      const otherAsked = cache.compute("other", other);
      const asked = [cache.compute("k", first), cache.compute("k", second), cache.compute("k", (n = 0) => n + 1)];
      const codes = [];
      cache.compute("k", never, { hardTimeout: 500 }).catch((error) => codes.push(error.code));
      other.loads[0].resolve(1);
      await otherAsked;
      exhaustMemory();
      for (let n = 0; instances() === 1; n++) cache.set(n, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
      await world.pass(500);
      equal([codes, second.loads.length], [["ERR_TIMEOUT"], 0]);
      first.loads[0].resolve(1);
      equal(await asked[0], 1);
      await world.pass(0);
      equal(second.loads.length, 1, "the next begins");
      second.loads[0].resolve(5);
      equal([await asked[1], await asked[2], cache.get("k")], [5, 6, 6]);
      equal(await cache.compute("k", (n) => n + 1), 7);
    },
  );

  whenItFails(
    "a load that waits for its turn when the wasm fails begins, and so does a batch's call",
    async ({ NearCache, exhaustMemory, instances, world }) => {
      const batch = { load: (keys) => keys.map((key) => `batch of ${key}`) };
      const cache = new NearCache({ maxConcurrentLoads: 1, hardTimeout: 1000, maxEntries: 100_000, batch });
      const [first, second] = [held(), held()];
      const asked = [cache.getOrSet("a", first), cache.getOrSet("b", second), cache.getOrSet("c")];
      await world.pass(0);
      equal([first.loads.length, second.loads.length], [1, 0]);
      exhaustMemory();
      for (let n = 0; instances() === 1; n++) cache.set(n, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
      await world.pass(0);
      equal(second.loads.length, 1);
      first.loads[0].resolve("first");
      second.loads[0].resolve("second");
      equal(await Promise.all(asked), ["first", "second", "batch of c"]);
    },
  );

  whenItFails(
    "who waits for a load under a wasm that failed is not left without a deadline",
    async ({ NearCache, exhaustMemory, instances, world }) => {
      const cache = new NearCache({ hardTimeout: 1000, maxEntries: 100_000 });
      const codes = [];
      for (let i = 0; i < 2; i++) cache.getOrSet("k", never).catch((error) => codes.push(error.code));
      exhaustMemory();
      for (let n = 0; instances() === 1; n++) cache.set(n, n, { tags: [`tag ${n} ${"x".repeat(1000)}`] });
      await world.pass(1000);
      equal(codes, ["ERR_TIMEOUT", "ERR_TIMEOUT"]);
    },
  );
}
