// The second section of the page: traffic that goes on, and what the cache makes of it.

import type { Duration } from "nearcache";
import { drawChart, drawKeyspace, Recency } from "./draw-traffic.js";
import { Fields, option, whole } from "./fields.js";
import { Figures, set } from "./figures.js";
import { everyMs, paint } from "./frame.js";
import type { Probe } from "./probe.js";
import { toMs } from "./time.js";
import { Traffic, type TrafficSettings } from "./traffic.js";
import { View } from "./view.js";
import { count, percent } from "./words.js";

const WINDOWS = 60;
const ROWS = 12;
const $ = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;

export class TrafficPanel {
  running = false;
  readonly #traffic: Traffic;
  readonly #fields: Fields<TrafficSettings>;
  readonly #figures = new Figures($("#traffic-figures"), $("#traffic-latencies"));
  readonly #recency = new Recency($("#recency"), ROWS);
  readonly #chart: View;
  readonly #keyspace: View;
  readonly #slowly = everyMs(200);
  #ttl: number;

  constructor(
    readonly probe: Probe,
    readonly started: () => void,
  ) {
    this.#fields = new Fields<TrafficSettings>(
      $("#traffic-form"),
      {
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
    this.#keyspace = new View($("#keyspace"), () => this.#draw(performance.now()));
    $("#traffic-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.running || this.#fields.read() !== undefined) this.#run(!this.running);
      else this.#fields.focusWrong();
    });
    $("#traffic-delete").addEventListener("click", () => this.#act(() => this.#traffic.cache.delete("key-1")));
    $("#traffic-clear").addEventListener("click", () => this.#act(() => this.#traffic.cache.clear()));
    $("#traffic-expire").addEventListener("click", () =>
      this.#act(() => this.#traffic.pass(this.#ttl < Infinity ? this.#ttl : 0)),
    );
    this.#act(() => {});
  }

  figuresChanged(): void {
    if (!this.running) paint(this.#paint);
  }

  #changed(settings: TrafficSettings | undefined): void {
    if (settings === undefined) return;
    this.#traffic.configure(settings);
    this.#ttl = toMs(settings.ttl);
    this.#act(() => {});
  }

  #run(on: boolean): void {
    this.running = on;
    const button = $("#run");
    set(button, on ? "Stop the traffic" : "Start the traffic");
    button.setAttribute("aria-pressed", String(on));
    set(
      $("#traffic-status"),
      on ? "The head of the crowd is held at once; the tail comes and goes." : "Stopped. What is held still expires.",
    );
    this.#traffic.resume(performance.now());
    paint(this.#paint);
    if (on) this.started();
  }

  #act(what: () => void): void {
    what();
    paint(this.#paint);
  }

  readonly #paint = (now: number): boolean => {
    const traffic = this.#traffic;
    if (this.running) traffic.step(now);
    const busy = this.running || traffic.loading.size > 0 || traffic.cache.keys().next().done !== true;
    this.#draw(now);
    if (!busy || this.#slowly(now)) this.#write();
    return busy;
  };

  #write(): void {
    const traffic = this.#traffic;
    const stats = traffic.cache.stats();
    this.#figures.show(stats, traffic.waits, this.probe);
    this.#recency.show(traffic, this.#ttl);
    set($("[data-rate]"), percent(this.running ? (traffic.rates.at(-1) ?? NaN) : NaN));
    const { keys, maxEntries } = traffic.settings;
    set($("#rate"), `${count(stats.entries)} of ${count(keys)} keys held, room for ${count(maxEntries)}`);
    const status = $("#traffic-status");
    status.classList.toggle("bad", traffic.failure !== undefined);
    if (traffic.failure !== undefined)
      set(status, `Loads fail: “${traffic.failure}”. What is held is still handed out until its ttl ends.`);
    else if (this.running && stats.loadFailures > 0) set(status, "Loads succeed again.");
  }

  #draw(now: number): boolean {
    drawChart(this.#chart, this.#traffic.rates, WINDOWS);
    drawKeyspace(this.#keyspace, this.#traffic, this.#ttl, now);
    return false;
  }
}
