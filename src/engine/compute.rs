//! The next value from the present one, one after the other for each key.

use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};

use super::cache::Cache;
use super::call::CallOptions;
use super::computes::Turns;
use super::gate::Gate;
use super::load::{BoxedError, own_error};
use super::runtime::Runtime;
use super::update::AfterWrite;
use super::waiter::sleep_until;
use crate::core::{LoadedValue, MOST_COMPUTES_WAITING, Machine, PartitionId, WriteId};
use crate::error::LoadError;
use crate::options::{Policy, PolicyPatch};
use crate::time::{Timestamp, Ttl};

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// The next value of a key from the present one: `compute` gets what [`peek`](Self::peek) would find, and returns what is
    /// stored in its stead, or `None` to remove the key. Those who compute the same key come one after the other, in the
    /// order in which they were first polled, and each is given what the last one stored; other keys go at the same time.
    ///
    /// If `compute` fails, what was there stays, and only this caller hears of it; so it is when the future is dropped. What was
    /// inserted, removed, cleared or purged meanwhile wins: what `compute` brings is then returned, and not stored. What loads
    /// bring that ran meanwhile is not stored.
    ///
    /// O(1) beside `compute`. At most 1,000 wait for one key. One whose `compute` computes its own key waits for itself, until
    /// its deadline.
    ///
    /// ```
    /// # use nearcache::{Cache, LoadError};
    /// # futures::executor::block_on(async {
    /// let visits: Cache<&str, u32> = Cache::new_with_max_entries(1_000);
    /// for _ in 0..3 {
    ///     visits.compute("ann", async |seen| Ok::<_, LoadError>(Some(seen.unwrap_or(0) + 1))).await?;
    /// }
    /// assert_eq!(visits.get("ann"), Some(3));
    /// visits.compute("ann", async |_| Ok::<_, LoadError>(None)).await?;
    /// assert_eq!(visits.get("ann"), None);
    /// # Ok::<_, LoadError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`LoadError::Loader`] with `compute`'s error; [`LoadError::TimedOut`] after `hard_timeout`, of which waiting is a part;
    /// [`LoadError::ComputeQueueFull`]; [`LoadError::UnknownWeight`]; [`LoadError::Full`].
    pub async fn compute<F, E>(&self, key: K, compute: impl FnOnce(Option<V>) -> F) -> Result<Option<V>, LoadError>
    where
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxedError>,
    {
        self.compute_with_options(key, CallOptions::default(), compute).await
    }

    /// [`compute`](Self::compute), with a lifetime, tags, weight or `hard_timeout` of its own. The other options mean
    /// nothing here.
    ///
    /// # Errors
    /// As there.
    pub async fn compute_with_options<F, E>(
        &self,
        key: K,
        options: CallOptions,
        compute: impl FnOnce(Option<V>) -> F,
    ) -> Result<Option<V>, LoadError>
    where
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxedError>,
    {
        self.compute_and_tell(key, &options, compute).await.map(|(computed, _)| computed)
    }

    /// [`compute_with_options`](Self::compute_with_options), and what there is now.
    pub(super) async fn compute_and_tell<F, E>(
        &self,
        key: K,
        options: &CallOptions,
        compute: impl FnOnce(Option<V>) -> F,
    ) -> Result<(Option<V>, AfterWrite), LoadError>
    where
        F: Future<Output = Result<Option<V>, E>>,
        E: Into<BoxedError>,
    {
        let (policy, now) = (self.policy_of(options), self.inner.now());
        let deadline = now.after(policy.hard_timeout);
        let timed_out = || match policy.hard_timeout {
            Ttl::Millis(after_millis) => LoadError::TimedOut { after_millis },
            Ttl::Forever => LoadError::Lost,
        };
        let place = Place::take(self, &key, now, deadline)?;
        if !place.wait().await {
            return Err(timed_out());
        }
        let mut computing = Computing::begin(self, key, options, &policy)?;
        let present = computing.present.take();
        // Not begun before it is polled: what is there at once needs no timer.
        let computed = match select(pin!(compute(present)), pin!(sleep_until(&self.inner, deadline))).await {
            Either::Left((computed, _)) => computed.map_err(own_error)?,
            Either::Right(_) => return Err(timed_out()),
        };
        // Where an executor is late another may have had the turn since the deadline: what this brings is none of its business.
        if self.inner.now() >= deadline && !place.has_turn() {
            return Err(timed_out());
        }
        let now_there = computing.store(computed.as_ref(), options.weight)?;
        Ok((computed, now_there))
    }
}

/// A place among those who compute a key. Dropped, it goes to the next.
struct Place<'a, K: Hash + Eq, V, R: Runtime> {
    cache: &'a Cache<K, V, R>,
    key: (PartitionId, K),
    number: u32,
    gate: Rc<Gate>,
}

