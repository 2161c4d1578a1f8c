//! Asking the machine for a key, and doing what it answers.

use std::borrow::Borrow;
use std::hash::Hash;
use std::rc::Rc;

use super::asker;
use super::cache::Cache;
use super::call::{CallOptions, Details, Status};
use super::loader::Loader;
use super::loading::Loading;
use super::plugin::{CoalescedEvent, HitEvent, MissEvent, StaleEvent};
use super::runtime::Runtime;
use super::shared_task::SharedTask;
use super::table::{EntryTable, InFlight, SharedResult};
use super::waiter::{Waiter, WaiterGuard};
use crate::core::{Answer, Ask, Counted, Deadlines, FlightId, MissCause, Node, Softened, StaleCause, WaitId, Who};
use crate::error::LoadError;
use crate::options::Policy;
use crate::time::{Timestamp, Ttl};

/// A get, as it was asked.
pub(super) struct LookupRequest<'a> {
    pub options: &'a CallOptions,
    /// Whether age and ttl are wanted.
    pub details: bool,
    /// Whether its loader is a batch.
    pub batched: bool,
    pub asked_at: Timestamp,
    /// What it was counted as when it asked before.
    pub again: Option<Counted>,
}

/// What a get found.
pub(super) enum Lookup<V, R: Runtime> {
    /// What it came for.
    Answered(Result<Details<V>, LoadError>),
    /// A load to wait for, maybe in a load.
    Join(WaitId, Option<Node>, Rc<InFlight<V, R>>),
    /// It is to start a load.
    Start(StartLoad<V>),
}

/// A load that the machine has begun.
pub(super) struct StartLoad<V> {
    flight: FlightId,
    asker: Option<Node>,
    /// The last good value, for the loader.
    last: Option<V>,
    /// What to hand out now, while the load runs in the background.
    handed_out: Option<Details<V>>,
}

/// What plugins are told of a get.
#[derive(Clone, Copy)]
pub(super) enum Event {
    Hit,
    Stale(StaleCause),
    Miss(MissCause),
    Coalesced,
}

type Found<V, R> = (Lookup<V, R>, Option<Event>);

