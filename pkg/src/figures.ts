// Verdicts on figures.

import type { Core } from "./core.js";
import { count, duration, fraction, known, refusal } from "./options.js";
import type { AttachedTiers } from "./tiering.js";
import type { Check, Health, HealthOptions, Thresholds } from "./types.js";

const THRESHOLDS = ["minHitRate", "maxErrorRate", "maxTimeoutRate", "maxLatency"];
const TIER_OPTIONS = new Set(THRESHOLDS);
const OPTIONS = new Set([...THRESHOLDS, "minSamples", "window", "tiers"]);

/** Over how long to judge, in milliseconds, and from how many samples on. */
export interface Lately {
  readonly window: number;
  readonly samples: number;
}

/** For each threshold that is no NaN: value, samples, and 1 if it is well. */
type Judge = (
  window: number,
  hits: number,
  errors: number,
  timeouts: number,
  latency: number,
  samples: number,
) => Float64Array;

/** @throws {NearCacheError} `ERR_OPTION` */
export function health(
  core: Core,
  namespace: number,
  now: number,
  options: HealthOptions,
  below: AttachedTiers | undefined,
): Health {
  known(options, OPTIONS);
  const { minSamples = 20, window = "1m", tiers } = options;
  const lately = { window: duration("window", window), samples: count("minSamples", minSamples) };
  const checks = judge("memory", options, lately, (...numbers) => core.health(namespace, now, ...numbers));
  if (tiers !== undefined) {
    known(tiers, new Set(below?.names), "tiers");
    if (below === undefined) throw refusal("tiers", "thresholds for tiers", "a cache that has tiers");
    for (const [name, thresholds] of Object.entries(tiers)) {
      known(thresholds, TIER_OPTIONS, `tiers.${name}`);
      checks.push(...judge(name, thresholds, lately, (...numbers) => below.health(name, ...numbers)));
    }
  }
  return { ok: checks.every((check) => check.ok), checks };
}

function judge(layer: string, thresholds: Thresholds, { window, samples }: Lately, ask: Judge): Check[] {
  const { minHitRate, maxErrorRate, maxTimeoutRate, maxLatency } = thresholds;
  const all: [Check["name"], number][] = [
    ["hitRate", minHitRate === undefined ? NaN : fraction("minHitRate", minHitRate)],
    ["errorRate", maxErrorRate === undefined ? NaN : fraction("maxErrorRate", maxErrorRate)],
    ["timeoutRate", maxTimeoutRate === undefined ? NaN : fraction("maxTimeoutRate", maxTimeoutRate)],
    ["latency", maxLatency === undefined ? NaN : duration("maxLatency", maxLatency)],
  ];
  const [hits, errors, timeouts, latency] = all.map(([, value]) => value) as [number, number, number, number];
  const answer = ask(window, hits, errors, timeouts, latency, samples);
  return all
    .filter(([, threshold]) => !Number.isNaN(threshold))
    .map(([name, threshold], at): Check => {
      const [value, samples, ok] = answer.slice(3 * at) as unknown as [number, number, number];
      return { layer, name, value, threshold, samples, ok: ok === 1 };
    });
}