impl<'a, K: Hash + Eq + Clone, V, R: Runtime> Place<'a, K, V, R> {
    fn take(cache: &'a Cache<K, V, R>, key: &K, now: Timestamp, deadline: Timestamp) -> Result<Self, LoadError> {
        let (key, gate) = ((cache.partition, key.clone()), Rc::new(Gate::default()));
        let mut computes = cache.inner.computes.try_borrow_mut().map_err(|_| LoadError::Reentrant)?;
        let turns = computes.entry(key.clone()).or_default();
        let full = LoadError::ComputeQueueFull { max_waiting: MOST_COMPUTES_WAITING };
        let number = turns.queue.ask(now, deadline).ok_or(full)?;
        turns.gates.push_back((number, gate.clone()));
        Ok(Self { cache, key, number, gate })
    }
}

impl<K: Hash + Eq, V, R: Runtime> Place<'_, K, V, R> {
    /// Waits for the turn; `false`: the deadline came first.
    async fn wait(&self) -> bool {
        let inner = &self.cache.inner;
        // Whose turn it is at once has not waited: what needs no time comes before any deadline.
        if self.ask_queue(|_| ()).is_some() && self.gate.is_open() {
            return true;
        }
        loop {
            let until = self.ask_queue(|turns| turns.queue.look(self.number, inner.now())).flatten();
            match until {
                None => return false,
                Some(_) if self.gate.is_open() => return true,
                Some(until) => {
                    select(pin!(self.gate.opened(&inner.runtime)), pin!(sleep_until(inner, until))).await;
                }
            }
        }
    }

    /// Whether it is still its turn, and nobody else's.
    fn has_turn(&self) -> bool {
        self.ask_queue(|turns| turns.queue.first() == Some(self.number)) == Some(true)
    }

    /// Asks the queue while this place is in it, and tells whoever is the first then. `None` if the place counts as lost.
    fn ask_queue<T>(&self, ask: impl FnOnce(&mut Turns) -> T) -> Option<T> {
        let (answer, first, _gone) = {
            let mut computes = self.cache.inner.computes.try_borrow_mut().ok()?;
            let turns = computes.get_mut(&self.key)?;
            if !turns.gates.iter().any(|(_, gate)| Rc::ptr_eq(gate, &self.gate)) {
                return None;
            }
            let answer = ask(turns);
            let first = turns.queue.first();
            // Those before it are lost.
            while turns.gates.front().is_some_and(|(number, _)| Some(*number) != first) {
                turns.gates.pop_front();
            }
            let gate = turns.gates.front().map(|(_, gate)| gate.clone());
            // A key's `Drop` is the user's, so that nothing is borrowed then.
            let gone = if first.is_none() { computes.remove_entry(&self.key) } else { None };
            (answer, gate, gone)
        };
        if let Some(first) = first.filter(|first| !first.is_open()) {
            first.open();
            first.wake();
        }
        Some(answer)
    }
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Place<'_, K, V, R> {
    fn drop(&mut self) {
        let now = self.cache.inner.now_or_earliest();
        self.ask_queue(|turns| {
            turns.queue.leave(self.number, now);
            turns.gates.retain(|(number, _)| *number != self.number);
        });
    }
}

/// One that runs. Dropped before its end, it changes nothing.
struct Computing<'a, K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> {
    cache: &'a Cache<K, V, R>,
    key: K,
    present: Option<V>,
    id: Option<WriteId>,
}

impl<'a, K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Computing<'a, K, V, R> {
    fn begin(cache: &'a Cache<K, V, R>, key: K, said: &CallOptions, policy: &Policy) -> Result<Self, LoadError> {
        let begun = cache.with(|table| cache.begin_write(table, &key, said, policy, true));
        let (id, present) = begun.unwrap_or(Err(LoadError::Reentrant))?;
        Ok(Self { cache, key, present, id: Some(id) })
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Computing<'_, K, V, R> {
    fn store(&mut self, value: Option<&V>, weight: Option<u32>) -> Result<AfterWrite, LoadError> {
        let inner = &self.cache.inner;
        let weight = weight.or_else(|| value.and_then(|value| inner.weigh(&self.key, value)));
        if value.is_some() && weight.is_none() && self.cache.limits().weighs() {
            return Err(LoadError::UnknownWeight);
        }
        let computed = LoadedValue {
            now: inner.now(),
            said: &PolicyPatch::NONE,
            tags: &[],
            weight,
            absent: value.is_some_and(|value| inner.is_negative(value)),
            skip: value.is_none(),
            random: inner.random(),
            age: 0,
        };
        Ok(self.end(Some((&computed, value.cloned()))))
    }

    fn end(&mut self, computed: Option<(&LoadedValue<'_>, Option<V>)>) -> AfterWrite {
        let Some(id) = self.id.take() else { return AfterWrite::Overtaken };
        self.cache.end_write(&self.key, id, Machine::end_compute, computed)
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Drop for Computing<'_, K, V, R> {
    fn drop(&mut self) {
        self.end(None);
    }
}
