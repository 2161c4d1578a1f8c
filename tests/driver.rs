//! What the driver does with futures, wakers, panics and drops: each test opens with a symptom that was seen.

mod common;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use common::{Flag, poll_once, poll_with, promised};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use nearcache::engine::{Batched, Local, ManualClock, Runtime};
use nearcache::{Cache, CallOptions, EntryOptions, LoadCtx, LoadError, Status, Timestamp, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Waiting<T> = Pin<Box<dyn Future<Output = T>>>;
type Answer = Result<u32, LoadError>;

struct SetOnDrop(Rc<Cell<bool>>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Something that tells when it is dropped.
fn dropping() -> (SetOnDrop, Rc<Cell<bool>>) {
    let gone = Rc::new(Cell::new(false));
    (SetOnDrop(gone.clone()), gone)
}

/// A panic that says nothing. In wasm it would end the instance, so that there is nothing to test.
fn quiet_panic() -> ! {
    std::panic::resume_unwind(Box::new("the loader's own fault"))
}

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

fn timed(hard: u64) -> (Cache<u32, u32>, ManualClock) {
    let clock = ManualClock::new();
    let cache = Cache::builder().hard_timeout(Ttl::Millis(hard)).clock(clock.clone()).build();
    (cache, clock)
}

fn code(answer: Option<Answer>) -> &'static str {
    answer.expect("settled").expect_err("an error").code()
}

#[test]
fn two_loads_that_wait_for_each_other_are_told_so() {
    // A2: they blocked their thread in a mutex, and the one timer thread of the process with it.
    let (cache, _) = timed(1_000);
    let (open, gate) = promised::<()>();
    let ask = |mine, other, gate: Option<common::Promised<()>>| -> Waiting<Answer> {
        let (cache, again) = (cache.clone(), cache.clone());
        let load = move |_: LoadCtx<u32>| async move {
            if let Some(gate) = gate {
                gate.await;
            }
            again.try_get_with(other, |_| async { Ok::<_, String>(0) }).await
        };
        Box::pin(async move { cache.try_get_with(mine, load).await })
    };
    let (mut second, mut first) = (ask(2, 1, Some(gate)), ask(1, 2, None));
    assert!(poll_once(&mut second).is_none() && poll_once(&mut first).is_none());
    open.say(());
    let refused = poll_once(&mut second).expect("settled").expect_err("in a circle");
    let LoadError::Loader(cause) = refused else { panic!("{refused}") };
    assert!(matches!(cause.downcast_ref(), Some(LoadError::Recursive)), "{cause}");
    assert_eq!(code(poll_once(&mut first)), "ERR_LOADER");
    assert_eq!(cache.loads_in_flight(), 0);
}

#[test]
fn a_batch_that_asks_for_a_key_of_its_own_is_told_so() {
    // A2, by way of a batch.
    let (cache, _) = timed(1_000);
    let itself: Rc<RefCell<Option<Batched<u32, u32>>>> = Rc::default();
    let again = itself.clone();
    let batched = cache.batched(move |keys: Vec<u32>, _: Vec<LoadCtx<u32>>| {
        let again = again.borrow().clone().expect("it is set");
        async move {
            // 1 wants 3, by a batch of its own, and 2 wants itself.
            let mut all = Vec::new();
            for key in keys {
                all.push(if key == 3 { Ok(3) } else { again.get(key % 2 + 2).await });
            }
            all
        }
    });
    *itself.borrow_mut() = Some(batched.clone());
    let results = futures::executor::block_on(batched.get_many([1, 2]));
    itself.borrow_mut().take();
    assert_eq!(results[0].as_ref().ok(), Some(&3));
    let Err(LoadError::Loader(cause)) = &results[1] else { panic!("{results:?}") };
    assert!(matches!(cause.downcast_ref(), Some(LoadError::Recursive)), "{cause}");
}

#[test]
fn a_loader_s_panic_is_its_driver_s_and_the_others_ask_again() {
    // A3, b1: every follower panicked too, "inner future panicked during poll". b1b: or nobody woke them.
    if cfg!(target_family = "wasm") {
        return;
    }
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

#[test]
fn the_one_whose_loader_is_spent_hears_that_the_load_is_lost() {
    // Decision 16: a follower drives, since the leader's executor is busy, and panics.
    if cfg!(target_family = "wasm") {
        return;
    }
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
    // A4, b2 to b2d: a record stayed behind for ever, and in it the loader's future and the cache.
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
    // A4: what is freed is counted for batches, writes, refreshes and scopes too.
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
    // A5, b8: 500 waiters and 10 wakes were 5,001 polls of one loader.
    const WAITERS: usize = 500;
    const STEPS: usize = 10;
    let mut pool = LocalPool::new();
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(10);
    let (polls, step, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    for _ in 0..WAITERS {
        let (cache, polls, waker) = (cache.clone(), polls.clone(), waker.clone());
        let (step, done) = (step.clone(), done.clone());
        let wait = async move {
            let load = move |_| {
                std::future::poll_fn(move |cx| {
                    polls.set(polls.get() + 1);
                    *waker.borrow_mut() = Some(cx.waker().clone());
                    if step.get() >= STEPS { Poll::Ready(1) } else { Poll::Pending }
                })
            };
            assert!(cache.get_with(1, load).await.is_ok());
            done.set(done.get() + 1);
        };
        pool.spawner().spawn_local(wait).expect("it runs");
    }
    pool.run_until_stalled();
    for _ in 0..STEPS {
        step.set(step.get() + 1);
        waker.take().expect("it waits").wake();
        pool.run_until_stalled();
    }
    assert_eq!((polls.get(), done.get()), (1 + STEPS, WAITERS));
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
fn a_leader_too_takes_a_value_that_came_meanwhile_at_its_soft_deadline() {
    // b3: the leader of a first load did not.
    let clock = ManualClock::new();
    let builder = Cache::<u32, u32>::builder().soft_timeout(Ttl::Millis(20)).hard_timeout(Ttl::Millis(300));
    let cache = builder.clock(clock.clone()).build();
    let load = |_: LoadCtx<u32>| std::future::pending::<Result<u32, String>>();
    let mut leader = Box::pin(cache.try_get_with_details(1, CallOptions::new(), load));
    let mut follower = Box::pin(cache.try_get_with_details(1, CallOptions::new(), load));
    assert!(poll_once(&mut leader).is_none() && poll_once(&mut follower).is_none());
    cache.insert(1, 5);
    clock.advance(Duration::from_millis(20));
    for waiter in [&mut leader, &mut follower] {
        let got = poll_once(waiter).expect("settled").expect("a value");
        assert_eq!((got.value, got.status), (5, Status::StaleOnTimeout));
    }
    let on_its_own = usize::from(cfg!(target_family = "wasm"));
    assert_eq!(cache.loads_in_flight(), on_its_own, "natively nothing runs in the background without a spawner");
}

#[test]
fn an_age_is_right_with_the_longest_ttl_and_the_longest_timeouts_work() {
    // b4, b10.
    let clock = ManualClock::new();
    let builder = Cache::<u32, u32>::builder().time_to_live(Duration::MAX);
    let cache = builder.hard_timeout(Duration::MAX).soft_timeout(Duration::MAX).clock(clock.clone()).build();
    clock.advance(Duration::from_millis(300));
    cache.insert(1, 1);
    clock.advance(Duration::from_millis(50));
    let mut got = Box::pin(cache.try_get_with_details(1, CallOptions::new(), async |_| Ok::<_, String>(2)));
    let got = poll_once(&mut got).expect("at once").expect("a value");
    assert_eq!((got.status, got.age, got.ttl), (Status::Hit, Duration::from_millis(50), Ttl::Forever));
    let (promiser, promise) = promised();
    let mut slow = Box::pin(cache.get_with(2, |_| promise));
    assert!(poll_once(&mut slow).is_none());
    clock.advance(Duration::from_secs(1 << 40));
    assert!(poll_once(&mut slow).is_none());
    promiser.say(3);
    assert_eq!(poll_once(&mut slow).and_then(Result::ok), Some(3));
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
fn a_background_wait_keeps_the_deadline_of_the_one_who_left_it() {
    // A10: it counted its deadline anew, and nothing noticed.
    let spawned: Rc<RefCell<Vec<Waiting<()>>>> = Rc::default();
    let (tasks, clock) = (spawned.clone(), ManualClock::new());
    let cache: Cache<u32, u32> = Cache::builder()
        .time_to_live(Ttl::Millis(10))
        .stale_if_error(Ttl::Millis(1_000))
        .soft_timeout(Ttl::Millis(20))
        .hard_timeout(Ttl::Millis(50))
        .clock(clock.clone())
        .spawner(move |task| tasks.borrow_mut().push(task))
        .build();
    cache.insert(1, 1);
    clock.advance(Duration::from_millis(10));
    let mut slow = Box::pin(cache.get_with(1, |_| std::future::pending()));
    assert!(poll_once(&mut slow).is_none());
    clock.advance(Duration::from_millis(20));
    assert_eq!(poll_once(&mut slow).and_then(Result::ok), Some(1));
    let mut background = spawned.take().pop().expect("the cache waits on");
    assert!(poll_once(&mut background).is_none());
    clock.advance(Duration::from_millis(29));
    assert!(poll_once(&mut background).is_none());
    clock.advance(Duration::from_millis(1));
    assert!(poll_once(&mut background).is_some());
    assert_eq!((cache.loads_in_flight(), cache.stats().timeouts), (0, 0), "nobody was told of an error");
}

#[test]
fn a_clocks_cheap_bounds_are_bounds() {
    // A10: on the platform's clock the third promise of the README hangs on them. Where a clock starts within a tick of the
    // platform's decides which bound it tries: so many start, a millisecond apart.
    let (reference, mut runtimes) = (Local::default(), Vec::new());
    while reference.now().as_millis() < 60 {
        if runtimes.len() as u64 <= reference.now().as_millis().min(20) {
            let runtime = Local::default();
            runtimes.push((runtime.now(), runtime));
        }
        for (last, runtime) in &mut runtimes {
            let (before, upper, lower, after) =
                (runtime.now(), runtime.upper_bound(), runtime.lower_bound(), runtime.now());
            assert!(before <= upper && lower <= after && *last <= before, "{before:?} {upper:?} {lower:?} {after:?}");
            *last = after;
        }
        if cfg!(target_family = "wasm") {
            break; // a date, not a time since the start
        }
    }
}

/// Calls `get` until the clock has gone `millis` beyond `since`: no value may come at its end or later, measured from the
/// last moment at which it can have been stored, and none may be missing earlier than a clock's rounding before.
#[cfg(not(target_family = "wasm"))]
fn check_ends(since: [std::time::Instant; 2], ttl: u64, mut get: impl FnMut() -> Option<u32>) {
    let (ttl, [first, last]) = (Duration::from_millis(ttl), since);
    while first.elapsed() < ttl + Duration::from_millis(25) {
        let before = last.elapsed();
        let got = get();
        let after = first.elapsed();
        match got {
            Some(_) => assert!(before < ttl, "handed out {before:?} after it was stored, for {ttl:?}"),
            None => assert!(after + Duration::from_millis(2) >= ttl, "gone {after:?} after it was stored, for {ttl:?}"),
        }
    }
}

#[test]
#[cfg(not(target_family = "wasm"))]
fn by_the_platforms_clock_no_value_is_handed_out_at_its_end_or_missing_before() {
    use std::time::Instant;
    for ttl in [1, 19, 30, 47] {
        for round in 0..3 {
            // So that rounds start at other moments between two ticks of the cheap clock.
            std::thread::sleep(Duration::from_micros(700 * round));
            let cache: Cache<u32, u32> = Cache::builder().time_to_live(Ttl::Millis(ttl)).max_entries(100).build();
            let before = Instant::now();
            cache.insert(1, 1);
            // Misses sweep, and may take nothing that has not ended.
            check_ends([before, Instant::now()], ttl, || cache.get(&2).or_else(|| cache.get(&1)));
        }
    }
}

#[test]
#[cfg(not(target_family = "wasm"))]
fn a_process_that_slept_hands_out_nothing_that_ended_meanwhile() {
    let cache: Cache<u32, u32> = Cache::builder().time_to_live(Ttl::Millis(40)).build();
    for calls in [1, 2, 15, 16, 17, 1_000] {
        cache.insert(1, 1);
        (0..calls).for_each(|_| assert_eq!(cache.get(&1), Some(1)));
        std::thread::sleep(Duration::from_millis(41));
        assert_eq!(cache.get(&1), None, "after {calls} gets in a row");
    }
}

#[test]
fn a_long_life_counted_from_a_cheap_clock_is_not_longer_than_was_asked() {
    let cache: Cache<u32, u32> = Cache::builder().time_to_live(Ttl::Millis(10_000)).build();
    let least = 10_000 - 2 * 18 - 5_000; // the clock's lag, and a test's
    for key in 0..1_000 {
        cache.insert(key, key);
        let Some(Ttl::Millis(left)) = cache.remaining_ttl(&key) else { panic!("it is there") };
        assert!((least..=10_000).contains(&left), "{left} ms");
        assert_eq!(cache.get(&(key + 1)), None);
        assert_eq!(cache.get(&key), Some(key), "a miss takes nothing that has not ended");
    }
}

/// A clock that counts how often it is read.
#[derive(Clone, Default)]
struct Counted(Rc<Cell<u32>>);

impl Runtime for Counted {
    type Task = std::future::Pending<()>;
    const DETACHED: bool = false;

    fn detach(&self, _: futures::future::LocalBoxFuture<'static, ()>) -> Self::Task {
        std::future::pending()
    }

    fn now(&self) -> Timestamp {
        self.0.set(self.0.get() + 1);
        Timestamp::from_millis(0)
    }

    fn sleep(&self, _: u64) -> impl Future<Output = ()> + 'static {
        std::future::pending()
    }
}

#[test]
fn nobody_reads_a_clock_while_no_entry_can_expire() {
    let runtime = Counted::default();
    let cache = Cache::builder().runtime(runtime.clone()).build();
    (0..10).for_each(|key| assert!(cache.insert(key, key)));
    let inserted = runtime.0.get();
    assert!(inserted <= 10, "an insertion notes once when it was");
    for _ in 0..100 {
        assert_eq!((cache.get(&1), cache.get(&99)), (Some(1), None));
        let mut get = pin!(cache.get_with(2, async |_| 7));
        assert_eq!(poll_once(&mut get).and_then(Result::ok), Some(2));
    }
    assert_eq!(runtime.0.get(), inserted);
    // One that can expire, and every get of it, and every miss, which sweeps, look.
    cache.insert_with(3, 3, EntryOptions::new().ttl(Ttl::Millis(5)));
    let before = runtime.0.get();
    assert_eq!((cache.get(&1), runtime.0.get() - before), (Some(1), 0));
    assert_eq!((cache.get(&3), runtime.0.get() - before), (Some(3), 1));
    assert_eq!((cache.get(&99), runtime.0.get() - before), (None, 2));
}

#[test]
fn a_load_error_goes_through_a_question_mark() {
    fn boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(LoadError::Full)?
    }
    let error = boxed().expect_err("an error");
    assert!(matches!(error.downcast_ref(), Some(LoadError::Full)));
}

#[test]
fn one_who_waits_takes_little_room() {
    // Key, loader and value are 8 bytes each at the most: the rest is ours, and doubles with every careless local.
    let cache: Cache<u64, u64> = Cache::new_with_max_entries(10);
    let size = size_of_val(&cache.get_with(1, async |_| 1));
    assert!(size <= 640, "{size} bytes");
}
