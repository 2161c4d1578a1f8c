//! Advice from a cache's own figures: of each piece a course of things in which following it helps, and one in which
//! nothing is said. `SEED=n` (at compile time) picks the random ones.

#[path = "common/hits.rs"]
#[allow(dead_code, reason = "the cache alone")]
mod hits;
#[path = "common/random.rs"]
mod random;
#[path = "common/traces.rs"]
#[allow(dead_code, reason = "some of them")]
mod traces;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::executor::{LocalPool, block_on};
use futures::future::LocalBoxFuture;
use futures::task::LocalSpawnExt;
use hits::{Simulated, Trace};
use nearcache::core::EvictionPolicy;
use nearcache::engine::Batched;
use nearcache::figures::{Advice, Evidence, Lever, advise};
use nearcache::options::{Limits, Policy};
use nearcache::{Builder, Cache, ManualClock, Ttl};
use random::{Random, seed};
use traces::Zipf;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const COUNT: usize = 120_000;

/// The part of a trace that a cache of so many entries hits, and what its figures advise.
fn room(trace: &Trace, entries: u64) -> (f64, Vec<Advice>) {
    within(trace, Limits::new(entries, u64::MAX, u64::MAX))
}

/// As `room`, with bounds.
fn within(trace: &Trace, limits: Limits) -> (f64, Vec<Advice>) {
    let mut cache = Simulated::new(EvictionPolicy::Adaptive, limits, Ttl::Forever);
    assert_eq!(cache.machine.hit_rates_by_room(), None, "it begins now");
    let mut hits = 0;
    for (key, size) in &trace.accesses {
        hits += u64::from(cache.access(*key, trace.hashes[*key as usize], *size, 0));
    }
    let hit_rates_by_room = cache.machine.hit_rates_by_room();
    println!("{limits:?}: {hits} hits, by room {hit_rates_by_room:.3?}");
    let (stats, entries, weight) = (cache.machine.stats(), cache.machine.len() as u64, cache.machine.weight());
    let evidence =
        Evidence { stats, limits, entries, weight, policy: Policy::DEFAULT, hit_rates_by_room, batches: None };
    (hits as f64 / trace.accesses.len() as f64, advise(&evidence))
}

#[test]
fn more_room_is_advised_where_it_would_be_used_and_the_estimate_is_near() {
    println!("seed {}", seed());
    let trace = Trace::new(traces::zipf(seed(), COUNT));
    let (before, advice) = room(&trace, 400);
    let [Advice { lever: Lever::MaxEntries, present: 400.0, suggested, expected: Some(expected), .. }] = advice[..]
    else {
        panic!("{advice:?}");
    };
    let (after, _) = room(&trace, suggested as u64);
    assert!(after >= before + 0.02, "followed: {before:.3}, then {after:.3}");
    assert!((after - expected).abs() < 0.05, "expected {expected:.3}, got {after:.3}");
}

#[test]
fn less_room_is_advised_where_half_of_it_does_as_well() {
    println!("seed {}", seed());
    let mut random = Random(seed());
    // Three hundred keys, and now and then one that nobody reads again.
    let key = |at| if random.below(10) == 0 { 1_000_000 + at } else { random.below(300) };
    let trace = Trace::new((0..COUNT as u64).map(key));
    let (before, advice) = room(&trace, 4_000);
    let [Advice { lever: Lever::MaxEntries, suggested: 2_000.0, .. }] = advice[..] else { panic!("{advice:?}") };
    let (after, _) = room(&trace, 2_000);
    assert!(after >= before - 0.005, "followed: {before:.3}, then {after:.3}");
}

#[test]
fn nothing_is_said_of_room_where_everything_fits_or_too_little_is_known() {
    println!("seed {}", seed());
    let (_, advice) = room(&Trace::new(traces::zipf(seed(), COUNT)), 20_000);
    assert_eq!(advice, [], "everything fits");
    let (_, advice) = room(&Trace::new(traces::zipf(seed(), 900)), 400);
    assert_eq!(advice, [], "hardly anything happened");
}

/// Keys of different sizes, a hundred bytes on average.
fn sized(keys: impl IntoIterator<Item = u64>) -> Trace {
    let mut trace = Trace::default();
    keys.into_iter().for_each(|key| trace.add(key, 50 + (key.wrapping_mul(0x9E37_79B9) >> 7) as u32 % 101));
    trace
}

