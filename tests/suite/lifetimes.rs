//! How long a value lives.

use std::time::Duration;

use nearcache::engine::ManualClock;
use nearcache::{Cache, CallOptions, EntryOptions, Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Virtual, poll_once, promised};

pub fn timed(ttl: u64) -> (Cache<String, u32, Virtual<false>>, Virtual<false>) {
    let world = Virtual::default();
    let cache = Cache::builder().time_to_live(Ttl::Millis(ttl)).runtime(world.clone()).build();
    (cache, world)
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
fn durations_are_read_or_refused() {
    use nearcache::time::parse_duration;
    for (text, millis) in [("250ms", 250.0), ("30s", 30e3), (" 5m ", 300e3), ("1.5h", 5400e3), ("7 d", 604_800e3)] {
        assert_eq!(parse_duration(text), Some(millis), "{text}");
    }
    for text in ["", "5", "m", "-5m", "5 minutes", "1e3s", "1..5s", "∞s", "NaNs"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn an_age_is_right_with_the_longest_ttl_and_the_longest_timeouts_work() {
    let clock = ManualClock::new();
    let builder = Cache::<u32, u32>::builder().time_to_live(Duration::MAX);
    let cache = builder.hard_timeout(Duration::MAX).soft_timeout(Duration::MAX).clock(clock.clone()).build();
    clock.advance(Duration::from_millis(300));
    cache.insert(1, 1);
    clock.advance(Duration::from_millis(50));
    let mut got = Box::pin(cache.try_get_with_details(1, CallOptions::new(), async |_| Ok::<_, String>(2)));
    let got = poll_once(&mut got).expect("at once").expect("a value");
    assert_eq!((got.status, got.age, got.ttl), (Status::Hit, Duration::from_millis(50), Ttl::Forever));
    let (promiser, promise) = promised();
    let mut slow = Box::pin(cache.get_with(2, |_| promise));
    assert!(poll_once(&mut slow).is_none());
    clock.advance(Duration::from_secs(1 << 40));
    assert!(poll_once(&mut slow).is_none());
    promiser.say(3);
    assert_eq!(poll_once(&mut slow).and_then(Result::ok), Some(3));
}
