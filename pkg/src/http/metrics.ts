// The figures of a log of purges, as lines for Prometheus.

import type { PurgeLogStats } from "../tiers/purge-log.js";

export function logMetrics({ staleness, looks, lookFailures, heard, gaps }: PurgeLogStats): string {
  const page = (name: string, type: "counter" | "gauge", help: string, series: Record<string, number>): string => {
    const lines = Object.entries(series).map(([result, value]) => {
      const labels = `cache="nearcache"${result === "" ? "" : `,result="${result}"`}`;
      return `nearcache_purge_${name}{${labels}} ${value === Infinity ? "+Inf" : value}\n`;
    });
    return `# HELP nearcache_purge_${name} ${help}\n# TYPE nearcache_purge_${name} ${type}\n${lines.join("")}`;
  };
  return [
    page("staleness_seconds", "gauge", "How far behind the log the memory may be.", { "": staleness / 1_000 }),
    page("log_looks_total", "counter", "Looks into the log.", { ok: looks - lookFailures, failed: lookFailures }),
    page("log_messages_total", "counter", "Messages of the log that were heeded.", { "": heard }),
    page("log_gaps_total", "counter", "How often messages of the log were lost.", { "": gaps }),
  ].join("");
}
