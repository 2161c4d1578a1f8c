//! What a loader may say of its value, and whose word counts.

use std::time::Duration;

use nearcache::{Cache, CallOptions, EntryOptions, LoadCtx, Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::one_key::{Bench, get};
use crate::common::{Virtual, poll_once};

#[test]
fn the_loader_decides_over_the_caller_and_the_caller_over_the_cache() {
    let world = Virtual::<false>::default();
    let cache: Cache<u8, u32, _> = Cache::builder().time_to_live(Ttl::Millis(10)).runtime(world.clone()).build();
    let get = |key, ttl: Option<u64>, said: Option<u64>| {
        let options = ttl.map_or(CallOptions::new(), |ttl| CallOptions::new().ttl(Ttl::Millis(ttl)));
        let cache = cache.clone();
        let mut got = Box::pin(async move {
            let load = move |ctx: LoadCtx<u32>| async move {
                if let Some(said) = said {
                    ctx.set_ttl(Duration::from_millis(said));
                }
                Ok::<_, &str>(1)
            };
            cache.try_get_with_options(key, options, load).await
        });
        poll_once(&mut got).expect("settled").expect("a value")
    };
    get(1, None, None);
    get(2, Some(20), None);
    get(3, Some(20), Some(30));
    get(4, Some(20), Some(0));
    let left = |key| cache.remaining_ttl(&key);
    assert_eq!([left(1), left(2), left(3)], [10, 20, 30].map(|millis| Some(Ttl::Millis(millis))));
    assert_eq!(left(4), None, "zero stores nothing");
}

#[test]
fn cache_call_and_loader_are_asked_in_this_order() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(10)));
    let stale_for = |options: CallOptions, said: Option<u64>| {
        let (cache, world) = (bench.cache.clone(), bench.world.clone());
        cache.clear();
        let load = move |ctx: LoadCtx<u32>| async move {
            said.into_iter().for_each(|window| ctx.set_stale_while_revalidate(Ttl::Millis(window)));
            Ok::<_, &str>(1)
        };
        let loaded = cache.clone();
        let mut got = Box::pin(async move { loaded.try_get_with_details("key", options, load).await });
        assert!(poll_once(&mut got).is_some());
        world.0.advance(100);
        let mut window = 0;
        while let Ok(answer) = bench.ask() {
            assert_eq!(get(answer), (1, Status::Stale));
            world.0.advance(1);
            window += 1;
        }
        bench.pass(40_000);
        window
    };
    let call = || CallOptions::new().stale_while_revalidate(Ttl::Millis(20));
    assert_eq!(stale_for(CallOptions::default(), None), 10);
    assert_eq!(stale_for(call(), None), 20);
    assert_eq!(stale_for(call(), Some(30)), 30);
    let options = EntryOptions::new().stale_while_revalidate(Ttl::Millis(5));
    bench.cache.insert_with("key", 1, options);
    bench.pass(104);
    assert_eq!(bench.now(), (1, Status::Stale));
    bench.pass(1);
    assert!(bench.ask().is_err(), "an insertion's own window");
}

#[test]
fn a_value_that_was_stored_elsewhere_before_is_as_old_as_its_loader_says() {
    let world = Virtual::<false>::default();
    world.0.advance(1_000);
    let builder = Cache::builder().time_to_live(Ttl::Millis(100)).stale_while_revalidate(Ttl::Millis(50));
    let cache: Cache<u8, u32, _> = builder.runtime(world.clone()).build();
    let load = |key, age| {
        let cache = cache.clone();
        let mut got = Box::pin(async move {
            let load = async move |ctx: LoadCtx<u32>| {
                ctx.set_age(Duration::from_millis(age));
                Ok::<_, &str>(1)
            };
            cache.try_get_with_details(key, CallOptions::new(), load).await
        });
        let got = poll_once(&mut got).expect("settled").expect("a value");
        (got.age, got.ttl)
    };
    let aged = |age, left| (Duration::from_millis(age), Ttl::Millis(left));
    assert_eq!([load(1, 0), load(2, 30), load(3, 120)], [aged(0, 100), aged(30, 70), aged(120, 0)]);
    assert_eq!((cache.peek(&3), cache.peek_stale(&3)), (None, Some(1)));
    load(4, 151);
    assert_eq!(cache.peek_stale(&4), None, "nothing is left of it");
}