#[test]
fn more_bytes_are_advised_where_they_are_what_entries_make_room_for() {
    println!("seed {}", seed());
    let trace = sized(traces::zipf(seed(), COUNT));
    let bytes = |most| Limits::new(10_000, most, u64::MAX);
    let (before, advice) = within(&trace, bytes(40_000));
    let [Advice { lever: Lever::MaxBytes, present: 40_000.0, suggested, expected: Some(expected), .. }] = advice[..]
    else {
        panic!("{advice:?}");
    };
    assert!(advice[0].to_string().starts_with(&format!("{suggested} bytes would give ")), "{}", advice[0]);
    let (after, _) = within(&trace, bytes(suggested as u64));
    assert!(after >= before + 0.02, "followed: {before:.3}, then {after:.3}");
    assert!((after - expected).abs() < 0.05, "expected {expected:.3}, got {after:.3}");
}

#[test]
fn nothing_is_said_of_bytes_where_all_fit_or_the_number_of_entries_is_what_bounds() {
    println!("seed {}", seed());
    let trace = sized(traces::zipf(seed(), COUNT));
    let (_, advice) = within(&trace, Limits::new(100_000, 100_000_000, u64::MAX));
    assert_eq!(advice, [], "everything fits");
    let (_, advice) = within(&trace, Limits::new(400, 100_000_000, u64::MAX));
    assert!(advice.iter().all(|advice| advice.lever == Lever::MaxEntries), "{advice:?}");
}

/// A cache before a source that takes so long, and fails at times.
struct Course {
    cache: Cache<u64, u64>,
    clock: ManualClock,
    tasks: Rc<RefCell<Vec<LocalBoxFuture<'static, ()>>>>,
}

/// What came of a course of gets.
#[derive(Debug, Default)]
struct Outcome {
    /// Gets that waited for a load.
    waited: u64,
    failed: u64,
    loads: u64,
}

const TTL: u64 = 1_000;

impl Course {
    fn new(build: impl FnOnce(Builder<u64, u64>) -> Builder<u64, u64>) -> Self {
        let (clock, tasks) = (ManualClock::new(), Rc::<RefCell<Vec<_>>>::default());
        let spawned = tasks.clone();
        let builder = Cache::builder()
            .time_to_live(Ttl::Millis(TTL))
            .clock(clock.clone())
            .random(|| 0.5)
            .spawner(move |task| spawned.borrow_mut().push(task));
        Self { cache: build(builder).build(), clock, tasks }
    }

    /// So many gets of as many keys, `apart` milliseconds from one to the next; loads take `takes`, and one in `fails` fails.
    fn run(&self, gets: u64, keys: u64, apart: u64, takes: u64, fails: u64) -> Outcome {
        let (zipf, mut random) = (Zipf::new(keys as u32, 0.9), Random(seed()));
        let mut outcome = Outcome::default();
        for _ in 0..gets {
            self.clock.advance(Duration::from_millis(apart));
            let (key, fail, clock) = (zipf.draw(&mut random), random.below(fails) == 0, self.clock.clone());
            let load = async move |_| {
                // The source is all that takes time.
                clock.advance(Duration::from_millis(takes));
                if fail { Err("down") } else { Ok(key) }
            };
            let began = self.clock.now();
            let got = block_on(self.cache.try_get_with(key, load));
            outcome.failed += u64::from(got.is_err());
            outcome.waited += u64::from(self.clock.now() != began);
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            tasks.into_iter().for_each(block_on);
        }
        outcome.loads = self.cache.stats().loads;
        outcome
    }

    fn levers(&self) -> Vec<Lever> {
        let advice = self.cache.advise();
        advice.iter().for_each(|advice| println!("{}: {advice}", advice.lever.as_str()));
        advice.iter().map(|advice| advice.lever).collect()
    }

    fn suggestion(&self, lever: Lever) -> f64 {
        let advice = self.cache.advise();
        advice.iter().find(|advice| advice.lever == lever).unwrap_or_else(|| panic!("{advice:?}")).suggested
    }
}

fn millis(millis: f64) -> Ttl {
    Ttl::Millis(millis as u64)
}

