//! Parts of a cache: namespaces and scopes.

use nearcache::options::PolicyPatch;
use nearcache::{Cache, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::by_hand::{Sut, end, load, say, sut};
use crate::common::Virtual;

#[test]
fn parts_share_the_bounds_and_have_keys_defaults_and_figures_of_their_own() {
    let world = Virtual::<false>::default();
    let cache: Sut<false> = Cache::builder().max_entries(3).runtime(world).build();
    let posts = cache.namespace("posts", PolicyPatch::new().ttl(Ttl::Millis(50))).expect("room");
    let users = cache.namespace("users", PolicyPatch::new()).expect("room");
    cache.insert("key", 1);
    posts.insert("key", 2);
    users.insert("key", 3);
    assert_eq!((cache.get("key"), posts.get("key"), users.get("key")), (Some(1), Some(2), Some(3)));
    assert_eq!((cache.remaining_ttl("key"), posts.remaining_ttl("key")), (Some(Ttl::Forever), Some(Ttl::Millis(50))));
    assert_eq!((posts.get("none"), posts.stats().hits, posts.stats().misses), (None, 1, 1));
    assert_eq!((cache.stats().hits, cache.len(), posts.len()), (3, 3, 1));
    users.insert("other", 4);
    assert_eq!((cache.get("key"), cache.len(), users.len()), (None, 3, 2), "the oldest of all made room");
    let same = cache.namespace("posts", PolicyPatch::new()).expect("known");
    assert_eq!((same.get("key"), same.stats().hits), (Some(2), 2));
    assert_eq!(posts.iter().collect::<Vec<_>>(), [("key", 2)]);
}

#[test]
fn a_namespace_has_a_name_as_in_the_class() {
    let (cache, _) = sut::<false>();
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("room");
    for (outer, name, given) in [(&cache, "", r#""""#), (&posts, "", r#""""#), (&cache, "a\0b", r#""a\0b""#)] {
        let error = outer.namespace(name, PolicyPatch::new()).expect_err("no name");
        assert_eq!(error.to_string(), format!("namespace: got {given}, wants a non-empty string without U+0000"));
    }
}

#[test]
fn one_scopes_entries_are_not_found_by_another() {
    let (cache, world) = sut::<false>();
    let (one, two) = (cache.scope("user:1"), cache.scope("user:2"));
    one.insert("key", 1);
    assert_eq!((two.get("key"), cache.get("key"), cache.scope("user:1").get("key")), (None, None, Some(1)));
    let (mut a, first) = load(&one, &world, "cold", &[]);
    let (mut b, second) = load(&two, &world, "cold", &[]);
    say(&first, Ok(1));
    say(&second, Ok(2));
    assert_eq!((end(&world, &mut a).ok(), end(&world, &mut b).ok()), (Some(1), Some(2)));
    // Names that would run together if they were only joined.
    cache.scope("a").scope("b").insert("key", 3);
    let others = [cache.scope("ab"), cache.scope("a").scope("b1:c"), cache.scope("a1:b"), cache.scope("a1:sb")];
    assert!(others.iter().all(|other| other.get("key").is_none()));
    let space = cache.namespace("a", PolicyPatch::new()).expect("room");
    assert_eq!(space.scope("b").get("key"), None, "a namespace is no scope");
}

#[test]
fn clearing_a_part_leaves_the_others_and_beats_its_loads() {
    let (cache, world) = sut::<false>();
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("room");
    let mine = posts.scope("me");
    [&cache, &posts, &mine].iter().for_each(|part| assert!(part.insert("key", 1)));
    let (mut before, first) = load(&mine, &world, "cold", &[]);
    let (mut outside, second) = load(&cache, &world, "cold", &[]);
    posts.clear();
    let (mut after, third) = load(&mine, &world, "cold", &[]);
    for (end, value) in [(&first, 1), (&second, 2), (&third, 3)] {
        say(end, Ok(value));
    }
    let got = [&mut before, &mut outside, &mut after].map(|waiting| end(&world, waiting).ok());
    assert_eq!(got, [Some(1), Some(2), Some(3)]);
    assert_eq!([&cache, &posts, &mine].map(|part| part.get("key")), [Some(1), None, None]);
    assert_eq!([&cache, &posts, &mine].map(|part| part.get("cold")), [Some(2), None, Some(3)]);
    cache.clear();
    assert_eq!((cache.len(), mine.get("cold")), (0, None));
}
