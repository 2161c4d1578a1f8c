//! How many who ask for one key share one load, and what becomes of it.

mod common;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use common::{Promiser, Virtual, poll_once, promised};
use nearcache::{Cache, CallOptions, EntryOptions, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Answer = Result<u32, LoadError>;
type Waiting = Pin<Box<dyn Future<Output = Answer>>>;
type Load = Result<u32, &'static str>;

/// A cache whose loads are settled by hand.
struct Bench<const ALONE: bool> {
    cache: Cache<&'static str, u32, Virtual<ALONE>>,
    world: Virtual<ALONE>,
    loads: Rc<RefCell<Vec<Promiser<Load>>>>,
}

impl<const ALONE: bool> Bench<ALONE> {
    fn new() -> Self {
        let world = Virtual::default();
        let cache = Cache::builder().runtime(world.clone()).build();
        Self { cache, world, loads: Rc::default() }
    }

    /// Asks, polled once.
    fn ask_with(
        &self,
        key: &'static str,
        options: CallOptions,
        prepare: impl FnOnce(&LoadCtx<u32>) + 'static,
    ) -> Waiting {
        let (cache, loads) = (self.cache.clone(), self.loads.clone());
        let mut waiting: Waiting = Box::pin(async move {
            let load = move |ctx: LoadCtx<u32>| {
                prepare(&ctx);
                let (promiser, promise) = promised();
                loads.borrow_mut().push(promiser);
                promise
            };
            cache.try_get_with_options(key, options, load).await
        });
        assert!(poll_once(&mut waiting).is_none(), "nothing is there yet");
        self.world.0.run_tasks();
        waiting
    }

    fn ask(&self, key: &'static str) -> Waiting {
        self.ask_with(key, CallOptions::default(), |_| {})
    }

    fn settle(&self, load: usize, result: Load) {
        self.loads.borrow()[load].say(result);
        self.world.0.run_tasks();
    }

    fn loads(&self) -> usize {
        self.loads.borrow().len()
    }
}

fn value(waiting: &mut Waiting) -> Option<u32> {
    poll_once(waiting).map(|result| result.expect("a value"))
}

fn error(waiting: &mut Waiting) -> String {
    poll_once(waiting).expect("settled").expect_err("an error").to_string()
}

#[test]
fn a_thousand_gets_of_a_cold_key_are_one_load() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new();
        let mut waiting: Vec<_> = (0..1_000).map(|_| bench.ask("key")).collect();
        assert_eq!(bench.loads(), 1);
        bench.settle(0, Ok(7));
        assert!(waiting.iter_mut().all(|waiting| value(waiting) == Some(7)));
        assert_eq!(bench.cache.get("key"), Some(7));
        let stats = bench.cache.stats();
        assert_eq!((stats.misses, stats.coalesced, stats.hits, stats.loads), (1, 999, 1, 1));
        assert_eq!(bench.cache.loads_in_flight(), 0);
    }
    run::<false>();
    run::<true>();
}

#[test]
fn an_error_reaches_everyone_is_not_kept_and_the_next_get_loads_anew() {
    let bench = Bench::<false>::new();
    let mut waiting: Vec<_> = (0..3).map(|_| bench.ask("key")).collect();
    bench.settle(0, Err("the origin is on fire"));
    for waiting in &mut waiting {
        assert_eq!(error(waiting), "the loader failed: the origin is on fire");
    }
    assert_eq!((bench.cache.get("key"), bench.cache.len()), (None, 0));
    let mut next = bench.ask("key");
    bench.settle(1, Ok(1));
    assert_eq!(value(&mut next), Some(1));
    assert_eq!(bench.cache.stats().load_failures, 1);
}

#[test]
fn the_load_survives_the_one_who_began_it() {
    let bench = Bench::<false>::new();
    let leader = bench.ask("key");
    let mut follower = bench.ask("key");
    drop(leader);
    bench.settle(0, Ok(7));
    assert_eq!((value(&mut follower), bench.loads()), (Some(7), 1));
}

#[test]
fn when_nobody_waits_any_more_the_load_is_dropped_and_the_next_takes_the_lead() {
    let bench = Bench::<false>::new();
    drop((bench.ask("key"), bench.ask("key")));
    assert_eq!(bench.cache.loads_in_flight(), 0);
    let mut next = bench.ask("key");
    bench.settle(1, Ok(2));
    assert_eq!((value(&mut next), bench.cache.get("key")), (Some(2), Some(2)));
    assert_eq!(bench.cache.stats().loads_abandoned, 1);
}

#[test]
fn where_tasks_run_alone_a_load_is_stored_though_its_leader_has_left() {
    let bench = Bench::<true>::new();
    drop(bench.ask("key"));
    bench.settle(0, Ok(7));
    assert_eq!(bench.cache.get("key"), Some(7));
}

