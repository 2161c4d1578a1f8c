//! Users' code that calls the cache back, panics, or says nothing: each test opens with a symptom that was seen.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use nearcache::engine::{ManualClock, MissEvent};
use nearcache::{Cache, CallOptions, LoadCtx, Plugin, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::futures::{Answer, Waiting, code, panics, quiet_panic};
use crate::common::{Virtual, poll_once, promised};

pub type Itself = Rc<RefCell<Option<Cache<u32, u32>>>>;

#[test]
fn what_makes_way_is_dropped_when_the_new_entry_is_there_and_nothing_is_borrowed() {
    type Itself = Rc<RefCell<Option<Cache<Loud, Loud>>>>;
    type Seen = Rc<RefCell<Vec<(usize, u32, Option<u32>)>>>;
    #[derive(Clone)]
    struct Loud(u32, Itself, Seen);
    impl PartialEq for Loud {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Loud {}
    impl std::hash::Hash for Loud {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl std::borrow::Borrow<u32> for Loud {
        fn borrow(&self) -> &u32 {
            &self.0
        }
    }
    impl Drop for Loud {
        fn drop(&mut self) {
            // Taken out, so that what this drops does not do the same.
            let cache = self.1.borrow_mut().take();
            if let Some(cache) = cache {
                let found = cache.get(&2);
                self.2.borrow_mut().push((cache.len(), self.0, found.map(|value| value.0)));
                *self.1.borrow_mut() = Some(cache);
            }
        }
    }
    let (itself, seen) = (Itself::default(), Seen::default());
    let loud = |number| Loud(number, itself.clone(), seen.clone());
    let cache: Cache<Loud, Loud> = Cache::new_with_max_entries(1);
    cache.insert(loud(1), loud(1));
    *itself.borrow_mut() = Some(cache.clone());
    cache.insert(loud(2), loud(2));
    itself.borrow_mut().take();
    assert_eq!(*seen.borrow(), [(1, 1, Some(2)), (1, 1, Some(2))], "key and value of the one that made way");
}

#[test]
fn a_value_whose_drop_calls_the_cache_harms_nothing() {
    #[derive(Clone)]
    struct Loud(Rc<RefCell<Option<Cache<u8, Loud>>>>);
    impl Drop for Loud {
        fn drop(&mut self) {
            if let Some(cache) = self.0.borrow().as_ref() {
                cache.contains(&1);
                cache.remove(&200);
            }
        }
    }
    let cell = Rc::default();
    let cache: Cache<u8, Loud> = Cache::new_with_max_entries(1);
    *RefCell::borrow_mut(&cell) = Some(cache.clone());
    (0..5).for_each(|n| assert!(cache.insert(n, Loud(cell.clone()))));
    cache.remove(&4);
    cache.clear();
    assert_eq!(cache.len(), 0);
    cell.borrow_mut().take();
}

#[test]
fn a_key_whose_eq_calls_the_cache_finds_it_closed_and_nothing_panics() {
    #[derive(Clone)]
    struct Nosy(u8, Rc<RefCell<Option<Cache<Nosy, u8>>>>);
    impl std::hash::Hash for Nosy {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Nosy {
        fn eq(&self, other: &Self) -> bool {
            if let Some(cache) = self.1.borrow().as_ref() {
                assert_eq!(cache.get(other), None);
                assert!(!cache.insert(other.clone(), 9));
            }
            self.0 == other.0
        }
    }
    impl Eq for Nosy {}
    let cell = Rc::default();
    let cache: Cache<Nosy, u8> = Cache::new_with_max_entries(5);
    *RefCell::borrow_mut(&cell) = Some(cache.clone());
    let key = Nosy(1, cell.clone());
    assert!(cache.insert(key.clone(), 1));
    assert!(cache.insert(key.clone(), 2));
    assert_eq!(cache.get(&key), Some(2));
    cell.borrow_mut().take();
}

#[test]
fn a_source_of_random_numbers_may_call_the_cache() {
    // The symptom: it found the cache closed.
    let (itself, seen) = (Itself::default(), Rc::new(RefCell::new(Vec::new())));
    let (cell, log) = (itself.clone(), seen.clone());
    let random = move || {
        if let Some(cache) = cell.borrow().as_ref() {
            log.borrow_mut().push((cache.len(), cache.peek(&1), cache.insert(2, 2)));
        }
        0.5
    };
    let clock = ManualClock::new();
    let builder = Cache::builder().time_to_live(Ttl::Millis(40)).refresh_ahead(1.0).jitter(0.1).random(random);
    let cache: Cache<u32, u32> = builder.clock(clock.clone()).spawner(drop).build();
    cache.insert(3, 3);
    // A load of 20 ms, so that its value is looked at from the first moment on.
    let (promiser, promise) = promised();
    let mut load = Box::pin(cache.get_with(1, |_| promise));
    assert!(poll_once(&mut load).is_none());
    clock.advance(Duration::from_millis(20));
    promiser.say(3);
    assert!(poll_once(&mut load).is_some());
    *itself.borrow_mut() = Some(cache.clone());
    let mut hit = Box::pin(cache.get_with(1, async |_| 4));
    assert_eq!(poll_once(&mut hit).and_then(Result::ok), Some(3));
    cache.insert(4, 4);
    itself.borrow_mut().take();
    assert_eq!(seen.borrow().first(), Some(&(2, Some(3), true)));
    assert!(seen.borrow().len() >= 2 && seen.borrow().iter().all(|(.., stored)| *stored), "{seen:?}");
}

#[test]
fn a_remembered_errors_drop_may_call_the_cache() {
    // The symptom: it found the cache closed.
    thread_local! {
        static CACHE: RefCell<Option<Cache<u32, u32>>> = const { RefCell::new(None) };
        static STORED: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
    }
    #[derive(Debug)]
    struct Noisy;
    impl std::fmt::Display for Noisy {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("noisy")
        }
    }
    impl std::error::Error for Noisy {}
    impl Drop for Noisy {
        fn drop(&mut self) {
            if let Some(cache) = CACHE.with(|cache| cache.borrow().clone()) {
                STORED.with(|stored| stored.borrow_mut().push(cache.insert(9, 9)));
            }
        }
    }
    type Way = fn(&Cache<u32, u32>, &ManualClock);
    let ways: [Way; 5] = [
        |cache, _| assert!(cache.insert(1, 1)),
        |cache, _| assert_eq!(cache.remove(&1), None),
        |cache, _| assert!(!cache.expire(&1)),
        |cache, _| cache.clear(),
        |cache, clock| {
            clock.advance(Duration::from_secs(60));
            cache.sweep(10);
        },
    ];
    for (n, way) in ways.into_iter().enumerate() {
        let clock = ManualClock::new();
        let cache: Cache<u32, u32> =
            Cache::builder().error_backoff(Duration::from_secs(60)).clock(clock.clone()).build();
        CACHE.with(|known| *known.borrow_mut() = Some(cache.clone()));
        let mut failed = Box::pin(cache.try_get_with(1, async |_| Err::<u32, _>(Noisy)));
        assert_eq!(code(poll_once(&mut failed)), "ERR_LOADER");
        drop(failed);
        assert!(STORED.with(RefCell::take).is_empty(), "case {n}: still remembered");
        way(&cache, &clock);
        assert_eq!(STORED.with(RefCell::take), [true], "case {n}: its drop finds the cache closed");
        CACHE.with(RefCell::take);
    }
}

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn a_batch_loader_that_panics_leaves_later_batches_alone() {
    // The symptom: a flag stayed set, and a refresh's batch waited for a turn that nobody would end.
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let builder = Cache::builder().time_to_live(Ttl::Millis(20)).stale_while_revalidate(Ttl::Millis(1_000));
    let cache: Cache<u32, u32, _> = builder.runtime(world.clone()).build();
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    let batched = cache
        .batched(move |keys: Vec<u32>, _| {
            count.set(count.get() + 1);
            if keys.contains(&13) {
                quiet_panic();
            }
            async move { keys.into_iter().map(Ok::<_, String>).collect() }
        })
        .max_batch_size(1);
    // Full at once, so that it is called in the first poll.
    let mut unlucky = Box::pin(batched.get(13));
    assert!(panics(|| poll_once(&mut unlucky)));
    drop(unlucky);
    assert_eq!((cache.loads_in_flight(), calls.get()), (0, 1));
    cache.insert(1, 1);
    world.0.advance(30);
    let batched = batched.max_batch_size(10);
    let mut stale = Box::pin(batched.get(1));
    assert_eq!(poll_once(&mut stale).and_then(Result::ok), Some(1));
    world.0.run_tasks();
    world.0.advance(1);
    world.0.run_tasks();
    assert_eq!((calls.get(), cache.stats().refreshes), (2, 1));
}

#[test]
fn a_miss_hook_may_ask_for_the_very_key() {
    // The symptom: it got `Lost`.
    struct Hook(Itself, Rc<RefCell<Vec<Option<Answer>>>>);
    impl Plugin<u32, u32> for Hook {
        fn miss(&self, event: &MissEvent<'_, u32>) {
            let (cache, key) = (self.0.borrow().clone().expect("it is set"), *event.key.expect("a load's"));
            let mut get = Box::pin(async move { cache.get_with(key, async |_| 4).await });
            self.1.borrow_mut().push(poll_once(&mut get));
        }
    }
    let (itself, log) = (Itself::default(), Rc::default());
    let cache = Cache::builder().plugin(Hook(itself.clone(), Rc::clone(&log))).build();
    *itself.borrow_mut() = Some(cache.clone());
    let mut got = Box::pin(cache.get_with(1, async |_| 3));
    assert_eq!(poll_once(&mut got).and_then(Result::ok), Some(3));
    itself.borrow_mut().take();
    let heard: Vec<_> = log.take().into_iter().map(|answer| answer.and_then(Result::ok)).collect();
    assert_eq!((heard, cache.stats().loads), (vec![Some(3)], 1), "it joins the load, and drives it");
}

#[test]
fn a_spawner_that_panics_or_refuses_leaves_no_load_behind() {
    // The symptom: a stale hit panicked.
    let spawners: [fn(Waiting<()>); 2] = [drop, |_| quiet_panic()];
    for spawner in spawners.into_iter().take(if cfg!(target_family = "wasm") { 1 } else { 2 }) {
        let clock = ManualClock::new();
        let builder = Cache::builder().time_to_live(Ttl::Millis(10)).stale_while_revalidate(Ttl::Millis(1_000));
        let cache: Cache<u32, u32> = builder.clock(clock.clone()).spawner(spawner).build();
        cache.insert(1, 1);
        clock.advance(Duration::from_millis(20));
        let mut got = None;
        let mut stale = Box::pin(cache.get_with(1, async |_| 2));
        assert!(!panics(|| got = poll_once(&mut stale)));
        assert_eq!((got.and_then(Result::ok), cache.loads_in_flight()), (Some(1), 0));
    }
}

#[test]
fn a_value_nobody_weighed_is_an_error_where_bytes_are_bounded() {
    // The symptom: it counted nothing.
    let cache: Cache<u32, u32> = Cache::builder().max_bytes(100).build();
    assert!(!cache.insert(1, 1));
    let load = |weight: Option<u32>| {
        move |ctx: LoadCtx<u32>| async move {
            weight.into_iter().for_each(|weight| ctx.set_weight(weight));
            Ok::<_, String>(2)
        }
    };
    let get = |options, load| poll_once(&mut Box::pin(cache.try_get_with_options(1, options, load)));
    assert_eq!((code(get(CallOptions::new(), load(None))), cache.len()), ("ERR_BYTES", 0));
    assert_eq!(get(CallOptions::new().weight(7), load(None)).and_then(Result::ok), Some(2));
    assert_eq!(cache.weight(), 7);
    let fresh = CallOptions::new().weight(7).force_fresh();
    assert_eq!((get(fresh, load(Some(9))).and_then(Result::ok), cache.weight()), (Some(2), 9), "the loader knows best");
}
