//! Stale windows, backoff, soft deadlines, absences, and values that are refreshed before their time.

mod common;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use common::{Promiser, Random, Virtual, poll_once, promised, seed};
use nearcache::{Builder, Cache, CallOptions, EntryOptions, Got, LoadCtx, LoadError, Status, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Answer = Result<Got<u32>, LoadError>;
type Waiting = Pin<Box<dyn Future<Output = Answer>>>;
type Load = Result<u32, &'static str>;

/// A cache whose loads are settled by hand, in a world that runs things in the background.
struct Bench<const ALONE: bool> {
    cache: Cache<&'static str, u32, Virtual<ALONE>>,
    world: Virtual<ALONE>,
    loads: Rc<RefCell<Vec<Promiser<Load>>>>,
    stale: Rc<Cell<Option<u32>>>,
}

impl<const ALONE: bool> Bench<ALONE> {
    /// Values live for 100 ms, unless `build` says otherwise.
    fn new(build: impl FnOnce(Builder<&'static str, u32>) -> Builder<&'static str, u32>) -> Self {
        let world = Virtual::default();
        world.0.spawns.set(true);
        let builder = build(Cache::builder().time_to_live(Ttl::Millis(100)));
        let cache = builder.runtime(world.clone()).build();
        Self { cache, world, loads: Rc::default(), stale: Rc::default() }
    }

    fn begin(&self, options: CallOptions) -> Waiting {
        let (cache, loads, stale) = (self.cache.clone(), self.loads.clone(), self.stale.clone());
        Box::pin(async move {
            let load = move |ctx: LoadCtx<u32>| {
                stale.set(ctx.stale().copied());
                let (promiser, promise) = promised();
                loads.borrow_mut().push(promiser);
                promise
            };
            cache.try_get_with_details("key", options, load).await
        })
    }

    fn run(&self) {
        self.world.0.run_tasks();
        self.world.0.run_tasks();
    }

    /// Asks; what comes at once, if anything.
    fn ask(&self) -> Result<Answer, Waiting> {
        self.ask_with(CallOptions::default())
    }

    fn ask_with(&self, options: CallOptions) -> Result<Answer, Waiting> {
        let mut waiting = self.begin(options);
        let now = poll_once(&mut waiting);
        self.run();
        now.ok_or(waiting)
    }

    /// What an answer at once is and from where.
    fn now(&self) -> (u32, Status) {
        let Ok(Ok(got)) = self.ask() else { panic!("no value at once") };
        (got.value, got.status)
    }

    /// Loads this value, or this error.
    fn load(&self, result: Load) -> Answer {
        let Err(mut waiting) = self.ask() else { panic!("no load began") };
        self.settle(result);
        poll_once(&mut waiting).expect("settled")
    }

    fn settle(&self, result: Load) {
        self.loads.borrow().last().expect("a load").say(result);
        self.run();
    }

    fn loads(&self) -> usize {
        self.loads.borrow().len()
    }

    fn pass(&self, millis: u64) {
        self.world.0.advance(millis);
        self.run();
    }
}

fn get(answer: Answer) -> (u32, Status) {
    answer.map(|got| (got.value, got.status)).expect("a value")
}

#[test]
fn a_stale_value_is_handed_out_at_once_and_refreshed_by_one_load() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
        assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
        bench.pass(100);
        assert_eq!(bench.cache.get("key"), None, "a get without a loader wants it fresh");
        assert_eq!((bench.now(), bench.now(), bench.loads()), ((1, Status::Stale), (1, Status::Stale), 2));
        assert_eq!(bench.stale.get(), Some(1), "the loader can ask whether it has changed");
        bench.settle(Ok(2));
        assert_eq!((bench.now(), bench.loads()), ((2, Status::Hit), 2));
        let stats = bench.cache.stats();
        assert_eq!((stats.stale_hits, stats.refreshes, stats.hits), (2, 1, 1));
        bench.pass(150);
        let Err(_) = bench.ask() else { panic!("the window is over at its very millisecond") };
    }
    run::<false>();
    run::<true>();
}

#[test]
fn where_nothing_runs_in_the_background_the_one_who_begins_the_refresh_waits_for_it() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
    bench.world.0.spawns.set(false);
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(120);
    let Err(mut first) = bench.ask() else { panic!("nobody else would run it") };
    assert_eq!(bench.now(), (1, Status::Stale), "the others need not");
    bench.settle(Ok(2));
    assert_eq!(get(poll_once(&mut first).expect("settled")), (2, Status::Miss));
}