#[test]
fn a_follower_takes_the_lead_when_the_leaders_request_dies() {
    let bench = Bench::<true>::new();
    bench.world.0.enter(1);
    let leader = bench.ask("key");
    bench.world.0.enter(2);
    let mut followers: Vec<_> = (0..20).map(|_| bench.ask("key")).collect();
    bench.world.0.kill(1);
    std::mem::forget(leader);
    assert!(followers.iter_mut().all(|follower| value(follower).is_none()), "one of them loads, the others wait");
    bench.world.0.run_tasks();
    assert_eq!(bench.loads(), 2);
    bench.settle(1, Ok(8));
    assert!(followers.iter_mut().all(|follower| value(follower) == Some(8)));
}

#[test]
fn one_who_left_at_his_soft_deadline_takes_no_count_back_when_the_load_is_lost() {
    // Found by the simulation: his seat was waited in by the cache, which took itself for one who asks again.
    let world = Virtual::<true>::default();
    world.0.spawns.set(true);
    let cache = Cache::builder()
        .time_to_live(Ttl::Millis(10))
        .stale_if_error(Ttl::Millis(100))
        .soft_timeout(Ttl::Millis(5))
        .runtime(world.clone())
        .build();
    let bench = Bench { cache, world, loads: Rc::default() };
    bench.cache.insert("key", 1);
    bench.world.0.advance(10);
    bench.world.0.enter(1);
    std::mem::forget(bench.ask("key"));
    bench.world.0.enter(2);
    let mut follower = bench.ask("key");
    bench.world.0.advance(5);
    bench.world.0.enter(2);
    assert_eq!(value(&mut follower), Some(1));
    bench.world.0.run_tasks();
    bench.world.0.kill(1);
    (0..2).for_each(|_| bench.world.0.run_tasks());
    bench.world.0.advance(30_000);
    bench.cache.sweep(1);
    let stats = bench.cache.stats();
    assert_eq!((stats.misses, stats.coalesced, stats.soft_timeouts, stats.loads_abandoned), (1, 1, 1, 1));
}

#[test]
fn one_who_comes_after_the_leaders_request_died_takes_the_lead() {
    let bench = Bench::<true>::new();
    bench.world.0.enter(1);
    std::mem::forget(bench.ask("key"));
    bench.world.0.kill(1);
    bench.world.0.enter(2);
    let mut late = bench.ask("key");
    bench.settle(1, Ok(8));
    assert_eq!(value(&mut late), Some(8));
}

#[test]
fn every_wait_has_a_deadline_of_its_own() {
    let bench = Bench::<false>::new();
    let mut leader = bench.ask("key");
    bench.world.0.advance(20_000);
    let mut follower = bench.ask("key");
    let quick = CallOptions::new().hard_timeout(Ttl::Millis(5));
    let mut hasty = bench.ask_with("key", quick, |_| {});
    bench.world.0.advance(5);
    assert!(error(&mut hasty).starts_with("no value within 5 ms (hard_timeout)"));
    bench.world.0.advance(9_995);
    assert!(error(&mut leader).starts_with("no value within 30000 ms (hard_timeout)"));
    assert!(value(&mut follower).is_none(), "it came later and may wait longer");
    let mut next = bench.ask("key");
    assert_eq!(bench.loads(), 2, "nobody joins a load that its own leader gave up");
    bench.settle(0, Ok(1));
    assert_eq!((value(&mut follower), bench.cache.get("key")), (Some(1), None));
    bench.settle(1, Ok(2));
    assert_eq!((value(&mut next), bench.cache.get("key")), (Some(2), Some(2)));
    assert_eq!(bench.cache.stats().timeouts, 2);
}