#[test]
fn a_longer_life_is_advised_where_time_takes_what_is_asked_for_again() {
    let course = |build: fn(Builder<u64, u64>, Ttl) -> Builder<u64, u64>, ttl| {
        let course = Course::new(|builder| build(builder, ttl));
        (course.run(20_000, 200, 25, 1, u64::MAX), course)
    };
    let (before, first) = course(|builder, ttl| builder.time_to_live(ttl), Ttl::Millis(TTL));
    let (after, _) = course(|builder, ttl| builder.time_to_live(ttl), millis(first.suggestion(Lever::Ttl)));
    assert!(after.loads < before.loads * 9 / 10, "followed: {before:?}, then {after:?}");
}

#[test]
fn stale_while_revalidate_is_advised_where_gets_wait_for_what_has_expired() {
    let first = Course::new(|builder| builder);
    let before = first.run(20_000, 30, 20, 20, u64::MAX);
    let window = millis(first.suggestion(Lever::StaleWhileRevalidate));
    let after = Course::new(|builder| builder.stale_while_revalidate(window)).run(20_000, 30, 20, 20, u64::MAX);
    assert!(after.waited < before.waited / 2, "followed: {before:?}, then {after:?}");
}

#[test]
fn refreshing_ahead_is_advised_where_popular_values_expire() {
    let first = Course::new(|builder| builder);
    let before = first.run(40_000, 5, 5, 40, u64::MAX);
    let beta = first.suggestion(Lever::RefreshAhead);
    let after = Course::new(|builder| builder.refresh_ahead(beta)).run(40_000, 5, 5, 40, u64::MAX);
    assert!(after.waited < before.waited * 7 / 10, "followed: {before:?}, then {after:?}");
}

#[test]
fn stale_if_error_is_advised_where_loads_fail() {
    let first = Course::new(|builder| builder);
    let before = first.run(20_000, 50, 20, 1, 10);
    let window = millis(first.suggestion(Lever::StaleIfError));
    let after = Course::new(|builder| builder.stale_if_error(window)).run(20_000, 50, 20, 1, 10);
    assert!(after.failed < before.failed / 5, "followed: {before:?}, then {after:?}");
}

#[test]
fn nothing_is_said_of_a_cache_whose_gets_hit_and_whose_loads_are_quick_and_sure() {
    let course = Course::new(|builder| builder.time_to_live(Ttl::Millis(10_000_000)));
    course.run(20_000, 200, 5, 50, u64::MAX);
    assert_eq!(course.levers(), []);
}

#[test]
fn nothing_is_said_before_enough_has_happened() {
    let course = Course::new(|builder| builder);
    course.run(900, 200, 25, 50, 1_000_000);
    assert_eq!(course.levers(), []);
}

#[test]
fn what_is_followed_is_not_advised_again() {
    let course =
        Course::new(|builder| builder.stale_while_revalidate(Ttl::Millis(1_000_000)).stale_if_error(Ttl::Forever));
    course.run(20_000, 200, 5, 50, 10);
    assert_eq!(course.levers(), []);
}

#[test]
fn advice_says_why() {
    let first = Course::new(|builder| builder);
    first.run(20_000, 50, 20, 1, 10);
    let texts: Vec<String> = first.cache.advise().iter().map(ToString::to_string).collect();
    assert!(
        texts
            .iter()
            .any(|text| text
                .ends_with("% of loads failed; with stale_if_error the last good value stands in for a while")),
        "{texts:?}"
    );
}

/// What came of keys that were loaded by batches.
#[derive(Debug)]
struct Calls {
    calls: u64,
    keys: u64,
    advice: Vec<Advice>,
}

/// Ten seconds in which each millisecond brings as many new keys as `asked` says, all of which one loader loads whose calls take
/// `takes` milliseconds, if any.
fn batches(
    limits: impl FnOnce(Batched<u64, u64>) -> Batched<u64, u64>,
    takes: u64,
    mut asked: impl FnMut(u64) -> u64,
) -> Calls {
    let (clock, mut pool) = (ManualClock::new(), LocalPool::new());
    let cache: Cache<u64, u64> = Cache::builder().clock(clock.clone()).max_entries(10).build();
    let (now, ends) = (Rc::new(Cell::new(0)), Rc::<RefCell<Vec<(u64, oneshot::Sender<()>)>>>::default());
    let (started, waiting) = (now.clone(), ends.clone());
    let batched = limits(cache.batched(move |keys: Vec<u64>, _| {
        let (end, over) = oneshot::channel();
        if takes > 0 {
            waiting.borrow_mut().push((started.get() + takes, end));
        }
        async move {
            let _ = over.await;
            keys.into_iter().map(Ok::<_, &str>).collect()
        }
    }));
    let mut key = 0;
    for millis in 0..10_000 {
        now.set(millis);
        for _ in 0..asked(millis) {
            let batched = batched.clone();
            key += 1;
            let get = async move { drop(batched.get(key).await) };
            pool.spawner().spawn_local(get).expect("the pool is there");
        }
        pool.run_until_stalled();
        clock.advance(Duration::from_millis(1));
        ends.borrow_mut().retain(|(at, _)| *at > millis + 1);
        pool.run_until_stalled();
    }
    let (stats, advice) = (cache.stats(), cache.advise());
    advice.iter().for_each(|advice| println!("{}: {advice}", advice.lever.as_str()));
    Calls { calls: stats.batches, keys: stats.batch_sizes.sum(), advice }
}

