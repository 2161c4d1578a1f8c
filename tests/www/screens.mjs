// How the page looks: for screen readers, on narrow screens, in the dark.

import assert from "node:assert/strict";
import { shots, test } from "./harness.mjs";
import { accessible, figure, fill, fire, noOverflow, over, tierButton, untilLayers, untilRates } from "./page.mjs";

/** A test on each of these screens: their widths and colours. `shot(name)`: where a picture of it goes. */
async function onScreens(screens, title, body) {
  for (const [width, colorScheme] of screens) {
    const shot = (name) => `${shots}/${name}-${width}-${colorScheme}.png`;
    const options = { viewport: { width, height: 900 }, colorScheme };
    await test(`${title} a ${colorScheme} screen of ${width} pixels`, (page) => body(page, shot), options);
  }
}

await onScreens(
  [
    [1400, "light"],
    [1400, "dark"],
    [320, "light"],
    [320, "dark"],
  ],
  "axe finds nothing on",
  async (page, shot) => {
    await accessible(page, "as it opens");
    await fire(page);
    await page.locator("#run").click();
    await page.locator('#policies [value="lru"]').check();
    await untilRates(page, "there are hit rates", ({ adaptive }) => adaptive > 0.3);
    await page.locator("#layers-run").click();
    await tierButton(page, "near", "kill").click();
    await tierButton(page, "far", "hang").click();
    await untilLayers(page, "both are left alone", ({ near, far }) => near === "open" && far === "open");
    await accessible(page, "with traffic");
    await page.locator("#layers").screenshot({ path: shot("layers") });
    await page.locator("#traffic .live").screenshot({ path: shot("live") });
    await page.locator('#traffic-form [name="failing"]').check();
    await page.locator("#traffic-clear").click();
    await page.locator("#traffic-status.bad").waitFor();
    await fill(page, "ttl", "abc");
    await accessible(page, "with what is wrong");
  },
);

await onScreens(
  [
    [1400, "light"],
    [1400, "dark"],
    [400, "light"],
    [400, "dark"],
    [820, "light"],
    [320, "light"],
  ],
  "nothing is wider than",
  async (page, shot) => {
    await noOverflow(page);
    await fill(page, "ttl", "abc");
    await noOverflow(page);
    await fill(page, "ttl", "5s");
    await fire(page);
    await page.locator("#fire-without").click();
    await page.locator("#run").click();
    await page.locator("#layers-run").click();
    await tierButton(page, "near", "kill").click();
    await untilLayers(page, "near is left alone", ({ near }) => near === "open");
    await over(page, "without");
    await untilRates(page, "there are hit rates", ({ adaptive, best }) => adaptive > 0.3 && best > 0.3);
    await noOverflow(page);
    await page.screenshot({ path: shot("page"), fullPage: true });
  },
);

await test(
  "with reduced motion nothing flies",
  async (page) => {
    await fill(page, "latency", 100);
    await fire(page);
    assert.equal(await figure(page, "coalesced"), 999);
  },
  { reducedMotion: "reduce" },
);
