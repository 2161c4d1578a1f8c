// A log of purges that isolates follow: over an object that fails, forgets and comes back as it is told.

import { NearCache } from "nearcache";
import { invalidation, memoryTier, purgeLog, purgeLogObject, tiers } from "nearcache/tiers";
import { equal, ok, rejects, sleep, test, throws } from "../js/runner.mjs";
import { place, storage } from "./log-object.mjs";

function isolate(world, options, tier) {
  const lines = [];
  const chain = tier && tiers([tier], { clockSkew: 0, lateWrites: 0 });
  const cache = new NearCache(chain && { tiers: chain });
  const transport = purgeLog(world.namespace, { maxStaleness: 60, ...options });
  const told = invalidation(cache, { transport, tiers: chain, log: (line) => lines.push(line) });
  return { cache, chain, told, lines };
}

const fill = ({ cache }) => {
  cache.set("a", 1, { tags: ["order", "order:1"] });
  cache.set("b", 2, { tags: ["order", "order:2"] });
  cache.set("c", 3);
};
const held = ({ cache }) => [...cache.keys()].sort().join("");
const publish = (world, ...messages) =>
  world.object.publish(messages.map((message) => JSON.stringify({ v: 1, ...message })));

test("what is published is gone from another's memory when its last look is older than the bound", async () => {
  const world = place();
  const [a, b] = [isolate(world), isolate(world)];
  [a, b].forEach(fill);
  equal(b.told.catchUp(), undefined, "nothing to wait for at the beginning");
  await sleep(20);
  await a.told.publish("order", "1");
  equal([held(a), held(b)], ["bc", "abc"]);
  await sleep(70);
  equal(held(b), "abc", "nobody looks without a request");
  await b.told.catchUp();
  equal(held(b), "bc");
  const { log, ...rest } = b.told.stats();
  equal(rest, { published: 0, heard: 1, gaps: 0, clears: 0 });
  const { staleness, ...looks } = log;
  equal(looks, { maxStaleness: 60, looks: 2, lookFailures: 0, heard: 1, gaps: 0 });
  ok(staleness < 60);
});

test("a thousand requests share a look, and while it is young none is made", async () => {
  const world = place();
  const one = isolate(world, { maxStaleness: 400 });
  one.told.catchUp();
  await sleep(450);
  const before = world.reads;
  await Promise.all(Array.from({ length: 1_000 }, () => one.told.catchUp()));
  equal(world.reads - before, 1);
  for (let at = 0; at < 1_000; at++) equal(one.told.catchUp(), undefined);
  equal(world.reads - before, 1);
});

test("every kind of message is heeded, and URLs are for HTTP caches", async () => {
  const world = place();
  const one = isolate(world, { maxStaleness: 1 });
  await one.told.catchUp();
  for (const [message, left] of [
    [{ entity: "order", id: "2", action: "delete" }, "ac"],
    [{ entity: "order", action: "create" }, "c"],
    [{ tag: "order:1", action: "delete" }, "bc"],
    [{ url: "/a", action: "delete" }, "abc"],
    [{ prefix: "/", action: "delete" }, "abc"],
    [{ action: "clear" }, ""],
  ]) {
    fill(one);
    await publish(world, message);
    await sleep(5);
    await one.told.catchUp();
    equal(held(one), left, JSON.stringify(message));
  }
});

test("who slept for longer than the log keeps messages is cleared, and says so", async () => {
  const world = place({ maxRecords: 2 });
  const one = isolate(world, { maxStaleness: 20 });
  await one.told.catchUp();
  await sleep(30);
  await one.told.catchUp();
  fill(one);
  for (let id = 0; id < 4; id++) await publish(world, { entity: "other", id: `${id}`, action: "update" });
  await sleep(30);
  await one.told.catchUp();
  equal([held(one), one.told.stats().gaps, one.lines.length], ["", 1, 1]);
});

test("an object that comes back goes on with what it kept; one that lost it clears", async () => {
  const world = place();
  const one = isolate(world, { maxStaleness: 20 });
  await publish(world, { entity: "x", action: "update" });
  await one.told.catchUp();
  await sleep(30);
  await one.told.catchUp();
  fill(one);
  world.restart();
  await publish(world, { entity: "order", id: "1", action: "update" });
  await sleep(30);
  await one.told.catchUp();
  equal(held(one), "bc");
  world.restart(storage());
  await sleep(30);
  await one.told.catchUp();
  equal([held(one), one.told.stats().gaps], ["", 1]);
});