#[test]
fn a_refresh_that_never_ends_is_given_up_at_the_deadline_and_begun_anew() {
    let bench =
        Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(1_000)).hard_timeout(Ttl::Millis(30)));
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(100);
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 2));
    bench.pass(30);
    assert_eq!(bench.cache.loads_in_flight(), 0);
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 3));
    assert_eq!(bench.cache.stats().loads_abandoned, 1);
}

#[test]
fn a_failed_load_gives_the_last_good_value_within_its_window() {
    fn run<const ALONE: bool>() {
        let bench = Bench::<ALONE>::new(|builder| builder.stale_if_error(Ttl::Millis(50)));
        assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
        bench.pass(149);
        let answer = bench.load(Err("down")).expect("the last good value");
        assert_eq!((answer.value, answer.status, answer.ttl), (1, Status::StaleIfError, Ttl::ZERO));
        assert_eq!(answer.age.as_millis(), 149);
        bench.pass(1);
        assert_eq!(bench.load(Err("down")).expect_err("too old").to_string(), "the loader failed: down");
        let stats = bench.cache.stats();
        assert_eq!((stats.rescues, stats.load_failures), (1, 2));
    }
    run::<false>();
    run::<true>();
}

#[test]
fn a_failing_origin_is_not_asked_again_until_its_backoff_is_over() {
    let bench = Bench::<false>::new(|builder| builder.stale_if_error(Ttl::Millis(500)).error_backoff(Ttl::Millis(20)));
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(100);
    assert_eq!(get(bench.load(Err("down"))), (1, Status::StaleIfError));
    bench.pass(19);
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 2));
    bench.pass(1);
    assert_eq!(get(bench.load(Ok(2))), (2, Status::Miss));
}

#[test]
fn an_error_is_remembered_where_there_is_nothing_else() {
    let bench = Bench::<false>::new(|builder| builder.error_backoff(Ttl::Millis(20)));
    assert!(bench.load(Err("down")).is_err());
    bench.pass(19);
    let Ok(Err(error)) = bench.ask() else { panic!("not at once") };
    assert_eq!((error.to_string(), error.code()), ("the loader failed: down".to_owned(), "ERR_LOADER"));
    assert_eq!((bench.loads(), bench.cache.len(), bench.cache.get("key")), (1, 1, None));
    bench.pass(1);
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    assert_eq!(bench.cache.get("key"), Some(1));
}

#[test]
fn whatever_is_written_or_removed_forgets_an_error() {
    type Purge = fn(&Cache<&'static str, u32, Virtual<false>>);
    let purges: [Purge; 4] = [
        |cache| assert_eq!(cache.remove("key"), None),
        |cache| assert!(!cache.expire("key")),
        Cache::clear,
        |cache| assert!(cache.insert("key", 1) && cache.remove("key").is_some()),
    ];
    for purge in purges {
        let bench = Bench::<false>::new(|builder| builder.error_backoff(Ttl::Forever));
        assert!(bench.load(Err("down")).is_err());
        purge(&bench.cache);
        assert_eq!(get(bench.load(Ok(2))), (2, Status::Miss));
    }
}

#[test]
fn the_backoff_of_an_error_by_rule_and_by_the_loader() {
    let rule = |error: &(dyn std::error::Error + 'static)| match error.to_string().as_str() {
        "long" => Some(Ttl::Millis(50)),
        "none" => Some(Ttl::ZERO),
        _ => None,
    };
    let bench = Bench::<false>::new(|b| b.error_backoff(Ttl::Millis(10)).error_backoff_by(rule));
    let rests = |error| {
        let before = bench.loads();
        assert!(bench.load(Err(error)).is_err());
        let mut rest = 0;
        while let Ok(answer) = bench.ask() {
            assert!(answer.is_err());
            bench.pass(1);
            rest += 1;
        }
        bench.pass(40_000);
        assert_eq!(bench.loads(), before + 2);
        rest
    };
    assert_eq!([rests("long"), rests("none"), rests("other")], [50, 0, 10]);
}

#[test]
fn a_slow_load_is_left_for_an_older_value_and_goes_on() {
    fn run<const ALONE: bool>() {
        let bench =
            Bench::<ALONE>::new(|builder| builder.stale_if_error(Ttl::Millis(500)).soft_timeout(Ttl::Millis(10)));
        assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
        bench.pass(200);
        let Err(mut waiting) = bench.ask() else { panic!("no load began") };
        bench.pass(9);
        assert!(poll_once(&mut waiting).is_none());
        bench.pass(1);
        assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::StaleOnTimeout));
        drop(waiting);
        assert_eq!((bench.cache.loads_in_flight(), bench.cache.stats().soft_timeouts), (1, 1));
        bench.settle(Ok(2));
        assert_eq!((bench.now(), bench.loads()), ((2, Status::Hit), 2));
    }
    run::<false>();
    run::<true>();
}

