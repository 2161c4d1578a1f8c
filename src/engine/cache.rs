//! The cache as a Rust program sees it: everything that waits for nothing.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;

use super::call::EntryOptions;
use super::plugin::Plugin;
use super::runtime::{Local, Runtime};
use super::shelf::{Gone, Shelf};
use super::view::{Room, View};
use crate::core::{Cause, Keep, Machine, Slot, Stats};
use crate::options::{Life, Limits};
use crate::time::{Timestamp, Ttl};

/// A cache with bounds, lifetimes and shared loads. A handle: clones share the entries.
///
/// Every operation is O(1) unless it says otherwise. Keys' `Hash` and `Eq` and values' `Clone` are called
/// while the cache is borrowed: should one of them call the same cache, it finds it empty and closed.
/// Everything else of the user's (loaders, plugins, weigher, rules, drops of values) may call the cache.
pub struct Cache<K, V, R: Runtime = Local> {
    pub(super) inner: Rc<Inner<K, V, R>>,
    /// Where this handle's keys lie; `None` for the root.
    pub(super) room: Option<Rc<Room>>,
    pub(super) view: Rc<View>,
}

/// What a cheap clock's lag is nothing to: it is some tens of milliseconds.
const LONG: Ttl = Ttl::Millis(10_000);

pub(super) type Weigher<K, V> = Rc<dyn Fn(&K, &V) -> u32>;

/// What the user says of values and errors in general.
pub(super) struct Rules<V> {
    pub is_negative: Option<NegativeRule<V>>,
    pub backoff: Option<BackoffRule>,
}

