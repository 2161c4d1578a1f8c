//! Values that are "nothing there".

use nearcache::{Cache, CallOptions, LoadCtx, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Virtual, poll_once};

#[test]
fn nothing_there_has_a_ttl_of_its_own() {
    let world = Virtual::<false>::default();
    let cache: Cache<u8, Option<u32>, _> =
        Cache::builder().time_to_live(Ttl::Millis(100)).negative_ttl(Ttl::Millis(10)).runtime(world.clone()).build();
    let load = |key, value, options, said: Option<u64>| {
        let cache = cache.clone();
        let load = move |ctx: LoadCtx<Option<u32>>| async move {
            said.into_iter().for_each(|ttl| ctx.set_ttl(Ttl::Millis(ttl)));
            Ok::<_, &str>(value)
        };
        let mut got = Box::pin(async move { cache.try_get_with_details(key, options, load).await });
        poll_once(&mut got).expect("settled").expect("a value").ttl
    };
    let none = CallOptions::default;
    let call = || none().ttl(Ttl::Millis(50));
    let negative = || call().negative_ttl(Ttl::Millis(5));
    assert_eq!(load(1, Some(1), none(), None), Ttl::Millis(100));
    assert_eq!(load(2, None, none(), None), Ttl::Millis(10));
    assert_eq!(load(3, None, call(), None), Ttl::Millis(10), "the rule is about just this value");
    assert_eq!(load(4, None, negative(), None), Ttl::Millis(5));
    assert_eq!(load(5, None, negative(), Some(7)), Ttl::Millis(7), "the loader knows best");
    assert_eq!((cache.get(&2), cache.len()), (Some(None), 5));
}
