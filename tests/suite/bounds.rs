//! How much a cache holds, and what makes room.

use nearcache::{Cache, EntryOptions, EvictionPolicy};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn with_lru_the_least_recently_used_entry_makes_room() {
    let cache: Cache<&str, u32> = Cache::builder().max_entries(2).eviction(EvictionPolicy::Lru).build();
    cache.insert("a", 1);
    cache.insert("b", 2);
    assert_eq!(cache.get("a"), Some(1));
    cache.insert("c", 3);
    assert_eq!((cache.peek("a"), cache.peek("b"), cache.peek("c")), (Some(1), None, Some(3)));
    assert_eq!(cache.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["c", "a"]);
}

#[test]
fn peek_and_contains_leave_the_order_and_the_counters_alone() {
    let cache: Cache<&str, u32> = Cache::builder().max_entries(2).eviction(EvictionPolicy::Lru).build();
    cache.insert("a", 1);
    cache.insert("b", 2);
    assert_eq!(cache.peek("a"), Some(1));
    assert!(cache.contains("a"));
    cache.insert("c", 3);
    assert!(!cache.contains("a"));
    assert_eq!(cache.stats().hits + cache.stats().misses, 0);
}

#[test]
fn bytes_bound_the_cache_and_each_entry() {
    let cache: Cache<&str, Vec<u8>> =
        Cache::builder().max_bytes(10).max_entry_bytes(6).weigher(|_, value: &Vec<u8>| value.len() as u32).build();
    assert!(cache.insert("a", vec![0; 6]));
    assert!(cache.insert("b", vec![0; 4]));
    assert_eq!(cache.weight(), 10);
    assert!(!cache.insert("b", vec![0; 7]), "too heavy, and the old value goes");
    assert_eq!((cache.weight(), cache.contains("b")), (6, false));
    assert!(cache.insert("c", vec![0; 5]), "the oldest makes room");
    assert_eq!((cache.weight(), cache.contains("a")), (5, false));
    assert!(cache.insert_with("c", vec![0; 5], EntryOptions::new().weight(1)), "the caller knows better");
    assert_eq!(cache.weight(), 1);
}

#[test]
fn a_cache_for_nothing_and_a_cache_for_one() {
    let none: Cache<u8, u8> = Cache::new_with_max_entries(0);
    assert!(!none.insert(1, 1));
    assert_eq!((none.get(&1), none.len()), (None, 0));
    let one: Cache<u8, u8> = Cache::new_with_max_entries(1);
    (0..10).for_each(|n| assert!(one.insert(n, n)));
    assert_eq!((one.get(&9), one.get(&8), one.len()), (Some(9), None, 1));
}
