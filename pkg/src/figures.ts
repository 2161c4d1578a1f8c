import type { Core } from "./core.js";
import { count, duration, fraction, known } from "./options.js";
import type { Check, Health, HealthOptions } from "./types.js";

const OPTIONS = new Set(["minHitRate", "maxErrorRate", "maxTimeoutRate", "maxLatency", "minSamples", "window"]);

/** @throws {NearCacheError} `ERR_OPTION` */
export function health(core: Core, namespace: number, now: number, options: HealthOptions): Health {
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
  const answer = core.health(namespace, now, duration("window", window), hits, errors, timeouts, latency, samples);
  const checks = thresholds
    .filter(([, threshold]) => !Number.isNaN(threshold))
    .map(([name, threshold], at): Check => {
      const [value, samples, ok] = answer.slice(3 * at) as unknown as [number, number, number];
      return { name, value, threshold, samples, ok: ok === 1 };
    });
  return { ok: checks.every((check) => check.ok), checks };
}
