//! What the handles of one cache share.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::computes::Computes;
use super::plugin::{Place, Plugin};
use super::purger::Purger;
use super::runtime::Runtime;
use super::table::{EntryTable, Left, LeftEntry};
use crate::error::LoadError;
use crate::time::{Timestamp, Ttl};

pub(super) type Weigher<K, V> = Rc<dyn Fn(&K, &V) -> u32>;
pub(super) type NegativeRule<V> = Box<dyn Fn(&V) -> bool>;
pub(super) type BackoffRule = Box<dyn Fn(&(dyn Error + 'static)) -> Option<Ttl>>;
pub(super) type Validator<V> = Box<dyn Fn(&V) -> bool>;
pub(super) type RetryRule = Box<dyn Fn(&(dyn Error + 'static)) -> bool>;
pub(super) type RandomSource = RefCell<Box<dyn FnMut() -> f64>>;

/// What the user says of values and errors in general.
pub(super) struct Rules<V> {
    pub is_negative: Option<NegativeRule<V>>,
    pub backoff: Option<BackoffRule>,
    pub retry: Option<RetryRule>,
    pub validate: Option<Validator<V>>,
}

impl<V> Default for Rules<V> {
    fn default() -> Self {
        Self { is_negative: None, backoff: None, retry: None, validate: None }
    }
}

pub(super) struct Inner<K, V, R: Runtime> {
    pub table: RefCell<EntryTable<K, V, R>>,
    pub runtime: R,
    pub weigher: Option<Weigher<K, V>>,
    pub rules: Rules<V>,
    pub plugins: Vec<Box<dyn Plugin<K, V>>>,
    /// How deep in hooks the program is.
    pub hook_depth: Cell<u32>,
    /// Clones keys for plugins; there if there are any.
    pub told_key: Option<fn(&K) -> K>,
    pub random: Option<RandomSource>,
    /// Who computes, by key.
    pub computes: RefCell<Computes<K>>,
    /// Where the keys of the cache itself lie.
    pub root: Rc<Place>,
    /// There if entries leave in time.
    pub purger: Option<Purger>,
}

impl<K: Hash + Eq, V, R: Runtime> Inner<K, V, R> {
    /// Borrows the table for `f`, then, with nothing borrowed, tells of and drops what left.
    /// `None` when called from within such a borrow.
    #[inline]
    pub fn with<T>(&self, f: impl FnOnce(&mut EntryTable<K, V, R>) -> T) -> Option<T> {
        let mut table = self.table.try_borrow_mut().ok()?;
        let result = f(&mut table);
        if table.machine.has_news() {
            table.drain();
            if table.machine.has_news() {
                table.start_waiting(self.runtime.now());
            }
            if let Some(purger) = &self.purger {
                let at = table.machine.next_purge();
                drop(table);
                purger.set(at);
                table = self.table.try_borrow_mut().ok()?;
            }
        }
        if !table.left.is_empty() {
            let left = std::mem::take(&mut table.left);
            drop(table);
            self.dispose(left);
        }
        Some(result)
    }

    /// Whether a value is none here, since it is to be weighed and nobody can.
    #[cfg(any(feature = "tier", feature = "snapshot"))]
    pub fn needs_weight(&self, said: Option<u32>) -> bool {
        said.is_none() && self.weigher.is_none() && self.with(|table| table.machine.limits().weighs()) == Some(true)
    }

    fn dispose(&self, left: Left<K, V, R>) {
        let Left { mut entries, errors, flights, gates } = left;
        gates.iter().for_each(|gate| gate.wake());
        // Nobody waits for them any more, or those who do ask again.
        flights.iter().for_each(|flight| flight.task.end());
        for LeftEntry { key, value, cause, place, is_stored } in entries.drain(..) {
            match (self.has_plugins(), key, value, cause) {
                (true, Some(key), Some(value), Some(cause)) => self.notify_left(&key, &value, cause, place.as_ref()),
                (true, Some(key), ..) if is_stored => self.notify_inserted(&key, place.as_ref()),
                _ => {}
            }
        }
        drop((errors, flights));
        // The buffer goes back, so that an eviction allocates nothing.
        if let Ok(mut table) = self.table.try_borrow_mut()
            && table.left.entries.capacity() == 0
        {
            table.left.entries = entries;
        }
    }
}

impl<K, V, R: Runtime> Inner<K, V, R> {
    /// Names the cache among all on this thread.
    pub fn address(&self) -> usize {
        std::ptr::from_ref(self) as *const () as usize
    }

    /// The moment now.
    #[inline]
    pub fn now(&self) -> Timestamp {
        self.runtime.now()
    }

    /// The same for what gives up: where a runtime's own clock panics, the earliest moment there is, since a drop has to end
    /// what it ends, and may not panic beside a panic.
    pub fn now_or_earliest(&self) -> Timestamp {
        catch_unwind(AssertUnwindSafe(|| self.now())).unwrap_or(Timestamp::from_millis(0))
    }

    /// A random number above 0 and up to 1. Nothing may be borrowed.
    pub fn random(&self) -> f64 {
        let own = self.random.as_ref().and_then(|random| Some(random.try_borrow_mut().ok()?()));
        let random = 1.0 - own.unwrap_or_else(|| self.runtime.random());
        // So that nothing that a source of one's own may bring, NaN included, is out of bounds.
        if random > 0.0 { random.min(1.0) } else { f64::MIN_POSITIVE }
    }

    /// Whether no rule or plugin is asked or told of a value that is stored.
    pub fn takes_values_as_they_are(&self) -> bool {
        self.weigher.is_none() && self.rules.is_negative.is_none() && self.told_key.is_none()
    }

    /// What the weigher says of a value.
    pub fn weigh(&self, key: &K, value: &V) -> Option<u32> {
        self.weigher.as_ref().map(|weigh| weigh(key, value))
    }

    /// Whether the user's rule calls a value "nothing there".
    #[inline]
    pub fn is_negative(&self, value: &V) -> bool {
        self.rules.is_negative.as_ref().is_some_and(|rule| rule(value))
    }

    /// For how long an error keeps its key from being loaded, by the user's rule.
    pub fn backoff_by_rule(&self, error: &LoadError) -> Option<Ttl> {
        match (&self.rules.backoff, error) {
            (Some(rule), LoadError::Loader(error)) => rule(&**error),
            _ => None,
        }
    }

    /// Whether a load that failed with this error may be tried again: a loader's own may, unless the user's rule says no.
    pub fn may_retry(&self, error: &LoadError) -> bool {
        match error {
            LoadError::Loader(error) => self.rules.retry.as_ref().is_none_or(|rule| rule(&**error)),
            LoadError::Invalid => true,
            _ => false,
        }
    }

    /// Whether the user's rule refuses a value.
    pub fn refuses(&self, value: &V) -> bool {
        self.rules.validate.as_ref().is_some_and(|rule| !rule(value))
    }
}
