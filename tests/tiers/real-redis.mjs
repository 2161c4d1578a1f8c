// Over a real Redis, by both clients: round trips, and what faults cost.

import { NearCache } from "nearcache";
import { invalidation, redisPubSub, redisTier, tiers } from "nearcache/tiers";
import { equal, ok, sleep, test } from "../js/runner.mjs";
import { origin } from "./chain.mjs";
import { cost, KEYS, note, TIMEOUT } from "./cost.mjs";
import { matches } from "./matches.mjs";
import { counting, RedisServer } from "./redis.mjs";
import { conforms } from "./stores.mjs";

const server = await RedisServer.start();
const CLIENTS = { "node-redis": await server.client(), ioredis: await server.io() };

/** Closes what is open. */
export async function end() {
  CLIENTS["node-redis"].destroy();
  CLIENTS.ioredis.disconnect();
  await server.down();
}

let prefixes = 0;

/** A cache over Redis with names of its own, as an isolate has it. */
function isolate(client, { prefix = `test${prefixes++}:`, log = () => {}, tier = {}, batch } = {}) {
  const chain = tiers([redisTier(client, { prefix, timeout: TIMEOUT, cooldown: 300, ...tier })], {
    log,
    clockSkew: 0,
    lateWrites: 0,
  });
  return { cache: new NearCache({ ttl: "1m", tiers: chain, batch }), chain, prefix };
}

for (const [name, client] of Object.entries(CLIENTS)) {
  conforms(`Redis by ${name}`, { make: () => redisTier(client, { prefix: `c-${name}:` }), shortestTtl: 50 });

  test(`isolates share by ${name} what they load, and purges`, async () => {
    const a = isolate(client);
    const [b, c] = [isolate(client, { prefix: a.prefix }), isolate(client, { prefix: a.prefix })];
    await a.cache.getOrSet("k", () => ({ from: "a" }), { tags: ["t"] });
    await a.chain.flush();
    equal(await b.cache.getOrSet("k", () => "loaded"), { from: "a" });
    await sleep(2);
    b.cache.deleteByTag("t");
    await b.chain.flush();
    await sleep(2);
    equal(await c.cache.getOrSet("k", () => "new"), "new");
  });
}

test("a thousand keys cost two round trips, and one load of those that are missing", async () => {
  const { client, counted } = counting(CLIENTS["node-redis"]);
  // Round trips are counted here, not time.
  const tier = { timeout: 5_000 };
  const fill = isolate(CLIENTS["node-redis"], { tier });
  const keys = Array.from({ length: 1_000 }, (_, key) => key);
  const double = (keys) => keys.map((key) => key * 2);
  await fill.cache.getMany(keys.slice(0, 900), async (keys) => double(keys));
  await fill.chain.flush();
  const loads = [];
  const batch = { load: async (keys) => (loads.push(keys.length), double(keys)) };
  const { cache, chain } = isolate(client, { prefix: fill.prefix, batch, tier });
  equal(await cache.getMany(keys), double(keys));
  equal(counted.commands.slice(0, 2), ["MGET", "MGET"]);
  equal(loads, [100]);
  await chain.flush();
  equal(counted.trips, 3, "what was loaded is stored together");
});

test("Redis carries purges to other memories, and a connection that comes back clears them", async () => {
  const client = CLIENTS["node-redis"];
  const subscriber = await server.client();
  const there = new NearCache();
  const lines = [];
  const log = (line) => lines.push(line);
  const told = invalidation(there, { transport: redisPubSub(client, subscriber), log });
  await sleep(50);
  const ends = async (holds) => {
    for (const deadline = Date.now() + 5_000; holds();) {
      ok(Date.now() < deadline, "in time");
      await sleep(10);
    }
  };
  there.set("k", 1, { tags: ["order:1"] }).set("other", 2);
  await client.publish("nearcache:purges", '{"v":1,"entity":"order","id":"1","action":"delete"}');
  await ends(() => there.has("k"));
  ok(there.has("other"));
  await CLIENTS.ioredis.client("KILL", "TYPE", "pubsub");
  await ends(() => there.has("other"));
  ok(/connection was lost/.test(lines[0]), lines[0]);
  await told.close();
  subscriber.destroy();
});

