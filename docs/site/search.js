// The search: over an index that is a script of its own, so that it works from files too.
"use strict";

const root = document.currentScript.dataset.root;
const input = document.getElementById("search");
const results = document.getElementById("results");

/** What was typed, as words; the code of an error is one word. */
const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];

/** How many of the words are there, and how much that counts for. */
function score({ heading, page, text }, wanted) {
  const [inHeading, inPage, inText] = [heading, page, text].map((part) => part.toLowerCase());
  let there = 0;
  let points = 0;
  for (const word of wanted) {
    const here =
      (inHeading === word ? 50 : 0) +
      (inHeading.split(/[^\p{L}\p{N}_]+/u).includes(word) ? 30 : inHeading.includes(word) ? 15 : 0) +
      (inPage.includes(word) ? 5 : 0) +
      Math.min(5, inText.split(word).length - 1);
    if (here > 0) there++;
    points += here;
  }
  return { there, points };
}

function find(text) {
  const wanted = words(text);
  if (wanted.length === 0) return [];
  const all = globalThis.nearcacheSearch.map((entry) => ({ entry, ...score(entry, wanted) }));
  // Every word, or where that is nowhere, as many as there are together.
  const most = Math.max(...all.map(({ there }) => there));
  return all
    .filter(({ there }) => there > 0 && there === most)
    .sort((a, b) => b.points - a.points)
    .slice(0, 12)
    .map(({ entry }) => entry);
}

/** Where the first word stands, with what is around it. */
function excerpt(text, word) {
  const at = Math.max(0, text.toLowerCase().indexOf(word) - 40);
  return `${at > 0 ? "…" : ""}${text.slice(at, at + 140)}`;
}

function show() {
  const text = input.value.trim();
  const found = find(text);
  results.hidden = text === "";
  const count = document.createElement("p");
  count.setAttribute("role", "status");
  count.textContent = found.length === 0 ? "Nothing found" : `${found.length === 12 ? "12 best" : found.length} found`;
  const links = found.map(({ heading, page, url, text: body }) => {
    const link = document.createElement("a");
    link.href = root + url;
    const title = document.createElement("strong");
    title.textContent = heading;
    const place = document.createElement("small");
    place.textContent = page === heading ? "" : ` ${page}`;
    const around = document.createElement("span");
    around.textContent = excerpt(body, words(text)[0]);
    link.append(title, place, around);
    return link;
  });
  results.replaceChildren(count, ...links);
}

input.addEventListener("input", show);
input.addEventListener("focus", show);
document.addEventListener("keydown", (event) => {
  const links = [...results.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    input.focus();
  } else if (event.key === "Escape") {
    results.hidden = true;
    input.blur();
  } else if (!results.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const next = at + (event.key === "ArrowDown" ? 1 : -1);
    (links[next] ?? input).focus();
  } else if (event.key === "Enter" && document.activeElement === input && links.length > 0) {
    location.href = links[0].href;
  }
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".search")) results.hidden = true;
});

// On wide screens the list of pages is always there.
const list = document.querySelector("nav details");
const wide = matchMedia("(min-width: 60rem)");
const adapt = () => (list.open = wide.matches);
wide.addEventListener("change", adapt);
adapt();
