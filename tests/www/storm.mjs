// The herd: many gets at once.

import assert from "node:assert/strict";
import { server, shots, test } from "./harness.mjs";
import { figures, figure, fill, status, fire, over, settled, begun, frames, frameTimes } from "./page.mjs";

await test("1,000 gets of one cold key: one load, 999 coalesced, everyone answered", async (page) => {
  await page.locator("#fire").click();
  await begun(page);
  assert.equal(await page.locator("#keystate").getAttribute("data-state"), "loading");
  assert.equal(await page.locator('[data-count="with"]').textContent(), "1");
  assert.equal(await status(page), "1,000 gets: 1,000 wait for 1 load.");
  await page.screenshot({ path: `${shots}/storm-under-way.png` });
  await over(page);
  assert.match(
    await status(page),
    /^1,000 gets, 1 load: 1 called the loader, 999 waited with it\. All over after (8\d\d|9\d\d) ms\.$/,
  );
  assert.deepEqual(await figures(page, ["hits", "misses", "coalesced", "loads", "failures", "entries"]), {
    hits: 0,
    misses: 1,
    coalesced: 999,
    loads: 1,
    failures: 0,
    entries: 1,
  });
  const wait = Number.parseFloat(await page.locator('#storm-latencies [data-stat="wait-p50"]').textContent());
  assert.ok(wait > 700 && wait < 1000, `half waited ${wait} ms for a load of 800 ms`);
  await page.locator("#fire-without").click();
  await over(page, "without");
  await settled(page, "without");
  await page.screenshot({ path: `${shots}/storm-over.png`, fullPage: true });
});

await test("a second storm while the key is held: 1,000 hits, no load", async (page) => {
  await fill(page, "latency", 200);
  await fire(page);
  await fire(page);
  assert.match(await status(page), /^1,000 gets, no load: 1,000 from memory\. All over /);
  assert.deepEqual(await figures(page, ["hits", "misses", "coalesced", "loads"]), {
    hits: 1000,
    misses: 1,
    coalesced: 999,
    loads: 1,
  });
  assert.equal(await page.locator('#storm-figures [data-stat="hit-rate"]').textContent(), "50.0%");
});

await test("the same without a cache: 1,000 calls of the loader", async (page) => {
  await page.locator("#fire-without").click();
  await over(page, "without");
  assert.equal(await page.locator('[data-count="without"]').textContent(), "1,000");
  assert.equal(await figure(page, "loads"), 0);
});

await test("many keys: as many loads as keys", async (page) => {
  await fill(page, "keys", 8);
  await fill(page, "latency", 200);
  await fire(page);
  assert.deepEqual(await figures(page, ["misses", "coalesced", "loads"]), { misses: 8, coalesced: 992, loads: 8 });
});

await test("gets that arrive over time: those before the load's end join it, those after are hits", async (page) => {
  await fill(page, "spread", 900);
  await fill(page, "latency", 300);
  await fire(page);
  const { hits, misses, coalesced, loads } = await figures(page, ["hits", "misses", "coalesced", "loads"]);
  assert.deepEqual([hits + misses + coalesced, misses, loads], [1000, 1, 1]);
  assert.ok(hits > 300 && coalesced > 100, `${hits} hits, ${coalesced} coalesced`);
  await settled(page);
  await page.screenshot({ path: `${shots}/spread.png` });
});

await test("a failing loader: everyone gets its error, which is shown; the next storm loads anew", async (page) => {
  await fill(page, "latency", 200);
  await page.getByRole("switch", { name: "loader fails" }).first().check();
  await fire(page);
  assert.match(
    await status(page),
    /1,000 got the error “the pretend origin answered 500”\. Nothing was stored; the next get loads anew\.$/,
  );
  assert.deepEqual(await figures(page, ["loads", "failures", "entries"]), { loads: 1, failures: 1, entries: 0 });
  await settled(page);
  await page.screenshot({ path: `${shots}/failing.png` });
  await page.getByRole("switch", { name: "loader fails" }).first().uncheck();
  await fire(page);
  assert.deepEqual(await figures(page, ["loads", "failures", "entries"]), { loads: 2, failures: 1, entries: 1 });
});

await test("when the ttl has passed, there is a second load", async (page) => {
  await fill(page, "latency", 50);
  await fill(page, "ttl", "300ms");
  await fire(page);
  await page.locator('#keystate[data-state="cold"]').waitFor();
  await fire(page);
  assert.equal(await figure(page, "loads"), 2);
  await fill(page, "ttl", "1h");
  await page.locator('#keystate[data-state="cold"]').waitFor();
  await fire(page);
  assert.equal(await figure(page, "loads"), 3);
  await page.locator("#expire").click();
  await page.locator('#keystate[data-state="cold"]').waitFor();
  await fire(page);
  assert.equal(await figure(page, "loads"), 4);
});

