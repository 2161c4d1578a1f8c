//! What stands between a cache's loads and its tiers: it carries out what the machine in [`tier`](crate::tier) says.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::rc::{Rc, Weak};

use futures_util::future::{Either, LocalBoxFuture, join_all, select};
use serde::Serialize;

use super::reader::{Asked, Held, Reading};
use super::writer::Writing;
use super::{Below, TierLoad};
use crate::engine::call::LoadCtx;
use crate::engine::inner::Inner;
use crate::engine::plugin::Place;
use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::error::LoadError;
use crate::tier::{self, Chain, ChainEvent, Failure, Lane, Lifetimes, NewValue, Purge};
use crate::tiers::codec::{Payload, inflate, key_text};
use crate::tiers::{Codec, Settings, Store};
use crate::time::{Timestamp, Ttl};

/// How a value is kept.
pub(in crate::engine) struct Life<'a> {
    pub lifetimes: Lifetimes,
    pub tags: Vec<&'a str>,
    pub weight: Option<u32>,
}

/// What all handles of one cache over tiers share. It knows the cache weakly, as loads do.
pub(super) struct Driver<K, V, R: Runtime> {
    pub inner: Weak<Inner<K, V, R>>,
    pub chain: RefCell<Chain>,
    pub stores: Vec<Store>,
    codec: Box<dyn Codec<V>>,
    compress_from: usize,
    log: Box<dyn Fn(&str)>,
    /// The reads that take more keys, by whether stale values are an answer.
    pub reading: [RefCell<Option<Reading<R>>>; 2],
    /// For each tier the write that takes more entries.
    pub writing: Vec<RefCell<Option<Writing<R>>>>,
    /// For each tier, until when somebody tells it of purges.
    pub told_by: Vec<Cell<Timestamp>>,
    /// What is on its way, and when it is lost at the latest.
    jobs: RefCell<Vec<(Timestamp, Rc<SharedTask<R>>)>>,
}

impl<K: Hash + Eq + 'static, V: 'static, R: Runtime> Driver<K, V, R> {
    pub fn new(inner: Weak<Inner<K, V, R>>, settings: Settings, codec: Box<dyn Codec<V>>) -> Self {
        let Settings { chain, seal, stores, log, compress_from } = settings;
        let mut chain = Chain::new(chain, seal);
        for store in &stores {
            chain.add_tier(store.options.machine);
        }
        let writing = stores.iter().map(|_| RefCell::default()).collect();
        let told_by = stores.iter().map(|_| Cell::default()).collect();
        let (chain, reading, jobs) = (RefCell::new(chain), Default::default(), RefCell::default());
        Self { inner, chain, stores, codec, compress_from, log, reading, writing, told_by, jobs }
    }

    /// The time of day; the last one where there is no cache any more.
    pub fn now(&self) -> Timestamp {
        self.inner.upgrade().map_or(Timestamp::NEVER, |inner| inner.runtime.wall())
    }

    /// Waits for a call of a tier for so long.
    pub async fn within<T, E>(&self, millis: u64, call: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
        let Some(inner) = self.inner.upgrade() else { return Err(Failure::Error) };
        let sleep = inner.runtime.sleep(millis);
        drop(inner);
        match select(pin!(call), pin!(sleep)).await {
            Either::Left((answer, _)) => answer.map_err(|_| Failure::Error),
            Either::Right(_) => Err(Failure::Timeout),
        }
    }

