//! A deterministic simulation: virtual time, random interleavings of gets, loads and batches that succeed, fail, never
//! end or are lost with their request, writes, drops, purges and time steps; the rules of the machine are
//! checked after every step. `SEED=n` (at compile time) picks the run, `STEPS` how long it is.

mod common;
mod simulated;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;

use common::{Flag, Heard, Promiser, Random, Virtual, World, poll_with, promised, seed};
use nearcache::core::EvictionPolicy;
use nearcache::engine::Batched;
use nearcache::options::PolicyPatch;
use nearcache::{Cache, CallOptions, EntryOptions, Got, LoadCtx, LoadError, Status, Ttl};
use simulated::{Ends, Model, TAGS, Told, VIEWS, Value, is_within};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Of all views.
const KEYS: u64 = 5 * VIEWS;
const MAX_ENTRIES: u64 = 6;
const MAX_BYTES: u64 = 40;
const TIMEOUT: u64 = 100;

type Waiting = Pin<Box<dyn Future<Output = Answer>>>;
type Answer = Result<Written, LoadError>;
type Said = Result<(), String>;

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
    /// When its leader's wait ends, and with it its claim to the key.
    deadline: u64,
    is_write: bool,
    end: End,
    /// Shared with the load's future: set when that is dropped.
    gone: Rc<Cell<bool>>,
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

impl From<Got<Value>> for Written {
    fn from(got: Got<Value>) -> Self {
        Self { value: got.value, status: Some(got.status) }
    }
}