test("where the log is away a request waits for its timeout at most, and answers go on or the memory is cleared, by choice", async () => {
  for (const bound of ["soft", "hard"]) {
    const world = place();
    const one = isolate(world, { maxStaleness: 50, timeout: 30, bound });
    await one.told.catchUp();
    await sleep(10);
    fill(one);
    world.delay = 10_000;
    await sleep(60);
    const start = performance.now();
    await one.told.catchUp();
    ok(performance.now() - start < 200, `${performance.now() - start} ms`);
    equal(held(one), bound === "soft" ? "abc" : "");
    const { staleness, lookFailures } = one.told.stats().log;
    ok(bound === "soft" ? staleness > 60 && lookFailures > 0 : staleness < 50, `${staleness}`);
  }
});

test("who tells a log that does not answer hears of that in time, and of what it refuses why", async () => {
  const world = place();
  const log = purgeLog(world.namespace, { timeout: 30 });
  world.delay = 10_000;
  const start = performance.now();
  await rejects(log.publish('{"v":1,"action":"clear"}'), { message: "the log of purges has not answered in 30 ms" });
  ok(performance.now() - start < 1_000, `${performance.now() - start} ms`);
  world.delay = 0;
  await rejects(log.publish("no message"), { name: "TypeError" });
  world.fails = true;
  await rejects(log.publish('{"v":1,"action":"clear"}'), { message: "no object" });
  const broken = {
    idFromName: String,
    get: () => ({
      publish: () => {
        throw new Error("no stub");
      },
    }),
  };
  await rejects(purgeLog(broken).publish('{"v":1,"action":"clear"}'), { message: "no stub" });
});

test("an isolate that starts hears of what was purged before it came, and believes nothing of its tiers that is older", async () => {
  const world = place();
  const tier = memoryTier();
  const [a, b] = [isolate(world, {}, tier), isolate(world, { maxStaleness: 20 }, tier)];
  await a.told.catchUp();
  await a.cache.getOrSet("x", () => "old", { tags: ["order"] });
  await a.cache.getOrSet("y", () => "kept");
  await a.chain.flush();
  await sleep(5);
  // By another service, which tells the log and no tier.
  await publish(world, { entity: "order", action: "update" });
  await b.told.catchUp();
  equal(await b.cache.getOrSet("x", () => "new", { tags: ["order"] }), "new");
  equal(await b.cache.getOrSet("y", () => "new"), "kept");
});

test("the object's fetch takes messages of other services, and says what is wrong with them", async () => {
  const world = place();
  const post = async (body) => {
    const response = await world.object.fetch(new Request("http://log/", { method: "POST", body }));
    return [response.status, await response.json()];
  };
  equal(await post('{"v":1,"entity":"order","id":"42","action":"update"}'), [200, { seq: 1 }]);
  equal(await post('[{"v":1,"tag":"a","action":"expire"},{"v":1,"url":"/a","action":"delete"}]'), [200, { seq: 3 }]);
  for (const body of [
    "",
    "{}",
    '{"v":1}',
    '[{"v":1,"tag":"a","action":"delete"},{"v":1,"tag":"","action":"delete"}]',
  ]) {
    equal((await post(body))[0], 400, body);
  }
  equal((await world.object.read(0, 0)).head, 3, "one that is wrong takes none with it");
  ok((await post("{"))[1].error.startsWith("the body is no JSON: "));
  equal((await world.object.fetch(new Request("http://log/"))).status, 405);
});

test("what the object's storage says goes to the log, and not to other services", async () => {
  const exec = () => {
    throw new Error("disk I/O error at 0x7f");
  };
  const Log = purgeLogObject(class {});
  const { error } = console;
  const told = [];
  console.error = (...line) => told.push(line.map(String).join(" "));
  try {
    const body = '{"v":1,"tag":"a","action":"delete"}';
    const response = await new Log({ storage: { sql: { exec } } }).fetch(
      new Request("http://log/", { method: "POST", body }),
    );
    equal([response.status, await response.json()], [500, { error: "the log of purges failed" }]);
  } finally {
    console.error = error;
  }
  equal(told, ["nearcache: the log of purges failed: Error: disk I/O error at 0x7f"]);
});

test("what is wrong with the options is said", async () => {
  const { namespace } = place();
  throws(() => purgeLog(namespace, { bound: "loose" }), { code: "ERR_OPTION", message: /soft/ });
  throws(() => purgeLog(namespace, { maxStaleness: Infinity }), { code: "ERR_OPTION" });
  const { told } = isolate(place());
  await rejects(told.publish({ tag: "a", url: "/a", action: "delete" }), { code: "ERR_OPTION" });
});
