//! Requests that die while others wait for what they have begun.

use std::rc::Rc;

use nearcache::{Cache, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::bench::{Bench, value};
use super::events::{Log, Logs};
use super::futures::dropping;
use crate::common::{Virtual, poll_once, promised};

#[test]
fn a_follower_takes_the_lead_when_the_leaders_request_dies() {
    let bench = Bench::<true>::new();
    bench.world.0.enter(1);
    let leader = bench.ask("key");
    bench.world.0.enter(2);
    let mut followers: Vec<_> = (0..20).map(|_| bench.ask("key")).collect();
    bench.world.0.kill(1);
    std::mem::forget(leader);
    assert!(followers.iter_mut().all(|follower| value(follower).is_none()), "one of them loads, the others wait");
    bench.world.0.run_tasks();
    assert_eq!(bench.loads(), 2);
    bench.settle(1, Ok(8));
    assert!(followers.iter_mut().all(|follower| value(follower) == Some(8)));
}

#[test]
fn one_who_left_at_its_soft_deadline_takes_no_count_back_when_the_load_is_lost() {
    // The symptom: the cache waited in that one's place, and took itself for one who asks again.
    let world = Virtual::<true>::default();
    world.0.spawns.set(true);
    let cache = Cache::builder()
        .time_to_live(Ttl::Millis(10))
        .stale_if_error(Ttl::Millis(100))
        .soft_timeout(Ttl::Millis(5))
        .runtime(world.clone())
        .build();
    let bench = Bench { cache, world, loads: Rc::default() };
    bench.cache.insert("key", 1);
    bench.world.0.advance(10);
    bench.world.0.enter(1);
    std::mem::forget(bench.ask("key"));
    bench.world.0.enter(2);
    let mut follower = bench.ask("key");
    bench.world.0.advance(5);
    bench.world.0.enter(2);
    assert_eq!(value(&mut follower), Some(1));
    bench.world.0.run_tasks();
    bench.world.0.kill(1);
    (0..2).for_each(|_| bench.world.0.run_tasks());
    bench.world.0.advance(30_000);
    bench.cache.sweep(1);
    let stats = bench.cache.stats();
    assert_eq!((stats.misses, stats.coalesced, stats.soft_timeouts, stats.loads_abandoned), (1, 1, 1, 1));
}

#[test]
fn a_load_that_nobody_can_be_waiting_for_is_dropped_when_it_would_go_on() {
    let world = Virtual::<true>::default();
    let cache: Cache<u8, u8, _> = Cache::builder().hard_timeout(Ttl::Millis(10)).runtime(world.clone()).build();
    let ((held, gone), (promiser, promise)) = (dropping(), promised::<()>());
    let load = move |_| async move {
        promise.await;
        drop(held);
        unreachable!("it goes on")
    };
    let mut late = Box::pin(cache.get_with(1, load));
    assert!(poll_once(&mut late).is_none());
    world.0.run_tasks();
    world.0.advance(11);
    cache.sweep(1);
    assert_eq!((cache.loads_in_flight(), gone.get()), (0, false), "it belongs to its request");
    promiser.say(());
    world.0.run_tasks();
    assert!(gone.get());
}

#[test]
fn a_load_that_ends_after_its_flight_is_no_event() {
    let (world, log) = (Virtual::<true>::default(), Log::default());
    let builder = Cache::<u32, u32>::builder().hard_timeout(Ttl::Millis(10)).plugin(Logs(log.clone()));
    let cache = builder.runtime(world.clone()).build();
    let (inner, time) = (cache.clone(), world.clone());
    let load = move |_| async move {
        time.0.advance(11);
        inner.sweep(1);
        7
    };
    let mut late = Box::pin(cache.get_with(1, load));
    assert!(poll_once(&mut late).is_none());
    world.0.run_tasks();
    assert_eq!((log.take(), cache.get(&1)), (vec!["miss Some(1) absent".to_owned()], None));
}

#[test]
fn one_who_comes_after_the_leaders_request_died_takes_the_lead() {
    let bench = Bench::<true>::new();
    bench.world.0.enter(1);
    std::mem::forget(bench.ask("key"));
    bench.world.0.kill(1);
    bench.world.0.enter(2);
    let mut late = bench.ask("key");
    bench.settle(1, Ok(8));
    assert_eq!(value(&mut late), Some(8));
}
