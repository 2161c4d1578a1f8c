//! What is known of who is evicted.

use nearcache::Cache;

use super::common::{Random, seed};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Who is left after many gets and inserts with a cache whose random numbers begin here.
fn left(hashes: u64, calls: u64) -> Vec<String> {
    let mut random = Random(hashes);
    let cache: Cache<String, u64> = Cache::builder().max_entries(200).random(move || random.unit()).build();
    let mut random = Random(calls);
    for step in 0..20_000 {
        let below = 1 + random.below(1_000);
        let key = format!("key {}", random.below(below));
        if cache.get(&key).is_none() {
            cache.insert(key, step);
        }
    }
    cache.iter().map(|(key, _)| key).collect()
}

#[test]
fn with_given_random_numbers_the_same_calls_evict_the_same_entries() {
    let calls = seed();
    assert_eq!(left(1, calls), left(1, calls));
    let others: Vec<_> = (2..6).map(|hashes| left(hashes, calls)).collect();
    assert!(others.iter().any(|other| *other != left(1, calls)), "hashes play a part");
}
