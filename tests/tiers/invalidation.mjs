// Purges that are told to other memories.

import { NearCache } from "nearcache";
import { broadcast, invalidation, memoryTier, tiers } from "nearcache/tiers";
import { equal, ok, rejects, sleep, test, throws } from "../js/runner.mjs";

/** A transport in one process whose messages may be lost. */
function wire() {
  const listeners = new Set();
  const sent = [];
  const transport = {
    publish: (text) => {
      sent.push(text);
      if (!transport.cut) listeners.forEach(({ message }) => message(text));
    },
    subscribe(message, lost) {
      const listener = { message, lost };
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    cut: false,
    sent,
    listeners,
  };
  return transport;
}

function isolate(transport, tier) {
  const lines = [];
  const chain = tier && tiers([tier], { clockSkew: 0, lateWrites: 0 });
  const cache = new NearCache(chain && { tiers: chain });
  const told = invalidation(cache, { transport, tiers: chain, log: (line) => lines.push(line) });
  return { cache, chain, told, lines };
}

const fill = ({ cache }) => {
  cache.set("a", 1, { tags: ["order", "order:1"] });
  cache.set("b", 2, { tags: ["order", "order:2"] });
  cache.set("c", 3);
};
const held = ({ cache }) => [...cache.keys()].sort().join("");

test("what one isolate publishes the others' memories let go of", async () => {
  const transport = wire();
  const [a, b] = [isolate(transport), isolate(transport)];
  for (const [publish, left] of [
    [(told) => told.publish("order", "1"), "bc"],
    [(told) => told.publish("order", "1", "delete"), "bc"],
    [(told) => told.publish("order", "1", "create"), "c"],
    [(told) => told.publish("order"), "c"],
    [(told) => told.clear(), ""],
  ]) {
    [a, b].forEach(fill);
    await publish(a.told);
    equal([held(a), held(b)], [left, left]);
  }
  equal([b.lines, b.told.stats().gaps], [[], 0]);
});

test("a message that was lost is noticed by the next, and clears the memory, not the tiers", async () => {
  const transport = wire();
  const tier = memoryTier();
  const [a, b] = [isolate(transport, tier), isolate(transport, tier)];
  await a.told.publish("other");
  fill(b);
  await b.chain.flush();
  transport.cut = true;
  await a.told.publish("other");
  transport.cut = false;
  equal(held(b), "abc");
  await sleep(2);
  await a.told.publish("other");
  equal(held(b), "");
  equal(b.told.stats(), { published: 0, heard: 2, gaps: 1, clears: 1 });
  ok(/2 to 2 were lost/.test(b.lines[0]), b.lines[0]);
  await sleep(2);
  equal(await isolate(transport, tier).cache.getOrSet("a", () => "loaded"), 1, "the tiers have it still");
});

test("messages of other services are heeded; what can't be read clears, and says why", () => {
  const one = isolate(wire());
  fill(one);
  one.told.handle('{"v":1,"entity":"order","id":"1","action":"update"}');
  equal(held(one), "bc");
  for (const text of [
    "rubbish",
    "null",
    "[]",
    "{}",
    '{"v":2,"action":"clear"}',
    '{"v":1,"entity":7,"action":"update"}',
    undefined,
    null,
  ]) {
    fill(one);
    one.told.handle(text);
    equal(held(one), "", text);
  }
  ok(/could not be read/.test(one.lines[0]));
});

test("a connection that was lost clears the memory when it is there again", () => {
  const transport = wire();
  const one = isolate(transport);
  fill(one);
  transport.listeners.forEach(({ lost }) => lost());
  equal(held(one), "");
});

test("what nobody would read is refused, and takes no number", async () => {
  const transport = wire();
  const { told } = isolate(transport);
  await rejects(told.publish("x".repeat(300)), { code: "ERR_OPTION" });
  await rejects(told.publish("order", "1", "explode"), { code: "ERR_OPTION", message: /action/ });
  await told.publish("order");
  equal(JSON.parse(transport.sent[0]).seq, 1);
  throws(() => invalidation(new NearCache(), {}), { code: "ERR_OPTION", message: /transport/ });
});

test("a BroadcastChannel carries them", async () => {
  const [a, b] = [isolate(broadcast("test")), isolate(broadcast("test"))];
  fill(b);
  await a.told.publish("order", "1");
  for (let at = 0; at < 100 && held(b) !== "bc"; at++) await sleep(5);
  equal(held(b), "bc");
  await Promise.all([a.told.close(), b.told.close()]);
});