    /// Begins what nobody need wait for: by itself where things can run by themselves, else with the next load or `flush`.
    pub fn begin<F>(self: &Rc<Self>, longest: u64, job: impl FnOnce(Weak<Self>) -> F) -> Option<Rc<SharedTask<R>>>
    where
        F: Future<Output = ()> + 'static,
    {
        let inner = self.inner.upgrade()?;
        let job = job(Rc::downgrade(self));
        // What runs by itself goes on without those who began it.
        let keep = R::DETACHED.then(|| (self.clone(), inner.clone()));
        let task = Rc::new(SharedTask::new(
            &inner.runtime,
            Box::pin(async move {
                job.await;
                drop(keep);
            }),
        ));
        if !R::DETACHED && inner.runtime.can_spawn() {
            let (joined, keep) = (task.join(), (self.clone(), inner.clone()));
            inner.runtime.spawn(Box::pin(async move {
                joined.await;
                drop(keep);
            }));
        }
        let now = inner.runtime.wall();
        let lost: Vec<_> = {
            let mut jobs = self.jobs.borrow_mut();
            jobs.push((now.after(Ttl::Millis(longest)), task.clone()));
            jobs.extract_if(.., |(until, task)| task.is_over() || R::DETACHED && *until < now).collect()
        };
        drop(lost);
        Some(task)
    }

    /// Whether what is begun runs by itself.
    fn runs_by_itself(&self) -> bool {
        R::DETACHED || self.inner.upgrade().is_some_and(|inner| inner.runtime.can_spawn())
    }

    /// Waits until nothing is on its way.
    pub async fn flush(&self) {
        loop {
            let jobs: Vec<_> = self.jobs.borrow().iter().map(|(_, task)| task.clone()).collect();
            if jobs.is_empty() {
                return;
            }
            join_all(jobs.iter().map(|task| task.join())).await;
            // What was lost with its request is not over.
            self.jobs.borrow_mut().retain(|(_, task)| !jobs.iter().any(|ended| Rc::ptr_eq(ended, task)));
        }
    }

    /// Purges that could not be told are told when there is an occasion, and what is worth a line in the log is logged.
    pub fn after_use(self: &Rc<Self>) {
        for tier in 0..self.stores.len() {
            self.deliver(tier);
        }
        loop {
            let event = self.chain.borrow_mut().poll_event();
            let Some(event) = event else { return };
            (self.log)(&self.line(event));
        }
    }

    fn line(&self, event: ChainEvent) -> String {
        let name = |tier: usize| self.stores.get(tier).map_or("", |store| store.name.as_str());
        let lane = |lane| match lane {
            Lane::Read => "reads",
            Lane::Write => "writes",
        };
        match event {
            ChainEvent::Failing { tier, lane: at } => {
                format!("nearcache: tier {} fails ({}); loads go on without it", name(tier), lane(at))
            }
            ChainEvent::Recovered { tier, lane: at } => {
                format!("nearcache: tier {} works again ({})", name(tier), lane(at))
            }
            ChainEvent::Refused { tier, refused } => {
                format!("nearcache: tier {} holds bytes that can't be believed ({refused})", name(tier))
            }
        }
    }

    /// Something was deleted, expired or written to its source.
    pub fn purge(self: &Rc<Self>, place: &tier::Place, purge: Purge<'_>) {
        let now = self.now();
        self.chain.borrow_mut().purge(now, place, purge);
        self.after_use();
    }

    /// A value was set.
    pub fn set(self: &Rc<Self>, place: &tier::Place, key: &str, value: &V, life: &Life<'_>) {
        let now = self.now();
        self.chain.borrow_mut().supersede(now, place, key);
        self.store(place, key, value, now, life);
    }

