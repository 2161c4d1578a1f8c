//! Figures of a cache and of its parts.

use nearcache::figures::{Thresholds, Window};
use nearcache::options::PolicyPatch;
use nearcache::{Cache, EvictionPolicy};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::by_hand::sut;

#[test]
fn figures_are_kept_for_255_namespaces_and_scopes_are_without_number() {
    let (cache, _) = sut::<false>();
    let names: Vec<_> = (0..255).map(|n| n.to_string()).collect();
    assert!(names.iter().all(|name| cache.namespace(name, PolicyPatch::new()).is_ok()));
    let error = cache.namespace("one more", PolicyPatch::new()).expect_err("too many");
    assert_eq!((error.option.as_str(), error.given.as_str()), ("namespace", "\"one more\""));
    assert!(cache.namespace("17", PolicyPatch::new()).is_ok(), "a known one is no new one");
    assert!((0..10_000).all(|n| cache.scope(&n.to_string()).insert("key", n)));
}

#[test]
fn a_page_of_figures_shows_each_namespace_apart_under_its_name() {
    let (cache, _) = sut::<false>();
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("a first one");
    let drafts = posts.namespace("drafts", PolicyPatch::new()).expect("a second one");
    cache.insert("key", 1);
    posts.insert("key", 2);
    assert_eq!((cache.get("key"), posts.get("key"), drafts.get("key")), (Some(1), Some(2), None));
    let page = cache.prometheus("mine");
    for line in [
        r#"nearcache_requests_total{cache="mine",layer="memory",result="hit"} 1"#,
        r#"nearcache_requests_total{cache="mine",layer="memory",entity="posts",result="hit"} 1"#,
        r#"nearcache_requests_total{cache="mine",layer="memory",entity="posts/drafts",result="miss"} 1"#,
        r#"nearcache_entries{cache="mine",layer="memory",entity="posts"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
    let mut lately = Window::new(1_000);
    let wanted = Thresholds::default().min_hit_rate(0.9).expect("a rate").min_samples(1);
    assert!(posts.health(&wanted, &mut lately).ok);
    assert!(!cache.health(&wanted, &mut Window::new(1_000)).ok, "two hits of three");
}

#[test]
fn ghosts_count_in_what_eviction_takes_of_memory() {
    let bytes = |eviction, keys| {
        let cache: Cache<u32, u32> = Cache::builder().max_entries(20_000).eviction(eviction).build();
        (0..keys).for_each(|key| _ = cache.insert(key, key));
        cache.eviction_bytes()
    };
    // Twice as many keys as there is room for: with LRU nothing is left of those that have gone.
    let [full, evicted] = [20_000, 40_000].map(|keys| bytes(EvictionPolicy::Lru, keys));
    assert_eq!(full, evicted);
    assert!((8 * 20_000..9 * 20_000).contains(&full), "{full}");
    let [full, evicted] = [20_000, 40_000].map(|keys| bytes(EvictionPolicy::Adaptive, keys));
    assert!((full + 4 * 20_000..full + 8 * 20_000).contains(&evicted), "{full} bytes, and {evicted} with ghosts");
}
