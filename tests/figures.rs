//! What is counted, how it is summed, and how it is shown.

mod common;
#[path = "figures/page.rs"]
mod page;

use std::collections::{BTreeMap, BTreeSet};

use common::{Random, seed};
use nearcache::core::{Machine, NewValue, PartitionId, Stats, Timers};
use nearcache::figures::{Check, Health, Layer, Occupancy, Thresholds, Window, health, prometheus};
use nearcache::options::{Limits, Policy, PolicyPatch};
use nearcache::{Histogram, OptionError, Timestamp, Ttl};
use page::{AWKWARD, histogram, page, stats};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Values of every size, small ones as often as great ones.
fn values(random: &mut Random, count: u64) -> Vec<u64> {
    (0..count)
        .map(|_| {
            let bits = random.below(33);
            random.below((1 << bits) + 1)
        })
        .collect()
}

#[test]
fn small_values_are_kept_exactly() {
    for value in 0..=16 {
        let one = histogram([value]);
        assert_eq!((one.quantile(0.5), one.sum(), one.max(), one.count()), (Some(value), value, value, 1));
    }
    let many = histogram(0..=16);
    for value in 0..=16 {
        assert_eq!(many.quantile(value as f64 / 16.0 * (16.0 / 17.0) + 0.01), Some(value));
    }
}

#[test]
fn a_quantile_is_off_by_a_sixteenth_at_most() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = Random(seed);
    for round in 0..200 {
        let count = 1 + random.below(300);
        let mut values = values(&mut random, count);
        let histogram = histogram(values.iter().copied());
        values.sort_unstable();
        assert_eq!((histogram.count(), histogram.sum()), (count, values.iter().sum()));
        assert_eq!(Some(histogram.max()), values.last().copied());
        for q in [0.0, 0.001, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((q * count as f64).ceil() as usize).max(1);
            let (exact, told) = (values[rank - 1], histogram.quantile(q).unwrap());
            assert!(told.abs_diff(exact) * 16 <= exact, "round {round}: {told} for {exact} at {q}");
            assert!(told <= histogram.max());
        }
    }
}

#[test]
fn what_is_at_most_a_power_of_two_is_counted_exactly() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = Random(seed);
    let mut values = values(&mut random, 2_000);
    // The edges themselves.
    (0..=32).for_each(|exponent| values.extend([(1 << exponent) - 1, 1 << exponent, (1 << exponent) + 1]));
    let histogram = histogram(values.iter().copied());
    for exponent in 0..32 {
        let exact = values.iter().filter(|value| **value <= 1 << exponent).count() as u64;
        assert_eq!(histogram.count_up_to_power(exponent), exact, "2^{exponent}");
    }
    for exponent in [32, 33, 64, u32::MAX] {
        assert_eq!(histogram.count_up_to_power(exponent), histogram.count(), "2^{exponent}");
    }
}

#[test]
fn an_empty_histogram_and_a_share_that_is_none_have_no_quantile() {
    assert_eq!(Histogram::default().quantile(0.5), None);
    for q in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(histogram([1, 2, 3]).quantile(q), None);
    }
}

#[test]
fn what_is_too_great_counts_as_the_greatest() {
    let huge = histogram([u64::MAX, u64::MAX, 1 << 32]);
    assert_eq!((huge.count(), huge.sum(), huge.max()), (3, 3 << 32, 1 << 32));
    assert_eq!(huge.quantile(1.0).map(|told| told.abs_diff(1 << 32) <= 1 << 28), Some(true));
}

#[test]
fn merged_is_as_if_recorded_in_one_and_since_takes_it_back() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = Random(seed);
    for _ in 0..200 {
        let (few, many) = (random.below(10), random.below(100));
        let (first, second) = (values(&mut random, few), values(&mut random, many));
        let mut merged = histogram(first.iter().copied());
        merged.merge(&histogram(second.iter().copied()));
        let both = histogram(first.iter().chain(&second).copied());
        assert_eq!(merged, both);
        let (newer, exact) = (both.since(&histogram(first)), histogram(second));
        assert_eq!((newer.count(), newer.sum()), (exact.count(), exact.sum()));
        assert!(exact.max() <= newer.max() && newer.max() <= exact.max() + exact.max() / 8, "{newer:?} {exact:?}");
        for exponent in 0..33 {
            assert_eq!(newer.count_up_to_power(exponent), exact.count_up_to_power(exponent));
        }
        for q in [0.0, 0.5, 1.0] {
            let (told, exact) = (newer.quantile(q), exact.quantile(q));
            assert!(
                told.is_some() == exact.is_some()
                    && told.unwrap_or(0).abs_diff(exact.unwrap_or(0)) * 8 <= exact.unwrap_or(0)
            );
        }
    }
}

