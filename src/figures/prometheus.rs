//! A page in Prometheus' text exposition format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), with names as its naming advice wants them.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::ops::RangeInclusive;

use crate::core::{Histogram, Machine, Stats};

/// What a page is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The figures of one layer of a cache, or of one namespace of it, and their labels.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// The cache's name, any text.
    pub cache: &'a str,
    /// `memory`, or the name of a tier.
    pub layer: &'a str,
    /// The namespace, if these are the figures of one.
    pub namespace: Option<&'a str>,
    /// What happened.
    pub stats: &'a Stats,
    /// What is there.
    pub held: Held,
}

/// What a layer holds at the moment. What is `None` is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
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
}

impl Held {
    /// What a machine holds.
    pub fn of(machine: &Machine) -> Self {
        let limits = machine.limits();
        Self {
            entries: Some(machine.len() as u64),
            bytes: Some(machine.weight()),
            max_entries: Some(u64::from(limits.max_entries())),
            max_bytes: Some(limits.max_bytes()).filter(|bytes| *bytes < u64::MAX),
            loads_in_flight: Some(machine.loads_in_flight() as u64),
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
        }
    }
}

/// A page of one cache in memory, each namespace apart. O(namespaces and scopes with keys).
pub fn page(machine: &Machine, cache: &str) -> String {
    let figures = (0..=u8::MAX).zip(machine.held_by_namespace()).map(|(namespace, own)| {
        let name = (namespace > 0).then(|| machine.namespace_path(namespace).join("/"));
        let whole = if namespace == 0 { Held::of(machine) } else { Held::default() };
        let held = Held { entries: Some(u64::from(own.entries)), bytes: Some(own.weight), ..whole };
        (name, (machine.namespace_stats(namespace), held))
    });
    let figures: Vec<_> = figures.collect();
    let layers: Vec<Layer<'_>> = figures
        .iter()
        .map(|(name, (stats, held))| Layer { cache, layer: "memory", namespace: name.as_deref(), stats, held: *held })
        .collect();
    prometheus(&layers)
}

/// 1 ms to 65 s in doublings: where the buckets of [`Histogram`] end, so that the counts are exact.
const LOAD_MILLIS: RangeInclusive<u32> = 0..=16;
/// 1 to 1024 keys.
const BATCH_SIZES: RangeInclusive<u32> = 0..=10;

/// Writes the page for these layers, to be served as [`CONTENT_TYPE`]. Layers with the same labels are summed,
/// since a page that names a series twice is refused. About 5 KB a layer. O(n²) in the layers.
pub fn prometheus(layers: &[Layer<'_>]) -> String {
    let mut page = Page { series: by_labels(layers), text: String::new() };
    page.counters("requests_total", "Gets, by what they came to.", |s| {
        vec![
            ("result=\"hit\"", s.hits),
            ("result=\"stale\"", s.stale_hits),
            ("result=\"miss\"", s.misses),
            ("result=\"coalesced\"", s.coalesced),
        ]
    });
    page.counter("loads_total", "Loads begun.", |s| s.loads);
    page.counter("load_failures_total", "Loads that ended with an error.", |s| s.load_failures);
    page.counter("retries_total", "Attempts of loads after the first, which had failed.", |s| s.retries);
    page.counter("loads_abandoned_total", "Loads that nobody waited for any more, or that were lost.", |s| {
        s.loads_abandoned
    });
    page.counter("refreshes_total", "Loads begun in the background for a value that was handed out.", |s| s.refreshes);
    page.counter("rescues_total", "Failed loads answered with the last good value.", |s| s.rescues);
    page.counters("timeouts_total", "Waits that ended at their deadline.", |s| {
        vec![("deadline=\"soft\"", s.soft_timeouts), ("deadline=\"hard\"", s.timeouts)]
    });
    page.counter("inserts_total", "Values stored.", |s| s.inserts);
    page.counter("rejections_total", "Values that were not stored.", |s| s.rejected);
    page.counters("evictions_total", "Values that left, by cause.", |s| {
        vec![
            ("cause=\"size\"", s.evicted_size),
            ("cause=\"expired\"", s.evicted_expired),
            ("cause=\"replaced\"", s.evicted_replaced),
            ("cause=\"removed\"", s.evicted_removed),
        ]
    });
    page.counter("batches_total", "Calls that loaded several keys at once.", |s| s.batches);
    page.gauge("entries", "Entries held.", |held| held.entries);
    page.gauge("bytes", "Bytes held.", |held| held.bytes);
    page.gauge("max_entries", "The most entries that may be held.", |held| held.max_entries);
    page.gauge("max_bytes", "The most bytes that may be held.", |held| held.max_bytes);
    page.gauge("loads_in_flight", "Loads under way.", |held| held.loads_in_flight);
    page.histogram("load_duration_seconds", "How long loads took.", LOAD_MILLIS, seconds, |s| &s.load_millis);
    page.histogram("batch_keys", "Keys loaded by one batch.", BATCH_SIZES, |keys| keys.to_string(), |s| &s.batch_sizes);
    page.text
}

struct Series<'a> {
    labels: String,
    stats: Cow<'a, Stats>,
    held: Held,
}

