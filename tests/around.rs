//! What goes around a cache: plugins, warm-up, refreshing on a schedule, wrapped functions.

mod common;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use common::{Virtual, poll_once, promised};
use nearcache::engine::{
    BatchEvent, CoalescedEvent, ErrorEvent, EvictEvent, ExpireEvent, HitEvent, LoadEvent, MissEvent, Runtime,
    SlowLoads, StaleEvent,
};
use nearcache::{Cache, CallOptions, KeepFreshOptions, LoadCtx, LoadError, Plugin, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Log = Rc<RefCell<Vec<String>>>;

struct Logs(Log);

impl Logs {
    fn note(&self, text: String) {
        self.0.borrow_mut().push(text);
    }
}

impl Plugin<u32, u32> for Logs {
    fn hit(&self, event: &HitEvent<'_, u32>) {
        self.note(format!("hit {}", event.key));
    }
    fn stale(&self, event: &StaleEvent<'_, u32>) {
        self.note(format!("stale {} {}", event.key, event.cause.as_str()));
    }
    fn miss(&self, event: &MissEvent<'_, u32>) {
        self.note(format!("miss {:?} {}", event.key, event.cause.as_str()));
    }
    fn coalesced(&self, event: &CoalescedEvent<'_, u32>) {
        self.note(format!("coalesced {}", event.key));
    }
    fn load(&self, event: &LoadEvent<'_, u32>) {
        let background = if event.background { " in the background" } else { "" };
        self.note(format!("load {} {:?}{background}", event.key, event.duration));
    }
    fn error(&self, event: &ErrorEvent<'_, u32>) {
        let background = if event.background { " in the background" } else { "" };
        self.note(format!("error {} {} {:?}{background}", event.key, event.error.code(), event.duration));
    }
    fn evict(&self, event: &EvictEvent<'_, u32, u32>) {
        self.note(format!("evict {} {} {}", event.key, event.value, event.cause.as_str()));
    }
    fn expire(&self, event: &ExpireEvent<'_, u32, u32>) {
        self.note(format!("expire {} {}", event.key, event.value));
    }
    fn batch(&self, event: &BatchEvent<'_, u32>) {
        self.note(format!("batch {:?} {:?} {:?}", event.keys, event.duration, event.error.map(LoadError::code)));
    }
}

fn say(log: &Log) -> Vec<String> {
    log.take()
}

#[test]
fn plugins_hear_of_everything_in_order() {
    let (log, world) = (Log::default(), Virtual::<false>::default());
    world.0.spawns.set(true);
    let cache: Cache<u32, u32, _> = Cache::builder()
        .time_to_live(Ttl::Millis(100))
        .stale_while_revalidate(Ttl::Millis(50))
        .plugin(Logs(log.clone()))
        .runtime(world.clone())
        .build();
    let ask = |result: Result<u32, &'static str>, millis| {
        let (promiser, promise) = promised();
        let mut got = Box::pin(cache.try_get_with(1, |_| promise));
        let now = poll_once(&mut got);
        world.0.run_tasks();
        world.0.advance(millis);
        promiser.say(result);
        world.0.run_tasks();
        now.or_else(|| poll_once(&mut got)).expect("settled").ok()
    };
    assert_eq!((cache.get(&1), say(&log)), (None, vec!["miss None absent".to_owned()]));
    assert_eq!(ask(Err("no"), 5), None);
    assert_eq!(say(&log), ["miss Some(1) absent", "error 1 ERR_LOADER 5ms"]);
    assert_eq!(ask(Ok(7), 20), Some(7));
    assert_eq!(say(&log), ["miss Some(1) absent", "load 1 20ms"]);
    assert_eq!((ask(Ok(8), 0), cache.get(&1)), (Some(7), Some(7)));
    assert_eq!(say(&log), ["hit 1", "hit 1"]);
    world.0.advance(100);
    assert_eq!(cache.get(&1), None);
    assert_eq!(say(&log), ["miss Some(1) expired"], "it is there, but stale");
    assert_eq!(ask(Ok(9), 0), Some(7));
    assert_eq!(say(&log), ["stale 1 revalidate", "evict 1 7 replaced", "load 1 0ns in the background"]);
    world.0.advance(150);
    cache.sweep(10);
    assert_eq!(say(&log), ["evict 1 9 expired", "expire 1 9"]);
    let batched = cache.batched(|keys: Vec<u32>, _| async move { keys.into_iter().map(Ok::<_, &str>).collect() });
    let mut many = Box::pin(batched.get_many([1, 2]));
    assert!(poll_once(&mut many).is_none() && poll_once(&mut many).is_some());
    assert_eq!(
        say(&log),
        ["miss Some(1) absent", "miss Some(2) absent", "batch [1, 2] 0ns None", "load 1 0ns", "load 2 0ns"]
    );
}

