//! Isolates over one store under random gets, purges, faults and deaths of requests: every get ends, and none brings what was
//! purged before it began. `STEPS`, `SEED`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use nearcache::engine::Runtime;
use nearcache::tiers::{Tiered, Tiers};
use nearcache::{Cache, CallOptions, LoadError};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Flag, Random, Virtual, World, poll_with, seed};
use crate::support::{Mood, Moody, millis};

type Isolate<const ALONE: bool> = Tiered<u64, u64, Virtual<ALONE>>;

const KEYS: u64 = 4;
const ISOLATES: u64 = 3;
/// What no request that dies has.
const OF_ALL: u32 = 0;

struct Get {
    future: Pin<Box<dyn Future<Output = Result<u64, LoadError>>>>,
    flag: Arc<Flag>,
    waker: Waker,
    request: u32,
    /// It may bring no older version.
    least: u64,
    what: String,
}

struct Storm<const ALONE: bool> {
    world: Rc<World>,
    store: Moody,
    random: Random,
    /// What the source has, by key.
    source: Rc<RefCell<Vec<u64>>>,
    isolates: Vec<Isolate<ALONE>>,
    /// What was purged by each isolate, by key, and what the store was told of.
    purged: Vec<Vec<u64>>,
    told: Vec<u64>,
    gets: Vec<Get>,
    ended: u64,
}

fn isolate<const ALONE: bool>(world: &Rc<World>, store: &Moody) -> Isolate<ALONE> {
    let cache = Cache::builder().time_to_live(millis(300)).runtime(Virtual::<ALONE>(world.clone())).build();
    let tiers = Tiers::new().clock_skew(millis(0)).late_writes(millis(100)).log(|_| ());
    let tiers = tiers.tier_with(store.clone(), |options| options.timeout(millis(100)).breaker(3, millis(500)));
    tiers.over(cache).unwrap()
}

impl<const ALONE: bool> Storm<ALONE> {
    fn new(seed: u64) -> Self {
        let world = Rc::<World>::default();
        world.seed(seed);
        world.advance(1_000_000);
        world.spawns.set(true);
        let store = Moody::new(&world);
        let (isolates, keys) = ((0..ISOLATES).map(|_| isolate(&world, &store)).collect(), vec![1; KEYS as usize]);
        let source = Rc::new(RefCell::new(keys.clone()));
        let purged = vec![keys.clone(); ISOLATES as usize];
        Self { world, store, random: Random(seed), source, isolates, purged, told: keys, gets: Vec::new(), ended: 0 }
    }

    fn step(&mut self) {
        self.world.enter(OF_ALL);
        let (key, at) = (self.random.below(KEYS), self.random.below(ISOLATES) as usize);
        match self.random.below(20) {
            0..=7 => self.get(at, key),
            8 => self.get_newborn(key),
            9 => self.purge(at, key),
            10 => self.insert(at, key),
            11 => self.change_mood(),
            12 if ALONE => {
                let request = 1 + self.random.below(8) as u32;
                self.world.kill(request);
                self.gets.retain(|get| get.request != request);
            }
            _ => {
                let by = 1 + self.random.below(60);
                self.world.advance(by);
            }
        }
        self.run();
    }

    fn get(&mut self, at: usize, key: u64) {
        let least = self.purged[at][key as usize];
        let force = self.random.below(10) == 0;
        self.ask(self.isolates[at].clone(), key, least, force, format!("isolate {at}"));
    }

    /// One that has nothing in memory, and so knows of purges by the store alone.
    fn get_newborn(&mut self, key: u64) {
        let least = self.told[key as usize];
        let newborn = isolate(&self.world, &self.store);
        self.ask(newborn, key, least, false, "a newborn".to_owned());
    }

    fn ask(&mut self, isolate: Isolate<ALONE>, key: u64, least: u64, force: bool, who: String) {
        let request = 1 + self.random.below(8) as u32;
        self.world.enter(request);
        let (world, source, delay) = (self.world.clone(), self.source.clone(), self.random.below(150));
        let fails = self.random.below(10) == 0;
        let load = async move |_| {
            // As old as it can be.
            let value = source.borrow()[key as usize];
            Virtual::<ALONE>(world).sleep(delay).await;
            if fails { Err("down") } else { Ok(value) }
        };
        let options = if force { CallOptions::new().force_fresh() } else { CallOptions::new() };
        let what = format!("{who}, key {key} at {}", self.world.now());
        let future = Box::pin(async move {
            let got = isolate.try_get_with_details(key, options, load).await;
            got.map(|got| got.value)
        });
        let (flag, waker) = Flag::up();
        self.gets.push(Get { future, flag, waker, request, least, what });
    }

    fn purge(&mut self, at: usize, key: u64) {
        self.world.advance(1);
        self.source.borrow_mut()[key as usize] += 1;
        self.isolates[at].remove(&key);
        self.world.settle();
        let version = self.source.borrow()[key as usize];
        self.purged[at][key as usize] = version;
        if !self.isolates[at].tier_stats()[0].owes_purges {
            self.told[key as usize] = version;
        }
        self.world.advance(1);
    }

    fn insert(&mut self, at: usize, key: u64) {
        self.world.advance(1);
        self.source.borrow_mut()[key as usize] += 1;
        let version = self.source.borrow()[key as usize];
        self.isolates[at].insert(key, version);
        self.purged[at][key as usize] = version;
        self.world.advance(1);
    }

    fn change_mood(&mut self) {
        let moods = [Mood::Well, Mood::Well, Mood::Down, Mood::Full, Mood::Hangs, Mood::Lies, Mood::Slow(50)];
        self.store.mood.set(moods[self.random.below(moods.len() as u64) as usize]);
    }

    fn run(&mut self) {
        self.world.settle();
        let (world, mut ended) = (self.world.clone(), 0);
        self.gets.retain_mut(|get| {
            if !get.flag.take() {
                return true;
            }
            world.enter(get.request);
            let Some(result) = poll_with(&mut get.future, &get.waker) else { return true };
            match result {
                Ok(version) => assert!(version >= get.least, "{}: {version} after {}", get.what, get.least),
                Err(error) => assert!(matches!(error, LoadError::Loader(_)), "{}: {error}", get.what),
            }
            ended += 1;
            false
        });
        self.ended += ended;
        self.world.settle();
    }

    fn end(mut self) -> u64 {
        self.store.mood.set(Mood::Well);
        for _ in 0..1_000 {
            self.world.enter(OF_ALL);
            self.world.advance(100);
            self.run();
        }
        assert!(self.gets.is_empty(), "{} never end: {}", self.gets.len(), self.gets[0].what);
        for isolate in &self.isolates {
            self.world.enter(OF_ALL);
            self.world.run(isolate.flush());
            assert!(!isolate.tier_stats()[0].owes_purges);
        }
        self.ended
    }
}

fn storm<const ALONE: bool>() {
    let seed = seed();
    let steps = std::env::var("STEPS")
        .ok()
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(if cfg!(target_family = "wasm") { 2_000 } else { 20_000 });
    println!("SEED={seed} STEPS={steps}");
    let mut storm = Storm::<ALONE>::new(seed);
    (0..steps).for_each(|_| storm.step());
    assert!(storm.end() > steps / 10);
}

#[test]
fn no_get_brings_what_was_purged_before_it_began_and_every_get_ends() {
    storm::<false>();
}

#[test]
fn so_it_is_where_requests_die_with_all_that_they_do() {
    storm::<true>();
}