/// What a load will say about what it brings.
#[derive(Clone)]
struct Plan {
    ttl: Option<u64>,
    revalidate: Option<u64>,
    error: Option<u64>,
    backoff: Option<u64>,
    tags: Vec<usize>,
    skip: bool,
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let mut one = |odds, below| random.one_in(odds).then(|| random.below(below));
        Self {
            ttl: one(3, 60),
            revalidate: one(3, 40),
            error: one(3, 60),
            backoff: one(3, 50),
            tags: one(2, 1 << TAGS.len()).map_or(Vec::new(), |bits| (0..3).filter(|n| bits & (1 << n) != 0).collect()),
            skip: random.one_in(8),
        }
    }

    /// The loader's own word first.
    fn or(&self, other: &Self) -> Self {
        Self {
            ttl: self.ttl.or(other.ttl),
            revalidate: self.revalidate.or(other.revalidate),
            error: self.error.or(other.error),
            backoff: self.backoff.or(other.backoff),
            tags: self.tags.iter().chain(&other.tags).copied().collect(),
            skip: self.skip,
        }
    }

    fn ends(&self, now: u64, view: u64) -> Ends {
        let (ttl, revalidate, error) = DEFAULTS[view as usize];
        Ends::new(now, self.ttl.unwrap_or(ttl), self.revalidate.unwrap_or(revalidate), self.error.unwrap_or(error))
    }

    fn patch(&self) -> PolicyPatch {
        let mut patch = PolicyPatch::new();
        patch.ttl = self.ttl.map(Ttl::Millis);
        patch.stale_while_revalidate = self.revalidate.map(Ttl::Millis);
        patch.stale_if_error = self.error.map(Ttl::Millis);
        patch.error_backoff = self.backoff.map(Ttl::Millis);
        patch
    }

    fn say(&self, ctx: &LoadCtx<Value>) {
        if let Some(ttl) = self.ttl {
            ctx.set_ttl(Ttl::Millis(ttl));
        }
        if let Some(window) = self.revalidate {
            ctx.set_stale_while_revalidate(Ttl::Millis(window));
        }
        if let Some(window) = self.error {
            ctx.set_stale_if_error(Ttl::Millis(window));
        }
        if let Some(backoff) = self.backoff {
            ctx.set_error_backoff(Ttl::Millis(backoff));
        }
        self.tags.iter().for_each(|tag| ctx.tag(TAGS[*tag]));
        if self.skip {
            ctx.skip();
        }
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
    views: Vec<Sut<ALONE>>,
    batched: Vec<Batched<u64, Value, Virtual<ALONE>>>,
    waits: Vec<Wait>,
    shared: Shared,
    next_request: u32,
    gets: [u64; VIEWS as usize],
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
            .weigher(|_, value: &Value| (value.id % 23) as u32)
            .plugin(Heard(move |key: &u64, value: &Value, _| {
                assert_eq!(*key, value.key / VIEWS);
                count.set(count.get() + 1);
                heard_by.set(count.get());
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
        let views = vec![cache, part, inner, outer];
        let shared = Shared { world: world.0.clone(), ..Shared::default() };
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
            gets: [0; VIEWS as usize],
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
            16 if self.random.one_in(20) => {
                let view = Model::view(key);
                self.view(key).clear();
                self.shared.model.clear(|key| is_within(Model::view(key), view), KEYS);
                if view == 0 {
                    self.check_empty();
                }
            }
            17 if self.random.one_in(3) => self.purge_tag(key),
            18 if self.waits.len() < 12 => self.update(key),
            19 | 20 => self.world.0.advance(self.random.next() % 30),
            _ => self.views[0].sweep(1),
        }
        self.run_tasks();
        self.collect();
        // Loads that began just now start running before anything else happens.
        self.run_tasks();
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

    fn get(&mut self, key: u64) {
        self.gets[Model::view(key) as usize] += 1;
        if let Some(value) = self.view(key).get(&(key / VIEWS)) {
            self.shared.model.check_fresh(value, key, self.now(), &self.at());
        }
    }

    fn options(&mut self, plan: &Plan) -> (CallOptions, u64, u64) {
        let timeout = if self.random.one_in(4) { self.random.below(TIMEOUT) } else { TIMEOUT };
        let soft = if self.random.one_in(3) { self.random.below(40) } else { u64::MAX };
        let mut options = CallOptions::new().tags(plan.tags.iter().map(|tag| TAGS[*tag]));
        options.policy = plan.patch();
        if soft != u64::MAX {
            options = options.soft_timeout(Ttl::Millis(soft));
        }
        if timeout != TIMEOUT {
            options = options.hard_timeout(Ttl::Millis(timeout));
        }
        if self.random.one_in(5) {
            options = options.force_fresh();
        }
        (options, timeout, soft)
    }

    fn ask(&mut self, key: u64) {
        let (asked, said) = (Plan::draw(&mut self.random), Plan::draw(&mut self.random));
        let (options, timeout, soft) = self.options(&asked);
        let deadline = self.now() + timeout;
        let (cache, shared, world) = (self.view(key).clone(), self.shared.clone(), self.world.clone());
        let again = cache.clone();
        let load = move |ctx: LoadCtx<Value>| async move {
            let plan = said.or(&asked);
            let model = shared.model.clone();
            let id = model.begin(key, &plan.tags, !plan.skip);
            let (promiser, promise) = promised();
            let _gone = shared.load(vec![key], id, deadline, false, End::One(promiser));
            // Rule 8 again: a loader may look into the cache.
            again.peek(&(key / VIEWS));
            let result = promise.await;
            said.say(&ctx);
            settled(&model, &plan, key, id, world.0.now(), result)
        };
        let future: Waiting =
            Box::pin(async move { Ok(cache.try_get_with_details(key / VIEWS, options, load).await?.into()) });
        self.wait(future, key, timeout, soft, false);
    }

    /// One key of a batch, or all of a view's.
    fn ask_batch(&mut self, key: u64) {
        let view = Model::view(key);
        let batched = self.batched[view as usize].clone();
        if self.random.one_in(3) {
            // As `get_many` does, but so that each can be watched.
            for key in (0..KEYS).filter(|key| Model::view(*key) == view) {
                let batched = batched.clone();
                let future =
                    async move { Ok(batched.get_with_details(key / VIEWS, CallOptions::default()).await?.into()) };
                self.wait(Box::pin(future), key, TIMEOUT, u64::MAX, false);
            }
            return;
        }
        let (options, timeout, soft) = self.options(&NOTHING);
        let future = async move { Ok(batched.get_with_details(key / VIEWS, options).await?.into()) };
        self.wait(Box::pin(future), key, timeout, soft, false);
    }

    fn wait(&mut self, future: Waiting, key: u64, timeout: u64, soft: u64, is_write: bool) {
        let (asked_at, purges, request) = (self.now(), self.shared.model.purges(), self.world.0.request());
        if !is_write {
            self.gets[Model::view(key) as usize] += 1;
        }
        let (flag, waker) = Flag::up();
        let (polled, busy_until, was_busy) = (false, 0, false);
        self.waits.push(Wait {
            future,
            key,
            asked_at,
            timeout,
            soft,
            purges,
            request,
            is_write,
            polled,
            flag,
            waker,
            busy_until,
            was_busy,
        });
    }

    fn update(&mut self, key: u64) {
        let plan = Plan { skip: false, ..Plan::draw(&mut self.random) };
        let (mut options, mut timeout, _) = self.options(&plan);
        if timeout == 0 {
            (options, timeout) = (options.hard_timeout(Ttl::Millis(1)), 1);
        }
        let model = self.shared.model.clone();
        let id = model.begin(key, &plan.tags, true);
        let (promiser, promise) = promised();
        let gone = self.shared.load(vec![key], id, 0, true, End::One(promiser));
        let mut told = Told { model: model.clone(), id, ends: None };
        let world = self.world.clone();
        let write = move |_: LoadCtx<Value>| async move {
            let _gone = gone;
            let result = promise.await;
            told.ends = result.is_ok().then(|| plan.ends(world.0.now(), Model::view(key)));
            drop(told);
            result.map(|()| Value { key, id }).map_err(|_| format!("load {id}"))
        };
        let cache = self.view(key).clone();
        let mut future: Waiting = Box::pin(async move {
            let value = cache.update_with_options(key / VIEWS, options, write).await?;
            Ok(Written { value, status: None })
        });
        model.begin_write(key, id);
        // At once, so that what else happens in this step comes after its beginning for both.
        assert!(poll_with(&mut future, Waker::noop()).is_none());
        self.wait(future, key, timeout, u64::MAX, true);
    }

    fn insert(&mut self, key: u64) {
        let plan = Plan::draw(&mut self.random);
        let model = self.shared.model.clone();
        model.remove(key, KEYS);
        let id = model.begin(key, &plan.tags, true);
        model.stored(id, plan.ends(self.now(), Model::view(key)));
        let mut options = EntryOptions::new().tags(plan.tags.iter().map(|tag| TAGS[*tag]));
        options.policy = plan.patch();
        self.view(key).insert_with(key / VIEWS, Value { key, id }, options);
    }

    fn purge_tag(&mut self, key: u64) {
        let view = Model::view(key);
        let tag = self.random.below(TAGS.len() as u64) as usize;
        let soft = self.random.one_in(2);
        match soft {
            true => self.view(key).expire_by_tag(TAGS[tag]),
            false => self.view(key).remove_by_tag(TAGS[tag]),
        };
        self.shared.model.purge_tag(tag, |key| is_within(Model::view(key), view), soft.then_some(self.now()));
    }

    /// Ends a load, one way or the other; some never end.
    fn settle(&mut self) {
        let loads = self.shared.loads.borrow();
        let open: Vec<&Load> = loads.iter().filter(|load| !load.gone.get() && load.id % 11 != 0).collect();
        if open.is_empty() {
            return;
        }
        let load = open[self.random.below(open.len() as u64) as usize];
        let said = |random: &mut Random, id| if random.one_in(3) { Err(format!("load {id}")) } else { Ok(()) };
        match &load.end {
            End::One(promiser) => promiser.say(said(&mut self.random, load.id)),
            End::Many(promiser, ids) => {
                let short = usize::from(self.random.one_in(6));
                let all = ids.iter().skip(short).map(|id| said(&mut self.random, *id));
                promiser.say(all.collect());
            }
        }
    }

    /// A waiter is dropped, or its request dies with all that it runs.
    fn abandon(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        let index = self.random.below(self.waits.len() as u64) as usize;
        let wait = self.waits.swap_remove(index);
        if !wait.polled {
            // It has not asked yet, and never will.
            self.gets[Model::view(wait.key) as usize] -= u64::from(!wait.is_write);
        }
        if !(ALONE && wait.polled && self.random.one_in(2)) {
            return;
        }
        self.world.0.kill(wait.request);
        for load in self.shared.loads.borrow().iter().filter(|load| load.request == wait.request) {
            load.gone.set(true);
        }
        let (killed, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waits).into_iter().partition(|other| other.request == wait.request);
        self.waits = rest;
        std::mem::forget(wait.future);
        for other in killed {
            self.gets[Model::view(other.key) as usize] -= u64::from(!other.is_write && !other.polled);
            std::mem::forget(other.future);
        }
    }

    fn collect(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        waits.retain_mut(|wait| {
            // Who has been polled is polled again when it is woken, and now and then for nothing, unless its executor is
            // busy.
            let (for_nothing, gets_busy) = (self.random.one_in(20), self.random.one_in(40));
            if wait.polled && (self.step < wait.busy_until || !for_nothing && !wait.flag.take()) {
                return true;
            }
            wait.flag.take();
            self.enter(wait.request);
            let first = !std::mem::replace(&mut wait.polled, true);
            if gets_busy {
                (wait.busy_until, wait.was_busy) = (self.step + self.random.below(40), true);
            }
            let hits = first.then(|| self.view(wait.key).stats().hits);
            let Some(result) = poll_with(&mut wait.future, &wait.waker) else { return true };
            let from_memory = hits.is_some_and(|hits| self.view(wait.key).stats().hits > hits);
            self.check_result(wait, from_memory, result);
            false
        });
        self.waits = waits;
    }

    fn check_result(&self, wait: &Wait, from_memory: bool, result: Answer) {
        let (at, now, model, key) = (self.at(), self.now(), &self.shared.model, wait.key);
        let waited = now - wait.asked_at;
        match result {
            Ok(Written { value, status: None }) => assert_eq!(value.key, key, "somebody else's answer, {at}"),
            Ok(Written { value, status: Some(status) }) => match status {
                Status::Hit => model.check_fresh(value, key, now, &at),
                Status::Stale => model.check_stale(value, key, now, &at),
                Status::Miss | Status::Coalesced => model.check_loaded(value, key, wait.purges, &at),
                Status::StaleIfError => {
                    // Who comes late was handed it some time after it asked.
                    let then = if wait.was_busy { wait.asked_at } else { self.then };
                    model.check_last_good(value, key, then, wait.purges, true, &at);
                }
                Status::StaleOnTimeout => {
                    assert!(waited >= wait.soft, "too soft, {at}");
                    model.check_last_good(value, key, now, model.purges(), false, &at);
                }
                other => panic!("unknown status {other:?}, {at}"),
            },
            Err(LoadError::TimedOut { after_millis }) => {
                assert_eq!(after_millis, wait.timeout);
                assert!(waited >= wait.timeout, "timed out too early, {at}");
                if wait.is_write {
                    model.remove(key, KEYS);
                }
            }
            Err(LoadError::Loader(error)) => {
                let text = error.to_string();
                let id = text.strip_prefix("load ").and_then(|id| id.parse().ok()).expect("a load's own error");
                if from_memory {
                    model.check_failure(id, key, now, &at);
                }
            }
            Err(LoadError::Batch { keys, results }) => assert_eq!(keys, results + 1, "{at}"),
            Err(other) => panic!("{other}, request {} write {}, {at}", wait.request, wait.is_write),
        }
    }

    fn check(&mut self) {
        let at = self.at();
        // Rule 1: one live load a key, unless it was cut loose or its leader gave it up at its deadline.
        let mut loads = self.shared.loads.borrow_mut();
        loads.retain(|load| !load.gone.get());
        let mut live: HashMap<(u64, u64), u32> = HashMap::new();
        for load in loads.iter().filter(|load| self.now() < load.deadline && !load.is_write) {
            for (key, epoch) in load.keys.iter().zip(&load.epochs) {
                *live.entry((*key, *epoch)).or_default() += 1;
            }
        }
        for load in loads.iter().filter(|load| self.now() < load.deadline && !load.is_write) {
            if load.keys.iter().zip(&load.epochs).any(|(key, epoch)| live[&(*key, *epoch)] > 1) {
                eprintln!(
                    "load {} of {:?} {:?} request {} deadline {}, now {}",
                    load.id,
                    load.keys,
                    load.epochs,
                    load.request,
                    load.deadline,
                    self.now()
                );
            }
        }
        drop(loads);
        assert!(live.values().all(|count| *count == 1), "two live loads of a key, {at}");
        // Rule 2: nobody waits past its deadline.
        for wait in self.waits.iter().filter(|wait| self.step >= wait.busy_until) {
            assert!(self.now() - wait.asked_at < wait.timeout.max(1), "still waiting, {at}");
        }
        // Rule 5.
        let cache = &self.views[0];
        assert!(cache.len() as u64 <= MAX_ENTRIES && cache.weight() <= MAX_BYTES, "out of bounds, {at}");
        let mut weight = 0;
        for (view, cache) in self.views.iter().enumerate() {
            for (key, value) in cache.iter() {
                self.shared.model.check_fresh(value, key * VIEWS + view as u64, self.now(), &at);
                weight += value.id % 23;
            }
        }
        assert!(cache.weight() >= weight, "{at}");
        // Rule 7, for every get that has been polled.
        let stats = cache.stats();
        assert_eq!(stats.gets(), self.gets.iter().sum::<u64>(), "{at}");
        assert_eq!(self.views[1].stats().gets(), self.gets[1] + self.gets[2], "of the namespace, {at}");
        let held = |view: usize| self.views[view].len();
        assert!(
            held(0) >= held(1).max(held(3)) && held(1).min(held(3)) >= held(2),
            "parts are larger than the whole, {at}"
        );
        let gone = stats.evicted_size + stats.evicted_expired + stats.evicted_replaced + stats.evicted_removed;
        assert!(stats.inserts - gone <= cache.len() as u64, "{at}");
        assert_eq!(gone, self.heard.get(), "the plugin missed something, {at}");
    }

    fn check_empty(&self) {
        let stats = self.views[0].stats();
        let gone = stats.evicted_size + stats.evicted_expired + stats.evicted_replaced + stats.evicted_removed;
        assert_eq!((self.views[0].len(), stats.inserts), (0, gone), "{}", self.at());
    }

    /// In the end everyone settles, and nothing is left of the loads.
    fn finish(mut self) {
        self.world.0.advance(TIMEOUT + 1);
        // Everybody is free again.
        self.step += 1_000;
        for _ in 0..4 {
            self.run_tasks();
            self.collect();
        }
        assert!(self.waits.is_empty(), "somebody hangs, {}", self.at());
        // What waits in the background since a moment ago.
        self.world.0.advance(TIMEOUT + 1);
        self.run_tasks();
        // Rule 9: what was lost or abandoned is cleaned up, here by the sweep.
        if ALONE {
            (0..100).for_each(|_| self.views[0].sweep(1));
        }
        assert_eq!(self.views[0].loads_in_flight(), 0, "a load outlived its waiters, {}", self.at());
        self.views[0].clear();
        self.check_empty();
        if !ALONE {
            // Where requests die, what they left behind is never dropped.
            let (at, witness, loads) = (self.at(), self.witness.clone(), self.shared.loads.clone());
            self.itself.take();
            drop(self);
            assert!(loads.borrow().iter().all(|load| load.gone.get()), "a load outlived its cache, {at}");
            assert!(witness.upgrade().is_none(), "a cache outlived its handles, {at}");
        }
    }
}

const NOTHING: Plan = Plan { ttl: None, revalidate: None, error: None, backoff: None, tags: Vec::new(), skip: false };

impl Shared {
    /// Notes a load; it is there until what is returned is dropped.
    fn load(&self, keys: Vec<u64>, id: u64, deadline: u64, is_write: bool, end: End) -> SetOnDrop {
        let gone = Rc::new(Cell::new(false));
        let epochs = keys.iter().map(|key| self.model.epoch(*key)).collect();
        let (request, of_load) = (self.world.request(), gone.clone());
        self.loads.borrow_mut().push(Load { keys, epochs, id, request, deadline, is_write, end, gone: of_load });
        SetOnDrop(gone)
    }
}

/// Tells the model how a load ended.
fn settled(model: &Model, plan: &Plan, key: u64, id: u64, now: u64, said: Said) -> Result<Value, String> {
    let view = Model::view(key);
    match said {
        Ok(()) => model.stored(id, plan.ends(now, view)),
        Err(_) => model.failed(id, now + plan.backoff.unwrap_or(BACKOFFS[view as usize])),
    }
    said.map(|()| Value { key, id }).map_err(|_| format!("load {id}"))
}

fn batched<const ALONE: bool>(
    views: &[Sut<ALONE>],
    view: u64,
    shared: Shared,
    world: Virtual<ALONE>,
) -> Batched<u64, Value, Virtual<ALONE>> {
    let load = move |keys: Vec<u64>, ctxs: Vec<LoadCtx<Value>>| {
        let (shared, world) = (shared.clone(), world.clone());
        async move {
            let keys: Vec<u64> = keys.into_iter().map(|key| key * VIEWS + view).collect();
            let mut unique = keys.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), keys.len(), "a key twice in a batch");
            assert!(keys.len() <= 4, "more than a batch holds");
            let model = shared.model.clone();
            let plans: Vec<Plan> = match shared.plans.borrow_mut().as_mut() {
                Some(random) => keys.iter().map(|_| Plan::draw(random)).collect(),
                None => Vec::new(),
            };
            let begin = |(key, plan): (&u64, &Plan)| model.begin(*key, &plan.tags, !plan.skip);
            let ids: Vec<u64> = keys.iter().zip(&plans).map(begin).collect();
            let (promiser, promise) = promised();
            // Which leader's deadline it has is not known here, so that it's held to none.
            let _gone = shared.load(keys.clone(), ids[0], 0, false, End::Many(promiser, ids.clone()));
            let said = promise.await;
            ctxs.iter().zip(&plans).for_each(|(ctx, plan)| plan.say(ctx));
            let now = world.0.now();
            if said.len() < keys.len() {
                let rest = |(id, plan): (&u64, &Plan)| model.failed(*id, now + plan.backoff.unwrap_or(50));
                ids.iter().zip(&plans).for_each(rest);
                return said.into_iter().map(|_| Err("too few".to_owned())).collect::<Vec<_>>();
            }
            let all = said.into_iter().enumerate();
            all.map(|(n, said)| settled(&model, &plans[n], keys[n], ids[n], now, said)).collect()
        }
    };
    views[view as usize].batched(load).max_batch_size(4)
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
        let mut sim = Sim::<ALONE>::new(seed() + round, round % 2 == 0);
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
