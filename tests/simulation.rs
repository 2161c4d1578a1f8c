//! A deterministic simulation: virtual time, random interleavings of gets, loads that succeed, fail, never
//! end or are lost with their request, drops, purges and time steps; the rules of the machine are
//! checked after every step. `SEED=n` (at compile time) picks the run, `STEPS` how long it is.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use common::{Heard, Promiser, Random, Virtual, poll_once, promised, seed};
use nearcache::{Cache, CallOptions, EntryOptions, LoadCtx, LoadError, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const KEYS: u64 = 12;
const MAX_ENTRIES: u64 = 5;
const MAX_BYTES: u64 = 40;
const TIMEOUT: u64 = 100;

type Waiting = Pin<Box<dyn Future<Output = Result<Value, LoadError>>>>;

/// A value that knows where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    key: u64,
    id: u64,
}

/// What the world knows of a value.
#[derive(Clone, Copy)]
struct Origin {
    /// When the load that brought it began, or when it was inserted, in purges of its key.
    epoch: u64,
    /// When it may be handed out for the last time; `None` before it is stored.
    expires: Option<u64>,
    shareable: bool,
}

struct Load {
    key: u64,
    epoch: u64,
    id: u64,
    request: u32,
    /// When its leader's wait ends, and with it its claim to the key.
    deadline: u64,
    promiser: Promiser<Result<u64, String>>,
    /// Shared with the loader's future: set when that is dropped.
    gone: Rc<Cell<bool>>,
}

struct Wait {
    future: Waiting,
    key: u64,
    asked_at: u64,
    timeout: u64,
    /// In purges of its key, when it asked.
    epoch: u64,
    request: u32,
}

struct Sim<const ALONE: bool> {
    seed: u64,
    step: u64,
    random: Random,
    world: Virtual<ALONE>,
    cache: Cache<u64, Value, Virtual<ALONE>>,
    waits: Vec<Wait>,
    loads: Rc<RefCell<Vec<Load>>>,
    origins: Rc<RefCell<HashMap<u64, Origin>>>,
    /// Purges so far by key: a value from before the last one may not be found by a get.
    epochs: Rc<RefCell<HashMap<u64, u64>>>,
    next_id: Rc<Cell<u64>>,
    next_request: u32,
    gets: u64,
    heard: Rc<Cell<u64>>,
}

impl<const ALONE: bool> Sim<ALONE> {
    fn new(seed: u64) -> Self {
        let world = Virtual::default();
        let heard = Rc::new(Cell::new(0));
        let count = heard.clone();
        let cell: Rc<RefCell<Option<Cache<u64, Value, Virtual<ALONE>>>>> = Rc::default();
        let itself = cell.clone();
        let cache = Cache::builder()
            .max_entries(MAX_ENTRIES)
            .max_bytes(MAX_BYTES)
            .max_entry_bytes(20)
            .hard_timeout(Ttl::Millis(TIMEOUT))
            .weigher(|_, value: &Value| (value.id % 23) as u32)
            .plugin(Heard(move |key: &u64, value: &Value, _| {
                assert_eq!(*key, value.key);
                count.set(count.get() + 1);
                // Rule 8: the user's code runs with nothing borrowed.
                assert!(itself.borrow().as_ref().is_none_or(|cache| cache.len() as u64 <= MAX_ENTRIES));
            }))
            .runtime(world.clone())
            .build();
        *cell.borrow_mut() = Some(cache.clone());
        Self {
            seed,
            step: 0,
            random: Random(seed),
            world,
            cache,
            waits: Vec::new(),
            loads: Rc::default(),
            origins: Rc::default(),
            epochs: Rc::default(),
            next_id: Rc::new(Cell::new(1)),
            next_request: 1,
            gets: 0,
            heard,
        }
    }

    fn at(&self) -> String {
        format!("seed {} step {} alone {ALONE}", self.seed, self.step)
    }

    fn epoch(&self, key: u64) -> u64 {
        self.epochs.borrow().get(&key).copied().unwrap_or(0)
    }

    fn bump(&self, key: u64) {
        *self.epochs.borrow_mut().entry(key).or_default() += 1;
    }