#[test]
fn a_plugin_that_panics_harms_nothing_and_the_next_is_still_called() {
    if cfg!(target_family = "wasm") {
        return; // a panic ends a wasm instance; there is nothing to survive
    }
    struct Clumsy;
    impl Plugin<u32, u32> for Clumsy {
        fn hit(&self, _: &HitEvent<'_, u32>) {
            panic!("clumsy");
        }
        fn evict(&self, _: &EvictEvent<'_, u32, u32>) {
            panic!("clumsy");
        }
    }
    let log = Log::default();
    let cache: Cache<u32, u32> = Cache::builder().max_entries(1).plugin(Clumsy).plugin(Logs(log.clone())).build();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    cache.insert(1, 1);
    assert_eq!(cache.get(&1), Some(1));
    cache.insert(2, 2);
    std::panic::set_hook(hook);
    assert_eq!((cache.len(), say(&log)), (1, vec!["hit 1".to_owned(), "evict 1 1 size".to_owned()]));
}

#[test]
fn slow_loads_are_told_of() {
    let (slow, world) = (Rc::new(RefCell::new(Vec::new())), Virtual::<false>::default());
    let told = slow.clone();
    let tell = move |key: &u32, took: Duration| told.borrow_mut().push((*key, took.as_millis()));
    let cache: Cache<u32, u32, _> =
        Cache::builder().plugin(SlowLoads::new(Duration::from_millis(10), tell)).runtime(world.clone()).build();
    for (key, millis) in [(1, 9), (2, 10)] {
        let (promiser, promise) = promised();
        let mut got = Box::pin(cache.get_with(key, |_| promise));
        assert!(poll_once(&mut got).is_none());
        world.0.advance(millis);
        promiser.say(5);
        assert!(poll_once(&mut got).is_some());
    }
    assert_eq!(*slow.borrow(), [(2, 10)]);
}

type Loading = Pin<Box<dyn Future<Output = Result<u32, &'static str>>>>;

#[test]
fn warming_up_is_bounded_tells_how_far_it_is_and_goes_on_after_errors() {
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(100);
    cache.insert(3, 33);
    let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let items = (0..20_u32).map(|key| {
        let (running, most) = (running.clone(), most.clone());
        let load = move |_: LoadCtx<u32>| -> Loading {
            Box::pin(async move {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                let mut waited = false;
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut waited, true) { ().into() } else { std::task::Poll::Pending }
                })
                .await;
                running.set(running.get() - 1);
                if key % 7 == 5 { Err("no") } else { Ok(key) }
            })
        };
        (key, load)
    });
    let mut steps = Vec::new();
    let options = CallOptions::new().ttl(Ttl::Millis(60_000));
    let warmed = futures::executor::block_on(cache.warmup(items, options, 4, |progress| steps.push(progress)));
    let mut failed: Vec<u32> = warmed.failed.iter().map(|(key, _)| *key).collect();
    failed.sort_unstable();
    assert_eq!((warmed.loaded, failed), (17, vec![5, 12, 19]));
    assert!(warmed.failed.iter().all(|(_, error)| error.to_string() == "the loader failed: no"));
    assert_eq!((steps.len(), steps.last().map(|last| (last.done, last.failed))), (20, Some((20, 3))));
    assert_eq!((most.get(), cache.get(&3), cache.get(&4)), (4, Some(33), Some(4)), "what is there is not loaded");
}

#[test]
fn chosen_keys_are_kept_fresh_until_the_handle_goes() {
    let world = Virtual::<false>::default();
    let cache: Cache<u32, u32, _> = Cache::builder().time_to_live(Ttl::Millis(1_000)).runtime(world.clone()).build();
    let loads = Rc::new(Cell::new(0));
    let load = {
        let loads = loads.clone();
        move |key, _: LoadCtx<u32>| {
            let n = loads.replace(loads.get() + 1);
            async move { if n == 1 { Err("no") } else { Ok(key * 100 + n) } }
        }
    };
    let refused = cache.keep_fresh([1, 2], Ttl::Millis(10), load.clone()).expect_err("nothing to run it");
    assert_eq!(refused.option, "keep_fresh");
    world.0.spawns.set(true);
    let handle = cache.keep_fresh([1, 2], Ttl::Millis(10), load).expect("a spawner");
    let pass = |millis| {
        world.0.run_tasks();
        world.0.advance(millis);
        world.0.run_tasks();
    };
    pass(9);
    assert_eq!(loads.get(), 0);
    pass(1);
    assert_eq!((loads.get(), cache.get(&1), cache.get(&2)), (2, Some(100), None));
    pass(10);
    assert_eq!((loads.get(), cache.get(&1), cache.get(&2)), (4, Some(102), Some(203)), "an error is not the end");
    drop(handle);
    pass(100);
    assert_eq!(loads.get(), 4);
}

