// The storm: many gets at once of a few keys, through the cache or past it. Knows nothing of the page.

import { NearCache, type Duration } from "nearcache";
import { pretend } from "./loader.js";
import { Quantiles } from "./quantiles.js";
import { Scene } from "./scene.js";
import { toMs } from "./time.js";

export interface StormSettings {
  gets: number;
  keys: number;
  spread: number;
  latency: number;
  ttl: Duration;
  hardTimeout: Duration;
  failing: boolean;
}

export class Storm {
  /** How far the cache's clock is ahead. */
  #ahead = 0;
  readonly cache = new NearCache<string, string>({ clock: () => Date.now() + this.#ahead });
  readonly waits = new Quantiles(20_000);
  scene: Scene | undefined;
  #keys = 1;

  fire(settings: StormSettings, changed: () => void): void {
    const { keys, latency, ttl, hardTimeout, failing } = settings;
    this.#keys = keys;
    const scene = (this.scene = continued(this.scene, settings, toMs(hardTimeout)));
    const get = (i: number): void => {
      const key = keyOf(i, keys);
      const held = this.cache.has(key);
      let led = false;
      const mine = scene.ask();
      const from = performance.now();
      const answer = this.cache.getOrSet(
        key,
        (key, ctx) => {
          led = true;
          const load = scene.beginLoad(key);
          const value = pretend(latency, failing, ctx.signal);
          value.then(
            () => scene.endLoad(load, "answered"),
            () => scene.endLoad(load, ctx.signal.aborted ? "given up" : "failed"),
          );
          return value;
        },
        { ttl, hardTimeout },
      );
      const kind = led ? "load" : held ? "hit" : "join";
      answer
        .then(
          () => {
            if (kind !== "hit") this.waits.add(performance.now() - from);
            scene.answer(mine, kind);
          },
          (error: unknown) => scene.fail(mine, error),
        )
        .finally(changed);
    };
    spreadOut(settings, get);
    changed();
  }

  delete(): void {
    for (let i = 0; i < this.#keys; i++) this.cache.delete(keyOf(i, this.#keys));
    this.scene?.mark("delete", true);
  }

  clear(): void {
    this.cache.clear();
    this.scene?.mark("clear", true);
  }

  /** Moves the cache's clock. */
  pass(ms: number): void {
    this.#ahead += ms;
    this.scene?.mark(`+${(ms / 1000).toLocaleString("en")} s`, false);
  }

  /** Of the first key: milliseconds left, whether it is loading, or neither. */
  state(): number | "loading" | "cold" {
    const left = this.cache.remainingTtl("key-1");
    if (left !== undefined) return left;
    return this.scene?.loads.some((load) => load.key === "key-1" && load.ended === undefined && !load.beaten)
      ? "loading"
      : "cold";
  }
}

/** The same storm with nothing in between: every get is a load. */
export function fireWithout(settings: StormSettings, before: Scene | undefined, changed: () => void): Scene {
  const scene = continued(before, settings);
  spreadOut(settings, (i) => {
    const mine = scene.ask();
    const load = scene.beginLoad(keyOf(i, settings.keys));
    pretend(settings.latency, settings.failing)
      .then(
        () => {
          scene.endLoad(load, "answered");
          scene.answer(mine, "load");
        },
        (error: unknown) => {
          scene.endLoad(load, "failed");
          scene.fail(mine, error);
        },
      )
      .finally(changed);
  });
  changed();
  return scene;
}

/** A storm that begins while another goes on belongs into the same picture. */
function continued(before: Scene | undefined, { gets, latency, spread }: StormSettings, longest = Infinity): Scene {
  const scene = before?.pending ? before : new Scene(0);
  scene.expectedGets += gets;
  scene.expected = Math.max(scene.expected, scene.now + spread + Math.min(latency, longest));
  return scene;
}

function spreadOut({ gets, spread }: StormSettings, get: (i: number) => void): void {
  const start = performance.now();
  let next = 0;
  const some = (): void => {
    const due = spread === 0 ? gets : Math.min(gets, 1 + Math.floor((gets * (performance.now() - start)) / spread));
    while (next < due) get(next++);
    if (next < gets) setTimeout(some, 4);
  };
  some();
}

function keyOf(i: number, keys: number): string {
  return `key-${(i % keys) + 1}`;
}
