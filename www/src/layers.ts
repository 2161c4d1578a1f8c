// A cache over two tiers, under traffic, and where its answers come from. Knows nothing of the page.

import { NearCache, type Stats } from "nearcache";
import { tiers, type TierStats } from "nearcache/tiers";
import { KINDS } from "./kinds.js";
import { WINDOW } from "./lane.js";
import { pretend } from "./loader.js";
import { Quantiles } from "./quantiles.js";
import { Store } from "./store.js";

/** Where an answer comes from: memory, a load that another get began, a tier, or the origin. */
export const SOURCES = ["memory", "joined", "near", "far", "origin"] as const;
export type Source = (typeof SOURCES)[number];
export type Counts = Record<Source, number>;

export const ORIGIN_LATENCY = 250;
export const TIMEOUT = 150;
export const RATE = 80;
const KEYS = 150;
const ROOM = 15;
const NEAR_ROOM = 60;
/** So many waits are told of: those of some seconds. */
const WAITS = 150;
/** Figures are of so many windows, and the picture of so many. */
const RECENT = 6;
export const WINDOWS = 60;
/** After a pause (a hidden tab, say) no more than this is made up for. */
const LONGEST_STEP = 100;
const NONE: Counts = { memory: 0, joined: 0, near: 0, far: 0, origin: 0 };

export class Layers {
  readonly near = new Store("near", 4, NEAR_ROOM, { timeout: TIMEOUT, failures: 3, cooldown: "1s" });
  readonly far = new Store("far", 30, 10_000, { timeout: TIMEOUT, failures: 3, cooldown: "1s" });
  readonly cache: NearCache<string, string>;
  /** How long gets took that memory had no answer for. */
  readonly waits = new Quantiles(WAITS);
  /** Answers of the last windows, the oldest first. */
  readonly windows: Counts[] = [];
  /** What was done to a tier, and how many windows ago. */
  marks: { what: string; ago: number }[] = [];
  asked = 0;
  answered = 0;
  failed = 0;
  originCalls = 0;
  readonly #draw = KINDS.zipf.draws({ keys: KEYS, maxEntries: ROOM });
  #counted: Counts = NONE;
  #owed = 0;
  #last = 0;
  #windowEnd = 0;

  constructor(log: (line: string) => void) {
    const chain = tiers([this.near, this.far], { log });
    this.cache = new NearCache({ maxEntries: ROOM, ttl: "30s", tiers: chain });
  }

  resume(now: number): void {
    this.#last = now;
    this.#windowEnd = now + WINDOW;
  }

  mark(what: string): void {
    this.marks.push({ what, ago: 0 });
  }

  /** Makes the gets that are due. */
  step(now: number): void {
    this.#owed += (Math.min(now - this.#last, LONGEST_STEP) * RATE) / 1000;
    this.#last = now;
    for (; this.#owed >= 1; this.#owed--) this.#get(`key-${this.#draw() + 1}`);
    if (now >= this.#windowEnd) this.#endWindow(now);
  }

  /** Answers by where they came from, over the last windows. */
  get recent(): Counts {
    return this.windows.slice(-RECENT).reduce(sum, NONE);
  }

  get seconds(): number {
    return (Math.min(RECENT, this.windows.length) * WINDOW) / 1000;
  }

  /** Gets that have no answer yet. */
  get waiting(): number {
    return this.asked - this.answered - this.failed;
  }

  tier(name: "near" | "far"): TierStats {
    return this.cache.stats().tiers!.find((tier) => tier.name === name)!;
  }

  #get(key: string): void {
    this.asked++;
    const held = this.cache.has(key);
    const from = performance.now();
    this.cache
      .getOrSet(key, async () => {
        this.originCalls++;
        return pretend(ORIGIN_LATENCY, false);
      })
      .then(
        () => {
          this.answered++;
          if (!held) this.waits.add(performance.now() - from);
        },
        () => this.failed++,
      );
  }

  #endWindow(now: number): void {
    const counted = this.#count(this.cache.stats());
    const before = this.#counted;
    this.#counted = counted;
    this.windows.push(mapCounts((source) => counted[source] - before[source]));
    if (this.windows.length > WINDOWS) this.windows.shift();
    for (const mark of this.marks) mark.ago++;
    this.marks = this.marks.filter(({ ago }) => ago < WINDOWS);
    this.#windowEnd = now + WINDOW;
  }

  #count({ hits, coalesced, tiers }: Stats): Counts {
    const [near, far] = tiers!;
    return { memory: hits, joined: coalesced, near: near!.hits, far: far!.hits, origin: this.originCalls };
  }
}

function mapCounts(of: (source: Source) => number): Counts {
  return Object.fromEntries(SOURCES.map((source) => [source, of(source)])) as Counts;
}

function sum(a: Counts, b: Counts): Counts {
  return mapCounts((source) => a[source] + b[source]);
}
