//! What the driver does with futures, wakers, panics and drops: each test opens with a symptom that was seen.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use nearcache::engine::ManualClock;
use nearcache::{Cache, CallOptions, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Flag, poll_once, poll_with, promised};

pub type Waiting<T> = Pin<Box<dyn Future<Output = T>>>;

pub type Answer = Result<u32, LoadError>;

pub struct SetOnDrop(Rc<Cell<bool>>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Something that tells when it is dropped.
pub fn dropping() -> (SetOnDrop, Rc<Cell<bool>>) {
    let gone = Rc::new(Cell::new(false));
    (SetOnDrop(gone.clone()), gone)
}

/// A panic that says nothing. In wasm it would end the instance, so that there is nothing to test.
pub fn quiet_panic() -> ! {
    std::panic::resume_unwind(Box::new("the loader's own fault"))
}

pub fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

pub fn timed(hard: u64) -> (Cache<u32, u32>, ManualClock) {
    let clock = ManualClock::new();
    let cache = Cache::builder().hard_timeout(Ttl::Millis(hard)).clock(clock.clone()).build();
    (cache, clock)
}

pub fn code(answer: Option<Answer>) -> &'static str {
    answer.expect("settled").expect_err("an error").code()
}

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn a_loader_that_panics_takes_nobody_with_it() {
    let cache: Cache<u8, u8> = Cache::new_with_max_entries(10);
    let run = || futures::executor::block_on(cache.get_with(1, |_| async { panic!("the loader's own fault") }));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    std::panic::set_hook(hook);
    assert_eq!(cache.loads_in_flight(), 0);
    assert_eq!(futures::executor::block_on(cache.get_with(1, |_| async { 7 })).ok(), Some(7));
}

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn a_loader_s_panic_is_its_driver_s_and_the_others_ask_again() {
    // The symptom: every follower panicked too, "inner future panicked during poll", or nobody woke them.
    let (cache, _) = timed(1_000);
    let (open, gate) = promised::<()>();
    let load = move |_| async move {
        gate.await;
        quiet_panic()
    };
    let mut leader: Waiting<Answer> = Box::pin({
        let cache = cache.clone();
        async move { cache.get_with(1, load).await }
    });
    let mut followers: Vec<Waiting<Answer>> = Vec::new();
    for value in [7, 8] {
        let cache = cache.clone();
        followers.push(Box::pin(async move { cache.get_with(1, move |_| async move { value }).await }));
    }
    let (flag, waker) = Flag::up();
    assert!(poll_once(&mut leader).is_none());
    assert!(followers.iter_mut().all(|follower| poll_with(follower, &waker).is_none()));
    flag.take();
    open.say(());
    assert!(panics(|| poll_once(&mut leader)));
    assert!(flag.take(), "they are woken");
    let got: Vec<_> = followers.iter_mut().map(|follower| poll_with(follower, &waker).and_then(Result::ok)).collect();
    assert_eq!(got, [Some(7), Some(7)], "the first of them loads, and the other gets it");
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.loads_abandoned, stats.gets()), (2, 1, 3));
    assert_eq!(cache.loads_in_flight(), 0);
}

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn the_one_whose_loader_is_spent_hears_that_the_load_is_lost() {
    // A follower drives, since the leader's executor is busy, and panics.
    let (cache, clock) = timed(1_000);
    let fuse = Rc::new(Cell::new(false));
    let lit = fuse.clone();
    let load = move |_| std::future::poll_fn(move |_| if lit.get() { quiet_panic() } else { Poll::<u32>::Pending });
    let mut leader = Box::pin(cache.get_with(1, load));
    assert!(poll_once(&mut leader).is_none());
    clock.advance(Duration::from_millis(999));
    let mut follower = Box::pin(cache.get_with(1, |_| async { 7 }));
    assert!(poll_once(&mut follower).is_none());
    fuse.set(true);
    let options = CallOptions::new().hard_timeout(Ttl::Millis(0));
    let mut hasty = Box::pin(cache.try_get_with_options(1, options, async |_| Ok::<_, String>(8)));
    assert!(panics(|| poll_once(&mut hasty)), "at its deadline it tries once more");
    assert_eq!(code(poll_once(&mut leader)), "ERR_LOAD_LOST");
    assert_eq!(poll_once(&mut follower).and_then(Result::ok), Some(7));
}

