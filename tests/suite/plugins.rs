//! Plugins: one after the other, and none harms another.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use nearcache::engine::{
    BatchEvent, CoalescedEvent, ErrorEvent, EvictEvent, ExpireEvent, HitEvent, LoadEvent, MissEvent, SlowLoads,
    StaleEvent,
};
use nearcache::{Cache, LoadError, Plugin, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Virtual, poll_once, promised};

pub type Log = Rc<RefCell<Vec<String>>>;

pub struct Logs(pub Log);

impl Logs {
    pub fn note(&self, text: String) {
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

pub fn say(log: &Log) -> Vec<String> {
    log.take()
}

pub type Loading = Pin<Box<dyn Future<Output = Result<u32, &'static str>>>>;

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

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn a_plugin_that_panics_harms_nothing_and_the_next_is_still_called() {
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