#[test]
fn rounds_of_keep_fresh_begin_an_interval_apart_and_never_overlap() {
    let world = Virtual::<false>::default();
    world.0.spawns.set(true);
    let cache: Cache<u32, u32, _> = Cache::builder().runtime(world.clone()).build();
    // When each load began, and how long those of a round take.
    let (begun, takes) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let load = {
        let (world, begun, takes) = (world.clone(), begun.clone(), takes.clone());
        move |_, _: LoadCtx<u32>| {
            begun.borrow_mut().push(world.now().as_millis());
            let (world, millis) = (world.clone(), takes.get());
            async move {
                world.sleep(millis).await;
                Ok::<_, &str>(1)
            }
        }
    };
    let start = world.now().as_millis();
    let handle = cache.keep_fresh([1], Duration::from_millis(10), load).expect("a spawner");
    let rounds_within = |millis: u64| {
        for _ in 0..millis {
            world.0.run_tasks();
            world.0.advance(1);
        }
        world.0.run_tasks();
        begun.take().iter().map(|at| at - start).collect::<Vec<_>>()
    };
    takes.set(4);
    assert_eq!(rounds_within(35), [10, 20, 30], "the time that a round takes puts nothing off");
    takes.set(25);
    assert_eq!(rounds_within(64), [40, 66, 92], "a round that takes longer puts the next off until its end");
    takes.set(0);
    assert_eq!(rounds_within(40), [118, 128, 138], "and then all is as before");
    drop(handle);
    assert_eq!(rounds_within(40), [0; 0]);
}

#[test]
fn keep_fresh_loads_as_many_keys_at_once_as_it_may_and_tells_of_each_that_fails() {
    for (concurrency, most_wanted) in [(None, 10), (Some(3), 3), (Some(0), 1)] {
        let world = Virtual::<false>::default();
        world.0.spawns.set(true);
        let cache: Cache<u32, u32, _> = Cache::builder().runtime(world.clone()).build();
        let (running, most, told) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let load = {
            let (world, running, most) = (world.clone(), running.clone(), most.clone());
            move |key, _: LoadCtx<u32>| {
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                let (world, running) = (world.clone(), running.clone());
                async move {
                    world.sleep(1).await;
                    running.set(running.get() - 1);
                    if key % 10 == 3 { Err("no") } else { Ok(key) }
                }
            }
        };
        let mut options = KeepFreshOptions::new(Ttl::Millis(100)).on_error({
            let told = told.clone();
            move |key: &u32, error: &LoadError| told.borrow_mut().push((*key, error.to_string()))
        });
        if let Some(most) = concurrency {
            options = options.concurrency(most);
        }
        let _handle = cache.keep_fresh(0..25, options, load).expect("a spawner");
        for _ in 0..150 {
            world.0.run_tasks();
            world.0.advance(1);
        }
        let no = "the loader failed: no".to_owned();
        told.borrow_mut().sort_unstable();
        assert_eq!(*told.borrow(), [(3, no.clone()), (13, no.clone()), (23, no)]);
        assert_eq!((most.get(), cache.len()), (most_wanted, 22));
    }
}

#[test]
fn a_wrapped_function_is_asked_once_a_key_refreshed_forgotten_and_bypassed() {
    let calls = Rc::new(Cell::new(0));
    let function = {
        let calls = calls.clone();
        move |key: u32| {
            let n = calls.get() + 1;
            calls.set(n);
            async move { if key == 0 { Err("zero") } else { Ok(key * 100 + n) } }
        }
    };
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(100);
    let options = CallOptions::new().tags(["wrapped"]);
    let wrapped = cache.wrap(function).with_options(options);
    futures::executor::block_on(async {
        assert_eq!((wrapped.call(1).await.ok(), wrapped.call(1).await.ok(), calls.get()), (Some(101), Some(101), 1));
        assert_eq!((wrapped.refresh(1).await.ok(), wrapped.call(1).await.ok()), (Some(102), Some(102)));
        assert_eq!((wrapped.bypass(1).await, wrapped.call(1).await.ok()), (Ok(103), Some(102)));
        assert_eq!((wrapped.invalidate(&1), wrapped.call(1).await.ok()), (Some(102), Some(104)));
        assert_eq!(wrapped.call(0).await.expect_err("an error").to_string(), "the loader failed: zero");
        assert_eq!(wrapped.bypass(0).await, Err("zero"));
        assert_eq!(wrapped.clone().call_with_details(1).await.expect("a value").status.as_str(), "hit");
        assert_eq!((cache.remove_by_tag("wrapped"), cache.len()), (1, 0));
    });
}
