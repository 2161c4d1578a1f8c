import { NearCacheError } from "nearcache";
import { Batcher } from "../../../pkg/dist/batcher.js";
import { Core } from "../../../pkg/dist/core.js";
import { equal, now, ok, rejects, settleDown, sleep, test, throws } from "../runner.mjs";

/** What a batcher belongs to, which is told of batches that end. */
const owner = (ends = [], core = new Core(100, Infinity, Infinity, Infinity, true, false, 0)) => ({
  entries: { core, safely: (operation) => operation(core) },
  asker: -1,
  now,
  isWanted: () => true,
  run: (_, call) => call(),
  ended: (keys, millis, error) => ends.push({ size: keys.length, millis, error }),
});

/** A batcher, the batches it asked for, and how they ended. */
function recorded(options = {}, bring = (keys) => keys) {
  const batches = [];
  const ends = [];
  const load = (keys, items) => (batches.push(keys.map((key, i) => [key, items[i]])), bring(keys, items));
  const batcher = new Batcher({ load, ...options }, owner(ends));
  return { batcher, batches, ends };
}
const all = (batcher, keys) => Promise.all(keys.map((key) => batcher.load(key, `item ${key}`)));

test("a batcher makes one call of the keys of one tick and hands each item along", async () => {
  const { batcher, batches, ends } = recorded({}, async (keys) => keys.map((key) => key * 10));
  const deep = (async () => {
    for (let i = 0; i < 12; i++) await undefined;
    return batcher.load(3, "c");
  })();
  equal(await Promise.all([batcher.load(1, "a"), batcher.load(2, "b"), deep]), [10, 20, 30]);
  equal(batches, [
    [
      [1, "a"],
      [2, "b"],
      [3, "c"],
    ],
  ]);
  equal([ends.length, ends[0].size, ends[0].error], [1, 3, undefined]);
});

test("a batcher asks once for a key that it is asked for twice, with the item of the last", async () => {
  const { batcher, batches } = recorded({}, (keys) => keys.map((key) => `value of ${key}`));
  const loads = [batcher.load("k", 1), batcher.load("j", 2), batcher.load("k", 3), batcher.load("i", 4)];
  equal(await Promise.all(loads), ["value of k", "value of j", "value of k", "value of i"]);
  equal(batches, [
    [
      ["k", 3],
      ["j", 2],
      ["i", 4],
    ],
  ]);
});

test("a batcher's load may give its values at once", async () => {
  equal(await all(recorded().batcher, [1, 2]), [1, 2]);
});

