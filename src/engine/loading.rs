//! A load under way, from its loader's first poll to what becomes of what it brings.

use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::asker;
use super::call::LoadCtx;
use super::inner::Inner;
use super::plugin::{ErrorEvent, LoadEvent, Place, StaleEvent};
use super::runtime::Runtime;
use super::table::{Brought, EntryTable, LeftEntry, LoadResult};
use crate::core::{self, FlightId, Node, Outcome, Settled, StaleCause};
use crate::error::LoadError;
use crate::options::PolicyPatch;
use crate::time::Timestamp;

/// The task of a load. It keeps neither the cache nor its own record.
pub(super) struct Loading<K, V, R: Runtime> {
    pub inner: Weak<Inner<K, V, R>>,
    pub flight: FlightId,
    /// There when the weigher or a plugin will want to see it.
    pub key: Option<K>,
    /// What the caller said.
    pub weight: Option<u32>,
    pub place: Rc<Place>,
    pub brought: Rc<Brought<V>>,
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
    random: f64,
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Loading<K, V, R> {
    /// Runs the loader, stores what it brings, and leaves the result.
    pub async fn run<F>(self, ctx: LoadCtx<V>, load: impl FnOnce(LoadCtx<V>) -> F)
    where
        F: Future<Output = Result<V, LoadError>>,
    {
        let mut unsettled = Unsettled { inner: self.inner.clone(), flight: self.flight, armed: true };
        let result = {
            let address = self.inner.as_ptr() as *const () as usize;
            let said = ctx.clone();
            let loader = pin!(async { load(said).await });
            asker::Known::new(address, Node::Flight(self.flight), loader).await
        };
        // Without the cache nobody waits.
        let Some(inner) = self.inner.upgrade() else { return };
        let loaded = self.judge(&inner, &ctx, result);
        let now = ctx.loaded_at().unwrap_or_else(|| inner.now());
        let settled = inner.with(|table| self.settle(table, now, loaded));
        unsettled.armed = false;
        if let Some((settled, error)) = settled {
            self.notify(&inner, &settled, error.as_ref());
        }
    }

    /// Asks the user's rules.
    fn judge(&self, inner: &Inner<K, V, R>, ctx: &LoadCtx<V>, result: Result<V, LoadError>) -> Loaded<V> {
        let mut said = ctx.policy();
        let (mut weight, mut absent, mut random) = (None, false, 0.0);
        match &result {
            Ok(value) => {
                absent = inner.is_negative(value);
                // The machine knows what the caller said, which wins over the weigher.
                let by_weigher =
                    || self.key.as_ref().filter(|_| self.weight.is_none()).and_then(|k| inner.weigh(k, value));
                weight = ctx.weight().or_else(by_weigher);
                random = inner.random();
            }
            Err(error) => said.error_backoff = said.error_backoff.or_else(|| inner.backoff_by_rule(error)),
        }
        let (copy, tags, skip) = (result.clone(), ctx.tags(), ctx.is_skipped());
        Loaded { result, copy, said, tags, weight, absent, skip, random }
    }

    /// Stores what may be stored, and leaves a result: it is there before anyone is woken.
    fn settle(
        &self,
        table: &mut EntryTable<K, V, R>,
        now: Timestamp,
        loaded: Loaded<V>,
    ) -> (Settled, Option<LoadError>) {
        let Loaded { result, copy, said, tags, weight, absent, skip, random } = loaded;
        let settled = match &result {
            Ok(_) => {
                let brought = core::Brought { now, said: &said, tags: &tags, weight, absent, skip, random, age: 0 };
                table.machine.brought(self.flight, &brought)
            }
            Err(_) => table.machine.failed(self.flight, now, said.error_backoff),
        };
        table.drain();
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
            (Outcome::Stored(slot), Ok(copy)) => {
                age = table.machine.age(slot, now);
                table.put(slot, copy);
            }
            (Outcome::Rescued(slot), _) => {
                if let Some(last) = table.value(slot).cloned() {
                    (value, stale, age) = (Ok(last), true, table.machine.age(slot, now));
                }
            }
            (Outcome::FailureCached(slot), Err(error)) => table.put_failure(slot, error),
            (_, Ok(unwanted)) => table.left.entries.push(LeftEntry::silent(None, Some(unwanted))),
            (_, Err(_)) => {}
        }
        if let Err(again) = self.brought.result.set(LoadResult { value, stale, age }) {
            table.left.entries.push(LeftEntry::silent(None, again.value.ok()));
        }
        if settled.outcome != Outcome::FlightEnded {
            table.take_in_flight(self.flight);
        }
        (settled, error)
    }

    fn notify(&self, inner: &Inner<K, V, R>, settled: &Settled, error: Option<&LoadError>) {
        let Settled { millis, background, outcome, .. } = *settled;
        if outcome == Outcome::FlightEnded {
            return;
        }
        let (place, duration) = (&*self.place, Duration::from_millis(millis));
        inner.notify_of(self.key.as_ref(), |plugin, key| match error {
            None => plugin.load(&LoadEvent { key, duration, background, place }),
            Some(error) => plugin.error(&ErrorEvent { key, error, duration, background, place }),
        });
        if matches!(outcome, Outcome::Rescued(_)) && !background {
            let cause = StaleCause::Error;
            inner.notify_of(self.key.as_ref(), |plugin, key| plugin.stale(&StaleEvent { key, cause, place }));
        }
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
