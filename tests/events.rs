//! What plugins are told: causes, places, once or often, and how deep.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Virtual, poll_once, promised};
use nearcache::engine::{
    BatchEvent, CoalescedEvent, ErrorEvent, EvictEvent, ExpireEvent, HitEvent, LoadEvent, MissEvent, Place, StaleEvent,
};
use nearcache::options::PolicyPatch;
use nearcache::{Builder, Cache, CallOptions, EvictionPolicy, LoadCtx, Plugin, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Log = Rc<RefCell<Vec<String>>>;
type Sut<const ALONE: bool> = Cache<u32, u32, Virtual<ALONE>>;

/// Logs each event with its place.
struct Logs(Log);

impl Logs {
    fn note(&self, text: String, place: &Place) {
        let path = [&place.namespaces[..], &place.scopes[..]].map(|names| names.join("/")).join(":");
        self.0.borrow_mut().push(if path == ":" { text } else { format!("{text} in {path}") });
    }
}

impl Plugin<u32, u32> for Logs {
    fn hit(&self, event: &HitEvent<'_, u32>) {
        self.note(format!("hit {}", event.key), event.place);
    }
    fn stale(&self, event: &StaleEvent<'_, u32>) {
        self.note(format!("stale {} {}", event.key, event.cause.as_str()), event.place);
    }
    fn miss(&self, event: &MissEvent<'_, u32>) {
        self.note(format!("miss {:?} {}", event.key, event.cause.as_str()), event.place);
    }
    fn coalesced(&self, event: &CoalescedEvent<'_, u32>) {
        self.note(format!("coalesced {}", event.key), event.place);
    }
    fn load(&self, event: &LoadEvent<'_, u32>) {
        self.note(format!("load {} {}", event.key, event.background), event.place);
    }
    fn error(&self, event: &ErrorEvent<'_, u32>) {
        self.note(format!("error {} {} {}", event.key, event.error.code(), event.background), event.place);
    }
    fn evict(&self, event: &EvictEvent<'_, u32, u32>) {
        self.note(format!("evict {} {} {}", event.key, event.value, event.cause.as_str()), event.place);
    }
    fn expire(&self, event: &ExpireEvent<'_, u32, u32>) {
        self.note(format!("expire {} {}", event.key, event.value), event.place);
    }
    fn batch(&self, event: &BatchEvent<'_, u32>) {
        self.note(format!("batch {:?} {:?}", event.keys, event.error.map(|error| error.code())), event.place);
    }
}

fn sut<const ALONE: bool>(
    build: impl FnOnce(Builder<u32, u32>) -> Builder<u32, u32>,
) -> (Sut<ALONE>, Virtual<ALONE>, Log) {
    let (world, log) = (Virtual::default(), Log::default());
    let cache = build(Cache::builder().plugin(Logs(log.clone()))).runtime(world.clone()).build();
    (cache, world, log)
}

#[test]
fn those_who_wait_together_are_told_of_once() {
    fn run<const ALONE: bool>() {
        let (cache, world, log) = sut::<ALONE>(|builder| {
            builder.time_to_live(Ttl::Millis(10)).stale_if_error(Ttl::Millis(1_000)).soft_timeout(Ttl::Millis(20))
        });
        cache.insert(1, 1);
        world.0.advance(10);
        let (promiser, promise) = promised::<Result<u32, String>>();
        let mut leader = Box::pin(cache.try_get_with(1, |_| promise));
        let mut followers: Vec<_> = (0..3).map(|_| Box::pin(cache.get_with(1, async |_| 0))).collect();
        assert!(poll_once(&mut leader).is_none() && followers.iter_mut().all(|one| poll_once(one).is_none()));
        assert_eq!(log.take(), ["miss Some(1) expired", "coalesced 1", "coalesced 1", "coalesced 1"]);
        world.0.run_tasks();
        world.0.advance(5);
        let mut late = Box::pin(cache.get_with(1, async |_| 0));
        assert!(poll_once(&mut late).is_none());
        world.0.advance(15);
        for one in &mut followers[..2] {
            assert_eq!(poll_once(one).and_then(Result::ok), Some(1));
        }
        assert_eq!(log.take(), ["coalesced 1", "stale 1 timeout"], "once a group");
        world.0.advance(5);
        assert_eq!(poll_once(&mut late).and_then(Result::ok), Some(1));
        assert_eq!(log.take(), ["stale 1 timeout"], "the late one has a deadline of its own");
        promiser.say(Err("down".to_owned()));
        world.0.run_tasks();
        for got in [poll_once(&mut leader), poll_once(&mut followers[2])] {
            assert_eq!(got.and_then(Result::ok), Some(1));
        }
        assert_eq!(log.take(), ["error 1 ERR_LOADER false", "stale 1 error"], "once a load");
    }
    run::<false>();
    run::<true>();
}

#[test]
fn a_background_load_that_fails_is_an_error_and_nothing_stale() {
    let (cache, world, log) = sut::<false>(|builder| {
        let builder = builder.time_to_live(Ttl::Millis(10)).stale_while_revalidate(Ttl::Millis(100));
        builder.stale_if_error(Ttl::Millis(100)).error_backoff(Ttl::Millis(50))
    });
    world.0.spawns.set(true);
    cache.insert(1, 1);
    world.0.advance(10);
    let get = || poll_once(&mut Box::pin(cache.try_get_with(1, async |_| Err::<u32, _>("down")))).map(Result::ok);
    assert_eq!(get(), Some(Some(1)));
    world.0.run_tasks();
    assert_eq!(get(), Some(Some(1)));
    assert_eq!(log.take(), ["stale 1 revalidate", "error 1 ERR_LOADER true", "stale 1 error"]);
}

#[test]
fn events_say_where_their_key_lies() {
    let (cache, world, log) =
        sut::<false>(|builder| builder.time_to_live(Ttl::Millis(10)).eviction(EvictionPolicy::Lru).max_entries(3));
    let posts = cache.namespace("posts", PolicyPatch::new()).expect("a number");
    let (mine, drafts) = (posts.scope("me"), posts.namespace("drafts", PolicyPatch::new()).expect("a number"));
    assert!(mine.insert(1, 1) && drafts.insert(2, 2) && cache.insert(3, 3));
    assert_eq!((mine.get(&1), drafts.get(&1)), (Some(1), None));
    assert_eq!(log.take(), ["hit 1 in posts:me", "miss None absent in posts/drafts:"]);
    // The scope itself is forgotten with its handle and its last key.
    drop(mine);
    assert!((4..7).all(|key| cache.insert(key, key)));
    assert_eq!(log.take(), ["evict 2 2 size in posts/drafts:", "evict 3 3 size", "evict 1 1 size in posts:me"]);
    let inner = cache.scope("u").namespace("posts", PolicyPatch::new()).expect("known").scope("v");
    let mut load = Box::pin(inner.get_with(6, async |_| 6));
    assert_eq!(poll_once(&mut load).and_then(Result::ok), Some(6));
    world.0.advance(10);
    assert_eq!(inner.get(&6), None);
    let place = "in posts:u/v";
    let told = ["miss Some(6) absent", "load 6 false", "miss Some(6) expired", "evict 6 6 expired", "expire 6 6"];
    let mut heard = log.take();
    heard.retain(|text| text.ends_with(place));
    heard.sort();
    let mut told = told.map(|text| format!("{text} {place}"));
    told.sort();
    assert_eq!(heard, told);
}

#[test]
fn a_hook_that_uses_the_cache_loses_no_event() {
    // B3 in the class: `clear()` of 100 entries with a hook that does one get told of 8.
    struct Asks(Rc<RefCell<Option<Cache<u32, u32>>>>);
    impl Plugin<u32, u32> for Asks {
        fn evict(&self, event: &EvictEvent<'_, u32, u32>) {
            if let Some(cache) = self.0.borrow().as_ref() {
                cache.get(event.key);
            }
        }
    }
    let (itself, log) = (Rc::default(), Log::default());
    let cache = Cache::builder().plugin(Asks(Rc::clone(&itself))).plugin(Logs(log.clone())).build();
    *itself.borrow_mut() = Some(cache.clone());
    assert!((0..100).all(|key| cache.insert(key, key)));
    cache.clear();
    itself.borrow_mut().take();
    let heard = log.take();
    assert_eq!(heard.iter().filter(|text| text.starts_with("evict")).count(), 100);
    assert_eq!(heard.iter().filter(|text| text.starts_with("miss")).count(), 100);
}

#[test]
fn hooks_are_told_of_what_hooks_cause_eight_deep_in_each_chain() {
    // C: without bound.
    struct Echo(Rc<RefCell<Option<Cache<u32, u32>>>>, Log);
    impl Plugin<u32, u32> for Echo {
        fn miss(&self, event: &MissEvent<'_, u32>) {
            self.1.borrow_mut().push(format!("{:?}", event.cause));
            let cache = self.0.borrow().clone();
            if let Some(cache) = cache {
                cache.get(&1);
            }
        }
    }
    let (itself, log) = (Rc::default(), Log::default());
    let cache = Cache::builder().plugin(Echo(Rc::clone(&itself), log.clone())).build();
    *itself.borrow_mut() = Some(cache.clone());
    for _ in 0..2 {
        assert_eq!(cache.get(&1), None);
        assert_eq!(log.take().len(), 8);
    }
    assert_eq!(cache.stats().misses, 2 * 9, "what is not told of happens all the same");
    itself.borrow_mut().take();
}

#[test]
fn a_batch_tells_of_its_keys_and_of_what_is_wrong_with_it() {
    let (cache, _, log) = sut::<false>(|builder| builder);
    let batched = cache.batched(|keys: Vec<u32>, _| async move {
        if keys.contains(&13) { Vec::new() } else { keys.into_iter().map(Ok::<_, String>).collect() }
    });
    for keys in [[1, 2], [12, 13]] {
        let mut many = Box::pin(batched.get_many(keys));
        assert!(poll_once(&mut many).is_none() && poll_once(&mut many).is_some());
    }
    let mut heard = log.take();
    heard.retain(|text| text.starts_with("batch"));
    assert_eq!(heard, ["batch [1, 2] None", "batch [12, 13] Some(\"ERR_BATCH\")"]);
}

#[test]
fn what_was_forced_says_so() {
    let (cache, _, log) = sut::<false>(|builder| builder);
    cache.insert(1, 1);
    let load = async |_: LoadCtx<u32>| Ok::<_, String>(2);
    let mut forced = Box::pin(cache.try_get_with_options(1, CallOptions::new().force_fresh(), load));
    assert_eq!(poll_once(&mut forced).and_then(Result::ok), Some(2));
    assert_eq!(log.take(), ["miss Some(1) forced", "evict 1 1 replaced", "load 1 false"]);
}