    /// Stores a value in all tiers; what stores it in those that write through.
    fn store(
        self: &Rc<Self>,
        place: &tier::Place,
        key: &str,
        value: &V,
        generation: Timestamp,
        life: &Life<'_>,
    ) -> Vec<Rc<SharedTask<R>>> {
        if life.lifetimes.ttl == Ttl::ZERO {
            return Vec::new();
        }
        let payload = match self.codec.encode(value) {
            Ok(bytes) => Payload::new(bytes, self.compress_from),
            // It is not shared; that it can't be is for whoever calls `insert` or wrote the loader to know.
            Err(error) => {
                (self.log)(&format!("nearcache: a value was not stored in tiers: {error}"));
                return Vec::new();
            }
        };
        let value = NewValue {
            place,
            key,
            generation,
            lifetimes: life.lifetimes,
            tags: life.tags.clone(),
            codec: self.codec.id(),
            compressed: payload.compressed,
            weight: life.weight,
            payload: &payload.bytes,
        };
        let now = self.now();
        let write = self.chain.borrow_mut().write(now, &value);
        let Some(write) = write else { return Vec::new() };
        let (name, bytes) = (Rc::from(write.name), Rc::from(write.bytes));
        let mut through = Vec::new();
        for put in write.puts {
            let written = self.write(put, &name, &bytes);
            let waits = self.stores.get(put.tier).is_some_and(|store| store.options.through);
            through.extend(written.filter(|_| waits));
        }
        through
    }

    /// What the tiers have is decoded; what can't be read is nothing.
    fn decode(&self, held: &Held) -> Option<V> {
        let (codec, payload) = (held.found.codec, held.payload()?);
        match held.found.compressed {
            true => self.codec.decode(codec, &inflate(payload)?).ok(),
            false => self.codec.decode(codec, payload).ok(),
        }
    }
}

impl<K, V, R> Below<K, V> for Driver<K, V, R>
where
    K: Hash + Eq + Serialize + 'static,
    V: 'static,
    R: Runtime,
{
    fn load<'a>(self: Rc<Self>, load: TierLoad<'a, K, V>) -> LocalBoxFuture<'a, Result<V, LoadError>>
    where
        K: 'a,
        V: 'a,
    {
        Box::pin(async move {
            let loaded = self.load_by_tiers(load).await;
            if !self.runs_by_itself() {
                self.flush().await;
            }
            loaded
        })
    }
}

impl<K: Hash + Eq + Serialize + 'static, V: 'static, R: Runtime> Driver<K, V, R> {
    async fn load_by_tiers(self: &Rc<Self>, load: TierLoad<'_, K, V>) -> Result<V, LoadError> {
        let Some(key) = key_text(load.key) else { return (load.load)().await };
        let place = place_of(load.place);
        let mut held = None;
        if !load.said.forced {
            let refresh = load.ctx.stale().is_some();
            held = self.read(Asked { place: place.clone(), key: key.clone() }, refresh).await;
        }
        if let Some(held) = held.as_ref().filter(|held| held.is_answer)
            && let Some(value) = self.decode(held)
        {
            say(load.ctx, held, 0);
            return Ok(value);
        }
        let began = self.now();
        match (load.load)().await {
            Ok(value) => {
                if !load.ctx.is_skipped() {
                    let said = load.ctx.tags();
                    let life = load.said.life(&load.ctx.policy(), &said, load.ctx.weight(), (load.is_absent)(&value));
                    let through = self.store(&place, &key, &value, began, &life);
                    join_all(through.iter().map(|task| task.join())).await;
                }
                Ok(value)
            }
            Err(error) => match held.and_then(|held| Some((self.decode(&held)?, held))) {
                Some((value, held)) => {
                    say(load.ctx, &held, self.now().millis_since(began));
                    Ok(value)
                }
                None => Err(error),
            },
        }
    }
}

/// Tells the cache how a value from below is kept.
fn say<V>(ctx: &LoadCtx<V>, held: &Held, later: u64) {
    let Lifetimes { ttl, stale_while_revalidate, stale_if_error } = held.found.lifetimes;
    ctx.set_ttl(ttl);
    ctx.set_stale_while_revalidate(stale_while_revalidate);
    ctx.set_stale_if_error(stale_if_error);
    ctx.set_jitter(0.0);
    ctx.set_age(held.age.saturating_add(later));
    held.found.tags.iter().for_each(|tag| ctx.tag(tag));
    held.found.weight.into_iter().for_each(|weight| ctx.set_weight(weight));
}

pub(super) fn place_of(place: &Place) -> tier::Place {
    tier::Place::new(&place.namespaces, &place.scopes)
}
