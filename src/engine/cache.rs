//! The cache as a Rust program sees it: everything that waits for nothing.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;

use super::runtime::{Local, Runtime};
use super::shelf::{Gone, Shelf};
use crate::core::{Cause, Stats};
use crate::options::{Defaults, Limits};
use crate::time::{Timestamp, Ttl};

/// A cache with bounds, lifetimes and shared loads. A handle: clones share the entries.
///
/// Every operation is O(1) unless it says otherwise. Keys' `Hash` and `Eq` and values' `Clone` are called
/// while the cache is borrowed: should one of them call the same cache, it finds it empty and closed.
/// Everything else of the user's (loaders, listener, weigher, drops of values) may call the cache.
pub struct Cache<K, V, R: Runtime = Local> {
    pub(super) inner: Rc<Inner<K, V, R>>,
}

/// What a cheap clock's lag is nothing to: it is some tens of milliseconds.
const LONG: Ttl = Ttl::Millis(10_000);

/// What an entry is stored with, where it differs from the cache's defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct EntryOptions {
    /// How long it may be handed out.
    pub ttl: Option<Ttl>,
    /// What it counts against `max_bytes`.
    pub weight: Option<u32>,
}

pub(super) type Weigher<K, V> = Rc<dyn Fn(&K, &V) -> u32>;
pub(super) type Listener<K, V> = Rc<dyn Fn(K, V, Cause)>;

pub(super) struct Inner<K, V, R: Runtime> {
    pub shelf: RefCell<Shelf<K, V, R>>,
    pub runtime: R,
    pub defaults: Defaults,
    pub weigher: Option<Weigher<K, V>>,
    pub listener: Option<Listener<K, V>>,
    pub clone_key: Option<fn(&K) -> K>,
}

impl<K, V, R: Runtime> Clone for Cache<K, V, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<K, V, R: Runtime> fmt::Debug for Cache<K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Cache");
        if let Ok(shelf) = self.inner.shelf.try_borrow() {
            out.field("len", &shelf.machine.len()).field("weight", &shelf.machine.weight());
        }
        out.finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// The value, if it is there and its time has not passed. Makes it the most recently used.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let runtime = &self.inner.runtime;
        self.inner.with(|shelf| {
            let Some(slot) = shelf.find(key) else {
                shelf.machine.miss(runtime.lower_bound());
                return None;
            };
            // The exact time is asked only where it matters.
            let hit = shelf.machine.hit(slot, runtime.upper_bound()) || shelf.machine.touch(slot, runtime.now());
            if hit { shelf.value(slot).cloned() } else { None }
        })?
    }

    /// As [`get`](Self::get), but counts nothing and leaves the order of use as it is.
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.runtime.now();
        self.inner.with(|shelf| {
            let slot = shelf.find(key).filter(|slot| shelf.machine.is_ready(*slot, now))?;
            shelf.value(slot).cloned()
        })?
    }

    /// Whether [`peek`](Self::peek) would find a value.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remaining_ttl(key).is_some()
    }

    /// How long the value may still be handed out; `None` if there is none that may.
    pub fn remaining_ttl<Q>(&self, key: &Q) -> Option<Ttl>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.runtime.now();
        self.inner.with(|shelf| shelf.machine.remaining(shelf.find(key)?, now))?
    }

    /// Stores a value, in the place of the one that was there. A load under way for the key goes on for
    /// those who wait for it, but what it brings is not stored.
    ///
    /// `false` if it was not stored: zero ttl, or heavier than `max_entry_bytes`. The old value is gone then too.
    pub fn insert(&self, key: K, value: V) -> bool {
        self.insert_with(key, value, EntryOptions::default())
    }

    /// [`insert`](Self::insert) with a lifetime or weight of its own.
    pub fn insert_with(&self, key: K, value: V, options: EntryOptions) -> bool {
        let ttl = options.ttl.unwrap_or(self.inner.defaults.ttl);
        // A life counted from a moment ago ends a moment early, which a long one does not feel.
        let runtime = &self.inner.runtime;
        let now = if ttl < LONG { runtime.now() } else { runtime.lower_bound() };
        let weight = options.weight.or_else(|| self.inner.weigher.as_ref().map(|weigh| weigh(&key, &value)));
        let stored = self.inner.with(|shelf| {
            let hash = shelf.hash(&key);
            let known = shelf.find_hashed(hash, &key);
            let slot = shelf.machine.insert(known, now, ttl, weight.unwrap_or(0));
            self.inner.drain(shelf);
            let Some(slot) = slot else {
                shelf.gone.push(Gone { key: Some(key), value: Some(value), cause: None });
                return false;
            };
            match known {
                None => shelf.place(slot, key, hash),
                Some(_) => shelf.gone.push(Gone { key: Some(key), value: None, cause: None }),
            }
            self.inner.put(shelf, slot, value);
            true
        });
        stored.unwrap_or(false)
    }

    /// Removes a key and returns its value, if its time had not passed. It wins over a load under way:
    /// what that load brings goes to those who already waited, is not stored, and nobody joins it any more.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.runtime.now();
        self.inner.with(|shelf| {
            let slot = shelf.find(key)?;
            let value = shelf.value(slot).filter(|_| shelf.machine.is_ready(slot, now)).cloned();
            shelf.machine.remove(slot);
            value
        })?
    }

    /// Removes everything, as [`remove`](Self::remove) does. O(n).
    pub fn clear(&self) {
        self.inner.with(Shelf::clear);
    }

    /// Entries held, dead ones that no operation has met yet included.
    pub fn len(&self) -> usize {
        self.inner.with(|shelf| shelf.machine.len()).unwrap_or(0)
    }

    /// Whether [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weights of all entries held, in bytes.
    pub fn weight(&self) -> u64 {
        self.inner.with(|shelf| shelf.machine.weight()).unwrap_or(0)
    }

    /// Loads under way.
    pub fn loads_in_flight(&self) -> usize {
        self.inner.with(|shelf| shelf.machine.loads_in_flight()).unwrap_or(0)
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        self.inner.with(|shelf| shelf.machine.stats().clone()).unwrap_or_default()
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.inner.with(|shelf| *shelf.machine.limits()).unwrap_or_default()
    }

    /// The entries that may be handed out at this moment, the most recently used first. O(n): a copy, so
    /// that the cache may be used meanwhile.
    pub fn iter(&self) -> std::vec::IntoIter<(K, V)>
    where
        K: Clone,
    {
        let now = self.inner.runtime.now();
        let entries = self.inner.with(|shelf| {
            let order = shelf.machine.newest_first(now);
            let entry = |slot| Some((shelf.key(slot)?.clone(), shelf.value(slot)?.clone()));
            order.into_iter().filter_map(entry).collect::<Vec<_>>()
        });
        entries.unwrap_or_default().into_iter()
    }

    /// Looks at the next `slots` slots and removes what is dead there. Insertions and misses do this by
    /// themselves, a few slots at a time; an idle cache may be swept with it. O(`slots`).
    pub fn sweep(&self, slots: u32) {
        let now = self.inner.runtime.now();
        self.inner.with(|shelf| shelf.machine.sweep(now, slots));
    }
}

