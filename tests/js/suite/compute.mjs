// The next value from the present one. What it does in sequence stands in tests/contract/compute.json.

import { NearCache } from "nearcache";
import { equal, handClock, held, rejects, settleDown, test } from "../runner.mjs";

test("a counter that many add to at once loses none of them", async () => {
  const cache = new NearCache({ clock: handClock() });
  const add = async (count = 0) => {
    await settleDown();
    return count + 1;
  };
  const counts = await Promise.all(Array.from({ length: 20 }, () => cache.compute("k", add)));
  equal(
    counts,
    Array.from({ length: 20 }, (_, at) => at + 1),
  );
  equal([cache.get("k"), cache.size], [20, 1]);
});

test("no more than 1,000 wait for one key; another key's go on", async () => {
  const cache = new NearCache({ clock: handClock() });
  const first = held();
  const asked = [cache.compute("k", first)];
  for (let i = 0; i < 1_000; i++) asked.push(cache.compute("k", (count) => count + 1));
  const error = await rejects(cache.compute("k", () => 0));
  equal([error.code, error.key], ["ERR_QUEUE_FULL", "k"]);
  equal(await cache.compute("other", () => 1), 1);
  first.loads[0].resolve(0);
  equal((await Promise.all(asked)).at(-1), 1_000);
  equal(await cache.compute("k", (count) => count + 1), 1_001);
});

test("what is no function and what is no option is refused, and nothing is computed", async () => {
  const cache = new NearCache();
  for (const call of [
    () => cache.compute("k"),
    () => cache.compute("k", () => 1, { retry: 2 }),
    () => cache.compute("k", () => 1, { hardTimeout: -1 }),
  ]) {
    equal((await rejects(call())).code, "ERR_OPTION");
  }
  const reason = new Error("gone");
  equal(await rejects(cache.compute("k", () => 1, { signal: AbortSignal.abort(reason) })), reason);
  equal(cache.size, 0);
});

test("one whose turn comes after its deadline does not begin, though no timer has rung yet", async () => {
  let now = 1_000_000;
  const cache = new NearCache({ clock: () => now });
  const [first, late] = [held(), held()];
  const asked = [cache.compute("k", first), cache.compute("k", late, { hardTimeout: 10_000 })];
  const refused = rejects(asked[1], { code: "ERR_TIMEOUT" });
  now += 10_000;
  first.loads[0].resolve(1);
  equal(await asked[0], 1);
  await refused;
  equal([late.loads.length, cache.get("k")], [0, 1]);
});

test("by a clock that stands still a computation ends at its deadline all the same", async () => {
  const cache = new NearCache({ clock: () => 1_000, hardTimeout: 50 });
  await rejects(
    cache.compute("k", () => new Promise(() => {})),
    { code: "ERR_TIMEOUT" },
  );
  equal(await cache.compute("k", () => 1), 1);
});
