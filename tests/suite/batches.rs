//! One call for many keys.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use nearcache::engine::{Batched, Runtime};
use nearcache::{Builder, Cache, CallOptions, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Flag, Promiser, Virtual, poll_once, poll_with, promised};

pub type Results = Vec<Result<u32, &'static str>>;

pub type Waiting<T> = Pin<Box<dyn Future<Output = T>>>;

pub struct Call {
    pub keys: Vec<u32>,
    pub ctxs: Vec<LoadCtx<u32>>,
    pub promiser: Promiser<Results>,
}

pub struct Bench<const ALONE: bool> {
    pub batched: Batched<u32, u32, Virtual<ALONE>>,
    pub world: Virtual<ALONE>,
    pub calls: Rc<RefCell<Vec<Call>>>,
}

impl<const ALONE: bool> Bench<ALONE> {
    pub fn new(build: impl FnOnce(Builder<u32, u32>) -> Builder<u32, u32>) -> Self {
        let world = Virtual::default();
        world.0.spawns.set(true);
        let cache = build(Cache::builder()).runtime(world.clone()).build();
        let calls: Rc<RefCell<Vec<Call>>> = Rc::default();
        let made = calls.clone();
        let batched = cache.batched(move |keys, ctxs| {
            let (promiser, promise) = promised();
            made.borrow_mut().push(Call { keys, ctxs, promiser });
            promise
        });
        Self { batched, world, calls }
    }

    pub fn get(&self, key: u32) -> Waiting<Result<u32, LoadError>> {
        let batched = self.batched.clone();
        Box::pin(async move { batched.get(key).await })
    }

    pub fn get_many(&self, keys: &[u32]) -> Waiting<Vec<Result<u32, LoadError>>> {
        let (batched, keys) = (self.batched.clone(), keys.to_vec());
        Box::pin(async move { batched.get_many(keys).await })
    }

    /// As an executor does: everyone who waits is polled, then everything else runs, and so on.
    pub fn turn<T>(&self, waiting: &mut [Waiting<T>]) -> Vec<Option<T>> {
        let answers = waiting.iter_mut().map(poll_once).collect();
        self.world.0.run_tasks();
        self.world.0.run_tasks();
        answers
    }

    pub fn keys(&self) -> Vec<Vec<u32>> {
        self.calls.borrow().iter().map(|call| call.keys.clone()).collect()
    }

    pub fn answer(&self, call: usize, results: Results) {
        self.calls.borrow()[call].promiser.say(results);
    }
}

pub fn values(answers: Vec<Option<Result<u32, LoadError>>>) -> Vec<Option<u32>> {
    answers.into_iter().map(|answer| answer.and_then(Result::ok)).collect()
}

#[test]
fn keys_asked_for_in_one_turn_are_one_call_without_duplicates() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new(|builder| builder);
        let mut waiting: Vec<_> = [1, 2, 1, 3, 2].map(|key| bench.get(key)).into();
        assert!(bench.turn(&mut waiting).iter().all(Option::is_none));
        bench.turn(&mut waiting);
        assert_eq!(bench.keys(), [[1, 2, 3]]);
        bench.answer(0, vec![Ok(10), Ok(20), Ok(30)]);
        bench.turn(&mut waiting);
        let mut again: Vec<_> = [1, 2, 3].map(|key| bench.get(key)).into();
        assert_eq!(values(bench.turn(&mut again)), [Some(10), Some(20), Some(30)], "hits wait for nothing");
        let stats = bench.batched.cache().stats();
        assert_eq!((stats.batches, stats.loads, stats.coalesced, stats.hits), (1, 3, 2, 3));
    }
    run::<false>();
    run::<true>();
}

#[test]
fn get_many_asks_once_for_what_is_missing_and_keeps_the_order() {
    let bench = Bench::<false>::new(|builder| builder);
    bench.batched.cache().insert(2, 20);
    let mut waiting = vec![bench.get_many(&[3, 2, 1, 3])];
    bench.turn(&mut waiting);
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [[3, 1]]);
    bench.answer(0, vec![Ok(30), Err("no")]);
    let answers = bench.turn(&mut waiting).remove(0).expect("settled");
    let shown: Vec<_> = answers.iter().map(|answer| answer.as_ref().map_err(ToString::to_string)).collect();
    let error = "the loader failed: no".to_owned();
    assert_eq!(shown, [Ok(&30), Ok(&20), Err(error), Ok(&30)]);
    assert_eq!(bench.batched.cache().get(&1), None, "one key's error is that key's alone");
}

