//! A deterministic simulation: virtual time, random interleavings of gets, loads and batches that succeed, fail, panic, never
//! end or are lost with their request, loaders that ask for other keys, writes, drops, purges and time that leaps over
//! deadlines; the rules of the machine are checked after every step. `SEED=n` (at compile time) picks the run, `STEPS` how long it is.

mod check;
#[path = "../common/mod.rs"]
mod common;
mod inner;
mod loads;
mod model;
mod plan;
mod steps;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use common::{Flag, Heard, Promiser, Random, Virtual, World, caught, poll_with, promised, seed, throw};
use inner::Asked;
use loads::{batched, settled};
use model::{Ends, Model, TAGS, Told, VIEWS, Value, is_within};
use nearcache::core::EvictionPolicy;
use nearcache::engine::Batched;
use nearcache::options::PolicyPatch;
use nearcache::{Cache, CallOptions, Details, EntryOptions, LoadCtx, LoadError, Status, Ttl};
use plan::{NOTHING, Plan};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Of all views.
const KEYS: u64 = 5 * VIEWS;
const MAX_ENTRIES: u64 = 6;
const MAX_BYTES: u64 = 40;
const TIMEOUT: u64 = 100;

type Waiting = Pin<Box<dyn Future<Output = Answer>>>;
type Answer = Result<Written, LoadError>;

/// How a load is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Value,
    Error,
    Panic,
}

/// Ends a load or a batch or a write.
enum End {
    One(Promiser<Said>),
    /// By place; too few when a place is missing.
    Many(Promiser<Vec<Said>>, Vec<u64>),
}

struct Load {
    keys: Vec<u64>,
    /// When it began, by key.
    epochs: Vec<u64>,
    id: u64,
    request: u32,
    /// When its leader's wait ends, and with it its claim to the key; 0: it is held to none.
    deadline: u64,
    is_write: bool,
    end: End,
    asks: Rc<Cell<Option<Asks>>>,
    /// Shared with the load's future: set when that is dropped.
    gone: Rc<Cell<bool>>,
}

/// What a loader waits for.
#[derive(Clone, Copy)]
struct Asks {
    key: u64,
    /// The load, if it is known which.
    load: Option<u64>,
}

struct Wait {
    future: Waiting,
    key: u64,
    asked_at: u64,
    timeout: u64,
    soft: u64,
    /// The number of the last purge, when it asked.
    purges: u64,
    request: u32,
    is_write: bool,
    polled: bool,
    flag: Arc<Flag>,
    waker: Waker,
    /// Until which step its executor is busy elsewhere, whoever wakes it. Then it may be late.
    busy_until: u64,
    was_busy: bool,
}

/// A value, and how it was come by, or nothing about that for one that was written.
struct Written {
    value: Value,
    status: Option<Status>,
}

impl From<Details<Value>> for Written {
    fn from(got: Details<Value>) -> Self {
        Self { value: got.value, status: Some(got.status) }
    }
}

/// ttl and windows of each view; a scope has those of the view above it.
const DEFAULTS: [(u64, u64, u64); VIEWS as usize] = [(u64::MAX, 20, 0), (50, 0, 30), (50, 0, 30), (u64::MAX, 20, 0)];

/// The backoff of each view.
const BACKOFFS: [u64; VIEWS as usize] = [0, 15, 15, 0];

type Sut<const ALONE: bool> = Cache<u64, Value, Virtual<ALONE>>;

struct Sim<const ALONE: bool> {
    seed: u64,
    step: u64,
    random: Random,
    world: Virtual<ALONE>,
    views: Rc<[Sut<ALONE>]>,
    batched: Vec<Batched<u64, Value, Virtual<ALONE>>>,
    waits: Vec<Wait>,
    shared: Shared,
    next_request: u32,
    heard: Rc<Cell<u64>>,
    /// For the plugin, which asks the cache.
    itself: Rc<RefCell<Option<Sut<ALONE>>>>,
    /// Held by the cache alone.
    witness: Weak<Cell<u64>>,
    /// When it was, the step before.
    then: u64,
}

