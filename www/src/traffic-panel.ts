// The second section of the page: traffic that goes on, and what the cache makes of it.

import type { Duration } from "nearcache";
import { AdviceList } from "./advice-list.js";
import { drawChart, drawCurve, drawKeyspace, Recency, type Line } from "./draw-traffic.js";
import { Fields, option, whole } from "./fields.js";
import { Figures, set } from "./figures.js";
import { everyMs, paint } from "./frame.js";
import { KINDS, type KindName } from "./kinds.js";
import { WINDOWS, type Lane, type Policy } from "./lane.js";
import type { Probe } from "./probe.js";
import { TIMES } from "./rooms.js";
import { toMs } from "./time.js";
import { Traffic, type TrafficSettings } from "./traffic.js";
import { View } from "./view.js";
import { count, percent } from "./words.js";

const ROWS = 12;
const COLOURS = { adaptive: "hit", lru: "lru" } as const;
const POLICIES = Object.keys(COLOURS) as Policy[];
const $ = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;

export class TrafficPanel {
  running = false;
  readonly #traffic: Traffic;
  readonly #fields: Fields<TrafficSettings>;
  readonly #figures = new Figures($("#traffic-figures"), $("#traffic-latencies"));
  readonly #advice = new AdviceList($("#advice"), $("#advice-none"), (option) =>
    document.querySelector(`#traffic-${option}`),
  );
  readonly #recency = new Recency($("#recency"), ROWS);
  readonly #chart: View;
  readonly #curve: View;
  readonly #keyspace: View;
  readonly #slowly = everyMs(200);
  readonly #slower = everyMs(1000);
  #ttl: number;
  /** The policy whose cache the pictures and figures show. */
  #shown: Policy = "adaptive";

  constructor(
    readonly probe: Probe,
    readonly started: () => void,
  ) {
    this.#fields = new Fields<TrafficSettings>(
      $("#traffic-form"),
      {
        kind: (text) => text as KindName,
        rate: whole("gets per second", 1, 100_000),
        keys: whole("keys", 1, 2_000),
        maxEntries: option<number>("maxEntries"),
        ttl: option<Duration>("ttl"),
        latency: whole("loader takes", 0, 60_000),
        failing: "switch",
      },
      (settings) => this.#changed(settings),
    );
    const settings = this.#fields.read()!;
    this.#traffic = new Traffic(settings);
    this.#ttl = toMs(settings.ttl);
    this.#chart = new View($("#chart"), () => this.#draw(performance.now()));
    this.#curve = new View($("#curve"), () => this.#draw(performance.now()));
    this.#keyspace = new View($("#keyspace"), () => this.#draw(performance.now()));
    $("#traffic-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.running || this.#fields.read() !== undefined) this.#run(!this.running);
      else this.#fields.focusWrong();
    });
    $("#traffic-delete").addEventListener("click", () => this.#act(() => this.#traffic.delete("key-1")));
    $("#traffic-clear").addEventListener("click", () => this.#act(() => this.#traffic.clear()));
    $("#traffic-expire").addEventListener("click", () =>
      this.#act(() => this.#traffic.pass(this.#ttl < Infinity ? this.#ttl : 0)),
    );
    $("#policies").addEventListener("change", (event) =>
      this.#act(() => {
        this.#shown = (event.target as HTMLInputElement).value as Policy;
        this.#advice.show(this.#lane.cache);
      }),
    );
    this.#act(() => {});
  }

  get #lane(): Lane {
    return this.#traffic.lanes[this.#shown];
  }

  figuresChanged(): void {
    if (!this.running) paint(this.#paint);
  }

  #changed(settings: TrafficSettings | undefined): void {
    if (settings === undefined) return;
    this.#traffic.configure(settings);
    this.#ttl = toMs(settings.ttl);
    this.#act(() => {
      this.#advice.show(this.#lane.cache);
      if (this.running) this.#say();
    });
  }

  #run(on: boolean): void {
    this.running = on;
    const button = $("#run");
    set(button, on ? "Stop the traffic" : "Start the traffic");
    button.setAttribute("aria-pressed", String(on));
    this.#say();
    this.#traffic.resume(performance.now());
    paint(this.#paint);
    if (on) this.started();
  }

  #say(): void {
    const says = this.running ? KINDS[this.#traffic.settings.kind].says : "Stopped. What is held still expires.";
    set($("#traffic-status"), says);
  }

  #act(what: () => void): void {
    what();
    paint(this.#paint);
  }

  readonly #paint = (now: number): boolean => {
    const traffic = this.#traffic;
    if (this.running) traffic.step(now);
    const { loading, cache } = this.#lane;
    const busy = this.running || loading.size > 0 || cache.keys().next().done !== true;
    this.#draw(now);
    if (!busy || this.#slowly(now)) this.#write();
    return busy;
  };

  #write(): void {
    const { lanes, bestRate, settings } = this.#traffic;
    const lane = this.#lane;
    const stats = lane.cache.stats();
    this.#figures.show(stats, lane.waits, this.probe);
    this.#recency.show(lane, this.#ttl);
    if (this.#slower(performance.now())) this.#advice.show(lane.cache);
    for (const policy of POLICIES) set($(`[data-rate="${policy}"]`), percent(lanes[policy].recentRate));
    set($('[data-rate="best"]'), percent(bestRate));
    this.#writeCurve();
    set(
      $("#rate"),
      `${count(stats.entries)} of ${count(settings.keys)} keys held, room for ${count(settings.maxEntries)}`,
    );
    set($("#keyspace-title"), KINDS[settings.kind].order);
    set($("#recency-title"), this.#shown === "lru" ? "entries, the most recently used first" : "some of the entries");
    const status = $("#traffic-status");
    status.classList.toggle("bad", lane.failure !== undefined);
    if (lane.failure !== undefined)
      set(status, `Loads fail: “${lane.failure}”. What is held is still handed out until its ttl ends.`);
    else if (this.running && status.textContent!.startsWith("Loads fail")) set(status, "Loads succeed again.");
  }

  /** The curve in figures, which is also what it says to who can't see it. */
  #writeCurve(): void {
    const { rooms } = this.#traffic;
    const rows = { room: rooms.sizes.map(count), best: rooms.best.map(percent) } as Record<string, string[]>;
    for (const policy of POLICIES) rows[policy] = rooms.rates(policy).map(percent);
    for (const [name, cells] of Object.entries(rows))
      document.querySelectorAll(`[data-curve="${name}"] [data-cell]`).forEach((cell, i) => set(cell, cells[i]!));
  }

  #draw(now: number): boolean {
    const { lanes, best, names, rooms } = this.#traffic;
    const lines = (ideal: number[], rates: (policy: Policy) => number[]): Line[] => [
      { rates: ideal, colour: "soft", width: 1.5, dash: [5, 4] },
      // The one shown lies on top.
      ...POLICIES.map((policy) => ({
        rates: rates(policy),
        colour: COLOURS[policy],
        width: policy === this.#shown ? 3 : 1.5,
      })).sort((a, b) => a.width - b.width),
    ];
    const last = lines(best, (policy) => lanes[policy].rates);
    drawChart(this.#chart, last, WINDOWS);
    const byRoom = lines(rooms.best, (policy) => rooms.rates(policy));
    drawCurve(this.#curve, byRoom, rooms.sizes, TIMES.indexOf(1));
    drawKeyspace(this.#keyspace, names, this.#lane, this.#ttl, now);
    return false;
  }
}