#[test]
fn a_thousand_keys_at_once_on_a_real_executor_are_one_call() {
    let cache: Cache<u32, u32> = Cache::new_with_max_entries(10_000);
    let calls = Rc::new(RefCell::new(Vec::new()));
    let seen = calls.clone();
    let batched = cache.batched(move |keys: Vec<u32>, _| {
        seen.borrow_mut().push(keys.len());
        async move { keys.into_iter().map(Ok::<_, &str>).collect() }
    });
    let one_by_one = futures::future::join_all((0..1_000).map(|key| batched.get(key)));
    let answers = futures::executor::block_on(one_by_one);
    assert!((0..1_000).zip(answers).all(|(key, answer)| answer.is_ok_and(|value| value == key)));
    let answers = futures::executor::block_on(batched.get_many(500..1_500));
    assert!((500..1_500).zip(answers).all(|(key, answer)| answer.is_ok_and(|value| value == key)));
    assert_eq!(*calls.borrow(), [1_000, 500]);
}

#[test]
fn a_batch_is_no_larger_than_allowed() {
    let mut bench = Bench::<false>::new(|builder| builder);
    bench.batched = bench.batched.max_batch_size(2);
    let mut waiting = vec![bench.get_many(&[1, 2, 3, 4, 5])];
    bench.turn(&mut waiting);
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [vec![1, 2], vec![3, 4], vec![5]]);
}

#[test]
fn a_window_in_milliseconds_gathers_the_keys_of_many_turns() {
    let mut bench = Bench::<false>::new(|builder| builder);
    bench.batched = bench.batched.batch_window(Duration::from_millis(10));
    let mut waiting = vec![bench.get(1)];
    bench.turn(&mut waiting);
    bench.world.0.advance(9);
    waiting.push(bench.get(2));
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), Vec::<Vec<u32>>::new());
    bench.world.0.advance(1);
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [[1, 2]]);
}

#[test]
fn a_wrong_number_of_results_fails_every_key_and_stores_nothing() {
    for results in [vec![Ok(1)], vec![Ok(1), Ok(2), Ok(3)], vec![]] {
        let bench = Bench::<false>::new(|builder| builder);
        let mut waiting = vec![bench.get(1), bench.get(2)];
        bench.turn(&mut waiting);
        bench.turn(&mut waiting);
        let count = results.len();
        bench.answer(0, results);
        for answer in bench.turn(&mut waiting) {
            let error = answer.expect("settled").expect_err("an error");
            assert_eq!(error.code(), "ERR_BATCH");
            let text = format!("the batch was given 2 keys and brought {count} results; ");
            assert!(error.to_string().starts_with(&text), "{error}");
        }
        assert_eq!(bench.batched.cache().len(), 0);
    }
}

#[test]
fn a_key_in_flight_is_joined_not_asked_for_again() {
    let bench = Bench::<false>::new(|builder| builder);
    let mut waiting = vec![bench.get(1)];
    bench.turn(&mut waiting);
    bench.turn(&mut waiting);
    waiting.push(bench.get(1));
    waiting.push(bench.get(2));
    bench.turn(&mut waiting);
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [[1], [2]]);
    bench.answer(0, vec![Ok(10)]);
    assert_eq!(values(bench.turn(&mut waiting)), [Some(10), Some(10), None]);
}

#[test]
fn who_leaves_before_the_call_is_not_in_it() {
    let bench = Bench::<false>::new(|builder| builder);
    let mut waiting = vec![bench.get(1), bench.get(2)];
    bench.turn(&mut waiting);
    drop(waiting.remove(0));
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [[2]]);
    let mut alone = vec![bench.get(3)];
    bench.turn(&mut alone);
    drop(alone);
    let mut next = vec![bench.get(4)];
    bench.turn(&mut next);
    bench.turn(&mut next);
    assert_eq!(bench.keys(), [[2], [4]]);
}