await test("10,000 gets are drawn without dropping frames for long", async (page) => {
  await fill(page, "gets", 10_000);
  await fill(page, "latency", 600);
  const steps = frameTimes(page, 120);
  await fire(page);
  const sorted = await steps;
  assert.ok(
    sorted[60] < 25 && sorted[108] < 50,
    `frames came within ${sorted[60]} ms, nine in ten within ${sorted[108]} ms`,
  );
  assert.deepEqual(await figures(page, ["coalesced", "loads"]), { coalesced: 9999, loads: 1 });
});

for (const act of ["delete", "clear"]) {
  await test(`${act} during a load: those who wait get its answer, the next get loads anew`, async (page) => {
    await fill(page, "latency", 3000);
    await page.locator("#fire").click();
    await begun(page);
    await page.locator(`#${act}`).click();
    await page.locator("#fire").click();
    await page.locator('#storm-figures [data-stat="loads"]', { hasText: /^2$/ }).waitFor();
    if (act === "delete") await page.screenshot({ path: `${shots}/delete-during-load.png` });
    await over(page);
    assert.match(await status(page), /^2,000 gets, 2 loads: 2 called the loader, 1,998 waited with them/);
    assert.deepEqual(await figures(page, ["hits", "misses", "coalesced", "not-stored", "entries"]), {
      hits: 0,
      misses: 2,
      coalesced: 1998,
      "not-stored": 1,
      entries: 1,
    });
  });
}

await test("a hardTimeout shorter than the load: everyone is told so, and the load is told to stop", async (page) => {
  await fill(page, "latency", 5000);
  await fill(page, "hardTimeout", "300ms");
  await fire(page);
  assert.match(await status(page), /1,000 got the error “no value for "key-1" within 300 ms \(hardTimeout\)/);
  assert.equal(await figure(page, "timeouts"), 1000);
  await settled(page);
  await page.screenshot({ path: `${shots}/timeout.png` });
});

await test("a wrong input shows the cache's own error beside the field, and nothing is fired", async (page) => {
  await fill(page, "ttl", "abc");
  assert.match(await page.locator("#storm-ttl-error").textContent(), /^ttl: got "abc", wants /);
  await fill(page, "hardTimeout", "-1");
  assert.match(await page.locator("#storm-hardTimeout-error").textContent(), /^hardTimeout: got -1, wants /);
  await fill(page, "gets", "many");
  assert.match(
    await page.locator("#storm-gets-error").textContent(),
    /^gets: got "many", wants a whole number from 1 to 10000$/,
  );
  await fill(page, "maxEntries", "1.5", "traffic");
  assert.match(await page.locator("#traffic-maxEntries-error").textContent(), /^maxEntries: got 1.5, wants /);
  await page.locator("#fire").click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "storm-gets");
  assert.equal(await figure(page, "loads"), 0);
  await page.screenshot({ path: `${shots}/wrong-input.png` });
  for (const [name, value] of [
    ["ttl", "5s"],
    ["hardTimeout", "1m"],
    ["gets", "10"],
  ])
    await fill(page, name, value);
  assert.equal(await page.locator("#storm-form [aria-invalid]").count(), 0);
  await fire(page);
  assert.deepEqual(await figures(page, ["misses", "coalesced"]), { misses: 1, coalesced: 9 });
});

await test("the keyboard alone is enough", async (page) => {
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "fire");
  await page.keyboard.press("Enter");
  await over(page);
  assert.equal(await figure(page, "loads"), 1);
  const named = await page.evaluate(
    () =>
      [...document.querySelectorAll("input, button")].filter(
        (each) => !(each.labels?.length || each.textContent.trim()),
      ).length,
  );
  assert.equal(named, 0);
});

await test("a button that is pressed before the wasm has come does not load the page anew", async (page) => {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  await page.route("**/*.wasm", (route) => released.then(() => route.continue()));
  await page.reload();
  assert.equal(await page.locator("html[data-ready]").count(), 0);
  await fill(page, "gets", 10);
  await page.locator("#fire").click();
  release();
  await page.locator("html[data-ready]").waitFor({ state: "attached" });
  assert.equal(page.url(), `${server.url}/`);
  await fire(page);
  assert.deepEqual(await figures(page, ["misses", "coalesced"]), { misses: 1, coalesced: 9 });
});

await test("a hit is measured in nanoseconds", async (page) => {
  const place = page.locator('#storm-latencies [data-stat="hit-p50"]');
  await page.waitForFunction(() =>
    /^\d+ ns$/.test(document.querySelector('#storm-latencies [data-stat="hit-p50"]').textContent),
  );
  const ns = Number.parseInt(await place.textContent());
  assert.ok(ns >= 5 && ns < 1000, `${ns} ns`);
});
