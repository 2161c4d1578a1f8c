// The figures of what is beside an HTTP cache's memory, as lines for Prometheus; those of its tiers come from the tiers.

import { escape } from "../figures/prometheus.js";
import type { BodyStats } from "../types/stats.js";
import type { PurgeLogStats } from "../tiers/purge-log.js";

/** What an HTTP cache is called on the page. */
export const CACHE = "nearcache";

/** One family: a line for each value, by the label that it has besides. */
function family(
  name: string,
  type: "counter" | "gauge",
  help: string,
  labels: string,
  values: readonly (readonly [label: string, value: number])[],
): string {
  const lines = values.map(([label, value]) => {
    const all = label === "" ? labels : `${labels},${label}`;
    return `nearcache_${name}{${all}} ${value === Infinity ? "+Inf" : value}\n`;
  });
  return `# HELP nearcache_${name} ${help}\n# TYPE nearcache_${name} ${type}\n${lines.join("")}`;
}

const labelled = (label: string, values: Record<string, number>) =>
  Object.entries(values).map(([name, value]) => [`${label}="${name}"`, value] as const);

export function logMetrics({ staleness, looks, lookFailures, heard, gaps }: PurgeLogStats): string {
  const labels = `cache="${CACHE}"`;
  const results = labelled("result", { ok: looks - lookFailures, failed: lookFailures });
  return [
    family("purge_staleness_seconds", "gauge", "How far behind the log the memory may be.", labels, [
      ["", staleness / 1_000],
    ]),
    family("purge_log_looks_total", "counter", "Looks into the log.", labels, results),
    family("purge_log_messages_total", "counter", "Messages of the log that were heeded.", labels, [["", heard]]),
    family("purge_log_gaps_total", "counter", "How often messages of the log were lost.", labels, [["", gaps]]),
  ].join("");
}

export function bodyMetrics(stats: BodyStats): string {
  const labels = `cache="${CACHE}",layer="${escape(stats.name)}"`;
  const { hits, misses, readErrors, readTimeouts, skipped, refused, lost } = stats;
  const { writes, bytesWritten, writeErrors, writesSkipped, abandoned } = stats;
  const requests = labelled("result", { hit: hits, miss: misses, error: readErrors, timeout: readTimeouts, skipped });
  const broken = labelled("reason", { refused, lost });
  const stored = labelled("result", { stored: writes, failed: writeErrors, skipped: writesSkipped, abandoned });
  const isOpen = labelled("lane", { read: Number(stats.reads === "open"), write: Number(stats.writing === "open") });
  return [
    family("body_requests_total", "counter", "Large bodies that a store was asked for.", labels, requests),
    family("body_broken_total", "counter", "Large bodies that broke off on their way out of a store.", labels, broken),
    family("body_writes_total", "counter", "Large bodies for a store, by what came of it.", labels, stored),
    family("body_written_bytes_total", "counter", "Bytes of large bodies stored.", labels, [["", bytesWritten]]),
    family("body_breaker_open", "gauge", "Whether a store of large bodies is left alone.", labels, isOpen),
  ].join("");
}
