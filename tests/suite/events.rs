//! What plugins are told: causes, places, once or often.

use std::cell::RefCell;
use std::rc::Rc;

use nearcache::engine::{
    BatchEvent, CoalescedEvent, ErrorEvent, EvictEvent, ExpireEvent, HitEvent, LoadEvent, MissEvent, Place, StaleEvent,
};
use nearcache::options::PolicyPatch;
use nearcache::{Builder, Cache, CallOptions, EvictionPolicy, LoadCtx, Plugin, RemovalCause, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Heard, Virtual, poll_once, promised};

pub type Log = Rc<RefCell<Vec<String>>>;

pub type Sut<const ALONE: bool> = Cache<u32, u32, Virtual<ALONE>>;

/// Logs each event with its place.
pub struct Logs(pub Log);

impl Logs {
    pub fn note(&self, text: String, place: &Place) {
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

pub fn sut<const ALONE: bool>(
    build: impl FnOnce(Builder<u32, u32>) -> Builder<u32, u32>,
) -> (Sut<ALONE>, Virtual<ALONE>, Log) {
    let (world, log) = (Virtual::default(), Log::default());
    let cache = build(Cache::builder().plugin(Logs(log.clone()))).runtime(world.clone()).build();
    (cache, world, log)
}

#[test]
fn a_plugin_hears_every_cause_and_may_call_the_cache() {
    type Heard = Rc<RefCell<Vec<(&'static str, u32, RemovalCause)>>>;
    type Itself = Cache<&'static str, u32, Virtual<false>>;
    let (heard, world): (Heard, _) = (Heard::default(), Virtual::<false>::default());
    let itself: Rc<RefCell<Option<Itself>>> = Rc::default();
    let (log, cell) = (heard.clone(), itself.clone());
    let cache = Cache::builder()
        .max_entries(2)
        .eviction(EvictionPolicy::Lru)
        .time_to_live(Ttl::Millis(10))
        .plugin(Heard(move |key: &&'static str, value: &u32, cause| {
            log.borrow_mut().push((*key, *value, cause));
            if let Some(cache) = cell.borrow().as_ref() {
                assert!(cache.len() <= 2);
                cache.get(key);
            }
        }))
        .runtime(world.clone())
        .build();
    *itself.borrow_mut() = Some(cache.clone());
    cache.insert("a", 1);
    cache.insert("a", 2);
    cache.insert("b", 3);
    cache.insert("c", 4);
    cache.remove("b");
    world.0.advance(10);
    cache.get("c");
    cache.insert("d", 5);
    cache.clear();
    use RemovalCause::*;
    assert_eq!(
        *heard.borrow(),
        [("a", 1, Replaced), ("a", 2, Size), ("b", 3, Removed), ("c", 4, Expired), ("d", 5, Removed)]
    );
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