#[test]
fn a_key_removed_while_its_batch_is_open_is_in_the_call_once_and_stored() {
    // Without a weigher a value that nobody weighs is an error, unless it is not to be stored.
    for weight in [Some(3), None] {
        let bench = Bench::<false>::new(|builder| builder.max_bytes(100));
        let mut waiting = vec![bench.get(1)];
        bench.turn(&mut waiting[..0]);
        assert!(poll_once(&mut waiting[0]).is_none());
        bench.batched.cache().remove(&1);
        waiting.push(bench.get(1));
        assert!(poll_once(&mut waiting[1]).is_none());
        bench.turn(&mut waiting);
        assert_eq!(bench.keys(), [[1]]);
        {
            let ctx = &bench.calls.borrow()[0].ctxs[0];
            ctx.set_ttl(Ttl::Millis(7));
            weight.map_or_else(|| ctx.skip(), |weight| ctx.set_weight(weight));
        }
        bench.answer(0, vec![Ok(10)]);
        assert_eq!(values(bench.turn(&mut waiting)), [Some(10), Some(10)], "what is said of it is said of both");
        let cache = bench.batched.cache();
        assert_eq!(cache.weight(), u64::from(weight.unwrap_or(0)));
        assert_eq!(cache.remaining_ttl(&1), weight.map(|_| Ttl::Millis(7)));
    }
}

#[test]
fn a_load_took_as_long_as_its_batch_s_call_however_late_it_hears_of_it() {
    let bench = Bench::<false>::new(|builder| builder);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(bench.get(1));
        assert!(poll_once(waiting.last_mut().expect("one")).is_none());
        bench.batched.cache().remove(&1);
    }
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [[1]]);
    bench.world.0.advance(5);
    bench.answer(0, vec![Ok(10)]);
    assert_eq!(values(bench.turn(&mut waiting[..1])), [Some(10)], "it drives the call");
    bench.world.0.advance(100);
    assert_eq!(values(bench.turn(&mut waiting[1..])), [Some(10), Some(10)]);
    let times = bench.batched.cache().stats().load_millis;
    assert_eq!((times.count(), times.sum()), (3, 15));
}

#[test]
fn a_result_may_have_a_ttl_and_tags_of_its_own() {
    let bench = Bench::<false>::new(|builder| builder.time_to_live(Ttl::Millis(100)).max_bytes(100).weigher(|_, _| 1));
    let mut waiting = vec![bench.get_many(&[1, 2, 3])];
    bench.turn(&mut waiting);
    bench.turn(&mut waiting);
    {
        let calls = bench.calls.borrow();
        calls[0].ctxs[0].set_ttl(Ttl::Millis(5));
        calls[0].ctxs[0].set_weight(50);
        calls[0].ctxs[1].tag("odd");
        calls[0].ctxs[2].skip();
    }
    bench.answer(0, vec![Ok(1), Ok(2), Ok(3)]);
    bench.turn(&mut waiting);
    let cache = bench.batched.cache();
    let left = [1, 2, 3].map(|key| cache.remaining_ttl(&key));
    assert_eq!(left, [Some(Ttl::Millis(5)), Some(Ttl::Millis(100)), None]);
    assert_eq!(cache.weight(), 51);
    assert_eq!((cache.remove_by_tag("odd"), cache.len()), (1, 1));
}

#[test]
fn stale_windows_and_backoff_hold_for_batched_keys() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new(|builder| {
            builder
                .time_to_live(Ttl::Millis(100))
                .stale_while_revalidate(Ttl::Millis(50))
                .error_backoff(Ttl::Millis(20))
        });
        let mut waiting = vec![bench.get(1), bench.get(2)];
        bench.turn(&mut waiting);
        bench.turn(&mut waiting);
        bench.answer(0, vec![Ok(1), Err("down")]);
        bench.turn(&mut waiting);
        let mut again = vec![bench.get(2)];
        assert!(bench.turn(&mut again)[0].as_ref().is_some_and(Result::is_err), "remembered");
        bench.world.0.advance(100);
        let mut stale = vec![bench.get(1)];
        assert_eq!(values(bench.turn(&mut stale)), [Some(1)]);
        // Nobody waits whose turn could end: the refresh is called a moment later.
        bench.world.0.advance(1);
        bench.turn::<()>(&mut []);
        assert_eq!(bench.keys(), [vec![1, 2], vec![1]]);
        assert_eq!(bench.calls.borrow()[1].ctxs[0].stale(), Some(&1));
        bench.answer(1, vec![Ok(5)]);
        bench.turn::<()>(&mut []);
        assert_eq!(bench.batched.cache().get(&1), Some(5));
    }
    run::<false>();
    run::<true>();
}