pub(super) type NegativeRule<V> = Box<dyn Fn(&V) -> bool>;
pub(super) type BackoffRule = Box<dyn Fn(&(dyn Error + 'static)) -> Option<Ttl>>;

impl<V> Default for Rules<V> {
    fn default() -> Self {
        Self { is_negative: None, backoff: None }
    }
}

pub(super) struct Inner<K, V, R: Runtime> {
    pub shelf: RefCell<Shelf<K, V, R>>,
    pub runtime: R,
    pub weigher: Option<Weigher<K, V>>,
    pub rules: Rules<V>,
    pub plugins: Vec<Box<dyn Plugin<K, V>>>,
    /// There where a weigher or a plugin wants to see keys.
    pub clone_key: Option<fn(&K) -> K>,
    pub random: Option<RefCell<Box<dyn FnMut() -> f64>>>,
}

impl<K, V, R: Runtime> Clone for Cache<K, V, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), room: self.room.clone(), view: self.view.clone() }
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
    /// The value, if it is there and fresh. Makes it the most recently used.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.inner.has_plugins() {
            return self.get_and_tell(key);
        }
        self.inner.with(|shelf| self.look(shelf, key).and_then(|slot| shelf.value(slot).cloned()))?
    }

    /// The slot of a fresh value. Counts.
    #[inline]
    fn look<Q>(&self, shelf: &mut Shelf<K, V, R>, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let runtime = &self.inner.runtime;
        let Some(slot) = shelf.find(self.room.as_ref(), key) else {
            shelf.machine.miss(self.view.space, runtime.lower_bound());
            return None;
        };
        // The exact time is asked only where it matters.
        let hit = shelf.machine.hit(slot, runtime.upper_bound()) || shelf.machine.touch(slot, runtime.now());
        hit.then_some(slot)
    }

    #[cold]
    fn get_and_tell<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (key, value) = self.inner.with(|shelf| {
            let slot = self.look(shelf, key);
            let known = slot.or_else(|| shelf.find(self.room.as_ref(), key));
            let key = known.and_then(|slot| shelf.key(slot)).zip(self.inner.clone_key).map(|(key, clone)| clone(key));
            (key, slot.and_then(|slot| shelf.value(slot).cloned()))
        })?;
        match &value {
            Some(_) => self.inner.tell_of(key.as_ref(), |plugin, key| plugin.hit(key)),
            None => self.inner.tell(|plugin| plugin.miss(key.as_ref())),
        }
        value
    }

    /// As [`get`](Self::get), but counts nothing and leaves the order of use as it is.
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_value(key, Machine::is_fresh)
    }

    /// As [`peek`](Self::peek), and stale values too, as long as a window of theirs is open.
    pub fn peek_stale<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_value(key, Machine::is_usable)
    }

    fn find_value<Q>(&self, key: &Q, will_do: fn(&Machine, Slot, Timestamp) -> bool) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.runtime.now();
        self.inner.with(|shelf| {
            let slot = shelf.find(self.room.as_ref(), key).filter(|slot| will_do(&shelf.machine, *slot, now))?;
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

    /// How long the value stays fresh; `None` if there is none that is.
    pub fn remaining_ttl<Q>(&self, key: &Q) -> Option<Ttl>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.runtime.now();
        self.inner.with(|shelf| {
            let slot = shelf.find(self.room.as_ref(), key).filter(|slot| shelf.machine.is_fresh(*slot, now))?;
            shelf.machine.age(slot, now).map(|age| age.ttl)
        })?
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
        let inner = &self.inner;
        let life = options.life(&self.view.defaults.life);
        // A life counted from a moment ago ends a moment early, which a long one does not feel.
        let now = if life.ttl < LONG { inner.now() } else { inner.runtime.lower_bound() };
        let weight = options.weight.or_else(|| inner.weigher.as_ref().map(|weigh| weigh(&key, &value)));
        let tags = self.tag_names(options.tags.iter());
        let keep = Keep { life, weight: weight.unwrap_or(0), tags: &tags, draw: inner.draw_for(&life) };
        let stored = inner.with(|shelf| {
            let room = self.room.as_ref();
            let hash = shelf.hash(room, &key);
            let known = shelf.find_hashed(hash, room, &key);
            let slot = shelf.machine.insert(known, self.view.space, now, &keep);
            inner.drain(shelf);
            let Some(slot) = slot else {
                shelf.gone.push(Gone { key: Some(key), value: Some(value), cause: None });
                return false;
            };
            match known {
                None => shelf.place(slot, room, key, hash),
                Some(_) => shelf.gone.push(Gone { key: Some(key), value: None, cause: None }),
            }
            inner.put(shelf, slot, value);
            true
        });
        stored.unwrap_or(false)
    }

    /// Removes a key and returns its value, if it was fresh. It wins over a load under way:
    /// what that load brings goes to those who already waited, is not stored, and nobody joins it any more.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.runtime.now();
        self.inner.with(|shelf| {
            let slot = shelf.find(self.room.as_ref(), key)?;
            let value = shelf.value(slot).filter(|_| shelf.machine.is_fresh(slot, now)).cloned();
            shelf.machine.remove(slot);
            value
        })?
    }

    /// Ends a value's freshness now: if it has stale windows, they begin, otherwise it is gone. It wins over a load
    /// under way as [`remove`](Self::remove) does. `true` if it was fresh.
    pub fn expire<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.now();
        let expired = self.inner.with(|shelf| {
            let slot = shelf.find(self.room.as_ref(), key)?;
            Some(shelf.machine.expire(slot, now))
        });
        expired.flatten().unwrap_or(false)
    }

    /// Entries held, stale ones, remembered failures, and dead ones that no operation has met yet included; of a
    /// namespace or scope those within it, which takes O(n) of the whole cache.
    pub fn len(&self) -> usize {
        let count = self.inner.with(|shelf| match &self.room {
            None => shelf.machine.len(),
            Some(room) => {
                let held = |slot: &Slot| shelf.value(*slot).is_some() || shelf.failure(*slot).is_some();
                shelf.slots_in(room).iter().filter(|slot| held(slot)).count()
            }
        });
        count.unwrap_or(0)
    }

    /// Whether [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weights of all entries held, in bytes, those of all namespaces included.
    pub fn weight(&self) -> u64 {
        self.inner.with(|shelf| shelf.machine.weight()).unwrap_or(0)
    }

    /// Loads under way, in all namespaces.
    pub fn loads_in_flight(&self) -> usize {
        self.inner.with(|shelf| shelf.machine.loads_in_flight()).unwrap_or(0)
    }

    /// What happened so far: of the cache all, of a [namespace](Self::namespace) what happened there, but for the
    /// namespaces within it; of a scope, that of what it is a scope of.
    pub fn stats(&self) -> Stats {
        let stats = self.inner.with(|shelf| match &self.room {
            None => shelf.machine.stats(),
            Some(_) => shelf.machine.space_stats(self.view.space),
        });
        stats.unwrap_or_default()
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.inner.with(|shelf| *shelf.machine.limits()).unwrap_or_default()
    }

    /// The fresh entries whose keys this handle would find, the most recently used first. O(n): a copy, so that the
    /// cache may be used meanwhile.
    pub fn iter(&self) -> std::vec::IntoIter<(K, V)>
    where
        K: Clone,
    {
        let now = self.inner.runtime.now();
        let entries = self.inner.with(|shelf| {
            let mut order = shelf.machine.newest_first(now);
            order.retain(|slot| shelf.is_in(*slot, self.room.as_ref()));
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
        shelf.drain(self.clone_key.filter(|_| self.has_plugins()));
    }

    /// Writes a value; the one it replaces has left.
    pub fn put(&self, shelf: &mut Shelf<K, V, R>, slot: Slot, value: V) {
        if let Some(old) = shelf.put(slot, value) {
            let clone_key = self.clone_key.filter(|_| self.has_plugins());
            let key = shelf.key(slot).zip(clone_key).map(|(key, clone)| clone(key));
            shelf.gone.push(Gone { key, value: Some(old), cause: Some(Cause::Replaced) });
        }
    }

    fn report(&self, mut gone: Vec<Gone<K, V>>) {
        for Gone { key, value, cause } in gone.drain(..) {
            if let (true, Some(key), Some(value), Some(cause)) = (self.has_plugins(), key, value, cause) {
                self.tell(|plugin| plugin.evict(&key, &value, cause));
                if cause == Cause::Expired {
                    self.tell(|plugin| plugin.expire(&key));
                }
            }
        }
        // The buffer goes back, so that an eviction allocates nothing.
        if let Ok(mut shelf) = self.shelf.try_borrow_mut()
            && shelf.gone.capacity() == 0
        {
            shelf.gone = gone;
        }
    }

    /// A random number above 0 and up to 1.
    pub fn draw(&self) -> f64 {
        let own = self.random.as_ref().and_then(|random| Some(random.try_borrow_mut().ok()?()));
        let draw = 1.0 - own.unwrap_or_else(|| self.runtime.random());
        // So that nothing that a source of one's own may bring, NaN included, is out of bounds.
        if draw > 0.0 { draw.min(1.0) } else { f64::MIN_POSITIVE }
    }

    /// The number that a life with jitter wants.
    pub fn draw_for(&self, life: &Life) -> f64 {
        if life.jitter > 0.0 { self.draw() } else { 0.0 }
    }

    /// The moment now.
    pub fn now(&self) -> Timestamp {
        self.runtime.now()
    }
}
