// Makes the site: `node docs/site/build.mjs API OUT`, API being TypeDoc's Markdown and OUT the folder, which has rustdoc's
// pages in crate/ already. Every page works by itself, from a file too.

import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { GROUP_ORDER, pages } from "./pages.mjs";
import { escape, render } from "./render.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = path.join(here, "../..");
const [api, out] = process.argv.slice(2).map((folder) => path.resolve(folder));
const cargo = readFileSync(path.join(root, "Cargo.toml"), "utf8");
const repository = /^repository = "(.*)"$/m.exec(cargo)[1];
const version = /^version = "(.*)"$/m.exec(cargo)[1];

/** Files of the class's reference, the least looked for last. */
const apiFiles = readdirSync(api, { recursive: true })
  .filter((name) => name.endsWith(".md"))
  .sort();
const ENTRIES = { "index.md": "The class", "http/index.md": "The HTTP cache", "tiers/index.md": "The tiers" };
const all = [
  ...pages(root).map((page) => ({ ...page, from: path.join(root, page.file) })),
  ...apiFiles.map((name) => ({
    file: path.posix.join("api", name),
    from: path.join(api, name),
    target: path.posix.join("api", name.replace(/\.md$/, ".html")),
    group: ENTRIES[name] && "Reference",
    name: ENTRIES[name],
  })),
];
const targets = new Map(all.map(({ file, target }) => [file, target]));
const copied = new Set();

/** From one page of the site to another. */
const relative = (from, to) => path.posix.relative(path.posix.dirname(from), to) || path.posix.basename(to);

/** Where a link of this page leads: to a page of the site, to a file copied beside it, or to the repository. */
function linkOf(page) {
  return (to) => {
    const inside = to.startsWith(`${repository}/`) ? /\/(?:blob|tree)\/main\/(.+)$/.exec(to)?.[1] : undefined;
    if (inside === undefined && (/^[a-z]+:/.test(to) || to.startsWith("#"))) return to;
    const [target, anchor] = (inside ?? path.posix.join(path.posix.dirname(page.file), to)).split("#");
    const hash = anchor === undefined ? "" : `#${anchor}`;
    if (target === "README.md") return relative(page.target, "index.html") + hash;
    const own = targets.get(target);
    if (own !== undefined) return relative(page.target, own) + hash;
    if (/\.(svg|png|json)$/.test(target)) {
      const place = target.replace(/^docs\//, "");
      copied.add([target, place].join("\0"));
      return relative(page.target, place);
    }
    return `${repository}/blob/main/${target}${hash}`;
  };
}

const rendered = all.map((page) => {
  const text = readFileSync(page.from, "utf8");
  // Whose method a method implements tells a reader nothing.
  const markdown = page.file.startsWith("api/") ? text.replace(/^#+ Implementation of\n+.*\n+/gm, "") : text;
  const made = render(markdown, linkOf(page));
  return { ...page, ...made, name: page.name ?? made.title };
});

function navigation(page) {
  const entry = ({ target, name }) =>
    `<li><a href="${relative(page.target, target)}"${target === page.target ? ' aria-current="page"' : ""}>${escape(name)}</a></li>`;
  const crate = { target: "crate/nearcache/index.html", name: "The crate (rustdoc)" };
  return GROUP_ORDER.map((group) => {
    const entries = rendered.filter((one) => one.group === group);
    if (group === "Reference") entries.push(crate);
    return entries.length === 0 ? "" : `<h2>${group}</h2><ul>${entries.map(entry).join("")}</ul>`;
  }).join("");
}

function html(page) {
  const to = (target) => relative(page.target, target);
  const title = page.target === "index.html" ? "nearcache" : `${page.name} · nearcache`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${to("style.css")}">
<script defer src="${to("search-index.js")}"></script>
<script defer src="${to("search.js")}" data-root="${to("index.html").replace(/index\.html$/, "")}"></script>
</head>
<body>
<a class="skip" href="#content">Skip to the text</a>
<header>
<a class="brand" href="${to("index.html")}">nearcache <small>${escape(version)}</small></a>
<div class="search" role="search">
<input type="search" id="search" placeholder="Search (/)" aria-label="Search" aria-controls="results" autocomplete="off">
<div id="results" hidden></div>
</div>
</header>
<div class="columns">
<nav aria-label="Pages"><details><summary>Pages</summary>${navigation(page)}</details></nav>
<main id="content">
${page.html}
</main>
</div>
</body>
</html>
`;
}

for (const page of rendered) {
  const file = path.join(out, page.target);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, html(page));
}
for (const pair of copied) {
  const [from, to] = pair.split("\0");
  mkdirSync(path.dirname(path.join(out, to)), { recursive: true });
  copyFileSync(path.join(root, from), path.join(out, to));
}
for (const file of ["style.css", "search.js"]) copyFileSync(path.join(here, file), path.join(out, file));

/** The crate's items, by rustdoc's own list of them. */
function crateItems() {
  const list = path.join(out, "crate/nearcache/all.html");
  if (!existsSync(list)) return [];
  return Array.from(
    readFileSync(list, "utf8").matchAll(/<li><a href="([^"]+)">([^<]+)<\/a><\/li>/g),
    ([, href, name]) => {
      return { page: "The crate", heading: name, url: `crate/nearcache/${href}`, text: "" };
    },
  );
}

/** The reference's small headings are the same everywhere, and what is inherited is found where it comes from. */
const isNews =
  ({ file }) =>
  ({ depth, heading, text }) =>
    !file.startsWith("api/") ||
    (depth <= 3 &&
      !/^([A-Z]|Type Parameters?|Methods|Properties|Constructors?|Accessors|Implements|Extends|Extended by|Parameters|Returns|Throws)$/.test(
        heading,
      ) &&
      !text.includes("Inherited from"));

const entries = [
  ...rendered.flatMap((page) =>
    page.sections.filter(isNews(page)).map(({ id, depth, heading, text }) => ({
      page: page.name,
      heading,
      url: depth === 1 ? page.target : `${page.target}#${id}`,
      text: text.slice(0, 1_500),
    })),
  ),
  ...crateItems(),
];
writeFileSync(path.join(out, "search-index.js"), `globalThis.nearcacheSearch = ${JSON.stringify(entries)};\n`);
console.log(`docs: ${rendered.length} pages, ${entries.length} entries in the search`);
