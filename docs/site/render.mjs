// Markdown into a page's HTML: headings with anchors as GitHub makes them, links to the site's own pages, code in colours.

import { Marked } from "marked";

export const escape = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** HTML without its tags and entities. */
export const textOf = (html) =>
  html
    .replace(/<[^>]+>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");

const slug = (text) =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");

/** `link(to)` says where a document's link leads in the site. Gives the HTML, the title, and the sections for the search. */
export function render(markdown, link) {
  const seen = new Map();
  const sections = [];
  let title;
  const marked = new Marked({
    gfm: true,
    renderer: {
      heading({ tokens, depth }) {
        const html = this.parser.parseInline(tokens);
        const text = textOf(html);
        const base = slug(text);
        const before = seen.get(base) ?? 0;
        seen.set(base, before + 1);
        const id = before === 0 ? base : `${base}-${before}`;
        title ??= text;
        sections.push({ id, depth, heading: text });
        return `<h${depth} id="${id}">${html} <a class="anchor" href="#${id}" aria-label="Link to ${escape(text)}">#</a></h${depth}>\n`;
      },
      link({ href, title, tokens }) {
        const text = this.parser.parseInline(tokens);
        return `<a href="${escape(link(href))}"${title ? ` title="${escape(title)}"` : ""}>${text}</a>`;
      },
      image({ href, text }) {
        return `<img src="${escape(link(href))}" alt="${escape(text)}">`;
      },
      code({ text, lang = "" }) {
        const language = lang.split(",")[0];
        const lines = language === "rust" ? text.replace(/^# .*\n/gm, "") : text;
        return `<pre tabindex="0"><code class="language-${escape(language)}">${colours(lines, language)}</code></pre>\n`;
      },
      table(token) {
        const cell = (tag) => (one) => `<${tag}>${this.parser.parseInline(one.tokens)}</${tag}>`;
        const head = token.header.map(cell("th")).join("");
        const rows = token.rows.map((row) => `<tr>${row.map(cell("td")).join("")}</tr>\n`).join("");
        const within = `<thead><tr>${head}</tr></thead><tbody>${rows}</tbody>`;
        return `<div class="table" tabindex="0" role="region" aria-label="Table"><table>${within}</table></div>\n`;
      },
    },
  });
  const html = marked.parse(markdown.replace(/<!--[\s\S]*?-->\n*/g, ""));
  return { html, title: title ?? "", sections: texts(html, sections) };
}

/** The text of each section, up to the next heading. */
function texts(html, sections) {
  const parts = html.split(/<h[1-6] id="[^"]*">[\s\S]*?<\/h[1-6]>/);
  return sections.map((section, at) => ({
    ...section,
    text: textOf(parts[at + 1] ?? "")
      .replace(/\s+/g, " ")
      .trim(),
  }));
}

const WORDS = {
  js: "async await break case catch class const continue default else export extends finally for from function if import in instanceof let new of return static switch throw try typeof undefined null true false void while yield",
  rust: "as async await break const else enum fn for if impl in let loop match mod move mut pub ref return self static struct thread_local trait type unsafe use where while true false",
};
WORDS.ts = `${WORDS.js} interface type implements readonly`;

/** Comments, strings, numbers and words of the language. */
function colours(text, language) {
  const words = WORDS[language];
  if (words === undefined) return escape(text);
  const pattern = new RegExp(
    `(//[^\\n]*|/\\*[\\s\\S]*?\\*/)|("(?:[^"\\\\\\n]|\\\\.)*"|\`(?:[^\`\\\\]|\\\\.)*\`)|\\b(${words.split(" ").join("|")})\\b|\\b(\\d[\\d_.]*)\\b`,
    "g",
  );
  let at = 0;
  let out = "";
  for (const match of text.matchAll(pattern)) {
    const kind = ["comment", "string", "word", "number"][match.slice(1).findIndex((group) => group !== undefined)];
    out += `${escape(text.slice(at, match.index))}<span class="${kind}">${escape(match[0])}</span>`;
    at = match.index + match[0].length;
  }
  return out + escape(text.slice(at));
}
