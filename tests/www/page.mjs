// What stands on the page, and its buttons.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** All of one moment: what is read one after the other does not add up while there is traffic. */
export const figures = (page, names, panel = "storm") =>
  page.evaluate(
    ({ names, panel }) => {
      const text = (name) => document.querySelector(`#${panel}-figures [data-stat="${name}"]`).textContent;
      return Object.fromEntries(names.map((name) => [name, Number(text(name).replace(/,/g, ""))]));
    },
    { names, panel },
  );
export const figure = async (page, name, panel) => (await figures(page, [name], panel))[name];
export const fill = (page, name, value, form = "storm") => page.locator(`#${form}-${name}`).fill(String(value));
export const status = (page) => page.locator("#storm-status").textContent();
/** Presses the button, and waits until all have their answer. */
export const fire = async (page) => {
  const before = await page.locator("#storm-status").getAttribute("data-scene");
  await page.locator("#fire").click();
  await page.locator(`#storm-status[data-scene]:not([data-scene="${before}"])[data-pending="false"]`).waitFor();
};
export const over = (page, pane = "with") => page.locator(`#${pane} .status[data-pending="false"]`).waitFor();
/** Nothing flies any more. */
export const settled = (page, pane = "with") => page.locator(`#${pane} canvas[data-moving="false"]`).waitFor();
export const begun = (page) => page.locator('#with .status[data-pending="true"]').waitFor();

/** The moments of so many frames. */
export const frames = (page, many) =>
  page.evaluate(
    (many) =>
      new Promise((resolve) => {
        const times = [];
        const frame = (now) => (times.push(now) <= many ? requestAnimationFrame(frame) : resolve(times));
        requestAnimationFrame(frame);
      }),
    many,
  );
/** How long each of so many frames took, the shortest first. */
export const frameTimes = async (page, many) => {
  const times = await frames(page, many);
  return times
    .slice(1)
    .map((time, i) => time - times[i])
    .sort((a, b) => a - b);
};

/** The hit rates that are shown, NaN while there is none. */
export const rates = (page) =>
  page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll("[data-rate]")].map((each) => [
        each.dataset.rate,
        Number.parseFloat(each.textContent) / 100,
      ]),
    ),
  );
/** Waits until what is read is so; says what it was, if it never is. */
export async function until(page, what, read, is) {
  const end = Date.now() + 15_000;
  for (;;) {
    const now = await read();
    if (is(now)) return now;
    if (Date.now() > end) assert.fail(`${what}: ${JSON.stringify(now)}`);
    await frames(page, 10);
  }
}
export const untilRates = (page, what, are) => until(page, what, () => rates(page), are);

/** The hit rates by room as the table has them, NaN while there is none. */
export const curve = (page) =>
  page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll("[data-curve]")].map((row) => [
        row.dataset.curve,
        [...row.querySelectorAll("[data-cell]")].map(
          ({ textContent }) => Number.parseFloat(textContent.replace(/,/g, "")) / (textContent.endsWith("%") ? 100 : 1),
        ),
      ]),
    ),
  );
export const untilCurve = (page, what, is) => until(page, what, () => curve(page), is);

/** Whether anything at all is drawn. */
export const painted = (page, canvas) =>
  page.evaluate((canvas) => {
    const { width, height } = document.querySelector(canvas);
    const { data } = document.querySelector(canvas).getContext("2d").getImageData(0, 0, width, height);
    return data.some((value) => value > 0);
  }, canvas);

/** What the panel of the tiers shows. */
export const layers = (page) =>
  page.evaluate(() => {
    const all = (selector, name) =>
      Object.fromEntries([...document.querySelectorAll(`#layers ${selector}`)].map((e) => [name(e), e.textContent]));
    const share = all("[data-share]", (e) => e.dataset.share);
    const number = all("[data-stat]", (e) => e.dataset.stat);
    for (const numbers of [share, number])
      for (const name of Object.keys(numbers)) numbers[name] = Number.parseFloat(numbers[name].replace(/,/g, ""));
    const breaker = (name) => document.querySelector(`#tier-${name}`).dataset.breaker;
    return {
      share,
      ...number,
      near: breaker("near"),
      far: breaker("far"),
      status: document.querySelector("#layers-status").textContent,
      log: [...document.querySelectorAll("#layers-log p")].map((line) => line.textContent),
    };
  });
export const untilLayers = (page, what, are) => until(page, what, () => layers(page), are);
export const tierButton = (page, tier, name) =>
  page.getByRole("group", { name: `${tier} tier` }).getByRole("button", { name, exact: true });
/** Both tiers hold what is wanted most. */
export const startLayers = async (page) => {
  assert.equal((await layers(page)).status, "Nothing is running.");
  await page.getByRole("button", { name: "Start the gets" }).click();
  return untilLayers(
    page,
    "the tiers answer",
    ({ share, gets }) => gets > 400 && share.near > 10 && share.far > 1 && share.memory > 20 && share.origin < 20,
  );
};

export async function accessible(page, state) {
  if (!(await page.evaluate(() => "axe" in window))) await page.addScriptTag({ path: axe });
  const violations = await page.evaluate(() => axe.run());
  assert.deepEqual(
    violations.violations.map(({ id, help, nodes }) => [id, help, nodes.map(({ target }) => target.join(" "))]),
    [],
    state,
  );
}

export async function noOverflow(page) {
  const wide = await page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll("body *")].filter(
      (each) => each.getBoundingClientRect().right > room + 0.5,
    );
    return {
      room,
      scroll: document.documentElement.scrollWidth,
      out: out.slice(0, 5).map((each) => each.id || each.className || each.tagName),
    };
  });
  assert.deepEqual([wide.scroll, wide.out], [wide.room, []]);
}