#[test]
fn without_an_older_value_a_soft_deadline_means_nothing() {
    let bench = Bench::<false>::new(|builder| {
        builder.stale_if_error(Ttl::Millis(50)).soft_timeout(Ttl::Millis(10)).hard_timeout(Ttl::Millis(20))
    });
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(145);
    let Err(mut waiting) = bench.ask() else { panic!("no load began") };
    bench.pass(10);
    assert!(poll_once(&mut waiting).is_none(), "what was there is too old by now");
    bench.pass(10);
    let error = poll_once(&mut waiting).expect("settled").expect_err("too late");
    assert_eq!(error.code(), "ERR_TIMEOUT");
}

#[test]
fn where_both_deadlines_pass_at_once_the_older_value_wins() {
    let bench = Bench::<false>::new(|builder| {
        builder.stale_if_error(Ttl::Millis(500)).soft_timeout(Ttl::Millis(10)).hard_timeout(Ttl::Millis(20))
    });
    assert_eq!(get(bench.load(Ok(1))), (1, Status::Miss));
    bench.pass(100);
    let Err(mut waiting) = bench.ask() else { panic!("no load began") };
    bench.pass(25);
    assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::StaleOnTimeout));
}

#[test]
fn expiring_begins_the_stale_windows_and_beats_the_load_under_way() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
    assert!(bench.cache.insert("key", 1));
    let fresh = CallOptions::new().force_fresh();
    let Err(mut before) = bench.ask_with(fresh) else { panic!("no load began") };
    assert!(bench.cache.expire("key"));
    assert!(!bench.cache.expire("key"), "it is not fresh any more");
    bench.settle(Ok(2));
    assert_eq!(get(poll_once(&mut before).expect("settled")), (2, Status::Miss));
    assert_eq!((bench.now(), bench.loads()), ((1, Status::Stale), 2));
    bench.pass(50);
    assert!(bench.ask().is_err(), "the window began when it was expired");
    let plain = Bench::<false>::new(|builder| builder);
    plain.cache.insert("key", 1);
    assert!(plain.cache.expire("key"));
    assert_eq!(plain.cache.len(), 0, "without windows it is gone");
}

#[test]
fn nothing_there_has_a_ttl_of_its_own() {
    let world = Virtual::<false>::default();
    let cache: Cache<u8, Option<u32>, _> =
        Cache::builder().time_to_live(Ttl::Millis(100)).negative_ttl(Ttl::Millis(10)).runtime(world.clone()).build();
    let load = |key, value, options, said: Option<u64>| {
        let cache = cache.clone();
        let load = move |ctx: LoadCtx<Option<u32>>| async move {
            said.into_iter().for_each(|ttl| ctx.set_ttl(Ttl::Millis(ttl)));
            Ok::<_, &str>(value)
        };
        let mut got = Box::pin(async move { cache.try_get_with_details(key, options, load).await });
        poll_once(&mut got).expect("settled").expect("a value").ttl
    };
    let none = CallOptions::default;
    let call = || none().ttl(Ttl::Millis(50));
    let negative = || call().negative_ttl(Ttl::Millis(5));
    assert_eq!(load(1, Some(1), none(), None), Ttl::Millis(100));
    assert_eq!(load(2, None, none(), None), Ttl::Millis(10));
    assert_eq!(load(3, None, call(), None), Ttl::Millis(10), "the rule is about just this value");
    assert_eq!(load(4, None, negative(), None), Ttl::Millis(5));
    assert_eq!(load(5, None, negative(), Some(7)), Ttl::Millis(7), "the loader knows best");
    assert_eq!((cache.get(&2), cache.len()), (Some(None), 5));
}

