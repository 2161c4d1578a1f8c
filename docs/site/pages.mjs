// Which pages the site has, from which files, and in what order.

import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

/** The site's order for what it knows; other pages of docs/ come after, by name. */
const GROUPS = [
  ["Begin", ["docs/README.md", "pkg/README.md", "src/README.md", "docs/guides/frameworks.md"]],
  [
    "Guides",
    [
      "docs/guides/lifetimes.md",
      "docs/guides/workers.md",
      "docs/guides/batching.md",
      "docs/guides/invalidation.md",
      "docs/guides/snapshots.md",
    ],
  ],
  ["Reference", ["docs/errors.md"]],
  ["Project", ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "HACKING.md"]],
];
const TARGETS = { "docs/README.md": "index.html", "pkg/README.md": "npm.html", "src/README.md": "rust.html" };
const NAMES = { "docs/README.md": "Documents", "pkg/README.md": "npm package", "src/README.md": "Rust crate" };

/** Where a document's page lies in the site. */
const target = (file) =>
  TARGETS[file] ??
  file
    .replace(/^docs\//, "")
    .replace(/\.md$/, ".html")
    .toLowerCase();

/** The pages: `{ file, target, group, name }`, `name` being unset where the document's heading will do. */
export function pages(root) {
  const listed = GROUPS.flatMap(([group, files]) => files.map((file) => ({ file, group })));
  const known = new Set(listed.map(({ file }) => file));
  const more = (folder, group) =>
    readdirSync(path.join(root, folder))
      .filter((name) => name.endsWith(".md") && !known.has(`${folder}/${name}`))
      .sort()
      .map((name) => ({ file: `${folder}/${name}`, group }));
  const all = [...listed, ...more("docs/guides", "Guides"), ...more("docs", "More")];
  return all
    .filter(({ file }) => existsSync(path.join(root, file)))
    .map((page) => ({ ...page, target: target(page.file), name: NAMES[page.file] }));
}

export const GROUP_ORDER = ["Begin", "Guides", "Reference", "More", "Project"];
