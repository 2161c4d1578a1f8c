//! Prometheus' text format, version 0.0.4: families of samples
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write};
use std::ops::RangeInclusive;

use crate::core::Histogram;

/// Where the buckets of a histogram end, 2 to the power of these: where those of [`Histogram`] end, so that the counts are exact.
pub(super) type Exponents = RangeInclusive<u32>;
/// 1 ms to 65 s in doublings.
pub(super) const MILLIS: Exponents = 0..=16;

/// Each family is written once, with a line for every series.
pub(super) struct Page<S> {
    pub(super) series: Vec<Series<S>>,
    pub(super) text: String,
}

/// What has one set of labels.
pub(super) struct Series<S> {
    pub(super) labels: String,
    pub(super) figures: S,
}

impl<S> Page<S> {
    pub(super) fn new(series: Vec<Series<S>>) -> Self {
        Self { series, text: String::new() }
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, read: impl Fn(&S) -> u64) {
        self.counters(name, help, |figures| vec![("", read(figures))]);
    }

    /// Several counters, told apart by a label. None of a series that has no such thing.
    pub(super) fn counters(&mut self, name: &str, help: &str, read: impl Fn(&S) -> Vec<(&'static str, u64)>) {
        self.family(name, help, "counter", |figures, lines| {
            for (label, count) in read(figures) {
                lines.add("", label, count);
            }
        });
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, read: impl Fn(&S) -> Option<u64>) {
        self.gauges(name, help, |figures| read(figures).map(|value| ("", value)).into_iter().collect());
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, read: impl Fn(&S) -> Vec<(&'static str, u64)>) {
        self.family(name, help, "gauge", |figures, lines| {
            for (label, value) in read(figures) {
                lines.add("", label, value);
            }
        });
    }

    /// In a unit that `show` turns into Prometheus'.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        exponents: Exponents,
        show: fn(u64) -> String,
        read: impl Fn(&S) -> &Histogram,
    ) {
        self.family(name, help, "histogram", |figures, lines| {
            let histogram = read(figures);
            for exponent in exponents.clone() {
                let bound = format!("le=\"{}\"", show(1 << exponent));
                lines.add("_bucket", &bound, histogram.count_up_to_power(exponent));
            }
            lines.add("_bucket", "le=\"+Inf\"", histogram.count());
            lines.add("_sum", "", show(histogram.sum()));
            lines.add("_count", "", histogram.count());
        });
    }

    fn family(&mut self, name: &str, help: &str, kind: &str, write: impl Fn(&S, &mut Lines<'_>)) {
        let mut text = String::new();
        for series in &self.series {
            write(&series.figures, &mut Lines { name, labels: &series.labels, text: &mut text });
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
    /// `label` is one more than the series', or empty.
    fn add(&mut self, suffix: &str, label: &str, value: impl Display) {
        let Self { name, labels, .. } = self;
        let comma = if label.is_empty() { "" } else { "," };
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "nearcache_{name}{suffix}{{{labels}{comma}{label}}} {value}");
    }
}

/// The labels of a layer of a cache, or of one namespace there.
pub(super) fn labels(cache: &str, layer: &str, namespace: Option<&str>) -> String {
    let mut labels = format!("cache=\"{}\",layer=\"{}\"", escape(cache), escape(layer));
    // An empty label is as good as none, and none is shorter.
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        labels += &format!(",entity=\"{}\"", escape(namespace));
    }
    labels
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Milliseconds in seconds. By hand: formatting floats would be a fifth of the wasm that ships.
pub(super) fn seconds(millis: u64) -> String {
    let digits = format!("{}.{:03}", millis / 1_000, millis % 1_000);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}
