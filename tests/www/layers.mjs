// Tiers that die and come back.

import assert from "node:assert/strict";
import { shots, test } from "./harness.mjs";
import { status, frames, painted, layers, untilLayers, tierButton, startLayers, accessible } from "./page.mjs";

await test("a tier that is killed is left alone, answers go on from the other, and it is asked again when it is back", async (page) => {
  const before = await startLayers(page);
  assert.deepEqual([before.near, before.far, before.failed], ["closed", "closed", 0]);
  assert.ok(await painted(page, "#layers-chart"), "the answers are drawn");
  await tierButton(page, "near", "kill").click();
  assert.equal(await tierButton(page, "near", "kill").getAttribute("aria-pressed"), "true");
  const without = await untilLayers(
    page,
    "far answers for near",
    ({ near, share }) => near === "open" && share.near === 0 && share.far > before.share.far + 10,
  );
  assert.equal(without.status, "near is down and left alone. Answers go on, from memory, far and the origin.");
  assert.match(without.log.at(-1), /near/);
  await page.locator("#layers").screenshot({ path: `${shots}/layers-near-killed.png` });
  await tierButton(page, "near", "revive").click();
  const after = await untilLayers(
    page,
    "near answers again",
    ({ near, share }) => near === "closed" && share.near > 10,
  );
  assert.equal(after.failed, 0);
  assert.ok(after.log.length > without.log.length, after.log.join());
  assert.equal(after.status, "Both tiers answer. The origin sees only what neither holds.");
});

await test("a tier that hangs costs no more than its timeout, and then nothing", async (page) => {
  await startLayers(page);
  await tierButton(page, "far", "hang").click();
  const hung = await untilLayers(page, "far is left alone", ({ far }) => far === "open");
  assert.equal(hung.failed, 0);
  assert.match(hung.status, /^far is hanging and left alone\. Answers go on, from memory, near and the origin\.$/);
  await page.getByRole("button", { name: "Stop the gets" }).click();
  const all = await untilLayers(page, "nobody waits, though it hangs", ({ waiting }) => waiting === 0);
  // A read of 150 ms at most, and the origin's 250 ms, on a busy machine.
  assert.ok(all["wait-p99"] < 2_000, `${all["wait-p99"]} ms`);
  await page.getByRole("button", { name: "Start the gets" }).click();
  await tierButton(page, "far", "revive").click();
  await untilLayers(page, "far answers again", ({ far, share }) => far === "closed" && share.far > 1);
  assert.equal((await layers(page)).failed, 0);
});

await test("with both tiers gone the origin pays, everyone is answered, and by the keyboard both come back", async (page) => {
  const before = await startLayers(page);
  await tierButton(page, "near", "kill").click();
  await tierButton(page, "far", "hang").click();
  const alone = await untilLayers(
    page,
    "the origin answers for both",
    ({ near, far, share }) => near === "open" && far === "open" && share.origin > before.share.origin + 15,
  );
  assert.ok(alone["origin-calls"] > before["origin-calls"] + 20);
  assert.equal(alone.failed, 0);
  assert.equal(
    alone.status,
    "near is down and left alone; far is hanging and left alone. Answers go on, from memory and the origin.",
  );
  await accessible(page, "with both tiers gone");
  await page.locator("#layers").screenshot({ path: `${shots}/layers-both-gone.png` });
  for (const name of ["near", "far"]) {
    await tierButton(page, name, "revive").focus();
    await page.keyboard.press("Enter");
  }
  const back = await untilLayers(
    page,
    "the tiers answer for the origin",
    ({ near, far, share }) =>
      near === "closed" && far === "closed" && share.origin < alone.share.origin - 15 && share.near > 5,
  );
  assert.equal(back.failed, 0);
  await page.getByRole("button", { name: "Stop the gets" }).click();
  await frames(page, 30);
  const { gets } = await layers(page);
  await frames(page, 30);
  assert.equal((await layers(page)).gets, gets, "it stops");
});
