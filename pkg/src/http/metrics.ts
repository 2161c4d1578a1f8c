// The figures of what is beside the memory, as lines for Prometheus.

import type { PurgeLogStats } from "../tiers/purge-log.js";
import type { TierStats } from "../tiers/types.js";

/** A family of series: its name, its type, what it tells, and of each series the labels and the number. */
type Family = [name: string, type: "counter" | "gauge", help: string, series: [labels: string, value: number][]];

export function metricsOf(tiers: readonly TierStats[], log: PurgeLogStats | undefined): string {
  const each = (of: (tier: TierStats) => Record<string, number>, label = "result"): [string, number][] =>
    tiers.flatMap((tier) =>
      Object.entries(of(tier)).map(([name, value]): [string, number] => [
        `tier="${tier.name.replace(/["\\\n]/g, "_")}",${label}="${name}"`,
        value,
      ]),
    );
  const families: Family[] = [
    [
      "nearcache_tier_keys_total",
      "counter",
      "Keys for which a tier was asked, or passed over.",
      each(({ hits, stale, misses: miss, purged, refusals, lost, skipped }) => {
        return { hit: hits, stale, miss, purged, refused: refusals, lost, skipped };
      }),
    ],
    [
      "nearcache_tier_writes_total",
      "counter",
      "Values that were to be stored in a tier.",
      each(({ writes: stored, writeErrors: failed, writesSkipped: skipped }) => ({ stored, failed, skipped })),
    ],
    [
      "nearcache_tier_open",
      "gauge",
      "1 where a tier is left alone because it fails.",
      each(({ reads, writing }) => ({ read: +(reads === "open"), write: +(writing === "open") }), "lane"),
    ],
  ];
  if (log !== undefined) {
    const { staleness, looks, lookFailures, heard, gaps } = log;
    families.push(
      [
        "nearcache_purge_staleness_seconds",
        "gauge",
        "How far behind the log of purges the memory may be.",
        [["", staleness / 1_000]],
      ],
      [
        "nearcache_purge_log_looks_total",
        "counter",
        "Looks into the log of purges.",
        [
          ['result="ok"', looks - lookFailures],
          ['result="failed"', lookFailures],
        ],
      ],
      ["nearcache_purge_log_messages_total", "counter", "Messages of the log that were heeded.", [["", heard]]],
      ["nearcache_purge_log_gaps_total", "counter", "How often messages of the log were lost.", [["", gaps]]],
    );
  }
  return families
    .filter(([, , , series]) => series.length > 0)
    .map(([name, type, help, series]) => {
      const lines = series.map(([labels, value]) => {
        const all = ['cache="nearcache"', ...(labels === "" ? [] : [labels])].join();
        return `${name}{${all}} ${value === Infinity ? "+Inf" : value}\n`;
      });
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
    })
    .join("");
}