#[test]
fn a_batch_whose_request_dies_is_called_again_by_those_who_are_left() {
    let bench = Bench::<true>::new(|builder| builder);
    bench.world.0.enter(1);
    let mut dying = bench.get(1);
    assert!(poll_once(&mut dying).is_none());
    bench.world.0.run_tasks();
    bench.world.0.enter(2);
    let mut waiting = vec![bench.get(2)];
    assert!(poll_once(&mut waiting[0]).is_none());
    bench.world.0.run_tasks();
    assert!(poll_once(&mut dying).is_none());
    bench.world.0.run_tasks();
    assert_eq!(bench.keys(), [[1, 2]], "here they do mix");
    bench.world.0.kill(1);
    std::mem::forget(dying);
    (0..3).for_each(|_| drop(bench.turn(&mut waiting)));
    bench.world.0.advance(1);
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [vec![1, 2], vec![2]]);
    bench.answer(1, vec![Ok(20)]);
    bench.turn(&mut waiting);
    assert_eq!(bench.batched.cache().get(&2), Some(20));
}

#[test]
fn a_window_in_milliseconds_mixes_requests_and_a_dead_opener_takes_nobody_with_it() {
    // C: in Workers it was refused, without a word.
    for opener_dies in [false, true] {
        let mut bench = Bench::<true>::new(|builder| builder);
        bench.batched = bench.batched.batch_window(Duration::from_millis(10)).max_batch_size(2);
        bench.world.0.enter(1);
        let mut opener = vec![bench.get(1)];
        bench.turn(&mut opener);
        bench.world.0.advance(5);
        bench.world.0.enter(2);
        let mut late = vec![bench.get(2)];
        bench.turn(&mut late);
        assert_eq!(bench.keys(), Vec::<Vec<u32>>::new(), "full, but only the window's end wakes the opener's request");
        if opener_dies {
            bench.world.0.kill(1);
            std::mem::forget(opener);
            bench.turn(&mut late);
            bench.world.0.advance(10);
            bench.turn(&mut late);
            bench.turn(&mut late);
            assert_eq!(bench.keys(), [[2]]);
            bench.answer(0, vec![Ok(20)]);
        } else {
            bench.world.0.advance(5);
            bench.turn::<()>(&mut []);
            assert_eq!(bench.keys(), [[1, 2]]);
            bench.answer(0, vec![Ok(10), Ok(20)]);
            bench.turn::<()>(&mut []);
            assert_eq!(values(bench.turn(&mut opener)), [Some(10)]);
        }
        bench.turn::<()>(&mut []);
        assert_eq!(values(bench.turn(&mut late)), [Some(20)]);
    }
}

#[test]
fn all_in_a_batch_are_woken_when_its_call_has_ended() {
    // One of them drives the call, and nobody polls the others meanwhile.
    let bench = Bench::<false>::new(|builder| builder);
    let mut waiting = [bench.get(1), bench.get(2)];
    bench.turn(&mut waiting);
    bench.turn(&mut waiting);
    assert_eq!(bench.keys(), [[1, 2]]);
    let (flag, waker) = Flag::up();
    let [driver, other] = &mut waiting;
    assert!(poll_with(other, &waker).is_none());
    flag.take();
    bench.answer(0, vec![Ok(10), Ok(20)]);
    assert!(!flag.take(), "the one who drives is woken first");
    assert_eq!(poll_once(driver).and_then(Result::ok), Some(10));
    assert!(flag.take(), "and now the other");
    assert_eq!(poll_with(other, &waker).and_then(Result::ok), Some(20));
}

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn all_in_a_batch_are_woken_when_its_call_panics() {
    let world = Virtual::<false>::default();
    let cache: Cache<u32, u32, _> = Cache::builder().runtime(world.clone()).build();
    let batched = cache.batched(|_: Vec<u32>, _| async {
        let lost = async || -> Vec<Result<u32, String>> { std::panic::resume_unwind(Box::new("lost")) };
        lost().await
    });
    let get = |key| -> Waiting<_> {
        let batched = batched.clone();
        Box::pin(async move { batched.get(key).await })
    };
    let (mut driver, mut other) = (get(1), get(2));
    let (flag, waker) = Flag::up();
    assert!(poll_once(&mut driver).is_none() && poll_with(&mut other, &waker).is_none());
    flag.take();
    let driven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(&mut driver)));
    assert!(driven.is_err() && flag.take());
}

