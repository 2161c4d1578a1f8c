//! A load under way, from its loader's first poll to what becomes of what it brings.

use std::hash::Hash;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::asker;
#[cfg(feature = "tier")]
use super::below::{LoadBelow, TierLoad};
use super::call::LoadCtx;
use super::inner::Inner;
use super::loader::Loader;
use super::plugin::{ErrorEvent, LoadEvent, Place, StaleEvent};
use super::runtime::Runtime;
use super::table::{EntryTable, LeftEntry, LoadResult, SharedResult};
use super::turn;
use crate::core::{self, FlightId, LoadOutcome, Node, Settled, StaleCause};
use crate::error::LoadError;
use crate::options::PolicyPatch;
use crate::time::Timestamp;

/// The task of a load. It keeps neither the cache nor its own record.
pub(super) struct Loading<K, V, R: Runtime> {
    pub inner: Weak<Inner<K, V, R>>,
    pub flight: FlightId,
    /// There when the weigher, a plugin or a tier will want to see it.
    pub key: Option<K>,
    /// What the caller said.
    pub weight: Option<u32>,
    /// Nobody waits but the cache itself.
    pub background: bool,
    /// It waits for its turn.
    pub is_queued: bool,
    pub place: Rc<Place>,
    pub brought: Rc<SharedResult<V>>,
    /// The stores to be asked first.
    #[cfg(feature = "tier")]
    pub below: Option<LoadBelow<K, V>>,
}

/// What a loader brought, and what was found out about it with nothing borrowed.
struct Loaded<V> {
    result: Result<V, LoadError>,
    /// The same again, for those who wait.
    copy: Result<V, LoadError>,
    said: PolicyPatch,
    tags: Vec<String>,
    weight: Option<u32>,
    absent: bool,
    skip: bool,
    age: u64,
    /// Whether it may be tried again, if it has failed.
    may_retry: bool,
    random: f64,
}

