// The first section of the page: its form, its two pictures and its figures.

import type { Duration } from "nearcache";
import { drawScene } from "./draw-scene.js";
import { Fields, option, whole } from "./fields.js";
import { Figures, set } from "./figures.js";
import { everyMs, paint } from "./frame.js";
import type { Probe } from "./probe.js";
import type { Scene } from "./scene.js";
import { fireWithout, Storm, type StormSettings } from "./storm.js";
import { toMs } from "./time.js";
import { View } from "./view.js";
import { count, ms, plural, summary } from "./words.js";

const $ = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;

export class StormPanel {
  readonly #storm = new Storm();
  readonly #fields: Fields<StormSettings>;
  readonly #figures = new Figures($("#storm-figures"), $("#storm-latencies"));
  readonly #with = new Pane("with", () => this.#storm.scene);
  readonly #without: Pane;
  #past: Scene | undefined;
  #settings: StormSettings | undefined;
  readonly #slowly = everyMs(120);
  #over: Scene | undefined;

  constructor(readonly probe: Probe) {
    this.#without = new Pane("without", () => this.#past);
    this.#fields = new Fields<StormSettings>(
      $("#storm-form"),
      {
        gets: whole("gets", 1, 10_000),
        keys: whole("keys", 1, 10_000),
        spread: whole("arriving over", 0, 60_000),
        latency: whole("loader takes", 0, 60_000),
        ttl: option<Duration>("ttl"),
        hardTimeout: option<Duration>("hardTimeout"),
        failing: "switch",
      },
      (settings) => this.#changed(settings),
    );
    this.#changed(this.#fields.read());
    $("#storm-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#fire();
    });
    $("#fire-without").addEventListener("click", () => {
      if (this.#settings === undefined) return this.#fields.focusWrong();
      this.#past = fireWithout(this.#settings, this.#past, () => this.#without.changed());
    });
    $("#delete").addEventListener("click", () => this.#act(() => this.#storm.delete()));
    $("#clear").addEventListener("click", () => this.#act(() => this.#storm.clear()));
    $("#expire").addEventListener("click", () => this.#act(() => this.#storm.pass(toMs(this.#settings!.ttl))));
    this.#act(() => {});
  }

  figuresChanged(): void {
    paint(this.#paintFigures);
  }

  #fire(): void {
    if (this.#settings === undefined) return this.#fields.focusWrong();
    this.#storm.fire(this.#settings, () => {
      this.#with.changed();
      paint(this.#paintFigures);
    });
  }

  #act(what: () => void): void {
    what();
    this.#with.changed();
    paint(this.#paintFigures);
  }

  #changed(settings: StormSettings | undefined): void {
    this.#settings = settings;
    if (settings === undefined) return;
    const { gets, keys, latency, ttl, hardTimeout } = settings;
    set($("#fire-label"), `Fire ${plural(gets, "get")}`);
    set($("#delete"), keys === 1 ? "delete the key" : `delete the ${count(keys)} keys`);
    const wait = toMs(ttl);
    $<HTMLButtonElement>("#expire").disabled = !(wait > 0 && wait < Infinity);
    set(
      $("#storm-code"),
      `const cache = new NearCache();
// ${count(gets)} × at once${keys === 1 ? "" : `, over ${count(keys)} keys`}; load takes ${ms(latency)}
await cache.getOrSet("key-1", load, { ttl: ${JSON.stringify(ttl)}, hardTimeout: ${JSON.stringify(hardTimeout)} });`,
    );
  }

  /** Goes on while the key's time runs, but writes only a few times a second. */
  readonly #paintFigures = (now: number): boolean => {
    const state = this.#storm.state();
    const busy = state !== "cold";
    const { scene } = this.#storm;
    const over = scene?.pending === false ? scene : undefined;
    // What a storm came to is shown with its sentence.
    const news = over !== this.#over;
    this.#over = over;
    if (busy && !news && !this.#slowly(now)) return true;
    this.#figures.show(this.#storm.cache.stats(), this.#storm.waits, this.probe);
    const word =
      typeof state === "string"
        ? state
        : state === Infinity
          ? "in memory for good"
          : `in memory, ${(state / 1000).toFixed(1)} s left`;
    const place = $("#keystate");
    set(place, `key-1 is ${word}`);
    place.dataset.state = typeof state === "string" ? state : "held";
    return busy;
  };
}

/** A timeline with its number and its sentence. */
class Pane {
  readonly #view: View;
  readonly #status: HTMLElement;
  readonly #number: HTMLElement;
  readonly #unit: HTMLElement;

  constructor(
    name: string,
    readonly scene: () => Scene | undefined,
  ) {
    const root = $(`#${name}`);
    this.#view = new View(root.querySelector("canvas")!, () => this.#draw());
    this.#status = root.querySelector(".status")!;
    this.#number = root.querySelector(`[data-count="${name}"]`)!;
    this.#unit = root.querySelector(`[data-unit="${name}"]`)!;
  }

  changed(): void {
    paint(this.#paint);
  }

  readonly #draw = (): boolean => {
    const moving = drawScene(this.#view, this.scene());
    this.#view.canvas.dataset.moving = `${moving}`;
    return moving;
  };

  readonly #paint = (): boolean => {
    const scene = this.scene();
    if (scene !== undefined) {
      const loads = scene.loads.length;
      set(this.#number, count(loads));
      set(this.#unit, loads === 1 ? "loader call" : "loader calls");
      this.#status.classList.toggle("bad", scene.errors.size > 0);
      // Said when it begins and when it is over, not with every frame.
      if (!scene.pending || this.#status.dataset.scene !== `${scene.start}`) set(this.#status, summary(scene));
      this.#status.dataset.scene = `${scene.start}`;
      this.#status.dataset.pending = `${scene.pending}`;
    }
    return this.#draw();
  };
}
