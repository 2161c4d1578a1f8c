// Steady traffic: policies, rooms and advice.

import assert from "node:assert/strict";
import { bestHits } from "../../www/src/belady.ts";
import { seed, shots, test } from "./harness.mjs";
import {
  figures,
  figure,
  fill,
  status,
  frames,
  frameTimes,
  rates,
  untilRates,
  curve,
  untilCurve,
  painted,
  accessible,
} from "./page.mjs";

await test("steady traffic: a bounded cache, a hit rate that settles, and drawing that keeps up", async (page) => {
  await page.locator("#run").click();
  await page.waitForFunction(
    () => Number(document.querySelector('#traffic-figures [data-stat="hits"]').textContent.replace(/,/g, "")) > 3000,
  );
  const steps = await frameTimes(page, 60);
  assert.ok(steps[30] < 25, `half of the frames came within ${steps[30]} ms`);
  const { hits, misses, coalesced, loads, entries } = await figures(
    page,
    ["hits", "misses", "coalesced", "loads", "entries"],
    "traffic",
  );
  assert.ok(hits + misses + coalesced > 4000, `${hits + misses + coalesced} gets`);
  assert.ok(hits / (hits + misses + coalesced) > 0.4, "the head of the crowd is held");
  assert.ok(entries <= 200 && entries > 100, `${entries} entries`);
  assert.ok(loads <= misses);
  assert.equal(await page.locator("#recency li:visible").count(), 12);
  await page.locator("#traffic").screenshot({ path: `${shots}/traffic.png` });
  await page.locator("#traffic-clear").click();
  await page.locator('#traffic-form [name="failing"]').check();
  await page.locator("#traffic-status.bad").waitFor();
  assert.match(await page.locator("#traffic-status").textContent(), /^Loads fail: “the pretend origin answered 500”/);
  await page.locator('#traffic-form [name="failing"]').uncheck();
  await page.locator("#traffic-status:not(.bad)").waitFor();
  await page.locator("#run").click();
  // What was asked for is answered, and then half a second's frames bring nothing more.
  await frames(page, 30);
  const stopped = await figure(page, "hits", "traffic");
  await frames(page, 30);
  assert.equal(await figure(page, "hits", "traffic"), stopped, "it stops");
});

for (const [kind, what, differ] of [
  ["zipf", "with loved keys both hold what is loved", ({ adaptive, lru }) => adaptive > 0.6 && lru > 0.6],
  ["scans", "a scan costs lru more than adaptive", ({ adaptive, lru }) => adaptive > lru + 0.04],
  ["loop", "on a loop larger than the cache adaptive beats lru", ({ adaptive, lru }) => adaptive > lru + 0.25],
  ["shift", "adaptive follows a hot set that shifts", ({ adaptive, lru }) => adaptive > lru + 0.04],
]) {
  await test(`${what}, and neither beats the best possible`, async (page) => {
    await page.locator("#traffic-kind").selectOption(kind);
    await page.locator("#run").click();
    const { adaptive, lru, best } = await untilRates(page, what, (all) => all.best > 0 && differ(all));
    // Each is rounded to a tenth of a point.
    assert.ok(best + 0.001 >= adaptive && best + 0.001 >= lru, `${adaptive} and ${lru} of ${best}`);
    await page.locator("#traffic").screenshot({ path: `${shots}/traffic-${kind}.png` });
  });
}

