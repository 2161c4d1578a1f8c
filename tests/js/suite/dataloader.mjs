import { DataLoader } from "nearcache";
import { behaviours } from "../dataloader/behaviours.mjs";
import { equal, rejects, settleDown, test } from "../runner.mjs";

behaviours("DataLoader", DataLoader);

// Where we do better than dataloader, which never answers.

test("DataLoader: a batchScheduleFn that sends at once makes a batch of each key", async () => {
  const batches = [];
  const loader = new DataLoader(async (keys) => (batches.push([...keys]), keys), { batchScheduleFn: (send) => send() });
  equal(await Promise.all([loader.load(1), loader.load(2), loader.load(1)]), [1, 2, 1]);
  equal(batches, [[1], [2]]);
});

test("DataLoader: a cacheMap or batchScheduleFn that throws fails its call and no other", async () => {
  let failing = true;
  const fail = () => {
    if (failing) throw new Error("on purpose");
  };
  const stash = new Map();
  const cacheMap = {
    get: (key) => stash.get(key),
    set: (key, value) => (fail(), stash.set(key, value)),
    delete: (key) => stash.delete(key),
    clear() {},
  };
  const byMap = new DataLoader(async (keys) => keys, { cacheMap });
  const atOnce = new DataLoader(async (keys) => keys, { cacheMap, batchScheduleFn: (send) => send() });
  const bySchedule = new DataLoader(async (keys) => keys, {
    batchScheduleFn: (send) => (fail(), queueMicrotask(send)),
  });
  for (const loader of [byMap, atOnce, bySchedule]) await rejects(() => loader.load(1), { message: "on purpose" });
  failing = false;
  for (const loader of [byMap, atOnce, bySchedule]) equal(await loader.load(1), 1);
});

test("DataLoader: a batchScheduleFn that calls back at once may load keys first", async () => {
  let isFirst = true;
  let others;
  const loader = new DataLoader(async (keys) => keys.map((key) => `v${key}`), {
    maxBatchSize: 1,
    batchScheduleFn: (send) => {
      send();
      if (!isFirst) return;
      isFirst = false;
      others = [loader.load("x"), loader.load("y")];
    },
  });
  equal([await loader.load("a"), ...(await Promise.all(others))], ["va", "vx", "vy"]);
});

test("DataLoader: a batch function that empties its keys still answers who waits", async () => {
  const loader = new DataLoader(async (keys) => keys.splice(0));
  await rejects(loader.load(1), { name: "TypeError", message: /same length/ });
  await settleDown();
});