/// What loads and batches share with the simulation.
#[derive(Clone, Default)]
struct Shared {
    model: Rc<Model>,
    loads: Rc<RefCell<Vec<Load>>>,
    world: Rc<World>,
    plans: Rc<RefCell<Option<Random>>>,
    /// Of each view, as they are to be counted.
    gets: Rc<[Cell<u64>; VIEWS as usize]>,
    /// Loads that have brought what is to be found in the cache, or to have left it.
    due: Rc<RefCell<Vec<u64>>>,
    /// Values that have left it.
    gone: Rc<RefCell<HashSet<u64>>>,
    seen: Rc<Seen>,
}

/// How often it happened.
#[derive(Default)]
struct Seen {
    circles: Cell<u64>,
    panics: Cell<u64>,
    stored: Cell<u64>,
}

fn more(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

impl<const ALONE: bool> Sim<ALONE> {
    fn new(seed: u64, spawns: bool) -> Self {
        let world = Virtual::default();
        world.0.seed(seed);
        world.0.spawns.set(spawns);
        let heard = Rc::new(Cell::new(0));
        // The cache's plugin has it, and nobody else.
        let count = Rc::new(Cell::new(0));
        let (witness, heard_by) = (Rc::downgrade(&count), heard.clone());
        let gone: Rc<RefCell<HashSet<u64>>> = Rc::default();
        let left = gone.clone();
        let cell: Rc<RefCell<Option<Sut<ALONE>>>> = Rc::default();
        let (itself, its) = (cell.clone(), cell.clone());
        let cache = Cache::builder()
            .eviction(if seed.is_multiple_of(5) { EvictionPolicy::Lru } else { EvictionPolicy::Adaptive })
            .max_entries(MAX_ENTRIES)
            .max_bytes(MAX_BYTES)
            .max_entry_bytes(20)
            .stale_while_revalidate(Ttl::Millis(DEFAULTS[0].1))
            .jitter(if seed.is_multiple_of(2) { 0.5 } else { 0.0 })
            .refresh_ahead(if seed.is_multiple_of(3) { 1.0 } else { 0.0 })
            .hard_timeout(Ttl::Millis(TIMEOUT))
            .max_concurrent_loads(if seed % 3 == 1 { 2 } else { u32::MAX })
            .loads_per_second(if seed % 6 == 1 { 40.0 } else { f64::INFINITY })
            .max_queued_loads(4)
            .keep_loading(seed.is_multiple_of(4))
            .weigher(|_, value: &Value| (value.id % 23) as u32)
            .plugin(Heard(move |key: &u64, value: &Value, _| {
                assert_eq!(*key, value.key / VIEWS);
                count.set(count.get() + 1);
                heard_by.set(count.get());
                left.borrow_mut().insert(value.id);
                // Rule 8: the user's code runs with nothing borrowed.
                assert!(itself.borrow().as_ref().is_none_or(|cache| cache.len() as u64 <= MAX_ENTRIES));
            }))
            .runtime(world.clone())
            .build();
        *cell.borrow_mut() = Some(cache.clone());
        let patch = PolicyPatch::new()
            .ttl(Ttl::Millis(DEFAULTS[1].0))
            .stale_while_revalidate(Ttl::ZERO)
            .stale_if_error(Ttl::Millis(DEFAULTS[1].2))
            .error_backoff(Ttl::Millis(BACKOFFS[1]));
        let part = cache.namespace("a", patch).expect("the first");
        let outer = cache.scope("u");
        // By the one way or by the other.
        let inner = if seed.is_multiple_of(5) { part.scope("u") } else { outer.namespace("a", patch).expect("known") };
        let views = Rc::from(vec![cache, part, inner, outer]);
        let shared = Shared { world: world.0.clone(), gone, ..Shared::default() };
        shared.model.refuses.set(seed % 3 == 1);
        *shared.plans.borrow_mut() = Some(Random(seed ^ 0x5eed));
        let batched = (0..VIEWS).map(|view| batched(&views, view, shared.clone(), world.clone())).collect();
        Self {
            seed,
            step: 0,
            random: Random(seed),
            world,
            views,
            batched,
            waits: Vec::new(),
            shared,
            next_request: 1,
            heard,
            itself: its,
            witness,
            then: 0,
        }
    }

    fn at(&self) -> String {
        format!("seed {} step {} alone {ALONE} spawns {}", self.seed, self.step, self.world.0.spawns.get())
    }

    fn now(&self) -> u64 {
        self.world.0.now()
    }

    fn view(&self, key: u64) -> &Sut<ALONE> {
        &self.views[Model::view(key) as usize]
    }

    fn step(&mut self) {
        self.step += 1;
        let then = self.now();
        let key = self.random.below(KEYS);
        self.request();
        match self.random.below(22) {
            0 | 1 => self.get(key),
            2..=5 if self.waits.len() < 12 => self.ask(key),
            6 if self.waits.len() < 12 => self.ask_batch(key),
            7..=11 => self.settle(),
            12 => self.abandon(),
            13 if self.random.one_in(3) => {
                self.view(key).remove(&(key / VIEWS));
                self.shared.model.remove(key, KEYS);
            }
            14 if self.random.one_in(3) => {
                self.view(key).expire(&(key / VIEWS));
                self.shared.model.expire(key, self.now());
            }
            15 if self.random.one_in(3) => self.insert(key),
            // Loads that wait for their turn are cut loose by a clear of all, and begin after it.
            16 if self.random.one_in(20) && !(self.shared.model.refuses.get() && Model::view(key) == 0) => {
                let view = Model::view(key);
                self.view(key).clear();
                self.shared.model.clear(|key| is_within(Model::view(key), view), KEYS);
                if view == 0 {
                    self.check_empty();
                }
            }
            17 if self.random.one_in(3) => self.purge_tag(key),
            18 if self.waits.len() < 12 => self.update(key),
            // Now and then over several deadlines.
            19 | 20 => {
                let longest = if self.random.one_in(30) { 4 * TIMEOUT } else { 30 };
                self.world.0.advance(self.random.below(longest));
            }
            _ => self.views[0].sweep(1),
        }
        self.run_tasks();
        self.collect();
        // Loads that began just now start running before anything else happens, and those that they ask for.
        self.world.0.settle();
        self.check();
        self.then = then;
    }

    fn run_tasks(&self) {
        self.world.0.run_tasks();
    }

    /// What begins from here on belongs to a new request.
    fn request(&mut self) -> u32 {
        self.next_request += 1;
        self.enter(self.next_request);
        self.next_request
    }

    fn enter(&self, request: u32) {
        self.world.0.enter(request);
    }
}

const STEPS: u64 = match option_env!("STEPS") {
    Some(steps) => match u64::from_str_radix(steps, 10) {
        Ok(steps) => steps,
        Err(_) => panic!("STEPS is not a number"),
    },
    None if cfg!(target_family = "wasm") => 20_000,
    None => 600_000,
};

fn run<const ALONE: bool>() {
    const ROUND: u64 = 2_000;
    println!("seed {}, {STEPS} steps", seed());
    let mut seen = [0; 3];
    for round in 0..STEPS / ROUND {
        let mut sim = Sim::<ALONE>::new(seed() + round, round % 2 == 0);
        (0..ROUND).for_each(|_| sim.step());
        let Seen { circles, panics, stored } = &*sim.shared.seen;
        seen.iter_mut().zip([circles, panics, stored]).for_each(|(sum, of)| *sum += of.get());
        sim.finish();
    }
    let [circles, panics, stored] = seen;
    println!("{circles} asks would have closed a circle, {panics} loaders panicked, {stored} values were to be stored");
    assert!(STEPS < 20_000 || circles > STEPS / 2_000 && stored > STEPS / 100, "the run showed too little");
    assert!(STEPS < 20_000 || panics > STEPS / 500 || !Sim::<ALONE>::PANICS, "too few panics");
}

#[test]
fn the_rules_hold_where_waiters_drive_the_load() {
    run::<false>();
}

#[test]
fn the_rules_hold_where_loads_live_and_die_with_requests() {
    run::<true>();
}
