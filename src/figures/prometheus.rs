//! A page in Prometheus' text exposition format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), with names as its naming advice wants them.

use std::borrow::Cow;

use super::text::{Exponents, MILLIS, Page, Series, labels, seconds};
use crate::core::{Machine, Stats};

/// What a page is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The figures of one layer of a cache, or of one namespace of it, and their labels.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// The cache's name, any text.
    pub cache: &'a str,
    /// `memory`.
    pub layer: &'a str,
    /// The namespace, if these are the figures of one.
    pub namespace: Option<&'a str>,
    /// What happened.
    pub stats: &'a Stats,
    /// What is there.
    pub held: Occupancy,
}

/// What a layer holds at the moment. What is `None` is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Entries held.
    pub entries: Option<u64>,
    /// Their weight in bytes.
    pub bytes: Option<u64>,
    /// The most entries that may be held, if there is a bound.
    pub max_entries: Option<u64>,
    /// The most bytes that may be held, if there is a bound.
    pub max_bytes: Option<u64>,
    /// Loads under way.
    pub loads_in_flight: Option<u64>,
    /// Loads, and calls of batches, that wait for their turn.
    pub loads_queued: Option<u64>,
}

impl Occupancy {
    /// What a machine holds.
    pub fn of(machine: &Machine) -> Self {
        let limits = machine.limits();
        Self {
            entries: Some(machine.len() as u64),
            bytes: Some(machine.weight()),
            max_entries: Some(u64::from(limits.max_entries())),
            max_bytes: Some(limits.max_bytes()).filter(|bytes| *bytes < u64::MAX),
            loads_in_flight: Some(machine.loads_in_flight() as u64),
            loads_queued: Some(machine.loads_queued() as u64),
        }
    }

    /// A sum is known and bounded if its parts are.
    fn plus(self, other: Self) -> Self {
        let sum = |mine: Option<u64>, theirs: Option<u64>| Some(mine?.saturating_add(theirs?));
        Self {
            entries: sum(self.entries, other.entries),
            bytes: sum(self.bytes, other.bytes),
            max_entries: sum(self.max_entries, other.max_entries),
            max_bytes: sum(self.max_bytes, other.max_bytes),
            loads_in_flight: sum(self.loads_in_flight, other.loads_in_flight),
            loads_queued: sum(self.loads_queued, other.loads_queued),
        }
    }
}

/// A page of one cache in memory, each namespace apart. O(namespaces and scopes with keys).
pub fn page(machine: &Machine, cache: &str) -> String {
    let figures = (0..=u8::MAX).zip(machine.held_by_namespace()).map(|(namespace, own)| {
        let name = (namespace > 0).then(|| machine.namespace_path(namespace).join("/"));
        let whole = if namespace == 0 { Occupancy::of(machine) } else { Occupancy::default() };
        let held = Occupancy { entries: Some(u64::from(own.entries)), bytes: Some(own.weight), ..whole };
        (name, (machine.namespace_stats(namespace), held))
    });
    let figures: Vec<_> = figures.collect();
    let layers: Vec<Layer<'_>> = figures
        .iter()
        .map(|(name, (stats, held))| Layer { cache, layer: "memory", namespace: name.as_deref(), stats, held: *held })
        .collect();
    prometheus(&layers)
}

/// 1 to 1024 keys.
const BATCH_SIZES: Exponents = 0..=10;

/// Writes the page for these layers, to be served as [`CONTENT_TYPE`]. Layers with the same labels are summed,
/// since a page that names a series twice is refused. About 5 KB a layer. O(n²) in the layers.
pub fn prometheus(layers: &[Layer<'_>]) -> String {
    let mut page = Page::new(by_labels(layers));
    page.counters("requests_total", "Gets, by what they came to.", |(s, _)| {
        vec![
            ("result=\"hit\"", s.hits),
            ("result=\"stale\"", s.stale_hits),
            ("result=\"miss\"", s.misses),
            ("result=\"coalesced\"", s.coalesced),
        ]
    });
    page.counter("loads_total", "Loads begun.", |(s, _)| s.loads);
    page.counter("load_failures_total", "Loads that ended with an error.", |(s, _)| s.load_failures);
    page.counter("retries_total", "Attempts of loads after the first, which had failed.", |(s, _)| s.retries);
    page.counter("loads_abandoned_total", "Loads that nobody waited for any more, or that were lost.", |(s, _)| {
        s.loads_abandoned
    });
    page.counter("refreshes_total", "Loads begun in the background for a value that was handed out.", |(s, _)| {
        s.refreshes
    });
    page.counter("rescues_total", "Failed loads answered with the last good value.", |(s, _)| s.rescues);
    page.counter("loads_refused_total", "Loads not begun, since too many waited for their turn.", |(s, _)| s.refused);
    page.counters("timeouts_total", "Waits that ended at their deadline.", |(s, _)| {
        vec![("deadline=\"soft\"", s.soft_timeouts), ("deadline=\"hard\"", s.timeouts)]
    });
    page.counter("inserts_total", "Values stored.", |(s, _)| s.inserts);
    page.counter("rejections_total", "Values that were not stored.", |(s, _)| s.rejected);
    page.counters("evictions_total", "Values that left, by cause.", |(s, _)| {
        vec![
            ("cause=\"size\"", s.evicted_size),
            ("cause=\"expired\"", s.evicted_expired),
            ("cause=\"replaced\"", s.evicted_replaced),
            ("cause=\"removed\"", s.evicted_removed),
        ]
    });
    page.counter("batches_total", "Calls that loaded several keys at once.", |(s, _)| s.batches);
    page.gauge("entries", "Entries held.", |(_, held)| held.entries);
    page.gauge("bytes", "Bytes held.", |(_, held)| held.bytes);
    page.gauge("max_entries", "The most entries that may be held.", |(_, held)| held.max_entries);
    page.gauge("max_bytes", "The most bytes that may be held.", |(_, held)| held.max_bytes);
    page.gauge("loads_in_flight", "Loads under way.", |(_, held)| held.loads_in_flight);
    page.histogram("load_duration_seconds", "How long loads took.", MILLIS, seconds, |(s, _)| &s.load_millis);
    page.gauge("loads_queued", "Loads that wait for their turn.", |(_, held)| held.loads_queued);
    let help = "How long loads waited for their turn.";
    page.histogram("load_wait_seconds", help, MILLIS, seconds, |(s, _)| &s.queue_millis);
    page.histogram(
        "batch_keys",
        "Keys loaded by one batch.",
        BATCH_SIZES,
        |keys| keys.to_string(),
        |(s, _)| &s.batch_sizes,
    );
    page.text
}

fn by_labels<'a>(layers: &[Layer<'a>]) -> Vec<Series<(Cow<'a, Stats>, Occupancy)>> {
    let mut all: Vec<Series<(Cow<'a, Stats>, Occupancy)>> = Vec::new();
    for layer in layers {
        let labels = labels(layer.cache, layer.layer, layer.namespace);
        match all.iter_mut().find(|series| series.labels == labels) {
            Some(Series { figures: (stats, held), .. }) => {
                stats.to_mut().merge(layer.stats);
                *held = held.plus(layer.held);
            }
            None => all.push(Series { labels, figures: (Cow::Borrowed(layer.stats), layer.held) }),
        }
    }
    all
}