impl<K, V, R> Cache<K, V, R>
where
    K: Hash + Eq + Clone + 'static,
    V: Clone + 'static,
    R: Runtime,
{
    /// Asks the machine for a key.
    pub(super) fn lookup<Q>(&self, key: &Q, asked: &LookupRequest<'_>) -> Found<V, R>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
    {
        let now = if asked.again.is_some() { self.inner.now() } else { asked.asked_at };
        let is_refused = self.finds_refused(key, now);
        let mut random = None;
        loop {
            match self.with(|table| self.lookup_in(table, key, asked, now, random, is_refused)) {
                Some(Some(found)) => return found,
                // A source of random numbers may call the cache.
                Some(None) => random = Some(self.inner.random()),
                None => return (Lookup::Answered(Err(LoadError::Reentrant)), None),
            }
        }
    }

    /// `None`: it takes a random number.
    fn lookup_in<Q>(
        &self,
        table: &mut EntryTable<K, V, R>,
        key: &Q,
        asked: &LookupRequest<'_>,
        now: Timestamp,
        random: Option<f64>,
        is_refused: bool,
    ) -> Option<Found<V, R>>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
    {
        let (inner, handle, options) = (&self.inner, &*self.handle, asked.options);
        let hash = table.hash(self.partition, key);
        let known = table.find_hashed::<Q>(hash, key);
        let got = |table: &EntryTable<K, V, R>, slot, status| {
            let value = table.value(slot).cloned().ok_or(LoadError::Lost)?;
            Ok(Details::new(value, status, asked.details.then(|| table.machine.age(slot, now)).flatten()))
        };
        if let Some(slot) = known.filter(|_| !options.force_fresh && !is_refused && asked.again.is_none()) {
            // Most gets end here, and need no policy.
            if table.machine.hit(slot, now) {
                return Some((Lookup::Answered(got(table, slot, Status::Hit)), Some(Event::Hit)));
            }
            if random.is_none() && table.machine.is_fresh(slot, now) {
                return None;
            }
        }
        let asker = asker::current(inner.address());
        let mut policy = self.policy_of(options);
        policy.keep_loading = self.keeps_loading(&policy);
        let ask = Ask {
            hash: Some(hash.0),
            slot: known,
            partition: self.partition,
            now,
            asked_at: asked.asked_at,
            again: asked.again,
            policy: &policy,
            tags: &handle.with_tags(&options.tags),
            weight: options.weight,
            force_fresh: options.force_fresh,
            invalid: is_refused,
            background: can_go_on(&inner.runtime),
            detached: R::DETACHED,
            batched: asked.batched,
            random,
            asker,
        };
        let answer = table.machine.ask(&ask);
        table.drain();
        let answered = |result, event| Some((Lookup::Answered(result), event));
        let (slot, flight, handed_out, event) = match answer {
            Answer::Hit(slot) => return answered(got(table, slot, Status::Hit), Some(Event::Hit)),
            Answer::Stale(slot, cause) => {
                return answered(got(table, slot, Status::Stale), Some(Event::Stale(cause)));
            }
            Answer::Failed(slot) => {
                return answered(Err(table.failure(slot).cloned().unwrap_or(LoadError::Lost)), Some(Event::Hit));
            }
            Answer::Recursive => return answered(Err(LoadError::Recursive), None),
            Answer::TimedOut => return answered(Err(self.timed_out(asked)), None),
            Answer::Refused(cause) => {
                let most = table.machine.load_limits().max_queued;
                return answered(Err(LoadError::QueueFull { max_queued: most }), Some(Event::Miss(cause)));
            }
            Answer::Full => return answered(Err(LoadError::Full), Some(Event::Miss(MissCause::Absent))),
            Answer::Join(wait) => {
                let Some(in_flight) = table.in_flight(wait.flight).cloned() else {
                    table.machine.leave(wait, Who::Caller(asker));
                    return answered(Err(LoadError::Lost), None);
                };
                // One whose load was lost, or purged, has been told of.
                let event = (asked.again != Some(Counted::Coalesced)).then_some(Event::Coalesced);
                return Some((Lookup::Join(wait, asker, in_flight), event));
            }
            Answer::Refresh { slot, flight, stale } => {
                let (status, event) = match stale {
                    true => (Status::Stale, Event::Stale(StaleCause::Revalidate)),
                    false => (Status::Hit, Event::Hit),
                };
                (slot, flight, got(table, slot, status).ok(), event)
            }
            Answer::StartLoad(slot, flight, cause) => (slot, flight, None, Event::Miss(cause)),
        };
        if known.is_none() {
            table.place(slot, self.partition, &handle.place, key.to_owned(), hash);
        }
        let last = table.last_good(slot, now);
        Some((Lookup::Start(StartLoad { flight, asker, last, handed_out }), Some(event)))
    }

    /// Makes the task that everyone waits for, and lets others join it. What is to be handed out at once, if anything.
    pub(super) fn start<Q>(
        &self,
        key: &Q,
        start: StartLoad<V>,
        asked: &LookupRequest<'_>,
        load: impl Loader<V>,
    ) -> (Waiter<K, V, R>, Option<Details<V>>)
    where
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let inner = &self.inner;
        let StartLoad { flight, asker, last, handed_out } = start;
        let who = if handed_out.is_some() { Who::Cache } else { Who::Caller(asker) };
        // First of all, so that a flight whose task can't be made ends.
        let guard = WaiterGuard::new(inner.clone(), WaitId { flight, group: 0 }, who);
        let brought = Rc::<SharedResult<V>>::default();
        let is_queued = inner.with(|table| table.machine.is_queued(flight)) == Some(true);
        let loading = Loading {
            inner: Rc::downgrade(inner),
            flight,
            key: (inner.weigher.is_some() || inner.has_plugins() || self.handle.has_below()).then(|| key.to_owned()),
            weight: asked.options.weight,
            background: handed_out.is_some(),
            is_queued,
            place: self.handle.place.clone(),
            brought: brought.clone(),
            #[cfg(feature = "tier")]
            below: self.handle.load_below(asked.options),
        };
        let task = SharedTask::new(&inner.runtime, Box::pin(loading.run(load, last)));
        let waiter = Waiter::new(guard, task.join(), brought.clone());
        inner.with(|table| table.set_in_flight(flight, Rc::new(InFlight { task, brought })));
        (waiter, handed_out)
    }

    /// Lets the load that has begun go on when everybody has left, if that is wanted.
    pub(super) fn keep_loading(&self, waiter: &Waiter<K, V, R>, asked: &LookupRequest<'_>) {
        if !self.keeps_loading(&self.policy_of(asked.options)) {
            return;
        }
        let first = waiter.id();
        let in_flight = self.inner.with(|table| table.in_flight(first.flight).cloned()).flatten();
        if let Some(in_flight) = in_flight {
            self.waiter(first, Who::Cache, &in_flight).wait_in_background(self.deadlines(asked).hard);
        }
    }

    /// Where loads run by themselves they go on anyway.
    fn keeps_loading(&self, policy: &Policy) -> bool {
        policy.keep_loading && !R::DETACHED && self.inner.runtime.can_spawn()
    }

    pub(super) fn waiter(&self, wait: WaitId, who: Who, in_flight: &InFlight<V, R>) -> Waiter<K, V, R> {
        let guard = WaiterGuard::new(self.inner.clone(), wait, who);
        Waiter::new(guard, in_flight.task.join(), in_flight.brought.clone())
    }

    /// The key's value, if it will do for a waiter at its soft deadline, and whether the cache itself is now to wait.
    pub(super) fn soften<Q>(&self, key: &Q, wait: WaitId, brought: &SharedResult<V>) -> Option<(Details<V>, bool)>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Hash + Eq + ?Sized,
    {
        let (inner, now) = (&self.inner, self.inner.now());
        let softened = self.with(|table| {
            let slot = table.find::<Q>(self.partition, key)?;
            let softened = table.machine.soften(wait, 1, Some(slot), now, can_go_on(&inner.runtime));
            match softened {
                Softened::No => return None,
                Softened::Ended => table.take_in_flight(wait.flight),
                Softened::Yes | Softened::Held => {}
            }
            let got = Details::new(table.value(slot)?.clone(), Status::StaleOnTimeout, table.machine.age(slot, now));
            Some((got, softened == Softened::Held))
        });
        let softened = softened.flatten()?;
        let is_first = {
            let mut told = brought.told_soft.borrow_mut();
            let known = told.contains(&wait.group);
            told.extend((!known).then_some(wait.group));
            !known
        };
        if is_first {
            self.notify(key, Some(Event::Stale(StaleCause::Timeout)));
        }
        Some(softened)
    }

    /// Tells plugins of a get.
    pub(super) fn notify<Q>(&self, key: &Q, event: Option<Event>)
    where
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let (inner, place) = (&self.inner, &*self.handle.place);
        let Some(event) = event.filter(|_| inner.has_plugins()) else { return };
        let key = &key.to_owned();
        inner.notify(|plugin| match event {
            Event::Hit => plugin.hit(&HitEvent { key, place }),
            Event::Stale(cause) => plugin.stale(&StaleEvent { key, cause, place }),
            Event::Miss(cause) => plugin.miss(&MissEvent { key: Some(key), cause, place }),
            Event::Coalesced => plugin.coalesced(&CoalescedEvent { key, place }),
        });
    }

    pub(super) fn policy_of(&self, options: &CallOptions) -> Policy {
        self.handle.policy.patched(&options.policy)
    }

    pub(super) fn deadlines(&self, asked: &LookupRequest<'_>) -> Deadlines {
        Deadlines::of(&self.policy_of(asked.options), asked.asked_at)
    }

    pub(super) fn timed_out(&self, asked: &LookupRequest<'_>) -> LoadError {
        match self.policy_of(asked.options).hard_timeout {
            Ttl::Millis(after_millis) => LoadError::TimedOut { after_millis },
            Ttl::Forever => LoadError::Lost,
        }
    }
}

/// Whether a load can go on though nobody waits for it.
fn can_go_on<R: Runtime>(runtime: &R) -> bool {
    R::DETACHED || runtime.can_spawn()
}