/// What is to be done about a load that has ended.
enum Next<V> {
    /// It is over: the plugins are to be told, of its error if it failed.
    Tell(Settled, Option<LoadError>),
    /// It is to be tried again after so many milliseconds; if it may not then, this is how it ended.
    Retry(u64, Box<Loaded<V>>),
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Loading<K, V, R> {
    /// Runs the loader, as often as the machine says, stores what it brings, and leaves the result. `last`: the last good
    /// value, for the loader.
    pub async fn run<L: Loader<V>>(self, mut load: L, mut last: Option<V>) {
        let mut unsettled = Unsettled { inner: self.inner.clone(), flight: self.flight, armed: true };
        if self.is_queued {
            let gate = self.brought.gate.clone();
            turn::wait(self.inner.clone(), gate.clone(), Node::Flight(self.flight)).await;
            // What was there when it was asked for may have been purged.
            last = self.inner.upgrade().and_then(|inner| {
                let now = inner.now();
                inner.with(|table| gate.slot.get().and_then(|slot| table.last_good(slot, now))).flatten()
            });
        }
        for attempt in 1.. {
            let ctx = LoadCtx::of_attempt(last.clone(), attempt, self.background);
            let result = self.load(&mut load, &ctx).await;
            // Without the cache nobody waits.
            let Some(inner) = self.inner.upgrade() else { return };
            let result =
                result.and_then(|value| if inner.refuses(&value) { Err(LoadError::Invalid) } else { Ok(value) });
            let loaded = self.judge(&inner, &ctx, result, L::REPEATS);
            let now = ctx.loaded_at().unwrap_or_else(|| inner.now());
            let mut next = inner.with(|table| self.settle(table, now, loaded));
            if let Some(Next::Retry(millis, failed)) = next {
                let delay = inner.runtime.sleep(millis);
                drop(inner);
                delay.await;
                let Some(inner) = self.inner.upgrade() else { return };
                let now = inner.now();
                if inner.with(|table| table.machine.may_try_again(self.flight, now)) == Some(true) {
                    continue;
                }
                next = inner.with(|table| self.settle(table, now, *failed));
            }
            unsettled.armed = false;
            if let (Some(Next::Tell(settled, error)), Some(inner)) = (next, self.inner.upgrade()) {
                self.notify(&inner, &settled, error.as_ref());
            }
            return;
        }
    }

    /// One attempt.
    async fn load<L: Loader<V>>(&self, load: &mut L, ctx: &LoadCtx<V>) -> Result<V, LoadError> {
        let address = self.inner.as_ptr() as *const () as usize;
        let said = ctx.clone();
        let loader = pin!(async {
            #[cfg(feature = "tier")]
            if let Some((below, key)) = self.below.as_ref().zip(self.key.as_ref()) {
                return self.load_below(below, key, load, said).await;
            }
            load_by(load, said).await
        });
        asker::Known::new(address, Node::Flight(self.flight), loader).await
    }

    /// By the stores below, or by the loader.
    #[cfg(feature = "tier")]
    async fn load_below<L: Loader<V>>(
        &self,
        below: &LoadBelow<K, V>,
        key: &K,
        load: &mut L,
        ctx: LoadCtx<V>,
    ) -> Result<V, LoadError> {
        let said = ctx.clone();
        let tier_load = TierLoad {
            key,
            place: &self.place,
            said: below,
            ctx: &ctx,
            load: Box::new(move || Box::pin(load_by(load, said))),
            is_absent: &|value| self.inner.upgrade().is_some_and(|inner| inner.is_negative(value)),
            refuses: &|value| self.inner.upgrade().is_some_and(|inner| inner.refuses(value)),
            needs_weight: self.inner.upgrade().is_some_and(|inner| inner.needs_weight(below.weight)),
            age: self.inner.upgrade().and_then(|inner| {
                let now = inner.now();
                let age = |machine: &core::Machine| machine.age(machine.last_good(self.flight, now)?, now);
                inner.with(|table| age(&table.machine)).flatten().map(|age| age.millis)
            }),
            random: &|| self.inner.upgrade().map_or(1.0, |inner| inner.random()),
        };
        below.below.clone().load(tier_load).await
    }

    /// Asks the user's rules.
    fn judge(
        &self,
        inner: &Inner<K, V, R>,
        ctx: &LoadCtx<V>,
        result: Result<V, LoadError>,
        repeats: bool,
    ) -> Loaded<V> {
        let mut said = ctx.policy();
        let (mut weight, mut absent, mut may_retry) = (None, false, false);
        match &result {
            Ok(value) => {
                absent = inner.is_negative(value);
                // The machine knows what the caller said, which wins over the weigher.
                let by_weigher =
                    || self.key.as_ref().filter(|_| self.weight.is_none()).and_then(|k| inner.weigh(k, value));
                weight = ctx.weight().or_else(by_weigher);
            }
            Err(error) => {
                said.error_backoff = said.error_backoff.or_else(|| inner.backoff_by_rule(error));
                may_retry = repeats && inner.may_retry(error);
            }
        }
        let random = if result.is_ok() || may_retry { inner.random() } else { 0.0 };
        let (copy, tags, skip, age) = (result.clone(), ctx.tags(), ctx.is_skipped(), ctx.age());
        Loaded { result, copy, said, tags, weight, absent, skip, age, may_retry, random }
    }

    /// Stores what may be stored, and leaves a result: it is there before anyone is woken.
    fn settle(&self, table: &mut EntryTable<K, V, R>, now: Timestamp, loaded: Loaded<V>) -> Next<V> {
        let Loaded { ref said, ref tags, weight, absent, skip, age, may_retry, random, .. } = loaded;
        let settled = match &loaded.result {
            Ok(_) => {
                let brought = core::LoadedValue { now, said, tags, weight, absent, skip, random, age };
                table.machine.brought(self.flight, &brought)
            }
            Err(_) => {
                let failure = core::Failure { now, backoff: said.error_backoff, may_retry, random };
                table.machine.failed(self.flight, &failure)
            }
        };
        table.drain();
        if let LoadOutcome::RetryIn(millis) = settled.outcome {
            return Next::Retry(millis, Box::new(Loaded { may_retry: false, ..loaded }));
        }
        let Loaded { result, copy, .. } = loaded;
        if settled.outcome == LoadOutcome::FlightEnded {
            // Who still waits was given up, and may have asked after a purge of which nobody was told here.
            table.left.entries.extend([result, copy].map(|lost| LeftEntry::silent(None, lost.ok())));
            return Next::Tell(settled, None);
        }
        while let Some(wait) = table.machine.poll_ask_again() {
            self.brought.ask_again.borrow_mut().push(wait.group);
        }
        let (mut value, copy) = match settled.unknown_weight {
            true => {
                table.left.entries.extend([result, copy].map(|lost| LeftEntry::silent(None, lost.ok())));
                (Err(LoadError::UnknownWeight), Err(LoadError::UnknownWeight))
            }
            false => (result, copy),
        };
        let error = value.as_ref().err().cloned();
        let (mut stale, mut age) = (false, None);
        match (settled.outcome, copy) {
            (LoadOutcome::Stored(slot), Ok(copy)) => {
                age = table.machine.age(slot, now);
                table.put(slot, copy);
            }
            (LoadOutcome::ServedStale(slot), _) => {
                if let Some(last) = table.value(slot).cloned() {
                    (value, stale, age) = (Ok(last), true, table.machine.age(slot, now));
                }
            }
            (LoadOutcome::FailureCached(slot), Err(error)) => table.put_failure(slot, error),
            (_, Ok(unwanted)) => table.left.entries.push(LeftEntry::silent(None, Some(unwanted))),
            (_, Err(_)) => {}
        }
        if let Err(again) = self.brought.result.set(LoadResult { value, stale, age }) {
            table.left.entries.push(LeftEntry::silent(None, again.value.ok()));
        }
        table.take_in_flight(self.flight);
        Next::Tell(settled, error)
    }

    fn notify(&self, inner: &Inner<K, V, R>, settled: &Settled, error: Option<&LoadError>) {
        let Settled { millis, background, outcome, .. } = *settled;
        if outcome == LoadOutcome::FlightEnded {
            return;
        }
        let (place, duration) = (&*self.place, Duration::from_millis(millis));
        inner.notify_of(self.key.as_ref(), |plugin, key| match error {
            None => plugin.load(&LoadEvent { key, duration, background, place }),
            Some(error) => plugin.error(&ErrorEvent { key, error, duration, background, place }),
        });
        if matches!(outcome, LoadOutcome::ServedStale(_)) && !background {
            let cause = StaleCause::Error;
            inner.notify_of(self.key.as_ref(), |plugin, key| plugin.stale(&StaleEvent { key, cause, place }));
        }
    }
}

async fn load_by<V, L: Loader<V>>(load: &mut L, ctx: LoadCtx<V>) -> Result<V, LoadError> {
    match load.load(ctx) {
        Some(loading) => loading.await,
        None => Err(LoadError::Lost),
    }
}

/// Ends the flight of a load that is dropped, or whose loader panics: those who wait ask again.
struct Unsettled<K: Hash + Eq, V, R: Runtime> {
    inner: Weak<Inner<K, V, R>>,
    flight: FlightId,
    armed: bool,
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Unsettled<K, V, R> {
    fn drop(&mut self) {
        if self.armed
            && let Some(inner) = self.inner.upgrade()
        {
            let flight = self.flight;
            inner.with(|table| {
                if table.machine.lost(flight) {
                    table.take_in_flight(flight);
                }
            });
        }
    }
}
