//! What is counted, how it is summed, and how it is shown.

mod common;

use common::{Random, seed};
use nearcache::{Histogram, Stats};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram {
    let mut histogram = Histogram::default();
    values.into_iter().for_each(|value| histogram.record(value));
    histogram
}

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

/// Figures in which every counter differs.
fn stats(times: u64) -> Stats {
    Stats {
        hits: times,
        stale_hits: 2 * times,
        misses: 3 * times,
        coalesced: 4 * times,
        loads: 5 * times,
        load_failures: 6 * times,
        loads_abandoned: 7 * times,
        refreshes: 8 * times,
        rescues: 9 * times,
        soft_timeouts: 10 * times,
        timeouts: 11 * times,
        inserts: 12 * times,
        rejected: 13 * times,
        batches: 14 * times,
        evicted_size: 15 * times,
        evicted_expired: 16 * times,
        evicted_replaced: 17 * times,
        evicted_removed: 18 * times,
        load_millis: histogram((0..times).flat_map(|_| [1, 40, 900])),
        batch_sizes: histogram((0..times).flat_map(|_| [2, 20])),
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
