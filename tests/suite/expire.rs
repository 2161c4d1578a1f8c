//! A value that is stale from now on.

use nearcache::{CallOptions, Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::one_key::{Bench, get};
use crate::common::poll_once;

#[test]
fn expiring_begins_the_stale_windows_and_beats_the_load_under_way() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
    assert!(bench.cache.insert("key", 1));
    let fresh = CallOptions::new().force_fresh();
    let Err(mut before) = bench.ask_with(fresh) else { panic!("no load began") };
    assert!(bench.cache.expire("key"));
    assert!(!bench.cache.expire("key"), "it is not fresh any more");
    bench.settle(Ok(2));
    assert_eq!(get(poll_once(&mut before).expect("settled")), (2, Status::Miss));
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 2));
    bench.pass(50);
    assert!(bench.ask().is_err(), "the window began when it was expired");
    let plain = Bench::<false>::new(|builder| builder);
    plain.cache.insert("key", 1);
    assert!(plain.cache.expire("key"));
    assert_eq!(plain.cache.len(), 0, "without windows it is gone");
}