#[test]
fn removing_clearing_and_writing_win_over_a_load_under_way() {
    type Purge = fn(&Cache<&'static str, u32, Virtual<false>>);
    let purges: [(Purge, Option<u32>); 3] = [
        (|cache| assert_eq!(cache.remove("key"), None), None),
        (Cache::clear, None),
        (|cache| assert!(cache.insert("key", 100)), Some(100)),
    ];
    for (purge, kept) in purges {
        let bench = Bench::<false>::new();
        let mut before = bench.ask("key");
        purge(&bench.cache);
        let mut after = kept.is_none().then(|| bench.ask("key"));
        assert_eq!(bench.loads(), 1 + usize::from(after.is_some()), "nobody joins a load from before the purge");
        bench.settle(0, Ok(1));
        assert_eq!(value(&mut before), Some(1), "those who waited get what they waited for");
        assert_eq!(bench.cache.get("key"), kept, "and it is not stored");
        if let Some(after) = &mut after {
            bench.settle(1, Ok(2));
            assert_eq!((value(after), bench.cache.get("key")), (Some(2), Some(2)));
        }
    }
}

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
fn what_the_loader_skips_goes_to_the_waiters_only() {
    let bench = Bench::<false>::new();
    let mut one = bench.ask_with("key", CallOptions::default(), LoadCtx::skip);
    let mut two = bench.ask("key");
    bench.settle(0, Ok(5));
    assert_eq!((value(&mut one), value(&mut two), bench.cache.len()), (Some(5), Some(5), 0));
}

#[test]
fn force_fresh_loads_over_a_value_that_stays_until_then_and_if_the_load_fails() {
    let bench = Bench::<false>::new();
    let fresh = CallOptions::new().force_fresh();
    bench.cache.insert("key", 1);
    let mut first = bench.ask_with("key", fresh.clone(), |_| {});
    let mut second = bench.ask_with("key", fresh.clone(), |_| {});
    assert_eq!((bench.cache.get("key"), bench.loads()), (Some(1), 1));
    bench.settle(0, Err("no"));
    assert!(error(&mut first).ends_with("no") && error(&mut second).ends_with("no"));
    assert_eq!(bench.cache.get("key"), Some(1));
    let mut third = bench.ask_with("key", fresh.clone(), |_| {});
    bench.settle(1, Ok(2));
    assert_eq!((value(&mut third), bench.cache.get("key")), (Some(2), Some(2)));
}

#[test]
fn a_value_evicted_or_expired_while_its_refresh_runs_leaves_the_refresh_alone() {
    let world = Virtual::<false>::default();
    let cache = Cache::builder().max_entries(1).runtime(world.clone()).build();
    let bench = Bench { cache, world, loads: Rc::default() };
    let fresh = CallOptions::new().force_fresh();
    let ttl = EntryOptions::new().ttl(Ttl::Millis(5));
    bench.cache.insert_with("key", 1, ttl);
    let mut refresh = bench.ask_with("key", fresh.clone(), |_| {});
    bench.cache.insert("other", 1);
    assert_eq!((bench.cache.get("key"), bench.cache.len()), (None, 1));
    let mut joined = bench.ask("key");
    bench.settle(0, Ok(2));
    assert_eq!((value(&mut refresh), value(&mut joined), bench.cache.get("key")), (Some(2), Some(2), Some(2)));
    assert_eq!((bench.cache.len(), bench.loads()), (1, 1));
}

#[test]
fn a_loader_may_call_the_cache_but_not_for_its_own_key() {
    fn ask(
        cache: &Cache<u32, u32>,
        key: u32,
        inner: u32,
        yields: bool,
    ) -> impl Future<Output = Result<u32, LoadError>> + 'static {
        let cache = cache.clone();
        async move {
            let again = cache.clone();
            let load = move |_: LoadCtx<u32>| async move {
                let mut yielded = !yields;
                std::future::poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut yielded, true) {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                })
                .await;
                again.insert(99, 99);
                again.get_with(inner, |_| async { 5 }).await.map(|n| n + 1)
            };
            cache.try_get_with(key, load).await
        }
    }
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(10);
    for yields in [false, true] {
        cache.clear();
        assert_eq!(futures::executor::block_on(ask(&cache, 1, 2, yields)).ok(), Some(6));
        let error = futures::executor::block_on(ask(&cache, 3, 3, yields)).expect_err("its own key");
        assert!(error.to_string().contains("asked the cache for the very key it is loading"), "{error}");
        assert_eq!(cache.get(&3), None);
    }
}

#[test]
fn a_loader_that_panics_takes_nobody_with_it() {
    if cfg!(target_family = "wasm") {
        return; // a panic ends a wasm instance; there is nothing to survive
    }
    let cache: Cache<u8, u8> = Cache::new_with_max_entries(10);
    let run = || futures::executor::block_on(cache.get_with(1, |_| async { panic!("the loader's own fault") }));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    std::panic::set_hook(hook);
    assert_eq!(cache.loads_in_flight(), 0);
    assert_eq!(futures::executor::block_on(cache.get_with(1, |_| async { 7 })).ok(), Some(7));
}

#[test]
fn a_load_that_stores_nothing_heavy_still_answers() {
    let world = Virtual::<false>::default();
    let cache: Cache<u8, Vec<u8>, _> =
        Cache::builder().max_bytes(10).weigher(|_, value: &Vec<u8>| value.len() as u32).runtime(world).build();
    let mut big = Box::pin(cache.get_with(1, |_| async { vec![0; 11] }));
    assert_eq!(poll_once(&mut big).expect("settled").expect("a value").len(), 11);
    drop(big);
    let mut small = Box::pin(cache.get_with(2, |_| async { vec![0; 9] }));
    assert!(poll_once(&mut small).is_some());
    assert_eq!((cache.len(), cache.weight()), (1, 9));
}

#[test]
fn real_clocks_and_timers_work_in_this_runtime() {
    // Under wasm the same is tested by the JS suite, where there is an executor that can wait.
    if cfg!(target_family = "wasm") {
        return;
    }
    let cache: Cache<u8, u8> =
        Cache::builder().time_to_live(Duration::from_millis(30)).hard_timeout(Duration::from_millis(40)).build();
    cache.insert(1, 1);
    let never = cache.get_with(2, |_| std::future::pending());
    let error = futures::executor::block_on(never).expect_err("never comes");
    assert_eq!(error.code(), "ERR_TIMEOUT");
    assert_eq!(cache.get(&1), None, "its time has passed meanwhile");
    let again = Cell::new(0);
    again.set(again.get() + 1);
    assert_eq!(futures::executor::block_on(cache.get_with(2, |_| async { 3 })).ok(), Some(3));
}
