//! How many who ask for one key share one load, and what becomes of it.

use std::rc::Rc;

use nearcache::{Cache, CallOptions, EntryOptions, LoadCtx, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::bench::{Bench, error, value};
use crate::common::{Virtual, poll_once};

#[test]
fn a_thousand_gets_of_a_cold_key_are_one_load() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new();
        let mut waiting: Vec<_> = (0..1_000).map(|_| bench.ask("key")).collect();
        assert_eq!(bench.loads(), 1);
        bench.settle(0, Ok(7));
        assert!(waiting.iter_mut().all(|waiting| value(waiting) == Some(7)));
        assert_eq!(bench.cache.get("key"), Some(7));
        let stats = bench.cache.stats();
        assert_eq!((stats.misses, stats.coalesced, stats.hits, stats.loads), (1, 999, 1, 1));
        assert_eq!(bench.cache.loads_in_flight(), 0);
    }
    run::<false>();
    run::<true>();
}

#[test]
fn an_error_reaches_everyone_is_not_kept_and_the_next_get_loads_anew() {
    let bench = Bench::<false>::new();
    let mut waiting: Vec<_> = (0..3).map(|_| bench.ask("key")).collect();
    bench.settle(0, Err("the origin is on fire"));
    for waiting in &mut waiting {
        assert_eq!(error(waiting), "the loader failed: the origin is on fire");
    }
    assert_eq!((bench.cache.get("key"), bench.cache.len()), (None, 0));
    let mut next = bench.ask("key");
    bench.settle(1, Ok(1));
    assert_eq!(value(&mut next), Some(1));
    assert_eq!(bench.cache.stats().load_failures, 1);
}

#[test]
fn the_load_survives_the_one_who_began_it() {
    let bench = Bench::<false>::new();
    let leader = bench.ask("key");
    let mut follower = bench.ask("key");
    drop(leader);
    bench.settle(0, Ok(7));
    assert_eq!((value(&mut follower), bench.loads()), (Some(7), 1));
}

#[test]
fn when_nobody_waits_any_more_the_load_is_dropped_and_the_next_takes_the_lead() {
    let bench = Bench::<false>::new();
    drop((bench.ask("key"), bench.ask("key")));
    assert_eq!(bench.cache.loads_in_flight(), 0);
    let mut next = bench.ask("key");
    bench.settle(1, Ok(2));
    assert_eq!((value(&mut next), bench.cache.get("key")), (Some(2), Some(2)));
    assert_eq!(bench.cache.stats().loads_abandoned, 1);
}

/// A cache whose loads go on, or would if anything could be spawned.
fn going_on<const ALONE: bool>(spawns: bool) -> Bench<ALONE> {
    let world = Virtual::default();
    world.0.spawns.set(spawns);
    let builder = Cache::builder().keep_loading(true).time_to_live(Ttl::Millis(100)).stale_if_error(Ttl::Millis(100));
    let builder = builder.soft_timeout(Ttl::Millis(10)).hard_timeout(Ttl::Millis(50));
    Bench { cache: builder.runtime(world.clone()).build(), world, loads: Rc::default() }
}

#[test]
fn with_keep_loading_a_load_goes_on_though_everybody_has_left_and_is_joined() {
    let bench = going_on::<false>(true);
    drop(bench.ask("key"));
    assert_eq!((bench.cache.loads_in_flight(), bench.world.0.spawned()), (1, 1));
    let mut next = bench.ask("key");
    bench.settle(0, Ok(7));
    assert_eq!((value(&mut next), bench.cache.get("key"), bench.world.0.spawned()), (Some(7), Some(7), 0));
    let stats = bench.cache.stats();
    assert_eq!((stats.misses, stats.coalesced, stats.loads, stats.loads_abandoned), (1, 1, 1, 0));
}

#[test]
fn with_keep_loading_a_load_ends_at_the_deadline_of_the_one_who_began_it() {
    let bench = going_on::<false>(true);
    drop(bench.ask("key"));
    for (passed, in_flight) in [(49, 1), (1, 0)] {
        bench.world.0.advance(passed);
        bench.world.0.run_tasks();
        assert_eq!((bench.cache.loads_in_flight(), bench.world.0.spawned()), (in_flight, in_flight));
    }
    assert_eq!((bench.cache.stats().timeouts, bench.cache.stats().loads_abandoned), (0, 1), "nobody waited");
}