impl<K: Hash + Eq, V, R: Runtime> Inner<K, V, R> {
    /// Borrows the shelf for `f`, then, with nothing borrowed, reports and drops what left.
    /// `None` when called from within such a borrow.
    #[inline]
    pub fn with<T>(&self, f: impl FnOnce(&mut Shelf<K, V, R>) -> T) -> Option<T> {
        let mut shelf = self.shelf.try_borrow_mut().ok()?;
        let result = f(&mut shelf);
        if shelf.machine.has_departures() {
            self.drain(&mut shelf);
        }
        if !shelf.gone.is_empty() {
            let gone = std::mem::take(&mut shelf.gone);
            drop(shelf);
            self.report(gone);
        }
        Some(result)
    }

    /// Moves what the machine let go of off the shelf. Comes before a value is written.
    #[inline]
    pub fn drain(&self, shelf: &mut Shelf<K, V, R>) {
        shelf.drain(self.clone_key.filter(|_| self.listener.is_some()));
    }

    /// Writes a value; the one it replaces has left.
    pub fn put(&self, shelf: &mut Shelf<K, V, R>, slot: crate::core::Slot, value: V) {
        if let Some(old) = shelf.put(slot, value) {
            let clone_key = self.clone_key.filter(|_| self.listener.is_some());
            let key = shelf.key(slot).zip(clone_key).map(|(key, clone)| clone(key));
            shelf.gone.push(Gone { key, value: Some(old), cause: Some(Cause::Replaced) });
        }
    }

    /// What the weigher says of a value that a load brought.
    pub fn weigh(&self, key: Option<&K>, value: &V) -> u32 {
        self.weigher.as_ref().zip(key).map_or(0, |(weigh, key)| weigh(key, value))
    }

    fn report(&self, mut gone: Vec<Gone<K, V>>) {
        for Gone { key, value, cause } in gone.drain(..) {
            if let (Some(listener), Some(key), Some(value), Some(cause)) = (&self.listener, key, value, cause) {
                listener(key, value, cause);
            }
        }
        // The buffer goes back, so that an eviction allocates nothing.
        if let Ok(mut shelf) = self.shelf.try_borrow_mut()
            && shelf.gone.capacity() == 0
        {
            shelf.gone = gone;
        }
    }

    /// The moment now.
    pub fn now(&self) -> Timestamp {
        self.runtime.now()
    }
}
