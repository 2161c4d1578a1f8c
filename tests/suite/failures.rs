//! Loads that fail: the last good value in their place, and how long a failure is remembered.

use std::sync::Arc;

use nearcache::{Cache, Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::one_key::{Bench, get};
use crate::common::{Virtual, poll_once};

#[test]
fn a_failed_load_gives_the_last_good_value_within_its_window() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new(|builder| builder.stale_if_error(Ttl::Millis(50)));
        assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
        bench.pass(149);
        let answer = bench.load(Err("down")).expect("the last good value");
        assert_eq!((answer.value, answer.status, answer.ttl), (1, Status::StaleIfError, Ttl::ZERO));
        assert_eq!(answer.age.as_millis(), 149);
        bench.pass(1);
        assert_eq!(bench.load(Err("down")).expect_err("too old").to_string(), "the loader failed: down");
        let stats = bench.cache.stats();
        assert_eq!((stats.rescues, stats.load_failures), (1, 2));
    }
    run::<false>();
    run::<true>();
}

#[test]
fn a_failing_origin_is_not_asked_again_until_its_backoff_is_over() {
    let bench = Bench::<false>::new(|builder| builder.stale_if_error(Ttl::Millis(500)).error_backoff(Ttl::Millis(20)));
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(100);
    assert_eq!(get(bench.load(Err("down"))), (1, Status::StaleIfError));
    bench.pass(19);
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 2));
    bench.pass(1);
    assert_eq!(get(bench.load(Ok(2))), (2, Status::Miss));
}

#[test]
fn an_error_is_remembered_where_there_is_nothing_else() {
    let bench = Bench::<false>::new(|builder| builder.error_backoff(Ttl::Millis(20)));
    assert!(bench.load(Err("down")).is_err());
    bench.pass(19);
    let Ok(Err(error)) = bench.ask() else { panic!("not at once") };
    assert_eq!((error.to_string(), error.code()), ("the loader failed: down".to_owned(), "ERR_LOADER"));
    assert_eq!((bench.loads(), bench.cache.len(), bench.cache.get("key")), (1, 1, None));
    bench.pass(1);
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    assert_eq!(bench.cache.get("key"), Some(1));
}

#[test]
fn whatever_is_written_or_removed_forgets_an_error() {
    type Purge = fn(&Cache<&'static str, u32, Virtual<false>>);
    let purges: [Purge; 4] = [
        |cache| assert_eq!(cache.remove("key"), None),
        |cache| assert!(!cache.expire("key")),
        Cache::clear,
        |cache| assert!(cache.insert("key", 1) && cache.remove("key").is_some()),
    ];
    for purge in purges {
        let bench = Bench::<false>::new(|builder| builder.error_backoff(Ttl::Forever));
        assert!(bench.load(Err("down")).is_err());
        purge(&bench.cache);
        assert_eq!(get(bench.load(Ok(2))), (2, Status::Miss));
    }
}

#[test]
fn the_backoff_of_an_error_by_rule_and_by_the_loader() {
    let rule = |error: &(dyn std::error::Error + 'static)| match error.to_string().as_str() {
        "long" => Some(Ttl::Millis(50)),
        "none" => Some(Ttl::ZERO),
        _ => None,
    };
    let bench = Bench::<false>::new(|b| b.error_backoff(Ttl::Millis(10)).error_backoff_by(rule));
    let rests = |error| {
        let before = bench.loads();
        assert!(bench.load(Err(error)).is_err());
        let mut rest = 0;
        while let Ok(answer) = bench.ask() {
            assert!(answer.is_err());
            bench.pass(1);
            rest += 1;
        }
        bench.pass(40_000);
        assert_eq!(bench.loads(), before + 2);
        rest
    };
    assert_eq!([rests("long"), rests("none"), rests("other")], [50, 0, 10]);
}

#[test]
fn an_error_that_is_forgotten_is_dropped() {
    #[derive(Debug)]
    struct Down(#[allow(dead_code)] Arc<()>);
    impl std::fmt::Display for Down {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("down")
        }
    }
    impl std::error::Error for Down {}
    let world = Virtual::<false>::default();
    let cache: Cache<u8, u8, _> =
        Cache::builder().max_entries(2).error_backoff(Ttl::Millis(10)).runtime(world.clone()).build();
    let held = Arc::new(());
    let fail = |key| {
        let held = held.clone();
        let mut got = Box::pin(cache.try_get_with(key, move |_| async { Err(Down(held)) }));
        assert!(poll_once(&mut got).is_some_and(|got| got.is_err()));
    };
    fail(1);
    fail(2);
    assert_eq!(Arc::strong_count(&held), 3);
    fail(3);
    assert_eq!(Arc::strong_count(&held), 3, "an error makes room like an entry");
    cache.insert(3, 3);
    assert_eq!(Arc::strong_count(&held), 2);
    world.0.advance(10);
    cache.sweep(10);
    assert_eq!((Arc::strong_count(&held), cache.len()), (1, 1));
    fail(4);
    cache.clear();
    assert_eq!(Arc::strong_count(&held), 1);
}