#[test]
fn jitter_takes_at_most_its_part_off_and_spreads_evenly() {
    println!("seed {}", seed());
    let mut random = Random(seed());
    let world = Virtual::<false>::default();
    let cache: Cache<u64, (), _> = Cache::builder()
        .time_to_live(Ttl::Millis(1_000))
        .jitter(0.5)
        .random(move || random.unit())
        .runtime(world)
        .build();
    let mut buckets = [0_u32; 10];
    for key in 0..10_000 {
        cache.insert(key, ());
        let Some(Ttl::Millis(ttl)) = cache.remaining_ttl(&key) else { panic!("no end") };
        assert!((500..=1_000).contains(&ttl));
        buckets[((ttl.min(999) - 500) / 50) as usize] += 1;
    }
    let chi: f64 = buckets.iter().map(|n| (f64::from(*n) - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi < 27.9, "nine degrees of freedom, one in a thousand is above: {buckets:?}");
}

#[test]
fn options_that_make_no_sense_count_as_the_nearest_that_do() {
    let world = Virtual::<false>::default();
    for (given, least) in [(f64::NAN, 100), (-1.0, 100), (2.0, 1), (f64::INFINITY, 1)] {
        let cache: Cache<u8, u8, _> = Cache::builder()
            .time_to_live(Ttl::Millis(100))
            .jitter(given)
            .refresh_ahead(given)
            .random(|| 0.0)
            .runtime(world.clone())
            .build();
        cache.insert(1, 1);
        assert_eq!(cache.remaining_ttl(&1), Some(Ttl::Millis(least)), "{given}");
        assert_eq!(cache.get(&1), Some(1));
    }
}

/// A cache whose one value took `delta` to load and lives for a second more.
fn xfetch(beta: f64, delta: u64, draws: Rc<RefCell<Random>>) -> Bench<false> {
    let bench = Bench::<false>::new(|builder| {
        builder.time_to_live(Ttl::Millis(1_000)).refresh_ahead(beta).random(move || draws.borrow_mut().unit())
    });
    let Err(mut waiting) = bench.ask() else { panic!("no load began") };
    bench.pass(delta);
    bench.settle(Ok(1));
    assert_eq!(get(poll_once(&mut waiting).expect("settled")), (1, Status::Miss));
    bench
}

#[test]
fn refreshing_ahead_follows_the_papers_formula() {
    println!("seed {}", seed());
    let draws = Rc::new(RefCell::new(Random(seed())));
    // Each get at `left` before the end refreshes with the probability exp(-left / (delta * beta)), whatever happened
    // before. `gap` between gets; the number of gets that go by before the refresh has the distribution of the product.
    for (beta, delta, gap) in [(1.0, 50, 10), (2.0, 40, 25), (0.5, 100, 7)] {
        const RUNS: u32 = 3_000;
        let spread = delta as f64 * beta;
        let moments: Vec<u64> = (gap..=1_000).step_by(gap as usize).collect();
        let mut refreshed_at = vec![0_u32; moments.len() + 1];
        for _ in 0..RUNS {
            let bench = xfetch(beta, delta, draws.clone());
            let mut first = moments.len();
            for (n, _) in moments.iter().enumerate().take_while(|(_, moment)| **moment < 1_000) {
                bench.world.0.advance(gap);
                assert_eq!(bench.now(), (1, Status::Hit), "a value refreshed ahead is fresh");
                if bench.loads() > 1 {
                    first = n;
                    break;
                }
            }
            refreshed_at[first] += 1;
        }
        // Kolmogorov and Smirnov: the greatest distance between the two distributions, which for so many runs is
        // above 1.95 / sqrt(runs) once in a thousand seeds.
        let (mut unrefreshed, mut seen, mut distance) = (1.0, 0, 0.0_f64);
        for (n, moment) in moments.iter().enumerate().take_while(|(_, moment)| **moment < 1_000) {
            unrefreshed *= 1.0 - (-((1_000 - moment) as f64) / spread).exp();
            seen += refreshed_at[n];
            distance = distance.max((f64::from(seen) / f64::from(RUNS) - (1.0 - unrefreshed)).abs());
        }
        let bound = 1.95 / f64::from(RUNS).sqrt();
        assert!(distance < bound, "beta {beta} delta {delta}: {distance} is not below {bound}");
        let early = refreshed_at.iter().take(moments.len() / 2).sum::<u32>();
        assert!(early < RUNS / 20, "hardly ever in the first half of its life: {early}");
    }
}

#[test]
fn nothing_is_refreshed_ahead_twice_at_a_time_or_without_a_load_time() {
    let draws = Rc::new(RefCell::new(Random(seed())));
    let bench = xfetch(1.0, 100, draws.clone());
    bench.world.0.advance(999);
    (0..20).for_each(|_| assert_eq!(bench.now(), (1, Status::Hit)));
    assert_eq!((bench.loads(), bench.cache.stats().refreshes, bench.cache.stats().hits), (2, 1, 20));
    bench.cache.insert("key", 2);
    bench.world.0.advance(999);
    (0..20).for_each(|_| assert_eq!(bench.now(), (2, Status::Hit)));
    assert_eq!(bench.loads(), 2, "an inserted value has no load time");
    let never = xfetch(0.0, 100, draws);
    never.world.0.advance(999);
    (0..20).for_each(|_| assert_eq!(never.now(), (1, Status::Hit)));
    assert_eq!(never.loads(), 1);
}

#[test]
fn what_was_served_says_so() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(50)));
    let Err(mut first) = bench.ask() else { panic!("no load began") };
    let Err(mut second) = bench.ask() else { panic!("no load began") };
    bench.settle(Ok(1));
    let first = poll_once(&mut first).expect("settled").expect("a value");
    assert_eq!((first.status, first.age.as_millis(), first.ttl), (Status::Miss, 0, Ttl::Millis(100)));
    assert_eq!(get(poll_once(&mut second).expect("settled")), (1, Status::Coalesced));
    bench.pass(30);
    let Ok(Ok(hit)) = bench.ask() else { panic!("not at once") };
    assert_eq!((hit.status, hit.age.as_millis(), hit.ttl), (Status::Hit, 30, Ttl::Millis(70)));
    bench.pass(80);
    let Ok(Ok(stale)) = bench.ask() else { panic!("not at once") };
    assert_eq!((stale.status, stale.age.as_millis(), stale.ttl), (Status::Stale, 110, Ttl::ZERO));
    let all = [Status::Hit, Status::Stale, Status::Miss, Status::Coalesced, Status::StaleIfError];
    assert_eq!(all.map(Status::as_str), ["hit", "stale", "miss", "coalesced", "stale-if-error"]);
}

