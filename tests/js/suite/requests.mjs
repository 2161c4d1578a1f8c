// Requests that end, with their timers and promises, while others wait for what they have begun.

import { NearCache } from "nearcache";
import { equal, held, never, test } from "../runner.mjs";

const ignore = () => {};
const inRequests = { requestBound: true };

test(
  "a follower takes the lead when the leader's request ends, and the others follow it",
  inRequests,
  async (world) => {
    const cache = new NearCache({ hardTimeout: 1000 });
    const load = held();
    world.as("leader", () => cache.getOrSet("k", load)).catch(ignore);
    const followers = ["one", "two", "three"].map((name) =>
      world.as(name, () => cache.getOrSet("k", load, { details: true })),
    );
    await world.pass(10);
    world.kill("leader");
    await world.settle();
    equal(load.loads.length, 2, "loads: the leader's and one more");
    load.loads[1].resolve("v");
    const got = await Promise.all(followers);
    equal(
      got.map(({ value, status }) => [value, status]),
      [
        ["v", "miss"],
        ["v", "coalesced"],
        ["v", "coalesced"],
      ],
    );
    const { misses, coalesced, loads, loadsAbandoned } = cache.stats();
    equal([misses + coalesced, loads, loadsAbandoned], [4, 2, 1]);
  },
);

test("who asks again because a load was lost does so within its first deadline", inRequests, async (world) => {
  const cache = new NearCache();
  const start = world.now;
  const codes = [];
  world.as("leader", () => cache.getOrSet("k", never)).catch(ignore);
  const follow = () => cache.getOrSet("k", never, { hardTimeout: 100 });
  world.as("follower", follow).catch(({ code }) => codes.push([code, world.now - start]));
  await world.pass(60);
  world.kill("leader");
  await world.pass(39);
  equal(codes, []);
  await world.pass(1);
  equal(codes, [["ERR_TIMEOUT", 100]]);
});

test("a get that joined a load which was lost, and joins another, is told of once", inRequests, async (world) => {
  const cache = new NearCache();
  const told = [];
  for (const event of ["miss", "coalesced"]) cache.on(event, () => told.push(event));
  const ask = () => cache.getOrSet("k", never);
  for (const one of ["leader", "one", "other"]) world.as(one, ask).catch(ignore);
  await world.pass(60);
  world.kill("leader");
  await world.pass(1);
  equal(told, ["miss", "coalesced", "coalesced", "miss"]);
});

test("a deadline that is longer than a timer can run is kept all the same", inRequests, async (world) => {
  const DAY = 86_400_000;
  const cache = new NearCache({ hardTimeout: "100d" });
  const start = world.now;
  const codes = [];
  const waits = {
    leader: () => cache.getOrSet("k", never),
    follower: () => cache.getOrSet("k", never),
    writer: () => cache.update("w", never),
  };
  for (const [name, wait] of Object.entries(waits)) {
    world.as(name, wait).catch(({ code }) => codes.push([name, code, world.now - start]));
  }
  await world.pass(100 * DAY - 1);
  equal(codes, []);
  await world.pass(1);
  equal(
    codes.sort(([one], [other]) => (one < other ? -1 : 1)),
    ["follower", "leader", "writer"].map((name) => [name, "ERR_TIMEOUT", 100 * DAY]),
  );
  equal(world.timers.size, 0);
});

test("a key whose batch is lost is tried in ten batches, and no more", inRequests, async (world) => {
  let calls = 0;
  const cache = new NearCache({
    hardTimeout: Infinity,
    batch: { load: () => (calls++, never()), batchWindow: 10 },
  });
  const open = (batch) => void world.as(`opener ${batch}`, () => cache.getOrSet(`x ${batch}`)).catch(ignore);
  let code;
  open(1);
  world.as("joiner", () => cache.getOrSet("y")).catch((error) => (code = error.code));
  await world.pass(10);
  equal(calls, 1);
  for (let batch = 2; batch <= 10; batch++) {
    open(batch);
    world.kill(`opener ${batch - 1}`);
    await world.pass(10);
    equal([code, calls], [undefined, batch]);
  }
  world.kill("opener 10");
  await world.settle();
  equal([code, calls], ["ERR_LOAD_LOST", 10]);
});

test("a load whose waiters have all gone without a word is told to stop", inRequests, async (world) => {
  const cache = new NearCache({ hardTimeout: 1000 });
  const load = held();
  world.as("leader", () => cache.getOrSet("k", load)).catch(ignore);
  const { signal } = load.loads[0].ctx;
  // They have died with their request.
  world.timers.clear();
  await world.pass(1001);
  equal(signal.aborted, false);
  for (let i = 0; i < 4; i++) cache.get("sweeps");
  await world.settle();
  equal([signal.aborted, cache.stats().inFlight, cache.stats().loadsAbandoned], [true, 0, 1]);
});
