// The site in build/docs, as scripts/docs made it: every link leads somewhere, and the search works from a disk.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { launch } from "../browser.mjs";
import { documents, read, root } from "./markdown.mjs";

const site = path.join(root, "build/docs");
const text = (file) => readFileSync(path.join(site, file), "utf8");
/** Pages of our own; rustdoc looks after its own links. */
const pages = existsSync(site)
  ? readdirSync(site, { recursive: true }).filter((file) => file.endsWith(".html") && !file.startsWith("crate/"))
  : [];

async function inChromium(body, options) {
  const browser = await launch();
  try {
    const page = await browser.newPage(options);
    const wrong = [];
    page.on("pageerror", (error) => wrong.push(String(error)));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) wrong.push(`asks for ${request.url()}`);
    });
    await body(page);
    assert.deepEqual(wrong, []);
  } finally {
    await browser.close();
  }
}

const url = (file) => pathToFileURL(path.join(site, file)).href;

export default {
  "the site is there, with a page for each guide and each export of the class"() {
    assert.ok(pages.length > 30, `${pages.length} pages: scripts/docs makes them`);
    for (const file of documents("docs")) {
      if (file === "docs/README.md" || !/^docs\/(guides\/)?[^/]+\.md$/.test(file)) continue;
      assert.ok(
        pages.includes(
          file
            .replace(/^docs\//, "")
            .replace(/\.md$/, ".html")
            .toLowerCase(),
        ),
        file,
      );
    }
    const exported = read("pkg/dist/index.d.ts").match(/\b(NearCache|DataLoader|NearCacheError|cached|prometheus)\b/g);
    for (const name of new Set(exported))
      assert.ok(
        pages.some((page) => path.basename(page) === `${name}.html`),
        name,
      );
  },

  "every link in the site leads somewhere"() {
    const ids = new Map();
    const idsOf = (file) => {
      if (!ids.has(file)) ids.set(file, new Set(Array.from(text(file).matchAll(/\bid="([^"]+)"/g), ([, id]) => id)));
      return ids.get(file);
    };
    const dead = pages.flatMap((page) =>
      Array.from(text(page).matchAll(/(?:href|src)="([^"]+)"/g)).flatMap(([, link]) => {
        if (/^(https:|data:)/.test(link)) return [];
        const [target, anchor] = link.split("#");
        const file = target === "" ? page : path.posix.join(path.posix.dirname(page), target);
        if (!existsSync(path.join(site, file))) return [`${page}: ${link}`];
        const wanted = anchor && file.endsWith(".html") && !file.startsWith("crate/");
        return wanted && !idsOf(file).has(decodeURIComponent(anchor)) ? [`${page}: ${link}`] : [];
      }),
    );
    assert.deepEqual(dead, []);
  },

  "what the search leads to is there"() {
    const entries = JSON.parse(/^globalThis\.nearcacheSearch = (.*);\n$/.exec(text("search-index.js"))[1]);
    for (const entry of entries) assert.ok(existsSync(path.join(site, entry.url.split("#")[0])), entry.url);
    assert.ok(
      entries.some((entry) => entry.url.startsWith("crate/")),
      "the crate's items are in it",
    );
  },

  async "the search works from a disk, by keyboard"() {
    await inChromium(async (page) => {
      await page.goto(url("guides/lifetimes.html"));
      const found = async (words) => {
        await page.keyboard.press("/");
        await page.fill("#search", words);
        return page.locator("#results a strong").allTextContents();
      };
      assert.equal((await found("ERR_KEY"))[0], "ERR_KEY");
      assert.ok((await found("deleteByTag")).some((heading) => heading.startsWith("deleteByTag")));
      assert.ok((await found("graphql")).includes("A GraphQL server"));
      assert.ok((await found("LoadError")).includes("error::LoadError"));
      assert.deepEqual(await found("nosuchwordanywhere"), []);
      assert.equal((await found("nosuchwordanywhere ERR_KEY"))[0], "ERR_KEY", "as many words as there are");
      await found("ERR_WASM");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.waitForURL(/errors\.html#err_wasm$/);
    });
  },

  async "pages fit a screen of 320 pixels"() {
    await inChromium(
      async (page) => {
        for (const file of ["index.html", "npm.html", "guides/lifetimes.html", "api/classes/NearCache.html"]) {
          await page.goto(url(file));
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= 320, `${file} is ${wide} pixels wide`);
        }
      },
      { viewport: { width: 320, height: 640 } },
    );
  },
};