#[cfg_attr(target_family = "wasm", ignore = "a panic ends a wasm instance")]
#[test]
fn a_key_whose_batches_are_lost_is_tried_ten_times() {
    let world = Virtual::<false>::default();
    let cache: Cache<u32, u32, _> = Cache::builder().runtime(world.clone()).build();
    let calls = Rc::new(RefCell::new(Vec::new()));
    let seen = calls.clone();
    let batched = cache.batched(move |keys: Vec<u32>, _| {
        seen.borrow_mut().push(keys.len());
        let lost = async || -> Vec<Result<u32, String>> { std::panic::resume_unwind(Box::new("lost")) };
        async move { lost().await }
    });
    let mut waiting: Vec<Option<Waiting<Result<u32, LoadError>>>> = (0..12)
        .map(|key| {
            let batched = batched.clone();
            Some(Box::pin(async move { batched.get(key).await }) as Waiting<_>)
        })
        .collect();
    let mut codes = Vec::new();
    for _ in 0..50 {
        for place in &mut waiting {
            let Some(get) = place else { continue };
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll_once(get))) {
                Ok(None) => continue,
                Ok(Some(answer)) => codes.push(answer.expect_err("lost").code()),
                // Its own executor's task is gone.
                Err(_) => {}
            }
            *place = None;
        }
        world.0.advance(1);
    }
    assert!(waiting.iter().all(Option::is_none));
    assert_eq!(*calls.borrow(), [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    assert_eq!(codes, ["ERR_LOAD_LOST"; 2]);
}

/// The symptom: the call was made for nobody, and without a place: two at once where one was allowed.
#[test]
fn a_call_whose_turn_comes_when_all_deadlines_have_passed_is_not_made() {
    let world = Virtual::<false>::default();
    let cache: Cache<u32, u32, _> = Cache::builder()
        .max_concurrent_loads(1)
        .hard_timeout(Duration::from_millis(100))
        .runtime(world.clone())
        .build();
    let calls = Rc::new(Cell::new(0));
    let (heard, of_world) = (calls.clone(), world.clone());
    let batched = cache.batched(move |keys: Vec<u32>, _| {
        heard.set(heard.get() + keys.len());
        let world = of_world.clone();
        async move {
            world.sleep(10).await;
            keys.into_iter().map(Ok::<_, &str>).collect()
        }
    });
    let get = |key, wait| {
        let (cache, options) = (cache.clone(), CallOptions::new().hard_timeout(Duration::from_millis(wait)));
        let (go, gate) = promised::<Result<u32, &str>>();
        (go, Box::pin(async move { cache.try_get_with_options(key, options, |_| gate).await }))
    };
    let (go, mut first) = get(1, 1_000);
    assert!(poll_once(&mut first).is_none());
    let mut late = [2, 3].map(|key| Box::pin(batched.get(key)));
    for _ in 0..2 {
        assert!(late.iter_mut().all(|get| poll_once(get).is_none()));
    }
    assert_eq!(cache.loads_queued(), 1);
    // The executor comes to nobody for a while.
    world.0.advance(150);
    go.say(Ok(1));
    assert_eq!(poll_once(&mut first).and_then(Result::ok), Some(1));
    let (_go, mut next) = get(4, 1_000);
    assert!(poll_once(&mut next).is_none(), "it has the place");
    for get in &mut late {
        let got = poll_once(get).expect("its deadline has passed");
        assert!(matches!(got, Err(LoadError::TimedOut { after_millis: 100 })), "{got:?}");
    }
    assert_eq!(calls.get(), 0);
    let stats = cache.stats();
    assert_eq!((cache.loads_in_flight(), stats.timeouts, stats.batches), (1, 2, 0));
}
