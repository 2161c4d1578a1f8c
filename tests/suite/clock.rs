//! When the crate reads its clock, and that its cheap bounds are bounds.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
#[cfg(not(target_family = "wasm"))]
use std::time::Duration;

#[cfg(not(target_family = "wasm"))]
use nearcache::LoadError;
use nearcache::engine::{Local, Runtime};
use nearcache::{Cache, EntryOptions, Timestamp, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::poll_once;

#[test]
fn a_clocks_cheap_bounds_are_bounds() {
    // A10: on the platform's clock the third promise of the README hangs on them. Where a clock starts within a tick of the
    // platform's may decide which bound it tries: so many start, a millisecond apart.
    let (reference, mut runtimes) = (Local::default(), Vec::new());
    let start = reference.now();
    while reference.now().millis_since(start) < 60 {
        if runtimes.len() as u64 <= reference.now().millis_since(start).min(20) {
            let runtime = Local::default();
            runtimes.push((runtime.now(), runtime));
        }
        for (last, runtime) in &mut runtimes {
            let (before, upper, lower, after) =
                (runtime.now(), runtime.upper_bound(), runtime.lower_bound(), runtime.now());
            assert!(before <= upper && lower <= after && *last <= before, "{before:?} {upper:?} {lower:?} {after:?}");
            *last = after;
            // Of 16 moments in a row one is read, so that the last is none from before them all.
            let passed = (0..16).map(|_| runtime.passed_moment()).last();
            assert!(Some(lower) <= passed && passed <= Some(runtime.now()), "{lower:?} {passed:?}");
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
            let before = Instant::now();
            cache.insert(1, 1);
            // What is loaded anew is another value.
            check_ends([before, Instant::now()], ttl, || {
                let got = poll_once(&mut pin!(cache.get_with(1, async |_| 2)));
                got.and_then(Result::ok).filter(|value| *value == 1)
            });
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
    let least = 10_000 - 5_000; // a test's own lag
    for key in 0..1_000 {
        // One way to store a value is the short one, of which nothing else is said.
        match key % 2 {
            0 => cache.insert(key, key),
            _ => cache.insert_with(key, key, EntryOptions::new().tags(["tag"])),
        };
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

/// A clock with bounds of its own.
struct Bounded;

impl Runtime for Bounded {
    type Task = std::future::Pending<()>;
    const DETACHED: bool = false;

    fn detach(&self, _: futures::future::LocalBoxFuture<'static, ()>) -> Self::Task {
        std::future::pending()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(50)
    }

    fn upper_bound(&self) -> Timestamp {
        Timestamp::from_millis(100)
    }

    fn lower_bound(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn sleep(&self, _: u64) -> impl Future<Output = ()> + 'static {
        std::future::pending()
    }
}

#[test]
fn misses_sweep_nothing_before_its_end_by_a_clock_with_bounds_of_its_own() {
    assert_eq!(Bounded.passed_moment(), Bounded.lower_bound());
    let cache = Cache::builder().runtime(Bounded).time_to_live(Ttl::Millis(20)).build();
    assert!(cache.insert(1, 1));
    (0..100).for_each(|_| assert_eq!(cache.get(&2), None));
    assert_eq!(cache.get(&1), Some(1));
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

/// A clock that panics while it is broken.
#[cfg(not(target_family = "wasm"))]
#[derive(Clone, Default)]
struct Breakable(Rc<Cell<bool>>);

#[cfg(not(target_family = "wasm"))]
impl Runtime for Breakable {
    type Task = std::future::Pending<()>;
    const DETACHED: bool = false;

    fn detach(&self, _: futures::future::LocalBoxFuture<'static, ()>) -> Self::Task {
        std::future::pending()
    }

    fn now(&self) -> Timestamp {
        assert!(!self.0.get(), "the clock is out of order");
        Timestamp::from_millis(7)
    }

    fn sleep(&self, _: u64) -> impl Future<Output = ()> + 'static {
        std::future::pending()
    }
}

#[cfg(not(target_family = "wasm"))]
#[test]
fn a_clock_that_panics_while_something_ends_is_its_callers_panic_and_leaves_nobody_waiting() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let runtime = Breakable::default();
    let cache: Cache<&str, u32, _> = Cache::builder().time_to_live(Ttl::Millis(1_000)).runtime(runtime.clone()).build();
    let open = Rc::new(Cell::new(false));
    let opened = || {
        let open = open.clone();
        std::future::poll_fn(move |_| if open.get() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending })
    };
    let [first, second, third] = [opened(), opened(), opened()];
    let mut leader = Box::pin(cache.get_with("k", async move |_| {
        first.await;
        1
    }));
    let mut other = Box::pin(cache.get_with("k", async |_| 2));
    let computed = async move |_| {
        second.await;
        Ok::<_, LoadError>(Some(1))
    };
    let mut computing = Box::pin(cache.compute("c", computed));
    let mut waiting = Box::pin(cache.compute("c", async |_| Ok::<_, LoadError>(Some(2))));
    let written = async move |_| {
        third.await;
        Ok::<_, LoadError>(1)
    };
    let mut writing = Box::pin(cache.update("w", written));
    assert!(poll_once(&mut leader).is_none() && poll_once(&mut other).is_none());
    assert!(poll_once(&mut computing).is_none() && poll_once(&mut waiting).is_none());
    assert!(poll_once(&mut writing).is_none());
    open.set(true);
    runtime.0.set(true);
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut leader))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut computing))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut writing))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| drop((leader, computing, writing)))).is_ok());
    runtime.0.set(false);
    assert_eq!(poll_once(&mut other).and_then(Result::ok), Some(2));
    assert_eq!(poll_once(&mut waiting).and_then(Result::ok), Some(Some(2)));
    assert_eq!((cache.get("k"), cache.get("c"), cache.get("w")), (Some(2), Some(2), None));
    let mut written = pin!(cache.update("w", async |_| Ok::<_, LoadError>(3)));
    assert_eq!(poll_once(&mut written).and_then(Result::ok), Some(3));
    assert_eq!((cache.get("w"), cache.len()), (Some(3), 3));
}