#[test]
fn with_keep_loading_the_cache_waits_once_also_for_those_who_leave_at_their_soft_deadline() {
    let bench = going_on::<false>(true);
    bench.cache.insert("key", 1);
    bench.world.0.advance(100);
    let mut waiting = [bench.ask("key"), bench.ask("key")];
    bench.world.0.advance(10);
    assert_eq!(waiting.each_mut().map(value), [Some(1), Some(1)]);
    assert_eq!((bench.cache.loads_in_flight(), bench.world.0.spawned()), (1, 1));
    bench.settle(0, Ok(2));
    assert_eq!((bench.cache.get("key"), bench.loads(), bench.world.0.spawned()), (Some(2), 1, 0));
}

#[test]
fn without_keep_loading_or_where_nothing_runs_in_the_background_a_load_ends_with_its_last_waiter() {
    let bench = going_on::<false>(true);
    drop(bench.ask_with("key", CallOptions::new().keep_loading(false), |_| {}));
    assert_eq!((bench.cache.loads_in_flight(), bench.world.0.spawned()), (0, 0));
    let bench = going_on::<false>(false);
    drop(bench.ask("key"));
    assert_eq!((bench.cache.loads_in_flight(), bench.world.0.spawned()), (0, 0));
    // Where loads run by themselves they need nobody to wait for them.
    let bench = going_on::<true>(true);
    drop(bench.ask("key"));
    assert_eq!((bench.cache.loads_in_flight(), bench.world.0.spawned()), (1, 0));
}

#[test]
fn where_tasks_run_alone_a_load_is_stored_though_its_leader_has_left() {
    let bench = Bench::<true>::new();
    drop(bench.ask("key"));
    bench.settle(0, Ok(7));
    assert_eq!(bench.cache.get("key"), Some(7));
}

#[test]
fn what_the_loader_skips_goes_to_the_waiters_only() {
    let bench = Bench::<false>::new();
    let mut one = bench.ask_with("key", CallOptions::default(), LoadCtx::skip);
    let mut two = bench.ask("key");
    bench.settle(0, Ok(5));
    assert_eq!((value(&mut one), value(&mut two), bench.cache.len()), (Some(5), Some(5), 0));
}

#[test]
fn force_fresh_loads_over_a_value_that_stays_until_then_and_if_the_load_fails() {
    let bench = Bench::<false>::new();
    let fresh = CallOptions::new().force_fresh();
    bench.cache.insert("key", 1);
    let mut first = bench.ask_with("key", fresh.clone(), |_| {});
    let mut second = bench.ask_with("key", fresh.clone(), |_| {});
    assert_eq!((bench.cache.get("key"), bench.loads()), (Some(1), 1));
    bench.settle(0, Err("no"));
    assert!(error(&mut first).ends_with("no") && error(&mut second).ends_with("no"));
    assert_eq!(bench.cache.get("key"), Some(1));
    let mut third = bench.ask_with("key", fresh.clone(), |_| {});
    bench.settle(1, Ok(2));
    assert_eq!((value(&mut third), bench.cache.get("key")), (Some(2), Some(2)));
}

#[test]
fn a_value_evicted_or_expired_while_its_refresh_runs_leaves_the_refresh_alone() {
    let world = Virtual::<false>::default();
    let cache = Cache::builder().max_entries(1).runtime(world.clone()).build();
    let bench = Bench { cache, world, loads: Rc::default() };
    let fresh = CallOptions::new().force_fresh();
    let ttl = EntryOptions::new().ttl(Ttl::Millis(5));
    bench.cache.insert_with("key", 1, ttl);
    let mut refresh = bench.ask_with("key", fresh.clone(), |_| {});
    bench.cache.insert("other", 1);
    assert_eq!((bench.cache.get("key"), bench.cache.len()), (None, 1));
    let mut joined = bench.ask("key");
    bench.settle(0, Ok(2));
    assert_eq!((value(&mut refresh), value(&mut joined), bench.cache.get("key")), (Some(2), Some(2), Some(2)));
    assert_eq!((bench.cache.len(), bench.loads()), (1, 1));
}

#[test]
fn a_load_that_stores_nothing_heavy_still_answers() {
    let world = Virtual::<false>::default();
    let cache: Cache<u8, Vec<u8>, _> =
        Cache::builder().max_bytes(10).weigher(|_, value: &Vec<u8>| value.len() as u32).runtime(world).build();
    let mut big = Box::pin(cache.get_with(1, |_| async { vec![0; 11] }));
    assert_eq!(poll_once(&mut big).expect("settled").expect("a value").len(), 11);
    drop(big);
    let mut small = Box::pin(cache.get_with(2, |_| async { vec![0; 9] }));
    assert!(poll_once(&mut small).is_some());
    assert_eq!((cache.len(), cache.weight()), (1, 9));
}