test("FLUSHALL while all are at work: answers come, none older than its isolate's own purge, and what follows is shared", async () => {
  const client = CLIENTS["node-redis"];
  const lines = [];
  const log = (line) => lines.push(line);
  // Round trips are many here, and time is no matter.
  const tier = { timeout: 5_000 };
  const first = isolate(client, { log, tier });
  const all = [first, ...[1, 2].map(() => isolate(client, { prefix: first.prefix, log, tier }))];
  let version = 0;
  const work = async ({ cache, chain }, number) => {
    for (let turn = 0; turn < 60; turn++) {
      const key = `k${turn % 5}`;
      if (turn % 7 === number) {
        await sleep(2);
        const purged = ++version;
        if (turn % 2 === 0) cache.delete(key);
        else cache.deleteByTag(key);
        await sleep(2);
        const value = await cache.getOrSet(key, () => version, { tags: [key] });
        ok(value >= purged, `${value} after the purge at ${purged}`);
      } else await cache.getOrSet(key, () => version, { tags: [key] });
      if (turn % 10 === number) await chain.flush();
    }
    await chain.flush();
  };
  const flushing = (async () => {
    for (let i = 0; i < 20; i++) await client.sendCommand(["FLUSHALL"]).then(() => sleep(3));
  })();
  await Promise.all([...all.map(work), flushing]);
  equal(lines, []);
  await client.sendCommand(["FLUSHALL"]);
  const fresh = [1, 2].map(() => isolate(client, { prefix: first.prefix, tier }));
  equal(await fresh[0].cache.getOrSet("k0", () => "new"), "new");
  await fresh[0].chain.flush();
  equal(await fresh[1].cache.getOrSet("k0", () => "loaded"), "new");
});

/** A fault of the server, and its end. */
function faultTest(fault, begin, finish, { name = "node-redis", reading = true } = {}) {
  test(`${fault}, by ${name}: answers come, at a timeout's cost; it is told once, left alone, and back again`, async () => {
    const lines = [];
    const one = isolate(CLIENTS[name], { log: (line) => lines.push(line) });
    const load = origin();
    await cost(one, ["before"], load);
    await one.chain.flush();
    await begin();
    const took = await cost(one, KEYS, load);
    await one.chain.flush();
    equal(load.calls, KEYS.length + 1);
    ok(took.worst < TIMEOUT * 1.8, `the slowest answer took ${took.worst} ms`);
    // Five failures open the breaker, and there may be a trial or two.
    ok(took.sum < TIMEOUT * 9, `all together took ${took.sum} ms`);
    const stats = one.chain.stats()[0];
    if (reading) ok(stats.reads !== "closed" && stats.skipped >= KEYS.length / 2, JSON.stringify(stats));
    else ok(stats.writing !== "closed", JSON.stringify(stats));
    equal(lines.length, new Set(lines).size, lines.join("; "));
    ok(lines.length > 0 && lines.every((line) => line.includes("fails")), lines.join("; "));
    note(`Redis ${fault} (${name})`, took, lines);
    await finish();
    for (const deadline = Date.now() + 10_000; ;) {
      await sleep(100);
      await one.cache.getOrSet(`after ${Date.now()}`, load);
      await one.chain.flush();
      const { reads, writing } = one.chain.stats()[0];
      if (reads === "closed" && writing === "closed") break;
      ok(Date.now() < deadline, `recovers: ${JSON.stringify(one.chain.stats()[0])}`);
    }
    await one.cache.getOrSet("shared", load);
    await one.chain.flush();
    const other = isolate(CLIENTS[name], { prefix: one.prefix });
    equal(await other.cache.getOrSet("shared", () => "loaded"), "value of shared");
  });
}

for (const name of Object.keys(CLIENTS)) {
  faultTest(
    "killed",
    () => server.down(),
    () => server.up(),
    { name },
  );
  faultTest(
    "stopped",
    () => server.pause(),
    () => server.resume(),
    { name },
  );
}

const limit = async (...settings) => {
  const client = await server.client();
  await client.sendCommand(["CONFIG", "SET", ...settings]);
  client.destroy();
};
faultTest(
  "full",
  () => limit("maxmemory", "1", "maxmemory-policy", "noeviction"),
  () => limit("maxmemory", "0"),
  { reading: false },
);

test("broken bytes in Redis are misses, counted, and told once", async () => {
  const lines = [];
  const one = isolate(CLIENTS["node-redis"]);
  for (const key of KEYS) await one.cache.getOrSet(key, () => "old");
  await one.chain.flush();
  const raw = CLIENTS.ioredis;
  const names = await raw.keys(`${one.prefix}v:*`);
  equal(names.length, KEYS.length);
  for (const name of names) {
    const bytes = await raw.getBuffer(name);
    bytes[20] ^= 1;
    await raw.set(name, bytes);
  }
  const { prefix } = one;
  const log = (line) => lines.push(line);
  const other = isolate(CLIENTS["node-redis"], { prefix, log, tier: { failures: 100 } });
  const load = origin();
  const took = await cost(other, KEYS, load);
  equal(load.calls, KEYS.length);
  matches(other.chain.stats()[0], { refusals: KEYS.length, refused: { checksum: KEYS.length } });
  equal(lines.length, 2, lines.join("; "));
  note("Redis with broken bytes", took, lines);
});