#[test]
fn a_load_ends_with_its_last_waiter_even_after_its_deadline_and_a_sweep() {
    // The symptom: a record stayed behind for ever, and in it the loader's future and the cache.
    let endings: [fn(Waiting<Answer>); 3] = [
        drop,
        |mut late| assert_eq!(code(poll_once(&mut late)), "ERR_TIMEOUT"),
        // Never polled again, and kept until the cache is gone.
        |late| LATE.with(|kept| kept.borrow_mut().push(late)),
    ];
    thread_local! {
        static LATE: RefCell<Vec<Waiting<Answer>>> = const { RefCell::new(Vec::new()) };
    }
    for (n, end) in endings.into_iter().enumerate() {
        for swept in [true, false] {
            let clock = ManualClock::new();
            let (witness, freed) = dropping();
            let cache: Cache<u32, u32> = Cache::builder()
                .hard_timeout(Ttl::Millis(20))
                .clock(clock.clone())
                .weigher(move |_, _| {
                    let _ = &witness;
                    0
                })
                .build();
            let (guard, gone) = dropping();
            let load = move |_| async move {
                let _guard = guard;
                std::future::pending().await
            };
            let mut get: Waiting<Answer> = Box::pin({
                let cache = cache.clone();
                async move { cache.get_with(1, load).await }
            });
            assert!(poll_once(&mut get).is_none());
            clock.advance(Duration::from_millis(60));
            if swept {
                assert!((100..110).all(|key| cache.insert(key, 1)));
                assert!(gone.get(), "case {n}: nobody can be waiting for it");
            }
            end(get);
            assert_eq!(cache.loads_in_flight(), usize::from(n == 2 && !swept), "case {n} swept {swept}");
            assert_eq!(cache.stats().timeouts, u64::from(n == 1 || swept), "case {n} swept {swept}: counted once");
            drop(cache);
            LATE.with(RefCell::take);
            assert!(gone.get(), "case {n} swept {swept}: the loader's future lives on");
            assert!(freed.get(), "case {n} swept {swept}: the cache lives on");
        }
    }
}

#[test]
fn a_cache_is_freed_with_all_that_is_under_way_in_it() {
    // What is freed is counted for batches, writes, refreshes and scopes too.
    let spawned: Rc<RefCell<Vec<Waiting<()>>>> = Rc::default();
    let tasks = spawned.clone();
    let clock = ManualClock::new();
    let (witness, freed) = dropping();
    let cache: Cache<u32, u32> = Cache::builder()
        .time_to_live(Ttl::Millis(10))
        .stale_while_revalidate(Ttl::Millis(100))
        .error_backoff(Ttl::Millis(100))
        .clock(clock.clone())
        .spawner(move |task| tasks.borrow_mut().push(task))
        .weigher(move |_, _| {
            let _ = &witness;
            0
        })
        .build();
    let guards: Vec<_> = (0..4).map(|_| dropping()).collect();
    let (mut guards, gone): (Vec<_>, Vec<_>) = guards.into_iter().unzip();
    let mut pending = || {
        let guard = guards.pop().expect("one more");
        move |_: LoadCtx<u32>| async move {
            let _guard = guard;
            std::future::pending::<Result<u32, String>>().await
        }
    };
    cache.insert(1, 1);
    clock.advance(Duration::from_millis(10));
    let mut stale = Box::pin(cache.try_get_with(1, pending()));
    assert_eq!(poll_once(&mut stale).and_then(Result::ok), Some(1));
    let scope = cache.scope("u");
    let mut load = Box::pin(scope.try_get_with(2, pending()));
    let mut write = Box::pin(scope.update(3, pending()));
    let in_batch = guards.pop();
    let batched = cache.batched(move |_: Vec<u32>, _| {
        let _guard = &in_batch;
        std::future::pending::<Vec<Result<u32, String>>>()
    });
    let mut batch = Box::pin(batched.get(4));
    assert!(poll_once(&mut load).is_none() && poll_once(&mut write).is_none());
    assert!((0..3).all(|_| poll_once(&mut batch).is_none()));
    let mut failed = Box::pin(cache.try_get_with(5, async |_| Err::<u32, _>("down")));
    assert_eq!(code(poll_once(&mut failed)), "ERR_LOADER");
    drop((stale, load, write, batch, failed));
    drop((scope, batched));
    assert_eq!(gone.iter().filter(|gone| gone.get()).count(), 3, "all but the refresh, which the cache waits for");
    spawned.take();
    assert!(gone.iter().all(|gone| gone.get()) && cache.loads_in_flight() == 0);
    drop(cache);
    assert!(freed.get());
}

#[test]
fn a_load_is_polled_once_a_wake_and_not_once_a_waiter() {
    // The symptom: 500 waiters and 10 wakes were 5,001 polls of one loader.
    const WAITERS: usize = 500;
    const STEPS: usize = 10;
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(10);
    let (polls, step) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let asks = || -> Waiting<Answer> {
        let (cache, polls, step, waker) = (cache.clone(), polls.clone(), step.clone(), waker.clone());
        let load = move |_| {
            std::future::poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                *waker.borrow_mut() = Some(cx.waker().clone());
                if step.get() >= STEPS { Poll::Ready(1) } else { Poll::Pending }
            })
        };
        Box::pin(async move { cache.get_with(1, load).await })
    };
    let mut waiting: Vec<Polled> = (0..WAITERS).map(|_| (asks(), Flag::up())).collect();
    let mut waits_polled = poll_woken(&mut waiting);
    for _ in 0..STEPS {
        step.set(step.get() + 1);
        waker.take().expect("it waits").wake();
        waits_polled += poll_woken(&mut waiting);
    }
    assert_eq!((polls.get(), waiting.len()), (1 + STEPS, 0));
    assert_eq!(
        waits_polled,
        WAITERS + STEPS + (WAITERS - 1),
        "at the beginning, by the one who drives, and at the end"
    );
}

