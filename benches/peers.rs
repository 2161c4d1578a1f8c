//! The crate against its peers: one process, one trace, interleaved rounds, ratios of medians to `lru`.
//!
//! `cargo bench --bench peers`. String keys of 48 characters, Zipf(1.0) over 100,000 keys, 10,000 entries.

use std::hint::black_box;
use std::time::{Duration, Instant};

use nearcache::Cache;

const KEYS: usize = 100_000;
const ENTRIES: usize = 10_000;
const OPS: usize = 400_000;
const ROUNDS: usize = 15;
const TTL: Duration = Duration::from_secs(3_600);

/// The three words that all caches understand.
trait Contender {
    fn get(&mut self, key: &str) -> Option<u64>;
    fn insert(&mut self, key: &str, value: u64);
}

impl Contender for Cache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        Cache::get(self, key)
    }
    fn insert(&mut self, key: &str, value: u64) {
        Cache::insert(self, key.to_owned(), value);
    }
}

impl Contender for lru::LruCache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        lru::LruCache::get(self, key).copied()
    }
    fn insert(&mut self, key: &str, value: u64) {
        self.put(key.to_owned(), value);
    }
}

impl Contender for quick_cache::unsync::Cache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        quick_cache::unsync::Cache::get(self, key).copied()
    }
    fn insert(&mut self, key: &str, value: u64) {
        quick_cache::unsync::Cache::insert(self, key.to_owned(), value);
    }
}

impl Contender for mini_moka::unsync::Cache<String, u64> {
    fn get(&mut self, key: &str) -> Option<u64> {
        mini_moka::unsync::Cache::get(self, &key.to_owned()).copied()
    }
    fn insert(&mut self, key: &str, value: u64) {
        mini_moka::unsync::Cache::insert(self, key.to_owned(), value);
    }
}

type Make = fn() -> Box<dyn Contender>;

const CONTENDERS: [(&str, Make); 5] = [
    ("lru", || {
        Box::new(lru::LruCache::<String, u64>::new(
            std::num::NonZeroUsize::new(ENTRIES).unwrap_or(std::num::NonZeroUsize::MIN),
        ))
    }),
    ("nearcache, ttl", || {
        Box::new(Cache::<String, u64>::builder().max_entries(ENTRIES as u64).time_to_live(TTL).build())
    }),
    ("nearcache, no ttl", || Box::new(Cache::<String, u64>::new_with_max_entries(ENTRIES as u64))),
    ("quick_cache", || Box::new(quick_cache::unsync::Cache::<String, u64>::new(ENTRIES))),
    ("mini-moka, ttl", || {
        Box::new(
            mini_moka::unsync::Cache::<String, u64>::builder().max_capacity(ENTRIES as u64).time_to_live(TTL).build(),
        )
    }),
];

struct Trace {
    keys: Vec<String>,
    all: Vec<usize>,
    held: Vec<usize>,
}

type Case = fn(&mut dyn Contender, &Trace);

const CASES: [(&str, bool, Case); 3] = [
    ("get, insert on miss", false, |cache, trace| {
        for &at in &trace.all {
            let key = &trace.keys[at];
            if black_box(cache.get(key)).is_none() {
                cache.insert(key, at as u64);
            }
        }
    }),
    ("hit", true, |cache, trace| {
        for &at in &trace.held {
            assert!(black_box(cache.get(&trace.keys[at])).is_some());
        }
    }),
    ("insert that evicts", true, |cache, trace| {
        for (at, key) in trace.keys.iter().cycle().take(OPS).enumerate() {
            cache.insert(key, at as u64);
        }
    }),
];

fn zipf(n: usize, seed: u64) -> Vec<usize> {
    let mut sum = 0.0;
    let cumulative: Vec<f64> = (1..=n)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        cumulative.partition_point(|edge| *edge < at).min(n - 1)
    };
    (0..OPS).map(|_| draw()).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let keys = (0..KEYS).map(|n| format!("https://api.example.com/v1/things/{n:014}")).collect();
    let trace = Trace { keys, all: zipf(KEYS, 42), held: zipf(ENTRIES, 43) };
    println!("{:<22}{:<20}{:>10}{:>12}", "case", "cache", "ns/op", "to lru");
    for (case, filled, run) in CASES {
        let mut caches: Vec<_> = CONTENDERS.iter().map(|(_, make)| make()).collect();
        if filled {
            for cache in &mut caches {
                // Twice, so that admission policies have seen every key.
                for at in (0..ENTRIES).chain(0..ENTRIES) {
                    if cache.get(&trace.keys[at]).is_none() {
                        cache.insert(&trace.keys[at], at as u64);
                    }
                }
            }
        }
        let mut times = vec![Vec::new(); caches.len()];
        for round in 0..=ROUNDS {
            for (cache, times) in caches.iter_mut().zip(&mut times) {
                let start = Instant::now();
                let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut **cache, &trace)));
                let time = start.elapsed().as_nanos() as f64 / OPS as f64;
                if round > 0 && ran.is_ok() {
                    times.push(time);
                }
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        for ((name, _), time) in CONTENDERS.iter().zip(&medians) {
            println!("{case:<22}{name:<20}{time:>10.1}{:>12.2}", time / medians[0]);
        }
    }
}