#[test]
fn figures_of_several_caches_are_summed_and_older_ones_taken_back() {
    let mut sum = stats(3);
    sum.merge(&stats(4));
    assert_eq!(sum, stats(7));
    assert_eq!(sum.since(&stats(3)), stats(4));
    assert_eq!(sum.since(&sum), Stats::default());
    assert_eq!(sum.since(&Stats::default()), sum);
    assert_eq!(Stats::default().since(&sum), Stats::default(), "figures never go below nothing");
}

#[test]
fn rates_are_shares_and_zero_of_nothing() {
    let none = Stats::default();
    assert_eq!((none.gets(), none.hit_rate(), none.error_rate()), (0, 0.0, 0.0));
    let some = Stats { hits: 4, stale_hits: 2, misses: 1, coalesced: 1, load_failures: 1, ..Stats::default() };
    let some = Stats { load_millis: histogram([5, 5, 5, 5]), ..some };
    assert_eq!((some.gets(), some.hit_rate(), some.error_rate()), (8, 0.75, 0.25));
}

/// A line of a page, read as the format's description says. Panics where the line is none.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: String,
}

fn read(line: &str) -> Sample {
    let (name, rest) = line.split_once('{').expect("labels");
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    while !rest.starts_with('}') {
        let (label, after) = rest.split_once("=\"").expect("a label's value");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect("an escaped character").1 {
                    'n' => value.push('\n'),
                    c @ ('"' | '\\') => value.push(c),
                    c => panic!("nothing escapes {c:?}"),
                },
                (_, c) => value.push(c),
            }
        };
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
        assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
    }
    let value = rest.strip_prefix("} ").expect("a value").to_owned();
    Sample { name: name.to_owned(), labels, value }
}

fn samples(page: &str) -> Vec<Sample> {
    page.split_terminator('\n').filter(|line| !line.starts_with('#')).map(read).collect()
}

#[test]
fn a_page_reads_like_this() {
    let stats = Stats { hits: 3, misses: 1, loads: 1, load_millis: histogram([1_250]), ..Stats::default() };
    let mut machine = Machine::new(Limits::new(10, u64::MAX, u64::MAX), Ttl::Forever, Timers::Own);
    let (policy, said) = (&Policy::DEFAULT, &PolicyPatch::new());
    let value = NewValue { hash: None, policy, said, tags: [&[], &[]], weight: Some(7), absent: false, random: 0.0 };
    machine.insert(None, PartitionId::ROOT, Timestamp::from_millis(0), &value);
    let held = Occupancy::of(&machine);
    let page = prometheus(&[Layer { cache: "my \"own\"", layer: "memory", namespace: None, stats: &stats, held }]);
    for lines in [
        r#"# HELP nearcache_requests_total Gets, by what they came to.
# TYPE nearcache_requests_total counter
nearcache_requests_total{cache="my \"own\"",layer="memory",result="hit"} 3
nearcache_requests_total{cache="my \"own\"",layer="memory",result="stale"} 0
nearcache_requests_total{cache="my \"own\"",layer="memory",result="miss"} 1
nearcache_requests_total{cache="my \"own\"",layer="memory",result="coalesced"} 0
# HELP nearcache_loads_total Loads begun.
# TYPE nearcache_loads_total counter
nearcache_loads_total{cache="my \"own\"",layer="memory"} 1
"#,
        r#"
# HELP nearcache_bytes Bytes held.
# TYPE nearcache_bytes gauge
nearcache_bytes{cache="my \"own\"",layer="memory"} 7
# HELP nearcache_max_entries The most entries that may be held.
# TYPE nearcache_max_entries gauge
nearcache_max_entries{cache="my \"own\"",layer="memory"} 10
# HELP nearcache_loads_in_flight Loads under way.
"#,
        r#"
nearcache_load_duration_seconds_bucket{cache="my \"own\"",layer="memory",le="0.512"} 0
nearcache_load_duration_seconds_bucket{cache="my \"own\"",layer="memory",le="1.024"} 0
nearcache_load_duration_seconds_bucket{cache="my \"own\"",layer="memory",le="2.048"} 1
"#,
        r#"
nearcache_load_duration_seconds_bucket{cache="my \"own\"",layer="memory",le="+Inf"} 1
nearcache_load_duration_seconds_sum{cache="my \"own\"",layer="memory"} 1.25
nearcache_load_duration_seconds_count{cache="my \"own\"",layer="memory"} 1
"#,
    ] {
        assert!(page.contains(lines), "{lines}\nis not in\n{page}");
    }
    assert_eq!(prometheus(&[]), "");
}

