//! A page of figures with awkward labels: `tests/figures.rs` looks at it, and as an example it is printed for
//! Prometheus' own parser (`scripts/test rust`).

use nearcache::figures::{Layer, Occupancy, prometheus};
use nearcache::{Histogram, Stats};

#[allow(dead_code, reason = "only the example runs it")]
fn main() {
    print!("{}", page());
}

/// Names that a careless writer would break a page with.
pub const AWKWARD: [&str; 12] = [
    "plain",
    "",
    "with \"quotes\"",
    "back\\slash",
    "ends in a backslash\\",
    "two\nlines",
    "carriage\rreturn",
    "a tab\tand a nul\0",
    "},le=\"0.5\"} 1",
    "# HELP nearcache_loads_total",
    "\\n is no line end",
    "späť 缓存 🦀\u{2028}\u{85}",
];

/// Every name as each label.
pub fn page() -> String {
    let figures: Vec<Stats> = (0..).map(stats).take(AWKWARD.len()).collect();
    let held = Occupancy {
        entries: Some(3),
        bytes: Some(1 << 60),
        max_entries: Some(10_000),
        max_bytes: Some(u64::MAX - 1),
        loads_in_flight: Some(0),
        loads_queued: Some(2),
    };
    let layers: Vec<Layer<'_>> = AWKWARD
        .iter()
        .zip(&figures)
        .flat_map(|(name, stats)| {
            let layer = Layer { cache: name, layer: "memory", namespace: None, stats, held };
            // The last one's labels are those of another layer.
            [
                layer,
                Layer { namespace: Some(name), ..layer },
                Layer { layer: name, held: Occupancy::default(), ..layer },
                layer,
            ]
        })
        .collect();
    prometheus(&layers)
}

/// Figures in which every counter differs.
pub fn stats(times: u64) -> Stats {
    Stats {
        hits: times,
        stale_hits: 2 * times,
        misses: 3 * times,
        expired_misses: 20 * times,
        coalesced: 4 * times,
        loads: 5 * times,
        load_failures: 6 * times,
        retries: 19 * times,
        loads_abandoned: 7 * times,
        refreshes: 8 * times,
        rescues: 9 * times,
        refused: 21 * times,
        soft_timeouts: 10 * times,
        timeouts: 11 * times,
        inserts: 12 * times,
        rejected: 13 * times,
        batches: 14 * times,
        evicted_size: 15 * times,
        evicted_expired: 16 * times,
        evicted_replaced: 17 * times,
        evicted_removed: 18 * times,
        load_millis: histogram((0..times).flat_map(|_| [1, 40, 900, 100_000])),
        queue_millis: histogram((0..times).flat_map(|_| [3, 70])),
        batch_sizes: histogram((0..times).flat_map(|_| [2, 20, 2_000])),
    }
}

/// Of these values.
pub fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram {
    let mut histogram = Histogram::default();
    values.into_iter().for_each(|value| histogram.record(value));
    histogram
}