#[test]
fn cache_call_and_loader_are_asked_in_this_order() {
    let bench = Bench::<false>::new(|builder| builder.stale_while_revalidate(Ttl::Millis(10)));
    let stale_for = |options: CallOptions, said: Option<u64>| {
        let (cache, world) = (bench.cache.clone(), bench.world.clone());
        cache.clear();
        let load = move |ctx: LoadCtx<u32>| async move {
            said.into_iter().for_each(|window| ctx.set_stale_while_revalidate(Ttl::Millis(window)));
            Ok::<_, &str>(1)
        };
        let loaded = cache.clone();
        let mut got = Box::pin(async move { loaded.try_get_with_details("key", options, load).await });
        assert!(poll_once(&mut got).is_some());
        world.0.advance(100);
        let mut window = 0;
        while let Ok(answer) = bench.ask() {
            assert_eq!(get(answer), (1, Status::Stale));
            world.0.advance(1);
            window += 1;
        }
        bench.pass(40_000);
        window
    };
    let call = || CallOptions::new().stale_while_revalidate(Ttl::Millis(20));
    assert_eq!(stale_for(CallOptions::default(), None), 10);
    assert_eq!(stale_for(call(), None), 20);
    assert_eq!(stale_for(call(), Some(30)), 30);
    let options = EntryOptions::new().stale_while_revalidate(Ttl::Millis(5));
    bench.cache.insert_with("key", 1, options);
    bench.pass(104);
    assert_eq!(bench.now(), (1, Status::Stale));
    bench.pass(1);
    assert!(bench.ask().is_err(), "an insertion's own window");
}

#[test]
fn an_error_that_is_forgotten_is_dropped() {
    #[derive(Debug)]
    struct Down(#[allow(dead_code)] Arc<()>);
    impl std::fmt::Display for Down {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("down")
        }
    }
    impl std::error::Error for Down {}
    let world = Virtual::<false>::default();
    let cache: Cache<u8, u8, _> =
        Cache::builder().max_entries(2).error_backoff(Ttl::Millis(10)).runtime(world.clone()).build();
    let held = Arc::new(());
    let fail = |key| {
        let held = held.clone();
        let mut got = Box::pin(cache.try_get_with(key, move |_| async { Err(Down(held)) }));
        assert!(poll_once(&mut got).is_some_and(|got| got.is_err()));
    };
    fail(1);
    fail(2);
    assert_eq!(Arc::strong_count(&held), 3);
    fail(3);
    assert_eq!(Arc::strong_count(&held), 3, "an error makes room like an entry");
    cache.insert(3, 3);
    assert_eq!(Arc::strong_count(&held), 2);
    world.0.advance(10);
    cache.sweep(10);
    assert_eq!((Arc::strong_count(&held), cache.len()), (1, 1));
    fail(4);
    cache.clear();
    assert_eq!(Arc::strong_count(&held), 1);
}
