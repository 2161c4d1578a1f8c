// The counters and latencies under each picture.

import type { Stats } from "nearcache";
import type { Probe } from "./probe.js";
import type { Quantiles } from "./quantiles.js";
import { count, ms, ns, percent } from "./words.js";

const COUNTERS: [name: string, title: string, of: (stats: Stats) => string][] = [
  ["hits", "answered from memory", (s) => count(s.hits)],
  ["misses", "found nothing, began a load", (s) => count(s.misses)],
  ["coalesced", "joined a load under way", (s) => count(s.coalesced)],
  ["hit rate", "hits per get", (s) => (s.hits + s.misses + s.coalesced === 0 ? "–" : percent(s.hitRate))],
  ["loads", "calls of the loader", (s) => count(s.loads)],
  ["failures", "loads that ended with an error", (s) => count(s.loadFailures)],
  ["timeouts", "waits that met their hardTimeout", (s) => count(s.timeouts)],
  ["not stored", "a zero ttl, or superseded while loading", (s) => count(s.rejected)],
  [
    "evictions",
    "values that left: for size, expired, replaced, removed",
    ({ evictions: e }) => count(e.size + e.expired + e.replaced + e.removed),
  ],
  ["entries", "held now", (s) => count(s.entries)],
];

const WAITS: [string, number][] = [
  ["p50", 0.5],
  ["p95", 0.95],
  ["p99", 0.99],
  ["max", 1],
];

export class Figures {
  readonly #counters: [HTMLElement, (stats: Stats) => string][];
  readonly #waits: HTMLElement[];
  readonly #hits: HTMLElement[];
  readonly #causes: HTMLElement;

  constructor(counters: HTMLElement, latencies: HTMLElement) {
    this.#counters = COUNTERS.map(([name, title, of]) => [add(counters, name, title), of]);
    this.#hits = [add(latencies, "hit p50", "half of the batches were faster"), add(latencies, "hit p99", "")];
    this.#waits = WAITS.map(([name]) => add(latencies, `wait ${name}`, "of gets that waited for a load"));
    this.#causes = add(latencies, "why values left", "");
    this.#causes.parentElement!.classList.add("wide");
  }

  show(stats: Stats, waits: Quantiles, probe: Probe): void {
    for (const [place, of] of this.#counters) set(place, of(stats));
    const { size, expired, replaced, removed } = stats.evictions;
    set(
      this.#causes,
      `size ${count(size)} · expired ${count(expired)} · replaced ${count(replaced)} · removed ${count(removed)}`,
    );
    const hits = probe.hits.at(0.5, 0.99);
    this.#hits.forEach((place, i) => set(place, Number.isNaN(hits[i]) ? "–" : ns(hits[i]!)));
    const quantiles = waits.at(...WAITS.map(([, rank]) => rank));
    this.#waits.forEach((place, i) => set(place, waits.count === 0 ? "–" : ms(quantiles[i]!)));
  }
}

function add(list: HTMLElement, name: string, title: string): HTMLElement {
  const [item, term, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag)) as [
    HTMLElement,
    HTMLElement,
    HTMLElement,
  ];
  term.textContent = name;
  if (title !== "") item.title = title;
  value.dataset.stat = name.replace(/ /g, "-");
  value.textContent = "–";
  item.append(term, value);
  list.append(item);
  return value;
}

/** Writes only what changed, so that the browser lays out only that. */
export function set(place: Element, text: string): void {
  if (place.textContent !== text) place.textContent = text;
}
