import type { Core } from "./core.js";
import { count, duration, fraction, known, type Duration } from "./options.js";

/** What counts as well. A check that is left out is not made. */
export interface HealthOptions {
  /** At least this share of gets are hits, stale ones included: from 0 to 1. */
  minHitRate?: number;
  /** At most this share of loads fail, those answered with the last good value included: from 0 to 1. */
  maxErrorRate?: number;
  /** At most this share of gets that wait for a load time out. The only check that sees an origin that never answers. */
  maxTimeoutRate?: number;
  /** Of a hundred loads 99 take at most so long. */
  maxLatency?: Duration;
  /** A check of fewer gets or loads than this is passed: a cold cache is not a sick one. Default 20. */
  minSamples?: number;
  /**
   * What happened in the last so many milliseconds counts, up to twice as many and the time between two calls; all there
   * was, until so much has passed since the first call with this window. Default `"1m"`.
   */
  window?: Duration;
}

/** A verdict, and what it rests on. */
export interface Health {
  /** Whether every check is passed. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/** One figure and its threshold. */
export interface Check {
  readonly name: "hitRate" | "errorRate" | "timeoutRate" | "latency";
  /** A share from 0 to 1, or milliseconds (the 0.99 quantile). */
  readonly value: number;
  readonly threshold: number;
  /** Of how many gets or loads it was made. */
  readonly samples: number;
  readonly ok: boolean;
}

const OPTIONS = new Set(["minHitRate", "maxErrorRate", "maxTimeoutRate", "maxLatency", "minSamples", "window"]);

/** @throws {NearCacheError} `ERR_OPTION` */
export function health(core: Core, space: number, now: number, options: HealthOptions): Health {
  known(options, OPTIONS);
  const { minHitRate, maxErrorRate, maxTimeoutRate, maxLatency, minSamples = 20, window = "1m" } = options;
  const thresholds: [Check["name"], number][] = [
    ["hitRate", minHitRate === undefined ? NaN : fraction("minHitRate", minHitRate)],
    ["errorRate", maxErrorRate === undefined ? NaN : fraction("maxErrorRate", maxErrorRate)],
    ["timeoutRate", maxTimeoutRate === undefined ? NaN : fraction("maxTimeoutRate", maxTimeoutRate)],
    ["latency", maxLatency === undefined ? NaN : duration("maxLatency", maxLatency)],
  ];
  const [hits, errors, timeouts, latency] = thresholds.map(([, value]) => value) as [number, number, number, number];
  const samples = count("minSamples", minSamples);
  const answer = core.health(space, now, duration("window", window), hits, errors, timeouts, latency, samples);
  const checks = thresholds
    .filter(([, threshold]) => !Number.isNaN(threshold))
    .map(([name, threshold], at): Check => {
      const [value, samples, ok] = answer.slice(3 * at) as unknown as [number, number, number];
      return { name, value, threshold, samples, ok: ok === 1 };
    });
  return { ok: checks.every((check) => check.ok), checks };
}

/**
 * One page of several caches' pages, which all have the same metrics in the same order: Prometheus wants each metric
 * described once, with all its series together.
 */
export function mergePages(pages: readonly string[]): string {
  const families = new Map<string, { head: string; series: string }>();
  for (const page of pages) {
    for (const block of page.split(/^(?=# HELP )/m)) {
      const [, name, head, series] = /^# HELP (\S+)([^]*?\n# TYPE .*\n)([^]*)$/.exec(block) ?? [];
      if (name === undefined) continue;
      const family = families.get(name);
      if (family === undefined) families.set(name, { head: `# HELP ${name}${head}`, series: series! });
      else family.series += series;
    }
  }
  return [...families.values()].map(({ head, series }) => head + series).join("");
}
