//! What a cache holds, for how long, and what leaves it.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{Heard, Virtual};
use nearcache::{Cache, EntryOptions, EvictionPolicy, RemovalCause, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn timed(ttl: u64) -> (Cache<String, u32, Virtual<false>>, Virtual<false>) {
    let world = Virtual::default();
    let cache = Cache::builder().time_to_live(Ttl::Millis(ttl)).runtime(world.clone()).build();
    (cache, world)
}

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
fn an_entry_is_gone_at_the_very_millisecond_its_ttl_ends() {
    let (cache, world) = timed(100);
    cache.insert("a".into(), 1);
    world.0.advance(99);
    assert_eq!(cache.remaining_ttl("a"), Some(Ttl::Millis(1)));
    assert_eq!(cache.get("a"), Some(1));
    world.0.advance(1);
    assert_eq!((cache.peek("a"), cache.remaining_ttl("a"), cache.get("a")), (None, None, None));
    assert_eq!(cache.stats().evicted_expired, 1);
}

#[test]
fn a_hit_does_not_prolong_a_life() {
    let (cache, world) = timed(100);
    cache.insert("a".into(), 1);
    for _ in 0..10 {
        world.0.advance(9);
        cache.get("a");
    }
    world.0.advance(10);
    assert_eq!(cache.get("a"), None);
}

#[test]
fn a_ttl_of_its_own_wins_and_zero_stores_nothing() {
    let (cache, world) = timed(100);
    let ttl = |ttl: Ttl| EntryOptions::new().ttl(ttl);
    assert!(cache.insert_with("long".into(), 1, ttl(Ttl::Millis(1_000))));
    assert!(cache.insert_with("ever".into(), 1, ttl(Ttl::Forever)));
    assert!(cache.insert("zero".into(), 1));
    assert!(!cache.insert_with("zero".into(), 2, ttl(Ttl::from(Duration::ZERO))), "and the old value goes");
    assert_eq!(cache.get("zero"), None);
    world.0.advance(999);
    assert_eq!((cache.get("long"), cache.get("ever")), (Some(1), Some(1)));
    world.0.advance(u64::MAX / 2);
    assert_eq!((cache.get("long"), cache.get("ever")), (None, Some(1)));
}

#[test]
fn dead_entries_are_swept_while_others_are_written() {
    let (cache, world) = timed(10);
    (0..1_000).for_each(|n| assert!(cache.insert(format!("old {n}"), n)));
    world.0.advance(10);
    assert_eq!(cache.len(), 1_000);
    (0..501).for_each(|n| assert!(cache.insert("new".into(), n)));
    assert_eq!(cache.len(), 1, "two slots an operation: half as many operations as slots free all");
    world.0.advance(10);
    cache.sweep(u32::MAX);
    assert_eq!(cache.len(), 0, "and an idle cache can be swept at once");
}

#[test]
fn misses_sweep_too() {
    let (cache, world) = timed(10);
    (0..100).for_each(|n| assert!(cache.insert(format!("old {n}"), n)));
    world.0.advance(10);
    (0..51).for_each(|_| assert_eq!(cache.get("absent"), None));
    assert_eq!(cache.len(), 0);
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

#[test]
fn a_plugin_hears_every_cause_and_may_call_the_cache() {
    type Heard = Rc<RefCell<Vec<(&'static str, u32, RemovalCause)>>>;
    type Itself = Cache<&'static str, u32, Virtual<false>>;
    let (heard, world): (Heard, _) = (Heard::default(), Virtual::<false>::default());
    let itself: Rc<RefCell<Option<Itself>>> = Rc::default();
    let (log, cell) = (heard.clone(), itself.clone());
    let cache = Cache::builder()
        .max_entries(2)
        .eviction(EvictionPolicy::Lru)
        .time_to_live(Ttl::Millis(10))
        .plugin(Heard(move |key: &&'static str, value: &u32, cause| {
            log.borrow_mut().push((*key, *value, cause));
            if let Some(cache) = cell.borrow().as_ref() {
                assert!(cache.len() <= 2);
                cache.get(key);
            }
        }))
        .runtime(world.clone())
        .build();
    *itself.borrow_mut() = Some(cache.clone());
    cache.insert("a", 1);
    cache.insert("a", 2);
    cache.insert("b", 3);
    cache.insert("c", 4);
    cache.remove("b");
    world.0.advance(10);
    cache.get("c");
    cache.insert("d", 5);
    cache.clear();
    use RemovalCause::*;
    assert_eq!(
        *heard.borrow(),
        [("a", 1, Replaced), ("a", 2, Size), ("b", 3, Removed), ("c", 4, Expired), ("d", 5, Removed)]
    );
}

#[test]
fn what_makes_way_is_dropped_when_the_new_entry_is_there_and_nothing_is_borrowed() {
    type Itself = Rc<RefCell<Option<Cache<Loud, Loud>>>>;
    type Seen = Rc<RefCell<Vec<(usize, u32, Option<u32>)>>>;
    #[derive(Clone)]
    struct Loud(u32, Itself, Seen);
    impl PartialEq for Loud {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Loud {}
    impl std::hash::Hash for Loud {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl std::borrow::Borrow<u32> for Loud {
        fn borrow(&self) -> &u32 {
            &self.0
        }
    }
    impl Drop for Loud {
        fn drop(&mut self) {
            // Taken out, so that what this drops does not do the same.
            let cache = self.1.borrow_mut().take();
            if let Some(cache) = cache {
                let found = cache.get(&2);
                self.2.borrow_mut().push((cache.len(), self.0, found.map(|value| value.0)));
                *self.1.borrow_mut() = Some(cache);
            }
        }
    }
    let (itself, seen) = (Itself::default(), Seen::default());
    let loud = |number| Loud(number, itself.clone(), seen.clone());
    let cache: Cache<Loud, Loud> = Cache::new_with_max_entries(1);
    cache.insert(loud(1), loud(1));
    *itself.borrow_mut() = Some(cache.clone());
    cache.insert(loud(2), loud(2));
    itself.borrow_mut().take();
    assert_eq!(*seen.borrow(), [(1, 1, Some(2)), (1, 1, Some(2))], "key and value of the one that made way");
}

#[test]
fn a_value_whose_drop_calls_the_cache_harms_nothing() {
    #[derive(Clone)]
    struct Loud(Rc<RefCell<Option<Cache<u8, Loud>>>>);
    impl Drop for Loud {
        fn drop(&mut self) {
            if let Some(cache) = self.0.borrow().as_ref() {
                cache.contains(&1);
                cache.remove(&200);
            }
        }
    }
    let cell = Rc::default();
    let cache: Cache<u8, Loud> = Cache::new_with_max_entries(1);
    *RefCell::borrow_mut(&cell) = Some(cache.clone());
    (0..5).for_each(|n| assert!(cache.insert(n, Loud(cell.clone()))));
    cache.remove(&4);
    cache.clear();
    assert_eq!(cache.len(), 0);
    cell.borrow_mut().take();
}

#[test]
fn a_key_whose_eq_calls_the_cache_finds_it_closed_and_nothing_panics() {
    #[derive(Clone)]
    struct Nosy(u8, Rc<RefCell<Option<Cache<Nosy, u8>>>>);
    impl std::hash::Hash for Nosy {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Nosy {
        fn eq(&self, other: &Self) -> bool {
            if let Some(cache) = self.1.borrow().as_ref() {
                assert_eq!(cache.get(other), None);
                assert!(!cache.insert(other.clone(), 9));
            }
            self.0 == other.0
        }
    }
    impl Eq for Nosy {}
    let cell = Rc::default();
    let cache: Cache<Nosy, u8> = Cache::new_with_max_entries(5);
    *RefCell::borrow_mut(&cell) = Some(cache.clone());
    let key = Nosy(1, cell.clone());
    assert!(cache.insert(key.clone(), 1));
    assert!(cache.insert(key.clone(), 2));
    assert_eq!(cache.get(&key), Some(2));
    cell.borrow_mut().take();
}

#[test]
fn durations_are_read_or_refused() {
    use nearcache::time::parse_duration;
    for (text, millis) in [("250ms", 250.0), ("30s", 30e3), (" 5m ", 300e3), ("1.5h", 5400e3), ("7 d", 604_800e3)] {
        assert_eq!(parse_duration(text), Some(millis), "{text}");
    }
    for text in ["", "5", "m", "-5m", "5 minutes", "1e3s", "1..5s", "∞s", "NaNs"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}
