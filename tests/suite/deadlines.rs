//! How a wait ends when nothing comes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nearcache::engine::ManualClock;
use nearcache::{Cache, CallOptions, LoadCtx, Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::bench::{Bench, error, value};
use super::futures::Waiting;
use crate::common::poll_once;

#[test]
fn every_wait_has_a_deadline_of_its_own() {
    let bench = Bench::<false>::new();
    let mut leader = bench.ask("key");
    bench.world.0.advance(20_000);
    let mut follower = bench.ask("key");
    let quick = CallOptions::new().hard_timeout(Ttl::Millis(5));
    let mut hasty = bench.ask_with("key", quick, |_| {});
    bench.world.0.advance(5);
    assert!(error(&mut hasty).starts_with("no value within 5 ms (hard_timeout)"));
    bench.world.0.advance(9_995);
    assert!(error(&mut leader).starts_with("no value within 30000 ms (hard_timeout)"));
    assert!(value(&mut follower).is_none(), "it came later and may wait longer");
    let mut next = bench.ask("key");
    assert_eq!(bench.loads(), 2, "nobody joins a load that its own leader gave up");
    bench.settle(0, Ok(1));
    assert_eq!((value(&mut follower), bench.cache.get("key")), (Some(1), None));
    bench.settle(1, Ok(2));
    assert_eq!((value(&mut next), bench.cache.get("key")), (Some(2), Some(2)));
    assert_eq!(bench.cache.stats().timeouts, 2);
}

#[cfg_attr(target_family = "wasm", ignore = "the JS suite does this where an executor can wait")]
#[test]
fn real_clocks_and_timers_work_in_this_runtime() {
    let cache: Cache<u8, u8> =
        Cache::builder().time_to_live(Duration::from_millis(30)).hard_timeout(Duration::from_millis(40)).build();
    cache.insert(1, 1);
    let never = cache.get_with(2, |_| std::future::pending());
    let error = futures::executor::block_on(never).expect_err("never comes");
    assert_eq!(error.code(), "ERR_TIMEOUT");
    assert_eq!(cache.get(&1), None, "its time has passed meanwhile");
    assert_eq!(futures::executor::block_on(cache.get_with(2, |_| async { 3 })).ok(), Some(3));
}

#[test]
fn a_leader_too_takes_a_value_that_came_meanwhile_at_its_soft_deadline() {
    // The symptom: the leader of a first load did not.
    let clock = ManualClock::new();
    let builder = Cache::<u32, u32>::builder().soft_timeout(Ttl::Millis(20)).hard_timeout(Ttl::Millis(300));
    let cache = builder.clock(clock.clone()).build();
    let load = |_: LoadCtx<u32>| std::future::pending::<Result<u32, String>>();
    let mut leader = Box::pin(cache.try_get_with_details(1, CallOptions::new(), load));
    let mut follower = Box::pin(cache.try_get_with_details(1, CallOptions::new(), load));
    assert!(poll_once(&mut leader).is_none() && poll_once(&mut follower).is_none());
    cache.insert(1, 5);
    clock.advance(Duration::from_millis(20));
    for waiter in [&mut leader, &mut follower] {
        let got = poll_once(waiter).expect("settled").expect("a value");
        assert_eq!((got.value, got.status), (5, Status::StaleOnTimeout));
    }
    let on_its_own = usize::from(cfg!(target_family = "wasm"));
    assert_eq!(cache.loads_in_flight(), on_its_own, "natively nothing runs in the background without a spawner");
}

#[test]
fn a_background_wait_keeps_the_deadline_of_the_one_who_left_it() {
    // The symptom: it counted its deadline anew, and nothing noticed.
    let spawned: Rc<RefCell<Vec<Waiting<()>>>> = Rc::default();
    let (tasks, clock) = (spawned.clone(), ManualClock::new());
    let cache: Cache<u32, u32> = Cache::builder()
        .time_to_live(Ttl::Millis(10))
        .stale_if_error(Ttl::Millis(1_000))
        .soft_timeout(Ttl::Millis(20))
        .hard_timeout(Ttl::Millis(50))
        .clock(clock.clone())
        .spawner(move |task| tasks.borrow_mut().push(task))
        .build();
    cache.insert(1, 1);
    clock.advance(Duration::from_millis(10));
    let mut slow = Box::pin(cache.get_with(1, |_| std::future::pending()));
    assert!(poll_once(&mut slow).is_none());
    clock.advance(Duration::from_millis(20));
    assert_eq!(poll_once(&mut slow).and_then(Result::ok), Some(1));
    let mut background = spawned.take().pop().expect("the cache waits on");
    assert!(poll_once(&mut background).is_none());
    clock.advance(Duration::from_millis(29));
    assert!(poll_once(&mut background).is_none());
    clock.advance(Duration::from_millis(1));
    assert!(poll_once(&mut background).is_some());
    assert_eq!((cache.loads_in_flight(), cache.stats().timeouts), (0, 0), "nobody was told of an error");
}

#[test]
fn a_load_ends_with_the_background_wait_that_is_dropped() {
    let spawned: Rc<RefCell<Vec<Waiting<()>>>> = Rc::default();
    let (tasks, clock) = (spawned.clone(), ManualClock::new());
    let cache: Cache<u32, u32> = Cache::builder()
        .stale_if_error(Ttl::Millis(1_000))
        .soft_timeout(Ttl::Millis(20))
        .clock(clock.clone())
        .spawner(move |task| tasks.borrow_mut().push(task))
        .build();
    cache.insert(1, 1);
    cache.expire(&1);
    let mut slow = Box::pin(cache.get_with(1, |_| std::future::pending()));
    assert!(poll_once(&mut slow).is_none());
    clock.advance(Duration::from_millis(20));
    assert_eq!(poll_once(&mut slow).and_then(Result::ok), Some(1));
    assert_eq!((cache.loads_in_flight(), spawned.borrow().len()), (1, 1));
    spawned.take();
    assert_eq!((cache.loads_in_flight(), cache.stats().loads_abandoned), (0, 1));
}