fn window(millis: f64) -> Duration {
    Duration::from_millis(millis as u64)
}

/// A page asks for twelve keys, one each other millisecond, and then nobody for a while.
fn one_by_one(millis: u64) -> u64 {
    u64::from(millis % 100 < 24 && millis.is_multiple_of(2))
}

#[test]
fn a_longer_batch_window_is_advised_where_batches_follow_each_other_closely_and_the_estimate_is_near() {
    let before = batches(|batched| batched, 30, one_by_one);
    let [Advice { lever: Lever::BatchWindow, present: 0.0, suggested, rate, expected: Some(expected), .. }] =
        before.advice[..]
    else {
        panic!("{before:?}");
    };
    let after = batches(|batched| batched.batch_window(window(suggested)), 30, one_by_one);
    let (spared, keys) = (1.0 - after.calls as f64 / before.calls as f64, after.keys as f64 / after.calls as f64);
    assert!(spared >= 0.8, "followed: {before:?}, then {after:?}");
    assert!((spared - rate).abs() < 0.05, "expected {rate}, got {spared}");
    assert!((keys - expected).abs() < 0.1 * keys, "expected {expected}, got {keys}");
    assert_eq!(after.advice, [], "what is followed is not advised again");
}

#[test]
fn at_random_moments_too_as_many_batches_are_spared_as_is_said() {
    println!("seed {}", seed());
    let course = |limits: &dyn Fn(Batched<u64, u64>) -> Batched<u64, u64>| {
        let mut random = Random(seed());
        batches(limits, 40, |_| u64::from(random.below(4) == 0))
    };
    let before = course(&|batched| batched);
    let [Advice { lever: Lever::BatchWindow, suggested, rate, .. }] = before.advice[..] else { panic!("{before:?}") };
    let after = course(&|batched| batched.batch_window(window(suggested)));
    let spared = 1.0 - after.calls as f64 / before.calls as f64;
    assert!(spared >= 0.2 && (spared - rate).abs() < 0.05, "expected {rate}, got {spared}: {before:?}, then {after:?}");
}

#[test]
fn no_window_is_advised_where_batches_are_far_apart_or_loads_are_quick() {
    let far = batches(|batched| batched, 200, |millis| u64::from(millis.is_multiple_of(90)));
    assert_eq!(far.advice, [], "each would wait for nothing");
    let quick = batches(|batched| batched, 0, one_by_one);
    assert_eq!(quick.advice, [], "the wait would take longer than the load");
}

#[test]
fn larger_batches_are_advised_where_they_are_full_and_what_is_left_goes_right_after() {
    let page = |millis: u64| if millis.is_multiple_of(50) { 12 } else { 0 };
    let before = batches(|batched| batched.max_batch_size(6), 20, page);
    let [Advice { lever: Lever::MaxBatchSize, present: 6.0, suggested: 12.0, rate, expected: Some(expected), .. }] =
        before.advice[..]
    else {
        panic!("{before:?}");
    };
    let after = batches(|batched| batched.max_batch_size(12), 20, page);
    assert_eq!((before.calls, after.calls), (400, 200));
    assert!((rate - 0.5).abs() < 0.01 && (expected - 12.0).abs() < 0.1, "{before:?}");
    assert_eq!(after.advice, [], "what is followed is not advised again");
}

#[test]
fn nothing_is_said_of_full_batches_that_stand_alone() {
    let full = batches(|batched| batched.max_batch_size(6), 20, |millis| if millis.is_multiple_of(90) { 6 } else { 0 });
    assert_eq!(full.advice, []);
}
