// Verdicts on figures.

import type { Core } from "../core/core.js";
import { count, duration, fraction, optionError, rejectUnknown } from "../options/options.js";
import type { AttachedTiers } from "../types/tiering.js";
import type { Check, Health, HealthOptions, Thresholds } from "../types/types.js";

const THRESHOLDS = ["minHitRate", "maxErrorRate", "maxTimeoutRate", "maxLatency"];
const TIER_OPTIONS = new Set(THRESHOLDS);
const OPTIONS = new Set([...THRESHOLDS, "minSamples", "window", "tiers"]);

/** Over how long to judge, in milliseconds, and from how many samples on. */
export interface Lately {
  readonly window: number;
  readonly samples: number;
}

/** Hit rate, error rate, timeout rate, latency (NaN: none) and samples: for each that is set value, samples, and 1 if it is well. */
type Judge = (window: number, thresholds: Float64Array) => Float64Array;

/** @throws {NearCacheError} `ERR_OPTION` */
export function health(
  core: Core,
  namespace: number,
  now: number,
  options: HealthOptions,
  below: AttachedTiers | undefined,
): Health {
  rejectUnknown(options, OPTIONS);
  const { minSamples = 20, window = "1m", tiers } = options;
  const lately = { window: duration("window", window), samples: count("minSamples", minSamples) };
  const checks = judge("memory", options, lately, (...asked) => core.health(namespace, now, ...asked));
  if (tiers !== undefined) {
    rejectUnknown(tiers, new Set(below?.names), "tiers");
    if (below === undefined) throw optionError("tiers", "thresholds for tiers", "a cache that has tiers");
    for (const [name, thresholds] of Object.entries(tiers)) {
      rejectUnknown(thresholds, TIER_OPTIONS, `tiers.${name}`);
      checks.push(...judge(name, thresholds, lately, (...asked) => below.health(name, ...asked)));
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
  const answer = ask(window, Float64Array.of(...all.map(([, threshold]) => threshold), samples));
  return all
    .filter(([, threshold]) => !Number.isNaN(threshold))
    .map(([name, threshold], at): Check => {
      const [value, samples, ok] = answer.slice(3 * at) as unknown as [number, number, number];
      return { layer, name, value, threshold, samples, ok: ok === 1 };
    });
}
