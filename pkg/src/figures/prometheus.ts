// The page for Prometheus (text format 0.0.4), as `src/figures/prometheus.rs` makes it for Rust programs.

import type { Stats } from "../types/stats.js";

/** Names the method of a cache that tells its figures by namespace. */
export const LAYERS = Symbol.for("nearcache.layers");
/** Names the method of a cache that adds its tiers to a page. */
export const TIER_PAGE = Symbol.for("nearcache.tier page");

/** The figures of a cache, or of a namespace in it without those within. */
export interface Layer {
  readonly cache: string;
  readonly namespace: string;
  readonly stats: Stats;
  /** Sums of load times, waits for a turn and batch sizes, and how many of them were at most 1, 2, 4 … */
  readonly millis: number;
  readonly loads: readonly number[];
  readonly waitMillis: number;
  readonly waits: readonly number[];
  readonly keys: number;
  readonly batches: readonly number[];
  /** What only the cache as a whole has. */
  readonly whole:
    | {
        readonly maxEntries: number;
        readonly maxBytes: number;
        readonly inFlight: number;
        readonly queued: number;
      }
    | undefined;
}

/** A label with its value, or none, and a number. */
type Sample = readonly [label: string, value: number];

/** Prometheus wants each metric described once, with the series of all caches together. */
export function page(layers: readonly Layer[]): string {
  let text = "";
  const family = (name: string, kind: string, help: string, read: (layer: Layer) => readonly Sample[]): void => {
    const lines = layers.flatMap((layer) => {
      const namespace = layer.namespace === "" ? "" : `,entity="${escape(layer.namespace)}"`;
      const labels = `cache="${escape(layer.cache)}",layer="memory"${namespace}`;
      return read(layer).map(([label, value]) => {
        // A histogram's parts have names of their own.
        const [suffix, rest] = /^_\w+/.test(label) ? label.split(" ") : ["", label];
        return `nearcache_${name}${suffix}{${labels}${rest ? `,${rest}` : ""}} ${value}\n`;
      });
    });
    if (lines.length > 0)
      text += `# HELP nearcache_${name} ${help}\n# TYPE nearcache_${name} ${kind}\n${lines.join("")}`;
  };
  const counters = (name: string, help: string, read: (stats: Stats) => readonly Sample[]): void =>
    family(`${name}_total`, "counter", help, ({ stats }) => read(stats));
  const counter = (name: string, help: string, read: (stats: Stats) => number): void =>
    counters(name, help, (stats) => [["", read(stats)]]);
  const gauge = (name: string, help: string, read: (layer: Layer) => number | undefined): void =>
    family(name, "gauge", help, (layer) => {
      const value = read(layer);
      return value === undefined || value === Infinity ? [] : [["", value]];
    });
  const histogram = (name: string, help: string, unit: number, read: (layer: Layer) => [readonly number[], number]) =>
    family(name, "histogram", help, (layer) => {
      const [counts, sum] = read(layer);
      const count = counts.at(-1)!;
      const buckets = counts.map((count, at): Sample => {
        const bound = at === counts.length - 1 ? "+Inf" : `${2 ** at / unit}`;
        return [`_bucket le="${bound}"`, count];
      });
      return [...buckets, ["_sum", sum / unit], ["_count", count]];
    });

  counters("requests", "Gets, by what they came to.", (s) => [
    ['result="hit"', s.hits],
    ['result="stale"', s.staleHits],
    ['result="miss"', s.misses],
    ['result="coalesced"', s.coalesced],
  ]);
  counter("loads", "Loads begun.", (s) => s.loads);
  counter("load_failures", "Loads that ended with an error.", (s) => s.loadFailures);
  counter("retries", "Attempts of loads after the first, which had failed.", (s) => s.retries);
  counter("loads_abandoned", "Loads that nobody waited for any more, or that were lost.", (s) => s.loadsAbandoned);
  counter("refreshes", "Loads begun in the background for a value that was handed out.", (s) => s.refreshes);
  counter("rescues", "Failed loads answered with the last good value.", (s) => s.rescues);
  counter("loads_refused", "Loads not begun, since too many waited for their turn.", (s) => s.refused);
  counters("timeouts", "Waits that ended at their deadline.", (s) => [
    ['deadline="soft"', s.softTimeouts],
    ['deadline="hard"', s.timeouts],
  ]);
  counter("inserts", "Values stored.", (s) => s.inserts);
  counter("rejections", "Values that were not stored.", (s) => s.rejected);
  counters("evictions", "Values that left, by cause.", ({ evictions: { size, expired, replaced, removed } }) => [
    ['cause="size"', size],
    ['cause="expired"', expired],
    ['cause="replaced"', replaced],
    ['cause="removed"', removed],
  ]);
  counter("batches", "Calls that loaded several keys at once.", (s) => s.batches.count);
  gauge("entries", "Entries held.", ({ stats }) => stats.entries);
  gauge("bytes", "Bytes held.", ({ stats }) => stats.bytes);
  gauge("max_entries", "The most entries that may be held.", ({ whole }) => whole?.maxEntries);
  gauge("max_bytes", "The most bytes that may be held.", ({ whole }) => whole?.maxBytes);
  gauge("loads_in_flight", "Loads under way.", ({ whole }) => whole?.inFlight);
  histogram("load_duration_seconds", "How long loads took.", 1_000, ({ loads, millis }) => [loads, millis]);
  gauge("loads_queued", "Loads that wait for their turn.", ({ whole }) => whole?.queued);
  histogram("load_wait_seconds", "How long loads waited for their turn.", 1_000, ({ waits, waitMillis }) => [
    waits,
    waitMillis,
  ]);
  histogram("batch_keys", "Keys loaded by one batch.", 1, ({ batches, keys }) => [batches, keys]);
  return text;
}

/** A label's value. */
export function escape(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
