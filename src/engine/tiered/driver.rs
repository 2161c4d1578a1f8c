//! What stands between a cache's loads and its tiers: it carries out what the machine in [`tier`](crate::tier) says.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::rc::{Rc, Weak};

use futures_util::future::{Either, LocalBoxFuture, join_all, select};

use super::settings::{Settings, Store};
use super::turns::{Outbox, Reading, next_turn};
use crate::engine::inner::Inner;
use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::tier::{Chain, ChainEvent, Failure, Lane};
use crate::tiers::Codec;
use crate::time::{Timestamp, Ttl};

/// What all handles of one cache over tiers share. It knows the cache weakly, as loads do.
pub(super) struct Driver<K, V, R: Runtime> {
    pub inner: Weak<Inner<K, V, R>>,
    pub chain: RefCell<Chain>,
    /// What is on its way to one holds these, and not the driver, which holds what is on its way.
    pub stores: Rc<[Store]>,
    pub codec: Box<dyn Codec<V>>,
    pub compress_from: usize,
    pub log: Box<dyn Fn(&str)>,
    /// The reads that take more keys, by whether stale values are an answer.
    pub reading: [RefCell<Option<Reading<R>>>; 2],
    /// For each tier what is on its way there.
    pub outboxes: Vec<RefCell<Outbox<R>>>,
    /// For each tier, until when somebody tells it of purges.
    pub told_by: Vec<Cell<Timestamp>>,
    jobs: RefCell<Jobs<R>>,
}

/// What is on its way.
struct Jobs<R: Runtime> {
    /// With when it is lost at the latest.
    all: Vec<(Timestamp, Rc<SharedTask<R>>)>,
    /// With more of them those are looked for that are over: to look each time would cost as much as there are.
    most: usize,
}

/// So few jobs are looked at each time that one begins.
const FEW_JOBS: usize = 8;

impl<K: Hash + Eq + 'static, V: 'static, R: Runtime> Driver<K, V, R> {
    pub fn new(inner: Weak<Inner<K, V, R>>, settings: Settings, codec: Box<dyn Codec<V>>) -> Self {
        let Settings { chain, seal, stores, log, compress_from } = settings;
        let mut chain = Chain::new(chain, seal);
        for store in &stores {
            chain.add_tier(store.options.machine);
        }
        let outboxes = stores.iter().map(|_| RefCell::default()).collect();
        let told_by = stores.iter().map(|_| Cell::default()).collect();
        let jobs = RefCell::new(Jobs { all: Vec::new(), most: FEW_JOBS });
        let (chain, reading) = (RefCell::new(chain), Default::default());
        Self { inner, chain, stores: stores.into(), codec, compress_from, log, reading, outboxes, told_by, jobs }
    }

    /// The time of day; the last one where there is no cache any more.
    pub fn now(&self) -> Timestamp {
        self.inner.upgrade().map_or(Timestamp::NEVER, |inner| inner.runtime.wall())
    }

    /// Waits for a call of a tier for so long.
    pub async fn within<T, E>(&self, millis: u64, call: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
        Self::ends_within(self.sleep(millis), call).await
    }

    /// Until so long from now; `None` where there is no cache any more.
    pub fn sleep(&self, millis: u64) -> Option<LocalBoxFuture<'static, ()>> {
        let inner = self.inner.upgrade()?;
        Some(Box::pin(inner.runtime.sleep(millis)))
    }

    pub async fn ends_within<T, E>(
        sleep: Option<impl Future<Output = ()>>,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let Some(sleep) = sleep else { return Err(Failure::Error) };
        match select(pin!(call), pin!(sleep)).await {
            Either::Left((answer, _)) => answer.map_err(|_| Failure::Error),
            Either::Right(_) => Err(Failure::Timeout),
        }
    }

    /// The driver a turn later, so that whoever wants something of it in this one has said so; `None`: it is gone.
    pub async fn in_next_turn(driver: Weak<Self>) -> Option<Rc<Self>> {
        next_turn().await;
        driver.upgrade()
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
            jobs.all.push((now.after(Ttl::Millis(longest)), task.clone()));
            if jobs.all.len() > jobs.most {
                let is_lost = |until: &Timestamp| R::DETACHED && *until < now;
                let lost = jobs.all.extract_if(.., |(until, task)| task.is_over() || is_lost(until)).collect();
                jobs.most = FEW_JOBS.max(2 * jobs.all.len());
                lost
            } else {
                Vec::new()
            }
        };
        drop(lost);
        Some(task)
    }

    /// Whether what is begun runs by itself.
    pub fn runs_by_itself(&self) -> bool {
        R::DETACHED || self.inner.upgrade().is_some_and(|inner| inner.runtime.can_spawn())
    }

    /// Waits until nothing is on its way.
    pub async fn flush(&self) {
        loop {
            let jobs: Vec<_> = self.jobs.borrow().all.iter().map(|(_, task)| task.clone()).collect();
            if jobs.is_empty() {
                return;
            }
            join_all(jobs.iter().map(|task| task.join())).await;
            // What was lost with its request is not over.
            self.jobs.borrow_mut().all.retain(|(_, task)| !jobs.iter().any(|ended| Rc::ptr_eq(ended, task)));
        }
    }

    pub fn line(&self, event: ChainEvent) -> String {
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
}
