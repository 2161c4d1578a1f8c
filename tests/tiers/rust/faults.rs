//! A tier that is slow, down, full or returns rubbish costs at most its timeout, is logged once, and comes back.

use std::rc::Rc;
use std::time::Duration;

use nearcache::tier::BreakerState;
use nearcache::tiers::{MemoryTier, Tiers};
use nearcache::{Cache, LoadError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::poll_once;
use crate::support::{Edge, Isolate, Mood, Moody, millis, secs};

fn over(edge: &Edge, store: &Moody) -> Isolate {
    let tiers = edge.tiers().tier_with(store.clone(), |options| options.timeout(millis(30)).breaker(3, secs(1)));
    tiers.over(edge.builder().build()).unwrap()
}

#[test]
fn a_tier_in_trouble_costs_its_timeout_at_most_is_told_once_is_left_alone_and_recovers() {
    for mood in [Mood::Down, Mood::Hangs, Mood::Slow(31), Mood::Lies, Mood::Short] {
        let edge = Edge::new();
        let store = Moody::new(&edge.world);
        let isolate = over(&edge, &store);
        store.mood.set(mood);
        for at in 0..10 {
            let began = edge.world.now();
            assert_eq!(edge.get(&isolate, &format!("{mood:?} {at}"), "v"), "v");
            let cost = edge.world.now() - began;
            assert!(cost <= 30, "{mood:?}: {cost} ms");
        }
        let stats = &isolate.tier_stats()[0];
        assert_eq!((store.reads.borrow().len(), stats.figures.skipped), (3, 7), "{mood:?}");
        assert_eq!(stats.reads, BreakerState::Open, "{mood:?}");
        let told = |what: &str| edge.lines.borrow().iter().filter(|line| line.contains(what)).count();
        assert_eq!(told("fails (reads)"), 1, "{mood:?}: {:?}", edge.lines);
        store.mood.set(Mood::Well);
        edge.world.advance(1_001);
        assert_eq!(edge.get(&isolate, "after", "after"), "after");
        assert_eq!(isolate.tier_stats()[0].reads, BreakerState::Closed, "{mood:?}");
        assert_eq!(told("works again (reads)"), 1, "{mood:?}");
        // And it is of use again, for writing too.
        edge.world.advance(20_000);
        let other = over(&edge, &store);
        edge.get(&isolate, "shared", "v");
        assert_eq!(edge.get(&other, "shared", "loaded"), "v", "{mood:?}");
    }
}

#[test]
fn a_tier_that_cannot_be_written_is_told_of_once_and_what_could_not_be_purged_there_is_not_believed_here() {
    let edge = Edge::new();
    let store = Moody::new(&edge.world);
    let (a, b) = (over(&edge, &store), over(&edge, &store));
    edge.get(&a, "k", "old");
    store.mood.set(Mood::Full);
    edge.world.advance(1);
    a.remove("k");
    edge.world.settle();
    for at in 0..10 {
        edge.get(&a, &format!("other {at}"), "v");
    }
    edge.world.advance(1);
    let stats = &a.tier_stats()[0];
    assert!(stats.owes_purges && stats.writes == BreakerState::Open && stats.reads == BreakerState::Closed);
    assert_eq!(edge.get(&a, "k", "new"), "new");
    assert_eq!(edge.lines.take(), ["nearcache: tier moody fails (writes); loads go on without it"]);
    store.mood.set(Mood::Well);
    edge.world.advance(60_000);
    edge.get(&a, "again", "v");
    assert!(!a.tier_stats()[0].owes_purges, "told when it works again");
    assert_eq!(edge.get(&b, "k", "newer"), "newer");
}

#[test]
fn a_load_waits_for_a_tier_that_is_written_through_and_for_no_other() {
    for (through, took) in [(true, 20), (false, 0)] {
        let edge = Edge::new();
        let store = Moody::new(&edge.world);
        let alter = |options: nearcache::tiers::TierOptions| if through { options.write_through() } else { options };
        let isolate: Isolate = edge.tiers().tier_with(store.clone(), alter).over(edge.builder().build()).unwrap();
        let (began, mood) = (edge.world.now(), store.mood.clone());
        let load = async move |_| {
            mood.set(Mood::Slow(20));
            Ok::<_, LoadError>("v".to_owned())
        };
        edge.world.run(isolate.try_get_with("k".into(), load)).unwrap();
        assert_eq!((edge.world.now() - began, store.store.len()), (took, usize::from(through)));
        edge.world.run(isolate.flush());
        assert_eq!(store.store.len(), 1);
    }
}

#[test]
fn a_tier_that_hangs_keeps_nobody_from_flushing_and_no_more_on_its_way_than_it_may() {
    let edge = Edge::new();
    let store = Moody::new(&edge.world);
    let tiers =
        edge.tiers().tier_with(store.clone(), |options| options.max_pending_bytes(1_000).breaker(1_000, secs(1)));
    let isolate: Isolate = tiers.over(edge.builder().build()).unwrap();
    store.mood.set(Mood::Hangs);
    for at in 0..100 {
        isolate.insert(format!("{at}"), "x".repeat(100));
    }
    let stats = isolate.tier_stats().remove(0).figures;
    assert!(stats.writes_skipped > 90, "{stats:?}");
    let began = edge.world.now();
    edge.world.run(isolate.flush());
    assert!(edge.world.now() - began <= 500, "{}", edge.world.now() - began);
}

#[test]
fn options_that_cannot_be_are_refused_by_their_names() {
    let refused = |tiers: Tiers| {
        let cache: Cache<String, String> = Cache::new_with_max_entries(10);
        let error = tiers.over(cache).unwrap_err();
        (error.option, error.given)
    };
    let told = |option: &str, given: &str| (option.to_owned(), given.to_owned());
    assert_eq!(refused(Tiers::new()), told("tiers", "0 tiers"));
    let named = |at: usize| MemoryTier::new().named(format!("{at}"));
    assert_eq!(refused((0..9).fold(Tiers::new(), |tiers, at| tiers.tier(named(at)))), told("tiers", "9 tiers"));
    assert_eq!(refused(Tiers::new().tier(named(1)).tier(named(1))), told("tiers", "two tiers \"1\""));
    assert_eq!(refused(Tiers::new().tier(named(1)).secret(b"short")).0, "secret");
}

#[test]
fn the_cache_may_go_before_what_is_on_its_way() {
    for spawns in [true, false] {
        let edge = Edge::new();
        edge.world.spawns.set(spawns);
        let store = MemoryTier::new();
        let isolate = edge.isolate(&store);
        isolate.insert("k".into(), "v".into());
        drop(isolate);
        edge.world.settle();
        edge.world.advance(Duration::from_secs(10).as_millis() as u64);
        edge.world.settle();
        assert_eq!(store.len(), usize::from(spawns), "what was spawned goes on");
    }
}

#[test]
fn where_nothing_can_be_spawned_and_nothing_is_loaded_no_more_is_kept_than_may_be_on_its_way() {
    let edge = Edge::new();
    edge.world.spawns.set(false);
    let store = Moody::new(&edge.world);
    let tiers = edge.tiers().tier_with(store.clone(), |options| options.max_pending_bytes(2_000));
    let isolate: Isolate = tiers.over(edge.builder().build()).unwrap();
    for at in 0..100 {
        isolate.insert(format!("{at}"), "x".repeat(100));
        isolate.remove("else");
        edge.world.advance(2_000);
    }
    edge.world.run(isolate.flush());
    assert!((5..20).contains(&store.store.len()), "{}", store.store.len());
    let stats = isolate.tier_stats().remove(0).figures;
    assert_eq!((stats.writes + stats.writes_skipped, stats.write_errors), (100, 0), "{stats:?}");
    // One for the values, and two for the purge, whose mark is the last of them.
    assert_eq!(store.writes.get(), 3);
}

#[test]
fn what_is_on_its_way_to_a_tier_keeps_neither_the_tier_nor_its_driver() {
    // The symptom: where nothing is spawned, a write that had begun when the last handle went was kept by what it kept.
    let edge = Edge::new();
    edge.world.spawns.set(false);
    for purges in [false, true] {
        let store = Moody::new(&edge.world);
        let isolate = over(&edge, &store);
        store.mood.set(Mood::Hangs);
        match purges {
            true => drop(isolate.remove("k")),
            false => drop(isolate.insert("k".into(), "v".into())),
        }
        let mut flush = Box::pin(isolate.flush());
        assert!((0..3).all(|_| poll_once(&mut flush).is_none()));
        assert!(store.writes.get() > 0, "it has begun");
        // What comes after it has to wait.
        isolate.insert("k".into(), "next".into());
        drop(flush);
        drop(isolate);
        assert_eq!(Rc::strong_count(&store.mood), 1, "purges: {purges}");
    }
}

#[test]
fn of_values_of_a_key_that_are_set_one_after_the_other_a_tier_has_the_last_in_the_end_and_is_sent_few() {
    for spawns in [true, false] {
        let edge = Edge::new();
        edge.world.spawns.set(spawns);
        let store = Moody::new(&edge.world);
        let isolate = over(&edge, &store);
        let flush_once = || _ = poll_once(&mut Box::pin(isolate.flush()));
        for at in 0..100_u64 {
            // Each write takes less time than the one before, so that they would end in the wrong order.
            store.mood.set(Mood::Slow(25_u64.saturating_sub(at).max(1)));
            isolate.insert("k".into(), at.to_string());
            edge.world.settle();
            flush_once();
        }
        edge.world.run(isolate.flush());
        assert!(store.writes.get() < 10, "{} writes", store.writes.get());
        store.mood.set(Mood::Well);
        edge.world.spawns.set(true);
        assert_eq!(edge.get(&over(&edge, &store), "k", "loaded"), "99");
    }
}

#[test]
fn however_often_a_key_is_set_while_it_is_written_one_waits_to_write_it_again() {
    let edge = Edge::new();
    let store = Moody::new(&edge.world);
    let isolate = over(&edge, &store);
    store.mood.set(Mood::Slow(20));
    for at in 0..1_000 {
        isolate.insert("k".into(), at.to_string());
        edge.world.settle();
    }
    assert!(edge.world.spawned() < 5, "{} on their way", edge.world.spawned());
    edge.world.run(isolate.flush());
    assert_eq!(store.writes.get(), 2);
    store.mood.set(Mood::Well);
    assert_eq!(edge.get(&over(&edge, &store), "k", "loaded"), "999");
}

#[test]
fn a_write_that_never_ends_holds_the_next_one_of_its_key_up_for_the_timeout_and_no_longer() {
    let edge = Edge::new();
    let store = Moody::new(&edge.world);
    let isolate = over(&edge, &store);
    store.mood.set(Mood::Hangs);
    isolate.insert("k".into(), "first".into());
    edge.world.settle();
    store.mood.set(Mood::Well);
    edge.world.advance(1);
    isolate.insert("k".into(), "next".into());
    let began = edge.world.now();
    edge.world.run(isolate.flush());
    assert!(edge.world.now() - began <= 60, "{}", edge.world.now() - began);
    assert_eq!(edge.get(&over(&edge, &store), "k", "loaded"), "next");
}

#[test]
fn a_tier_that_could_not_be_given_what_was_set_has_nothing_older_when_it_works_again() {
    for (mood, forced) in [(Mood::Full, false), (Mood::Full, true), (Mood::Hangs, false)] {
        let edge = Edge::new();
        let store = Moody::new(&edge.world);
        let (a, b) = (over(&edge, &store), over(&edge, &store));
        a.insert("k".into(), "old".into());
        edge.world.settle();
        edge.world.advance(10);
        store.mood.set(mood);
        if forced {
            let options = nearcache::CallOptions::new().force_fresh();
            let load = async |_| Ok::<_, LoadError>("new".to_owned());
            drop(edge.world.run(a.try_get_with_details("k".into(), options, load)));
        } else {
            a.insert("k".into(), "new".into());
        }
        edge.world.run(a.flush());
        assert!(a.tier_stats()[0].owes_purges, "{mood:?}");
        store.mood.set(Mood::Well);
        edge.world.advance(20_000);
        edge.get(&a, "another", "v");
        edge.world.run(a.flush());
        assert!(!a.tier_stats()[0].owes_purges, "{mood:?}");
        assert_eq!(edge.get(&b, "k", "loaded"), "loaded", "{mood:?}, forced {forced}");
    }
}
