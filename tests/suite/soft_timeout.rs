//! The last good value in place of a slow load.

use nearcache::{Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::one_key::{Bench, get};
use crate::common::poll_once;

#[test]
fn a_slow_load_is_left_for_an_older_value_and_goes_on() {
    fn run<const ALONE: bool>() {
        let bench =
            Bench::<ALONE>::new(|builder| builder.stale_if_error(Ttl::Millis(500)).soft_timeout(Ttl::Millis(10)));
        assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
        bench.pass(200);
        let Err(mut waiting) = bench.ask() else { panic!("no load began") };
        bench.pass(9);
        assert!(poll_once(&mut waiting).is_none());
        bench.pass(1);
        assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::StaleOnTimeout));
        drop(waiting);
        assert_eq!((bench.cache.loads_in_flight(), bench.cache.stats().soft_timeouts), (1, 1));
        bench.settle(Ok(2));
        assert_eq!((bench.now(), bench.loads()), ((2, Status::Hit), 2));
    }
    run::<false>();
    run::<true>();
}

#[test]
fn without_an_older_value_a_soft_deadline_means_nothing() {
    let bench = Bench::<false>::new(|builder| {
        builder.stale_if_error(Ttl::Millis(50)).soft_timeout(Ttl::Millis(10)).hard_timeout(Ttl::Millis(20))
    });
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(145);
    let Err(mut waiting) = bench.ask() else { panic!("no load began") };
    bench.pass(10);
    assert!(poll_once(&mut waiting).is_none(), "what was there is too old by now");
    bench.pass(10);
    let error = poll_once(&mut waiting).expect("settled").expect_err("too late");
    assert_eq!(error.code(), "ERR_TIMEOUT");
}

#[test]
fn an_older_value_that_is_handed_out_for_a_slow_load_was_used() {
    let bench = Bench::<false>::new(|builder| {
        builder.stale_if_error(Ttl::Millis(500)).soft_timeout(Ttl::Millis(10)).time_to_idle(Ttl::Millis(150))
    });
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(130);
    let Err(mut waiting) = bench.ask() else { panic!("no load began") };
    bench.pass(10);
    assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::StaleOnTimeout));
    bench.pass(60);
    let Err(mut waiting) = bench.ask() else { panic!("no load goes on") };
    bench.settle(Err("no"));
    assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::StaleIfError), "its idle time began anew");
}

#[test]
fn where_both_deadlines_pass_at_once_the_older_value_wins() {
    let bench = Bench::<false>::new(|builder| {
        builder.stale_if_error(Ttl::Millis(500)).soft_timeout(Ttl::Millis(10)).hard_timeout(Ttl::Millis(20))
    });
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(100);
    let Err(mut waiting) = bench.ask() else { panic!("no load began") };
    bench.pass(25);
    assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::StaleOnTimeout));
}
