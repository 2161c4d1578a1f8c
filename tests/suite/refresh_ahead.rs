//! Values that are refreshed before their time, and jitter.

use std::cell::RefCell;
use std::rc::Rc;

use nearcache::{Cache, Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::one_key::xfetch;
use crate::common::{Random, Virtual, seed};

#[test]
fn jitter_takes_at_most_its_part_off_and_spreads_evenly() {
    println!("seed {}", seed());
    let mut random = Random(seed());
    let world = Virtual::<false>::default();
    let cache: Cache<u64, (), _> = Cache::builder()
        .time_to_live(Ttl::Millis(1_000))
        .jitter(0.5)
        .random(move || random.unit())
        .runtime(world)
        .build();
    let mut buckets = [0_u32; 10];
    for key in 0..10_000 {
        cache.insert(key, ());
        let Some(Ttl::Millis(ttl)) = cache.remaining_ttl(&key) else { panic!("no end") };
        assert!((500..=1_000).contains(&ttl));
        buckets[((ttl.min(999) - 500) / 50) as usize] += 1;
    }
    let chi: f64 = buckets.iter().map(|n| (f64::from(*n) - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi < 27.9, "nine degrees of freedom, one in a thousand is above: {buckets:?}");
}

#[test]
fn refreshing_ahead_follows_the_papers_formula() {
    println!("seed {}", seed());
    let draws = Rc::new(RefCell::new(Random(seed())));
    // Each get at `left` before the end refreshes with the probability exp(-left / (delta * beta)), whatever happened
    // before. `gap` between gets; the number of gets that go by before the refresh has the distribution of the product.
    for (beta, delta, gap) in [(1.0, 50, 10), (2.0, 40, 25), (0.5, 100, 7)] {
        const RUNS: u32 = 3_000;
        let spread = delta as f64 * beta;
        let moments: Vec<u64> = (gap..=1_000).step_by(gap as usize).collect();
        let mut refreshed_at = vec![0_u32; moments.len() + 1];
        for _ in 0..RUNS {
            let bench = xfetch(beta, delta, draws.clone());
            let mut first = moments.len();
            for (n, _) in moments.iter().enumerate().take_while(|(_, moment)| **moment < 1_000) {
                bench.world.0.advance(gap);
                assert_eq!(bench.now(), (1, Status::Hit), "a value refreshed ahead is fresh");
                if bench.loads() > 1 {
                    first = n;
                    break;
                }
            }
            refreshed_at[first] += 1;
        }
        // Kolmogorov and Smirnov: the greatest distance between the two distributions, which for so many runs is
        // above 1.95 / sqrt(runs) once in a thousand seeds.
        let (mut unrefreshed, mut seen, mut distance) = (1.0, 0, 0.0_f64);
        for (n, moment) in moments.iter().enumerate().take_while(|(_, moment)| **moment < 1_000) {
            unrefreshed *= 1.0 - (-((1_000 - moment) as f64) / spread).exp();
            seen += refreshed_at[n];
            distance = distance.max((f64::from(seen) / f64::from(RUNS) - (1.0 - unrefreshed)).abs());
        }
        let bound = 1.95 / f64::from(RUNS).sqrt();
        assert!(distance < bound, "beta {beta} delta {delta}: {distance} is not below {bound}");
        let early = refreshed_at.iter().take(moments.len() / 2).sum::<u32>();
        assert!(early < RUNS / 20, "hardly ever in the first half of its life: {early}");
    }
}

#[test]
fn nothing_is_refreshed_ahead_twice_at_a_time_or_without_a_load_time() {
    let draws = Rc::new(RefCell::new(Random(seed())));
    let bench = xfetch(1.0, 100, draws.clone());
    bench.world.0.advance(999);
    (0..20).for_each(|_| assert_eq!(bench.now(), (1, Status::Hit)));
    assert_eq!((bench.loads(), bench.cache.stats().refreshes, bench.cache.stats().hits), (2, 1, 20));
    bench.cache.insert("key", 2);
    bench.world.0.advance(999);
    (0..20).for_each(|_| assert_eq!(bench.now(), (2, Status::Hit)));
    assert_eq!(bench.loads(), 2, "an inserted value has no load time");
    let never = xfetch(0.0, 100, draws);
    never.world.0.advance(999);
    (0..20).for_each(|_| assert_eq!(never.now(), (1, Status::Hit)));
    assert_eq!(never.loads(), 1);
}