test("maxBatchSize cuts a batcher's tick into calls of that size", async () => {
  const { batcher, batches } = recorded({ maxBatchSize: 2 });
  equal(await all(batcher, [1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]);
  equal(
    batches.map((batch) => batch.map(([key]) => key)),
    [[1, 2], [3, 4], [5]],
  );
});

test("a batch whose time has passed is kept no longer than until the next begins, whoever was to send it", async () => {
  let time = 0;
  let open = 0;
  const core = new Core(100, Infinity, Infinity, Infinity, true, false, 0);
  const batchers = owner();
  batchers.now = () => time;
  batchers.entries.core = {
    join_batch(...given) {
      open++;
      return core.join_batch(...given);
    },
    close_batch(number) {
      open--;
      core.close_batch(number);
    },
    batch_ended: (number) => core.batch_ended(number),
  };
  batchers.entries.safely = (operation) => operation(batchers.entries.core);
  const batcher = new Batcher({ load: (keys) => keys, batchWindow: 10 }, batchers);
  const loads = [];
  // No timer fires meanwhile, as those of a request that has died never do.
  for (let scope = 0; scope < 1_000; scope++, time += 5) loads.push(batcher.load(scope, undefined, `scope ${scope}`));
  equal(open, 2);
  equal(await Promise.all(loads), [...Array(1_000).keys()]);
});

test("an Error instance fails its key alone", async () => {
  const { batcher, ends } = recorded({}, async (keys) => keys.map((key) => (key === 2 ? new Error("no 2") : key)));
  const results = await Promise.allSettled([1, 2, 3].map((key) => batcher.load(key)));
  equal(
    results.map(({ value, reason }) => reason?.message ?? value),
    [1, "no 2", 3],
  );
  equal(ends[0].error, undefined);
});

test("what load throws, at once or later, fails every key of its batch and of no other", async () => {
  for (const later of [false, true]) {
    const failure = new Error("down");
    const fail = () => {
      throw failure;
    };
    const { batcher, ends } = recorded({ maxBatchSize: 2 }, (keys) =>
      keys[0] !== 1 ? keys : later ? settleDown().then(fail) : fail(),
    );
    const results = await Promise.allSettled([1, 2, 3].map((key) => batcher.load(key)));
    ok(results[0].reason === failure && results[1].reason === failure && results[2].value === 3);
    await settleDown();
    equal(ends.map(({ size, error }) => [size, error?.message]).sort(), [
      [1, undefined],
      [2, "down"],
    ]);
  }
});

test("a result that is no array, or of another length, fails every key with ERR_BATCH", async () => {
  const wants = "it wants an array with a value or an Error for each";
  const cases = [
    [undefined, `batch.load was asked for 2 keys and brought undefined; ${wants}`],
    [{ length: 2, 0: 1, 1: 2 }, `batch.load was asked for 2 keys and brought [object Object]; ${wants}`],
    ["12", `batch.load was asked for 2 keys and brought "12"; ${wants}`],
    [[1], `batch.load was asked for 2 keys and brought 1 values; ${wants}`],
    [[1, 2, 3], `batch.load was asked for 2 keys and brought 3 values; ${wants}`],
  ];
  for (const [result, message] of cases) {
    const { batcher, ends } = recorded({}, async () => result);
    const [error] = await Promise.all([
      rejects(batcher.load(1), { code: "ERR_BATCH", message }),
      rejects(batcher.load(2), { code: "ERR_BATCH" }),
    ]);
    ok(error instanceof NearCacheError && ends[0].error === error);
  }
  await rejects(recorded({}, () => []).batcher.load(1), {
    message: `batch.load was asked for 1 key and brought 0 values; ${wants}`,
  });
});

test("a load that takes keys out of its array is found out", async () => {
  for (const bring of [(keys) => keys.splice(0, 1), (keys) => (keys.pop(), keys)]) {
    const { batcher } = recorded({}, bring);
    await Promise.all([1, 2].map((key) => rejects(batcher.load(key), { code: "ERR_BATCH" })));
  }
});

test("a batch's end is told with its duration", async () => {
  const { batcher, ends } = recorded({}, (keys) => sleep(30).then(() => keys));
  await batcher.load(1);
  await settleDown();
  equal(ends[0].millis, 30);
});

test("a window in milliseconds takes the keys of later tasks", async () => {
  for (const batchWindow of [60, "60ms"]) {
    const { batcher, batches } = recorded({ batchWindow });
    const start = now();
    const loads = [batcher.load(1)];
    await sleep(59);
    loads.push(batcher.load(2));
    equal([batches.length, await Promise.all(loads), batches.length, now() - start], [0, [1, 2], 1, 60]);
    equal(await batcher.load(3), 3);
    equal(batches.length, 2);
  }
});

test("a full batch does not wait for its window", async () => {
  const { batcher, batches } = recorded({ batchWindow: "1h", maxBatchSize: 2 });
  equal(await all(batcher, [1, 2, 3, 4]), [1, 2, 3, 4]);
  equal(batches.length, 2);
});

test("a batch's load may ask the batcher again", async () => {
  const { batcher, batches } = recorded({}, (keys) =>
    Promise.all(keys.map((key) => (key === 0 ? 0 : batcher.load(key - 1)))),
  );
  equal(await all(batcher, [3, 1]), [0, 0]);
  equal(
    batches.map((batch) => batch.map(([key]) => key)),
    [[3, 1], [2, 0], [1], [0]],
  );
});

test("a batcher's options are checked at the door", () => {
  const make = (options) => () => new Batcher({ load: () => [], ...options }, owner());
  throws(make({ load: 1 }), { code: "ERR_OPTION", message: "batch.load: got 1, wants a function" });
  throws(make({ batchWindow: "tick" }), {
    code: "ERR_OPTION",
    message: /^batchWindow: got "tick", wants "microtask", milli/,
  });
  throws(make({ batchWindow: -1 }), { code: "ERR_OPTION" });
  for (const maxBatchSize of [0, 1.5, -1, NaN, "10", null]) {
    throws(make({ maxBatchSize }), {
      code: "ERR_OPTION",
      message: /^maxBatchSize: got .*, wants a whole number from 1 on, or Infinity$/,
    });
  }
  throws(() => new Batcher(null, owner()), {
    code: "ERR_OPTION",
    message: "batch: got null, wants an object like { load: async (keys) => values }",
  });
  throws(make({ window: 1 }), { code: "ERR_OPTION", message: /^batch\.window: / });
});

test("a window that is longer than a timer can be is as long as one can be", async () => {
  const { batcher, batches } = recorded({ batchWindow: Infinity, maxBatchSize: 2 });
  const first = batcher.load(1);
  await sleep(2 ** 31 - 2);
  equal(batches.length, 0);
  equal([await batcher.load(2), await first], [2, 1]);
  const start = now();
  equal([await batcher.load(3), now() - start], [3, 2 ** 31 - 1]);
});
