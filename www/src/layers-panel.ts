// The third section of the page: a cache over two tiers that can be killed, made to hang, and revived.

import type { TierStats } from "nearcache/tiers";
import { drawLayers } from "./draw-layers.js";
import { set } from "./figures.js";
import { everyMs, paint } from "./frame.js";
import { Layers, ORIGIN_LATENCY, SOURCES, TIMEOUT } from "./layers.js";
import type { Health } from "./store.js";
import { View } from "./view.js";
import { count, ms, percent } from "./words.js";

const TIERS = ["near", "far"] as const;
type TierName = (typeof TIERS)[number];
/** So many lines of the log are shown. */
const LINES = 4;
const DONE: Record<Health, string> = { up: "revived", down: "killed", hanging: "hung" };
const BREAKERS = {
  closed: "closed: it is asked",
  open: "open: it is left alone",
  "half-open": "half-open: one call tries it",
};
const $ = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;

export class LayersPanel {
  running = false;
  readonly #layers = new Layers((line) => this.#log(line));
  readonly #view = new View($("#layers-chart"), () => this.#draw());
  readonly #slowly = everyMs(200);

  constructor() {
    $("#layers-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run(!this.running);
    });
    for (const name of TIERS)
      for (const button of document.querySelectorAll<HTMLButtonElement>(`#tier-${name} [data-health]`))
        button.addEventListener("click", () => this.#become(name, button.dataset.health as Health));
    this.#write();
    for (const button of document.querySelectorAll<HTMLButtonElement>("#layers button")) button.disabled = false;
  }

  #run(on: boolean): void {
    this.running = on;
    const button = $("#layers-run");
    set(button, on ? "Stop the gets" : "Start the gets");
    button.setAttribute("aria-pressed", String(on));
    this.#layers.resume(performance.now());
    paint(this.#paint);
  }

  #become(name: TierName, health: Health): void {
    const store = this.#layers[name];
    if (store.health === health) return;
    store.become(health);
    this.#layers.mark(`${name} ${DONE[health]}`);
    paint(this.#paint);
    this.#write();
  }

  readonly #paint = (now: number): boolean => {
    if (this.running) this.#layers.step(now);
    this.#draw();
    const busy = this.running || this.#layers.waiting > 0;
    if (!busy || this.#slowly(now)) this.#write();
    return busy;
  };

  #draw(): boolean {
    drawLayers(this.#view, this.#layers);
    return false;
  }

  #write(): void {
    const layers = this.#layers;
    const { recent, seconds, waits } = layers;
    const all = SOURCES.reduce((sum, source) => sum + recent[source], 0);
    for (const source of SOURCES) set($(`[data-share="${source}"]`), percent(recent[source] / all));
    const stats = layers.cache.stats();
    set($('[data-layer="memory"]'), `${count(stats.entries)} entries, answers at once`);
    for (const name of TIERS) this.#writeTier(name, layers.tier(name));
    const rate = seconds === 0 ? "–" : `${(recent.origin / seconds).toFixed(1)} calls a second`;
    set($('[data-layer="origin"]'), `${rate}, ${ms(ORIGIN_LATENCY)} each`);
    const [half, most] = waits.count === 0 ? ["–", "–"] : waits.at(0.5, 0.99).map(ms);
    const figures = {
      gets: count(layers.asked),
      waiting: count(layers.waiting),
      failed: count(layers.failed),
      "wait-p50": half!,
      "wait-p99": most!,
      "origin-calls": count(layers.originCalls),
    };
    for (const [name, text] of Object.entries(figures)) set($(`#layers-figures [data-stat="${name}"]`), text);
    set($("#layers-status"), this.#says());
  }

  #writeTier(name: TierName, { reads, readMillis, lost, skipped }: TierStats): void {
    const store = this.#layers[name];
    const card = $(`#tier-${name}`);
    card.dataset.health = store.health;
    card.dataset.breaker = reads;
    for (const button of card.querySelectorAll<HTMLElement>('[data-health]:not([data-health="up"])'))
      button.setAttribute("aria-pressed", String(button.dataset.health === store.health));
    const says = {
      health: store.health === "up" ? `up, a call takes ${ms(store.latency)}` : store.health,
      breaker: BREAKERS[reads],
      reads: readMillis.count === 0 ? "–" : `p50 ${ms(readMillis.p50)}, p99 ${ms(readMillis.p99)}`,
      lost: `${count(lost)} failed, ${count(skipped)} spared`,
    };
    for (const [what, text] of Object.entries(says)) set(card.querySelector(`[data-tier="${what}"]`)!, text);
  }

  /** Said when it changes. */
  #says(): string {
    const ill = TIERS.filter(
      (name) => this.#layers[name].health !== "up" || this.#layers.tier(name).reads !== "closed",
    );
    if (!this.running && this.#layers.asked === 0) return "Nothing is running.";
    if (ill.length === 0) return "Both tiers answer. The origin sees only what neither holds.";
    const each = ill.map((name) => {
      const { health } = this.#layers[name];
      if (this.#layers.tier(name).reads !== "closed")
        return health === "up" ? `${name} is back, and will be tried soon` : `${name} is ${health} and left alone`;
      return health === "down" ? `${name} is down` : `${name} hangs: each read costs ${ms(TIMEOUT)} at most`;
    });
    const rest = ill.length === 2 ? "" : `, ${ill[0] === "near" ? "far" : "near"}`;
    return `${each.join("; ")}. Answers go on, from memory${rest} and the origin.`;
  }

  #log(line: string): void {
    const item = document.createElement("p");
    item.textContent = line;
    const list = $("#layers-log");
    list.append(item);
    while (list.children.length > LINES) list.firstElementChild!.remove();
  }
}
