// The documents, and what is in them: fenced blocks with the comments before them, links, headings, tables.

import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const SKIPPED = new Set(["node_modules", "target", "build", "dist", "generated"]);

/** Every Markdown file of the project by its path from the root. */
export function documents(folder = "") {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith(".") || SKIPPED.has(entry.name) ? [] : documents(file);
    // The build copies the changelog there.
    return entry.name.endsWith(".md") && file !== "pkg/CHANGELOG.md" ? [file] : [];
  });
}

/** Documents whose examples are run: what users read. */
export const guides = () =>
  documents().filter((file) => ["README.md", "pkg/README.md", "src/README.md"].includes(file) || /^docs\//.test(file));

export const read = (file) => readFileSync(path.join(root, file), "utf8");

/**
 * The fenced blocks of a document, each with what the HTML comments right before it say:
 *
 * - `<!-- with CODE -->`: lines that belong before the block, and that its reader can do without;
 * - `<!-- from FILE -->`: the block is part of this file, which other tests run;
 * - `<!-- answers TEXT -->`: the origin of the Worker in the block says this;
 * - `<!-- not run: WHY -->`.
 */
export function blocks(file) {
  const lines = read(file).split("\n");
  const found = [];
  for (let at = 0; at < lines.length; at++) {
    const fence = /^( *)(```+)(\S*)/.exec(lines[at]);
    if (!fence) continue;
    const [, indent, ticks, info] = fence;
    const start = at + 1;
    while (++at < lines.length && lines[at].trim() !== ticks);
    const text = lines.slice(start, at).map((line) => line.replace(indent, ""));
    found.push({
      file,
      line: start,
      info,
      language: info.split(",")[0],
      text: text.join("\n"),
      ...notes(lines, start - 2),
    });
  }
  return found;
}

/** What the comments say that end at this line. */
function notes(lines, end) {
  const said = {};
  while (lines[end]?.trim() === "") end--;
  while (lines[end]?.trimEnd().endsWith("-->")) {
    let begin = end;
    while (begin > 0 && !lines[begin].includes("<!--")) begin--;
    const text = lines.slice(begin, end + 1).join("\n");
    const note = /<!--\s*(with|from|answers|not run:)\s([\s\S]*?)\s*-->/.exec(text);
    if (!note) break;
    said[note[1] === "not run:" ? "notRun" : note[1]] = note[2];
    end = begin - 1;
    while (lines[end]?.trim() === "") end--;
  }
  return said;
}

/** The document without its fenced blocks, spans of code, and comments. */
export function prose(file) {
  return read(file)
    .replace(/^ *(```+)[\s\S]*?^ *\1 *$/gm, "")
    .replace(/<!--[\s\S]*?-->/g, "")
    .replace(/`[^`\n]*`/g, "");
}

/** What links name: Markdown's own, and those of images and HTML. */
export function links(file) {
  const text = prose(file);
  return [
    ...Array.from(text.matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)(?: "[^"]*")?\)/g), ([, to]) => to),
    ...Array.from(text.matchAll(/^\[[^\]]+\]: *(\S+)/gm), ([, to]) => to),
    ...Array.from(text.matchAll(/(?:href|src)="([^"]*)"/g), ([, to]) => to),
  ];
}

/** A heading's anchor, as GitHub makes it. */
export const slug = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/<[^>]+>/g, "")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");

/** The anchors of a document: of its headings, and those set by hand. */
export function anchors(file) {
  const text = read(file).replace(/^ *(```+)[\s\S]*?^ *\1 *$/gm, "");
  const seen = new Map();
  const made = Array.from(text.matchAll(/^#{1,6} +(.*?)#* *$/gm), ([, heading]) => {
    const name = slug(heading);
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return before === 0 ? name : `${name}-${before}`;
  });
  return new Set([...made, ...Array.from(text.matchAll(/\b(?:id|name)="([^"]+)"/g), ([, id]) => id)]);
}

/** The rows of the first table after this heading, without its head: the cells' texts. */
export function table(file, heading) {
  const text = read(file);
  const at = text.search(new RegExp(`^#+ ${heading}\\s*$`, "m"));
  if (at === -1) throw new Error(`${file} has no heading "${heading}"`);
  const rows = /\n((?:\|.*\n)+)/.exec(text.slice(at))?.[1] ?? "";
  return rows
    .trim()
    .split("\n")
    .slice(2)
    .map((row) =>
      row
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}
