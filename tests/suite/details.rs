//! An answer with its status, age and remaining lifetime.

use nearcache::{Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::one_key::{Bench, get};
use crate::common::poll_once;

#[test]
fn what_was_served_says_so() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
    let Err(mut first) = bench.ask() else { panic!("no load began") };
    let Err(mut second) = bench.ask() else { panic!("no load began") };
    bench.settle(Ok(1));
    let first = poll_once(&mut first).expect("settled").expect("a value");
    assert_eq!((first.status, first.age.as_millis(), first.ttl), (Status::Miss, 0, Ttl::Millis(100)));
    assert_eq!(get(poll_once(&mut second).expect("settled")), (1, Status::Coalesced));
    bench.pass(30);
    let Ok(Ok(hit)) = bench.ask() else { panic!("not at once") };
    assert_eq!((hit.status, hit.age.as_millis(), hit.ttl), (Status::Hit, 30, Ttl::Millis(70)));
    bench.pass(80);
    let Ok(Ok(stale)) = bench.ask() else { panic!("not at once") };
    assert_eq!((stale.status, stale.age.as_millis(), stale.ttl), (Status::Stale, 110, Ttl::ZERO));
    let all = [Status::Hit, Status::Stale, Status::Miss, Status::Coalesced, Status::StaleIfError];
    assert_eq!(all.map(Status::as_str), ["hit", "stale", "miss", "coalesced", "stale-if-error"]);
}
