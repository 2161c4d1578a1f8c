//! Stale values while they are refreshed.

use nearcache::{Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::one_key::{Bench, get};
use crate::common::poll_once;

#[test]
fn a_stale_value_is_handed_out_at_once_and_refreshed_by_one_load() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
        assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
        bench.pass(100);
        assert_eq!(bench.cache.get("key"), None, "a get without a loader wants it fresh");
        assert_eq!((bench.now(), bench.now(), bench.loads()), ((1, Status::Stale), (1, Status::Stale), 2));
        assert_eq!(bench.stale.get(), Some(1), "the loader can ask whether it has changed");
        bench.settle(Ok(2));
        assert_eq!((bench.now(), bench.loads()), ((2, Status::Hit), 2));
        let stats = bench.cache.stats();
        assert_eq!((stats.stale_hits, stats.refreshes, stats.hits), (2, 1, 1));
        bench.pass(150);
        let Err(_) = bench.ask() else { panic!("the window is over at its very millisecond") };
    }
    run::<false>();
    run::<true>();
}

#[test]
fn where_nothing_runs_in_the_background_the_one_who_begins_the_refresh_waits_for_it() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
    bench.world.0.spawns.set(false);
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(120);
    let Err(mut first) = bench.ask() else { panic!("nobody else would run it") };
    assert_eq!(bench.now(), (1, Status::Stale), "the others need not");
    bench.settle(Ok(2));
    assert_eq!(get(poll_once(&mut first).expect("settled")), (2, Status::Miss));
}

#[test]
fn a_refresh_that_never_ends_is_given_up_at_the_deadline_and_begun_anew() {
    let bench =
        Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(1_000)).hard_timeout(Ttl::Millis(30)));
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(100);
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 2));
    bench.pass(30);
    assert_eq!(bench.cache.loads_in_flight(), 0);
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 3));
    assert_eq!(bench.cache.stats().loads_abandoned, 1);
}
