//! Who is kept: LRU to the letter, and the policy that adapts by its figures.
//! `SEED=n` (at compile time) picks the random runs.

#[path = "common/hits.rs"]
mod hits;
#[path = "common/random.rs"]
mod random;
#[path = "common/traces.rs"]
mod traces;

use std::collections::HashSet;

use hits::{Simulated, Trace, belady, hit_ratio, hit_ratio_with};
use nearcache::core::{EvictionPolicy, Slot};
use nearcache::options::Limits;
use nearcache::{Timestamp, Ttl};
use random::{Random, seed};
use traces::Zipf;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const COUNT: usize = 60_000;
const BOTH: [EvictionPolicy; 2] = [EvictionPolicy::Lru, EvictionPolicy::Adaptive];

fn entries(entries: u64) -> Limits {
    Limits::new(entries, u64::MAX, u64::MAX)
}

/// Percent of accesses that Belady's rule, LRU and the adaptive policy hit.
fn percents(name: &str, trace: &Trace, limits: Limits) -> [f64; 3] {
    let ratio = |policy| hit_ratio(trace, policy, limits).count;
    let percents = [belady(trace, limits).count, ratio(EvictionPolicy::Lru), ratio(EvictionPolicy::Adaptive)];
    let percents = percents.map(|ratio| ratio * 100.0);
    println!("{name}: Belady {:.1}, lru {:.1}, adaptive {:.1}", percents[0], percents[1], percents[2]);
    percents
}

#[test]
fn print_all() {
    for size in [50, 200, 500, 800, 2000] {
        println!("== {size}");
        percents("zipf", &Trace::new(traces::zipf(seed(), COUNT)), entries(size));
        percents("scans", &Trace::new(traces::scans(seed(), COUNT)), entries(size));
        percents("rounds", &Trace::new(traces::rounds(COUNT)), entries(size));
        percents("shifts", &Trace::new(traces::shifts(seed(), COUNT)), entries(size));
        percents("news", &Trace::new(traces::news(seed(), COUNT)), entries(size));
        percents("twice", &Trace::new(traces::twice(COUNT)), entries(size));
        let trace = Trace::new(traces::zipf(seed(), COUNT));
        for ttl in [500, 2000, 10000, 30000] {
            let [l, a] = BOTH.map(|p| hit_ratio_with(&trace, p, entries(size), Ttl::Millis(ttl)).count * 100.0);
            println!("ttl {ttl}: lru {l:.1} adaptive {a:.1}");
        }
    }
}