    fn step(&mut self) {
        self.step += 1;
        let key = self.random.below(KEYS);
        match self.random.below(16) {
            0 | 1 => self.get(key),
            2..=5 if self.waits.len() < 12 => self.ask(key),
            6..=9 => self.settle(),
            10 => self.abandon(),
            11 if self.random.one_in(3) => {
                self.cache.remove(&key);
                self.bump(key);
            }
            12 if self.random.one_in(3) => self.insert(key),
            13 if self.random.one_in(20) => {
                self.cache.clear();
                (0..KEYS).for_each(|key| self.bump(key));
            }
            14 => self.world.0.advance(self.random.next() % 30),
            _ => self.cache.sweep(1),
        }
        self.world.0.run_tasks();
        self.collect();
        // Loads that began just now start running before anything else happens.
        self.world.0.run_tasks();
        self.check();
    }

    fn get(&mut self, key: u64) {
        self.gets += 1;
        if let Some(value) = self.cache.get(&key) {
            self.check_handed_out(key, value);
        }
    }

    /// Rules 3, 4 and 6 for a value that came from memory.
    fn check_handed_out(&self, key: u64, value: Value) {
        let origin = self.origins.borrow()[&value.id];
        let at = self.at();
        assert_eq!(value.key, key, "somebody else's answer, {at}");
        assert!(origin.expires.is_some_and(|expires| self.world.0.now() < expires), "past its time, {at}");
        assert_eq!(origin.epoch, self.epoch(key), "from before a purge, {at}");
        assert!(origin.shareable, "a skipped value was stored, {at}");
    }

    fn ask(&mut self, key: u64) {
        self.gets += 1;
        let request = self.next_request;
        self.next_request += 1;
        self.world.0.enter(request);
        let timeout = if self.random.one_in(4) { self.random.below(TIMEOUT) } else { TIMEOUT };
        let options = CallOptions {
            ttl: self.random.one_in(2).then(|| Ttl::Millis(self.random.below(60))),
            hard_timeout: (timeout != TIMEOUT).then_some(Ttl::Millis(timeout)),
            force_fresh: self.random.one_in(5),
            ..CallOptions::default()
        };
        let said = self.random.one_in(3).then(|| self.random.below(60));
        let skip = self.random.one_in(6);
        let ttl = match (said, options.ttl) {
            (Some(said), _) => Some(said),
            (None, Some(Ttl::Millis(millis))) => Some(millis),
            _ => None,
        };
        let (cache, again) = (self.cache.clone(), self.cache.clone());
        let (loads, origins, epochs) = (self.loads.clone(), self.origins.clone(), self.epochs.clone());
        let (next_id, world) = (self.next_id.clone(), self.world.clone());
        let now = self.world.0.now();
        let deadline = now + timeout;
        let load = move |ctx: LoadCtx<Value>| async move {
            let id = next_id.replace(next_id.get() + 1);
            let epoch = epochs.borrow().get(&key).copied().unwrap_or(0);
            origins.borrow_mut().insert(id, Origin { epoch, expires: None, shareable: !skip });
            let (promiser, promise) = promised();
            let gone = Rc::new(Cell::new(false));
            let _dropped = SetOnDrop(gone.clone());
            loads.borrow_mut().push(Load { key, epoch, id, request, deadline, promiser, gone });
            // Rule 8 again: a loader may look into the cache.
            again.peek(&key);
            let result = promise.await;
            if let Some(said) = said {
                ctx.set_ttl(Ttl::Millis(said));
            }
            if skip {
                ctx.skip();
            }
            if let Some(origin) = origins.borrow_mut().get_mut(&id) {
                origin.expires = Some(world.0.now().saturating_add(ttl.unwrap_or(u64::MAX)));
            }
            result.map(|id| Value { key, id })
        };
        let future: Waiting = Box::pin(async move { cache.try_get_with_options(key, options, load).await });
        self.waits.push(Wait { future, key, asked_at: now, timeout, epoch: self.epoch(key), request });
    }

    fn insert(&mut self, key: u64) {
        let id = self.next_id.replace(self.next_id.get() + 1);
        self.bump(key);
        let ttl = self.random.below(60);
        let origin = Origin { epoch: self.epoch(key), expires: Some(self.world.0.now() + ttl), shareable: true };
        self.origins.borrow_mut().insert(id, origin);
        let options = EntryOptions { ttl: Some(Ttl::Millis(ttl)), ..EntryOptions::default() };
        self.cache.insert_with(key, Value { key, id }, options);
    }

    /// Ends a load, one way or the other; some never end.
    fn settle(&mut self) {
        let loads = self.loads.borrow();
        let open: Vec<&Load> = loads.iter().filter(|load| !load.gone.get() && load.id % 11 != 0).collect();
        if open.is_empty() {
            return;
        }
        let load = open[self.random.below(open.len() as u64) as usize];
        let fails = self.random.one_in(4);
        load.promiser.say(if fails { Err(format!("load {}", load.id)) } else { Ok(load.id) });
    }