#[test]
fn every_family_is_named_once_and_stands_together() {
    let page = page();
    let (mut named, mut family) = (BTreeSet::new(), String::new());
    let mut lines = page.split_terminator('\n').peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap_or_default().to_owned();
            assert!(named.insert(family.clone()), "{family} twice");
            let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {family} "))).expect("its type");
            assert_eq!(kind == "counter", family.ends_with("_total"));
            assert!(lines.peek().is_some_and(|line| line.starts_with(&family)), "{family} has no series");
        } else {
            let name = read(line).name;
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            assert!(name == family || base == Some(&family), "{name} among {family}");
        }
    }
    assert_eq!(named.len(), 22);
    assert!(page.ends_with('\n'));
}

#[test]
fn no_series_is_written_twice_and_names_come_back_as_they_were() {
    let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
    for Sample { name, labels, .. } in samples(&page()) {
        names.insert(labels["cache"].clone());
        assert!(seen.insert((name, labels.clone())), "{labels:?} twice");
    }
    assert_eq!(names, AWKWARD.map(str::to_owned).into());
}

#[test]
fn buckets_rise_to_the_count() {
    let mut open: BTreeMap<String, (f64, u64)> = BTreeMap::new();
    let mut counts = 0;
    for Sample { name, mut labels, value } in samples(&page()) {
        let le = labels.remove("le");
        if let Some(base) = name.strip_suffix("_bucket") {
            let le: f64 = le.expect("le").parse().expect("a number");
            let count: u64 = value.parse().expect("a count");
            if let Some((bound, before)) = open.insert(format!("{base}{labels:?}"), (le, count)) {
                assert!(bound < le && before <= count, "{name}{labels:?}");
            }
        } else if let Some(base) = name.strip_suffix("_count") {
            let infinite = (f64::INFINITY, value.parse().expect("a count"));
            assert_eq!(open.get(&format!("{base}{labels:?}")), Some(&infinite));
            counts += 1;
        }
    }
    assert_eq!((open.len(), counts > 0), (counts, true));
}

#[test]
fn layers_of_the_same_name_are_summed() {
    let (one, two, three) = (stats(1), stats(2), stats(3));
    let held = |entries, max_bytes| Occupancy { entries: Some(entries), max_bytes, ..Occupancy::default() };
    let layer = |stats, held| Layer { cache: "c", layer: "memory", namespace: None, stats, held };
    let both = prometheus(&[layer(&one, held(1, Some(10))), layer(&two, held(2, Some(20)))]);
    assert_eq!(both, prometheus(&[layer(&three, held(3, Some(30)))]));
    let unbounded = prometheus(&[layer(&one, held(1, Some(10))), layer(&two, held(2, None))]);
    assert!(!unbounded.contains("max_bytes"), "a bound of one is none of both");
}

#[test]
fn health_names_what_is_wrong() -> Result<(), OptionError> {
    let bad = Stats {
        hits: 30,
        misses: 60,
        coalesced: 10,
        loads: 60,
        load_failures: 30,
        timeouts: 7,
        load_millis: histogram((0..50).chain([5_000; 10])),
        ..Stats::default()
    };
    assert_eq!(health(&bad, &Thresholds::default()), Health { ok: true, checks: vec![] });
    let strict = Thresholds::default().min_hit_rate(0.5)?.max_error_rate(0.25)?.max_timeout_rate(0.1)?;
    let Health { ok, checks } = health(&bad, &strict.max_latency(1_000));
    let told: Vec<_> = checks.iter().map(|check| (check.name, check.value, check.samples, check.ok)).collect();
    let latency = bad.load_millis.quantile(0.99).map(|millis| millis as f64);
    assert!(!ok && latency.is_some_and(|millis| (4_700.0..5_300.0).contains(&millis)));
    assert_eq!(
        told,
        [
            ("hit_rate", 0.3, 100, false),
            ("error_rate", 0.5, 60, false),
            ("timeout_rate", 0.1, 70, true),
            ("latency_p99", latency.unwrap_or(0.0), 60, false),
        ]
    );
    let mild = Thresholds::default().min_hit_rate(0.3)?.max_error_rate(0.5)?.max_latency(5_500);
    assert!(health(&bad, &mild).ok, "a figure at its threshold is well");
    Ok(())
}