/// One who waits, and whether it was woken.
type Polled = (Waiting<Answer>, (Arc<Flag>, Waker));

/// Polls those who were woken, as an executor does, until nobody is; how many polls that took. Who has an answer is gone.
fn poll_woken(waiting: &mut Vec<Polled>) -> usize {
    let (most, mut polls) = (10 * waiting.len(), 0);
    while waiting.iter().any(|(_, (flag, _))| flag.is_up()) {
        waiting.retain_mut(|(waiter, (flag, waker))| {
            polls += usize::from(flag.is_up());
            !flag.take() || poll_with(waiter, waker).is_none()
        });
        assert!(polls <= most, "those who wait wake each other for ever");
    }
    polls
}

#[test]
fn when_the_one_who_drives_leaves_another_is_woken_to_drive() {
    // What A5's cure must not break: here nobody polls but who is woken.
    let (cache, _) = timed(1_000);
    let (promiser, promise) = promised();
    let mut waiting: Vec<(Waiting<Answer>, _)> = vec![(
        Box::pin({
            let cache = cache.clone();
            async move { cache.get_with(1, |_| promise).await }
        }),
        Flag::up(),
    )];
    for _ in 0..9 {
        let cache = cache.clone();
        waiting.push((Box::pin(async move { cache.get_with(1, async |_| 0).await }), Flag::up()));
    }
    for (waiter, (flag, waker)) in &mut waiting {
        assert!(flag.take() && poll_with(waiter, waker).is_none());
    }
    while waiting.len() > 1 {
        drop(waiting.remove(0));
        let woken: Vec<_> = waiting.iter().map(|(_, (flag, _))| flag.take()).collect();
        assert_eq!(woken.iter().filter(|woken| **woken).count(), 1, "one takes over");
        // Every other one leaves before it comes to it.
        if waiting.len() % 2 == 0 {
            let next = woken.iter().position(|woken| *woken).expect("one");
            let (waiter, (_, waker)) = &mut waiting[next];
            assert!(poll_with(waiter, waker).is_none());
        }
    }
    promiser.say(5);
    let (waiter, (flag, waker)) = &mut waiting[0];
    flag.take();
    assert_eq!(poll_with(waiter, waker).and_then(Result::ok), Some(5));
}

#[test]
fn one_who_is_polled_late_gets_what_the_load_brought_meanwhile() {
    let (cache, clock) = timed(20);
    let (promiser, promise) = promised();
    let mut late = Box::pin(cache.get_with(1, |_| promise));
    let mut other = Box::pin(cache.get_with(1, async |_| 0));
    assert!(poll_once(&mut late).is_none() && poll_once(&mut other).is_none());
    promiser.say(5);
    clock.advance(Duration::from_millis(60));
    // Nobody polled the load in time, but whoever comes first finds that it has ended.
    assert_eq!(
        (poll_once(&mut other).and_then(Result::ok), poll_once(&mut late).and_then(Result::ok)),
        (Some(5), Some(5))
    );
}

#[test]
fn what_a_load_brings_after_its_waits_have_been_given_up_goes_to_nobody() {
    // The symptom: a loader asked for another key after everybody's deadline, which gave its own load up. Those who waited
    // were counted as timed out, and got its value all the same, even one who had asked after a purge that beat it.
    let (cache, clock) = timed(50);
    let ((promiser, promise), inner) = (promised::<()>(), cache.clone());
    let load = move |ctx: LoadCtx<u32>| async move {
        promise.await;
        ctx.tag("t");
        inner.get_with(2, async |_| 2).await.unwrap_or(0)
    };
    let mut first = Box::pin(cache.get_with(1, load));
    assert!(poll_once(&mut first).is_none());
    cache.remove_by_tag("t");
    let mut second = Box::pin(cache.get_with(1, async |_| 1));
    assert!(poll_once(&mut second).is_none());
    promiser.say(());
    clock.advance(Duration::from_millis(60));
    assert_eq!([code(poll_once(&mut first)), code(poll_once(&mut second))], ["ERR_TIMEOUT"; 2]);
    assert_eq!((cache.stats().timeouts, cache.get(&1)), (2, None));
}

#[test]
fn a_key_asked_for_by_reference_is_found_and_loaded() {
    let cache: Cache<String, usize> = Cache::new_with_max_entries(10);
    let get = |key: &str, value| {
        let load = move |_: LoadCtx<usize>| async move { Ok::<_, String>(value) };
        poll_once(&mut Box::pin(cache.try_get_with_ref(key, load))).and_then(Result::ok)
    };
    assert_eq!((get("one", 1), get("one", 2), get("two", 2)), (Some(1), Some(1), Some(2)));
    assert_eq!((cache.get("one"), cache.stats().loads), (Some(1), 2));
}

#[test]
fn one_who_waits_takes_little_room() {
    // Key, loader and value are 8 bytes each at the most: the rest is ours, and doubles with every careless local.
    let cache: Cache<u64, u64> = Cache::new_with_max_entries(10);
    let size = size_of_val(&cache.get_with(1, async |_| 1));
    assert!(size <= 640, "{size} bytes");
}