fn by_labels<'a>(layers: &[Layer<'a>]) -> Vec<Series<'a>> {
    let mut all: Vec<Series<'a>> = Vec::new();
    for layer in layers {
        let labels = labels(layer);
        match all.iter_mut().find(|series| series.labels == labels) {
            Some(series) => {
                series.stats.to_mut().merge(layer.stats);
                series.held = series.held.plus(layer.held);
            }
            None => all.push(Series { labels, stats: Cow::Borrowed(layer.stats), held: layer.held }),
        }
    }
    all
}

fn labels(layer: &Layer<'_>) -> String {
    let mut labels = format!("cache=\"{}\",layer=\"{}\"", escape(layer.cache), escape(layer.layer));
    // An empty label is as good as none, and none is shorter.
    if let Some(namespace) = layer.namespace.filter(|namespace| !namespace.is_empty()) {
        labels += &format!(",namespace=\"{}\"", escape(namespace));
    }
    labels
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Each family is written once, with a line for every layer.
struct Page<'a> {
    series: Vec<Series<'a>>,
    text: String,
}

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, read: fn(&Stats) -> u64) {
        self.family(name, help, "counter", |series, lines| lines.add("", "", read(&series.stats)));
    }

    /// Several counters, told apart by a label.
    fn counters(&mut self, name: &str, help: &str, read: fn(&Stats) -> Vec<(&'static str, u64)>) {
        self.family(name, help, "counter", |series, lines| {
            for (label, count) in read(&series.stats) {
                lines.add("", label, count);
            }
        });
    }

    fn gauge(&mut self, name: &str, help: &str, read: fn(&Held) -> Option<u64>) {
        self.family(name, help, "gauge", |series, lines| {
            if let Some(value) = read(&series.held) {
                lines.add("", "", value);
            }
        });
    }

    /// With a bucket for each power of two whose exponent is given, in a unit that `show` turns into Prometheus'.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        exponents: RangeInclusive<u32>,
        show: fn(u64) -> String,
        read: fn(&Stats) -> &Histogram,
    ) {
        self.family(name, help, "histogram", |series, lines| {
            let histogram = read(&series.stats);
            for exponent in exponents.clone() {
                let bound = format!("le=\"{}\"", show(1 << exponent));
                lines.add("_bucket", &bound, histogram.count_up_to_power(exponent));
            }
            lines.add("_bucket", "le=\"+Inf\"", histogram.count());
            lines.add("_sum", "", show(histogram.sum()));
            lines.add("_count", "", histogram.count());
        });
    }

    fn family(&mut self, name: &str, help: &str, kind: &str, write: impl Fn(&Series<'_>, &mut Lines<'_>)) {
        let mut text = String::new();
        for series in &self.series {
            write(series, &mut Lines { name, labels: &series.labels, text: &mut text });
        }
        // A family without a series is not named.
        if !text.is_empty() {
            self.text += &format!("# HELP nearcache_{name} {help}\n# TYPE nearcache_{name} {kind}\n{text}");
        }
    }
}

struct Lines<'a> {
    name: &'a str,
    labels: &'a str,
    text: &'a mut String,
}

impl Lines<'_> {
    /// `label` is one more than the layer's, or empty.
    fn add(&mut self, suffix: &str, label: &str, value: impl Display) {
        let Self { name, labels, .. } = self;
        let comma = if label.is_empty() { "" } else { "," };
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "nearcache_{name}{suffix}{{{labels}{comma}{label}}} {value}");
    }
}

/// Milliseconds in seconds. By hand: formatting floats would be a fifth of the wasm that ships.
fn seconds(millis: u64) -> String {
    let digits = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}