#[test]
fn too_few_samples_say_nothing() -> Result<(), OptionError> {
    let threshold = Thresholds::default().min_hit_rate(1.0)?;
    let misses = |misses| Stats { misses, ..Stats::default() };
    assert!(health(&misses(19), &threshold).ok);
    assert!(!health(&misses(20), &threshold).ok);
    assert!(health(&misses(20), &threshold.min_samples(21)).ok);
    let Health { ok, checks } = health(&misses(0), &threshold.min_samples(0));
    assert_eq!((ok, checks.len()), (true, 1), "and none at all are too few");
    assert_eq!(checks.first(), Some(&Check { name: "hit_rate", value: 0.0, threshold: 1.0, samples: 0, ok: true }));
    Ok(())
}

#[test]
fn an_origin_that_never_answers_is_not_well() -> Result<(), OptionError> {
    let hanging = Stats { misses: 100, loads: 100, loads_abandoned: 100, timeouts: 100, ..Stats::default() };
    let thresholds = Thresholds::default().max_error_rate(0.1)?.max_latency(1_000);
    assert!(health(&hanging, &thresholds).ok, "no load has ended");
    assert!(!health(&hanging, &thresholds.max_timeout_rate(0.1)?).ok);
    Ok(())
}

#[test]
fn a_rate_that_is_none_is_refused_by_name() {
    type Set = fn(Thresholds, f64) -> Result<Thresholds, OptionError>;
    let options: [(&str, Set); 3] = [
        ("min_hit_rate", Thresholds::min_hit_rate),
        ("max_error_rate", Thresholds::max_error_rate),
        ("max_timeout_rate", Thresholds::max_timeout_rate),
    ];
    for (option, set) in options {
        for (rate, given) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (-0.5, "-0.5"),
            (-1e-300, "-0.000001"),
            (1.0 + f64::EPSILON, "1.000001"),
            (95.0, "95"),
            (1e300, "1000000000000 or beyond"),
        ] {
            let error = set(Thresholds::default(), rate).expect_err("it is out of range");
            let allowed = "a number from 0 to 1";
            assert_eq!(error, OptionError { option: option.into(), given: given.into(), allowed });
        }
        for rate in [0.0, -0.0, 0.5, 1.0] {
            assert!(set(Thresholds::default(), rate).is_ok());
        }
    }
}

#[test]
fn a_window_forgets_what_is_long_past() {
    let at = Timestamp::from_millis;
    let hits = |hits| Stats { hits, ..Stats::default() };
    let mut window = Window::new(100);
    assert_eq!(window.recent(at(1_000), &hits(5)).hits, 5, "at first, everything");
    assert_eq!(window.recent(at(1_099), &hits(7)).hits, 7);
    assert_eq!(window.recent(at(1_100), &hits(8)).hits, 3, "since the first call");
    assert_eq!(window.recent(at(1_199), &hits(9)).hits, 4);
    assert_eq!(window.recent(at(1_200), &hits(10)).hits, 2, "since 1,100");
    assert_eq!(window.recent(at(9_000), &hits(50)).hits, 40, "asked seldom: since the last call");
    assert_eq!(window.recent(at(500), &hits(51)).hits, 41, "the clock goes back");
    assert_eq!(window.recent(at(600), &hits(52)).hits, 2, "and the window goes on");
}

#[test]
fn a_window_is_never_too_short_and_not_much_too_long() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = Random(seed);
    let (mut window, mut now) = (Window::new(1_000), 0);
    let mut gap = 0;
    // A hit in every millisecond, so that hits are the window's length.
    for _ in 0..10_000 {
        let step = random.below(1_500);
        (now, gap) = (now + step, gap.max(step));
        let hits = window.recent(Timestamp::from_millis(now), &Stats { hits: now, ..Stats::default() }).hits;
        assert!(hits >= now.min(1_000) && hits <= 2_000 + gap, "{hits} at {now}");
    }
}