    /// A waiter is dropped, or its request dies with all that it runs.
    fn abandon(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        let index = self.random.below(self.waits.len() as u64) as usize;
        let wait = self.waits.swap_remove(index);
        if ALONE && self.random.one_in(2) {
            self.world.0.kill(wait.request);
            for load in self.loads.borrow().iter().filter(|load| load.request == wait.request) {
                load.gone.set(true);
            }
            std::mem::forget(wait.future);
        } else {
            drop(wait.future);
        }
    }

    fn collect(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        waits.retain_mut(|wait| {
            self.world.0.enter(wait.request);
            let Some(result) = poll_once(&mut wait.future) else { return true };
            let at = self.at();
            let waited = self.world.0.now() - wait.asked_at;
            match result {
                Ok(value) => {
                    assert_eq!(value.key, wait.key, "somebody else's answer, {at}");
                    // Rule 4: nobody gets what began before a purge that came before he asked.
                    assert!(self.origins.borrow()[&value.id].epoch >= wait.epoch, "joined a purged load, {at}");
                }
                Err(LoadError::TimedOut { after_millis }) => {
                    assert_eq!(after_millis, wait.timeout);
                    assert!(waited >= wait.timeout, "timed out too early, {at}");
                }
                Err(LoadError::Loader(error)) => assert!(error.to_string().starts_with("load "), "{at}"),
                Err(other) => panic!("{other}, {at}"),
            }
            false
        });
        self.waits = waits;
    }

    fn check(&mut self) {
        let at = self.at();
        // Rule 1: one live load a key (of an epoch), unless its leader gave it up at his deadline.
        self.loads.borrow_mut().retain(|load| !load.gone.get());
        let mut live: HashMap<(u64, u64), u32> = HashMap::new();
        for load in self.loads.borrow().iter().filter(|load| self.world.0.now() < load.deadline) {
            *live.entry((load.key, load.epoch)).or_default() += 1;
        }
        assert!(live.values().all(|count| *count == 1), "two live loads of a key, {at}");
        // Rule 2: nobody waits past his deadline.
        for wait in &self.waits {
            assert!(self.world.0.now() - wait.asked_at < wait.timeout.max(1), "still waiting, {at}");
        }
        // Rule 5.
        assert!(self.cache.len() as u64 <= MAX_ENTRIES && self.cache.weight() <= MAX_BYTES, "out of bounds, {at}");
        let entries: Vec<_> = self.cache.iter().collect();
        for (key, value) in &entries {
            self.check_handed_out(*key, *value);
        }
        let weight: u64 = entries.iter().map(|(_, value)| value.id % 23).sum();
        assert!(self.cache.weight() >= weight, "{at}");
        // Rule 7, for every get that has been polled.
        let stats = self.cache.stats();
        assert_eq!(stats.hits + stats.misses + stats.coalesced, self.gets, "{at}");
        let gone = stats.evicted_size + stats.evicted_expired + stats.evicted_replaced + stats.evicted_removed;
        assert_eq!(stats.inserts, gone + self.cache.len() as u64, "{at}");
        assert_eq!(gone, self.heard.get(), "the listener missed something, {at}");
    }

    /// In the end everyone settles, and nothing is left of the loads.
    fn finish(mut self) {
        self.world.0.advance(TIMEOUT + 1);
        self.world.0.run_tasks();
        self.collect();
        assert!(self.waits.is_empty(), "somebody hangs, {}", self.at());
        // Rule 9: what was lost or abandoned is cleaned up, here by the sweep.
        if ALONE {
            (0..100).for_each(|_| self.cache.sweep(1));
        }
        assert_eq!(self.cache.loads_in_flight(), 0, "a load outlived its waiters, {}", self.at());
    }
}

struct SetOnDrop(Rc<Cell<bool>>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set(true);
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
    for round in 0..STEPS / ROUND {
        let mut sim = Sim::<ALONE>::new(seed() + round);
        (0..ROUND).for_each(|_| sim.step());
        sim.finish();
    }
}

#[test]
fn the_rules_hold_where_waiters_drive_the_load() {
    run::<false>();
}

#[test]
fn the_rules_hold_where_loads_live_and_die_with_requests() {
    run::<true>();
}
