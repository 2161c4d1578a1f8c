//! Purges by what entries are tagged with.

use nearcache::options::PolicyPatch;
use nearcache::{Cache, CallOptions, LoadCtx, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::by_hand::{Sut, end, load, say, sut, tagged};
use crate::common::{Virtual, poll_once};

#[test]
fn a_tag_takes_all_that_bear_it_and_nothing_else() {
    let (cache, _) = sut::<false>();
    cache.insert_with("a", 1, tagged(&["red", "round", "red"]));
    cache.insert_with("b", 2, tagged(&["red"]));
    cache.insert_with("c", 3, tagged(&["round"]));
    assert_eq!((cache.remove_by_tag("red"), cache.remove_by_tag("red"), cache.remove_by_tag("none")), (2, 0, 0));
    assert_eq!(cache.iter().collect::<Vec<_>>(), [("c", 3)]);
    cache.insert("c", 4);
    assert_eq!((cache.remove_by_tag("round"), cache.get("c")), (0, Some(4)), "the new value does not bear it");
}

#[test]
fn tags_come_from_the_cache_the_caller_and_the_loader() {
    let world = Virtual::<false>::default();
    let cache: Sut<false> = Cache::builder().tags(["all"]).runtime(world).build();
    for purge in ["all", "call", "load"] {
        let options = CallOptions::new().tags(["call"]);
        let load = |ctx: LoadCtx<u32>| async move {
            ctx.tag("load");
            Ok::<_, &str>(1)
        };
        let mut got = Box::pin(cache.try_get_with_options("key", options, load));
        assert!(poll_once(&mut got).is_some_and(|got| got.is_ok()));
        assert_eq!((cache.remove_by_tag(purge), cache.len()), (1, 0), "{purge}");
    }
}

#[test]
fn a_tag_beats_the_loads_that_turn_out_to_bear_it() {
    for soft in [false, true] {
        let (cache, world) = sut::<false>();
        let (mut red, first) = load(&cache, &world, "red", &["red"]);
        let (mut blue, second) = load(&cache, &world, "blue", &["blue"]);
        match soft {
            true => cache.expire_by_tag("red"),
            false => cache.remove_by_tag("red"),
        };
        let (mut late_red, third) = load(&cache, &world, "red", &["red"]);
        let (mut late_blue, fourth) = load(&cache, &world, "blue", &["blue"]);
        say(&first, Ok(1));
        say(&second, Ok(2));
        let got = [&mut red, &mut blue, &mut late_blue].map(|waiting| end(&world, waiting).ok());
        assert_eq!(got, [Some(1), Some(2), Some(2)], "a load that does not bear it has room for all");
        assert!(fourth.borrow().is_none(), "and is the only one");
        assert!(poll_once(&mut late_red).is_none(), "who asked after the purge loads anew");
        assert_eq!((cache.get("red"), cache.get("blue")), (None, Some(2)));
        say(&third, Ok(3));
        assert_eq!((end(&world, &mut late_red).ok(), cache.get("red")), (Some(3), Some(3)));
        let stats = cache.stats();
        assert_eq!((stats.misses, stats.coalesced, stats.loads), (4, 1, 3), "one of the misses loaded nothing");
    }
}

#[test]
fn expiring_a_tag_begins_the_stale_windows() {
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let cache: Sut<false> = Cache::builder()
        .time_to_live(Ttl::Millis(100))
        .stale_while_revalidate(Ttl::Millis(10))
        .runtime(world.clone())
        .build();
    cache.insert_with("a", 1, tagged(&["red"]));
    cache.insert("b", 2);
    assert_eq!((cache.expire_by_tag("red"), cache.get("a"), cache.get("b")), (1, None, Some(2)));
    let mut stale = Box::pin(cache.get_with("a", |_| async { 5 }));
    assert_eq!(poll_once(&mut stale).and_then(Result::ok), Some(1));
    world.0.run_tasks();
    assert_eq!(cache.get("a"), Some(5));
}

#[test]
fn a_tag_purge_reaches_down_and_not_up() {
    let (cache, _) = sut::<false>();
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("room");
    let mine = posts.scope("me");
    let parts = [&cache, &posts, &mine];
    for (purger, left) in [(&mine, 2), (&posts, 1), (&cache, 0)] {
        cache.clear();
        parts.iter().for_each(|part| assert!(part.insert_with("key", 1, tagged(&["red"]))));
        assert_eq!((purger.remove_by_tag("red"), cache.len()), (3 - left, left));
    }
    // A root's tag that looks like a part's.
    cache.insert_with("key", 1, tagged(&["\0n5:poststred"]));
    assert_eq!((posts.remove_by_tag("red"), cache.remove_by_tag("\0n5:poststred")), (0, 1));
}