await test("the curve tells what room is worth, and changes with the traffic and the room", async (page) => {
  await page.locator("#run").click();
  const loved = await untilCurve(page, "loved keys: more room, more hits", ({ adaptive, lru, best }) =>
    [adaptive, lru, best].every((rates) => rates[0] < rates[1] && rates[1] < rates[2] && rates[2] < rates[3]),
  );
  assert.deepEqual(loved.room, [100, 200, 400, 800]);
  assert.ok(await painted(page, "#curve"), "the curve is drawn");
  // What the table says of this room is what is said of the cache.
  const now = await rates(page);
  assert.ok(Math.abs(now.adaptive - loved.adaptive[1]) < 0.05, `${now.adaptive}, ${loved.adaptive[1]}`);
  await page.locator("#traffic-kind").selectOption("loop");
  await untilCurve(
    page,
    "a loop of 300 keys: lru has nothing of 200 entries, and all of 400",
    ({ lru, adaptive }) => lru[1] < 0.05 && lru[2] > 0.9 && lru[3] > 0.9 && adaptive[1] > 0.25,
  );
  await page.locator("#traffic").screenshot({ path: `${shots}/curve-loop.png` });
  await fill(page, "maxEntries", 20, "traffic");
  await untilCurve(page, "other sizes", ({ room }) => room.join() === "10,20,40,80");
  await fill(page, "rate", 100_000, "traffic");
  await untilCurve(page, "too many gets for all sizes", ({ lru }) => Number.isNaN(lru[0]) && lru[1] >= 0);
  const steps = await frameTimes(page, 60);
  assert.ok(steps[30] < 50, `half of the frames came within ${steps[30]} ms`);
});

await test("switching the policy moves the hit rate, and all that is shown", async (page) => {
  await page.locator("#traffic-kind").selectOption("loop");
  await page.locator("#run").focus();
  await page.keyboard.press("Enter");
  await untilRates(page, "the policies differ", ({ adaptive, lru }) => adaptive > lru + 0.25);
  const hits = await figure(page, "hits", "traffic");
  await page.getByRole("radio", { name: /^adaptive/ }).focus();
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.getByRole("radio", { name: /^lru/ }).isChecked());
  await page.locator("#recency-title", { hasText: "entries, the most recently used first" }).waitFor();
  await page.waitForFunction(
    (hits) =>
      Number(document.querySelector('#traffic-figures [data-stat="hits"]').textContent.replace(/,/g, "")) < 0.8 * hits,
    hits,
  );
  await page.keyboard.press("ArrowLeft");
  await page.locator("#recency-title", { hasText: "some of the entries" }).waitFor();
  assert.ok((await figure(page, "hits", "traffic")) >= hits);
});

await test("the cache advises more room, and the hit rate rises where that is tried", async (page) => {
  await fill(page, "maxEntries", 80, "traffic");
  await page.locator("#advice-none", { hasText: "Nothing so far." }).waitFor();
  await page.locator("#run").click();
  const button = page.locator('#advice [data-option="maxEntries"]');
  await button.waitFor({ timeout: 30_000 });
  const before = (await untilRates(page, "there are hit rates", ({ adaptive }) => adaptive > 0)).adaptive;
  await accessible(page, "with advice");
  await page.locator("#traffic").screenshot({ path: `${shots}/advice.png` });
  await button.click();
  assert.ok(Number(await page.locator("#traffic-maxEntries").inputValue()) > 80);
  assert.equal(await page.evaluate(() => document.activeElement.id), "traffic-maxEntries");
  await untilRates(page, `more than ${before} with more room`, ({ adaptive }) => adaptive > before + 0.02);
});

await test("the best possible is as good as trying every choice", async () => {
  let state = seed;
  const below = (end) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % end;
  /** The most hits from position `at` on, with `held` in memory. */
  const most = (asked, at, held, room) => {
    if (at === asked.length) return 0;
    const key = asked[at];
    if (held.includes(key)) return 1 + most(asked, at + 1, held, room);
    const choices = [held, ...held.map((out) => [...held.filter((each) => each !== out), key])];
    if (held.length < room) choices.push([...held, key]);
    return Math.max(...choices.map((each) => most(asked, at + 1, each, room)));
  };
  const subsets = (keys, room) =>
    Array.from({ length: 1 << keys }, (_, bits) => [...Array(keys).keys()].filter((key) => (bits >> key) & 1)).filter(
      ({ length }) => length <= room,
    );
  for (let round = 0; round < 200; round++) {
    const [keys, room] = [1 + below(5), 1 + below(3)];
    const asked = Int32Array.from({ length: below(9) }, () => below(keys));
    const best = Math.max(...subsets(keys, room).map((start) => most(asked, 0, start, room)));
    assert.equal(bestHits(asked, keys, room), best, `SEED=${seed} round ${round}: ${asked}, room for ${room}`);
  }
});
