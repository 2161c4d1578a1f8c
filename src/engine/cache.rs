//! The cache as a Rust program sees it: everything that waits for nothing.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use super::call::{EntryInfo, EntryOptions};
use super::handle::{CLOSED, Handle, is_long};
use super::inner::Inner;
use super::plugin::{HitEvent, MissEvent};
use super::runtime::{Local, Runtime};
use super::table::{EntryTable, Exchanged, KeyHash, NoHit};
use crate::core::{Info, Machine, MissCause, NewValue, PartitionId, PlainTtl, Slot, Stats, Touched};
use crate::options::{Limits, NOTHING_SAID};
use crate::time::{Timestamp, Ttl};

/// A cache with bounds, lifetimes and shared loads. A handle: clones share the entries.
///
/// Every operation is O(1) unless it says otherwise. Keys' `Hash`, `Eq` and `Clone` and values' `Clone` are called
/// while the cache is borrowed: should one of them call the same cache, it finds it empty and closed.
/// Everything else of the user's (loaders, plugins, weigher, rules, random numbers, drops of keys, values and errors) may
/// call the cache.
pub struct Cache<K, V, R: Runtime = Local> {
    pub(super) inner: Rc<Inner<K, V, R>>,
    /// Where this handle's keys lie.
    pub(super) partition: PartitionId,
    pub(super) handle: Rc<Handle<K, V, R>>,
    /// Whether its keys are in no part of the cache, and no plugin is told of hits.
    pub(super) is_plain: bool,
}

impl<K, V, R: Runtime> Clone for Cache<K, V, R> {
    fn clone(&self) -> Self {
        let Self { inner, partition, handle, is_plain } = self;
        Self { inner: inner.clone(), partition: *partition, handle: handle.clone(), is_plain: *is_plain }
    }
}

impl<K, V, R: Runtime> fmt::Debug for Cache<K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Cache");
        if let Ok(table) = self.inner.table.try_borrow() {
            out.field("len", &table.machine.len()).field("weight", &table.machine.weight());
        }
        out.finish_non_exhaustive()
    }
}

impl<K: Hash + Eq, V, R: Runtime> Cache<K, V, R> {
    /// Borrows the table as [`Inner::with`] does, for an operation on this handle's keys.
    #[inline]
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut EntryTable<K, V, R>) -> T) -> Option<T> {
        if self.partition == CLOSED { None } else { self.inner.with(f) }
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// The value, if it is there and fresh. Counts as a use of it.
    ///
    /// Here and wherever values are handed out they are cloned (the npm class does so with `clone: "structured"`): a change reaches
    /// nobody else, unless clones share what they hold, as an `Rc<RefCell<_>>` does.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.is_plain {
            true => self.get_in(PartitionId::ROOT, 0, key),
            false => self.get_in_part(key),
        }
    }

    #[inline(never)]
    fn get_in_part<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.inner.has_plugins() {
            true => self.get_and_tell(key),
            false => self.get_in(self.partition, self.handle.namespace, key),
        }
    }

    /// A get of which no plugin is told. Where the partition is known when this is compiled, half of it falls away.
    #[inline(always)]
    fn get_in<Q>(&self, partition: PartitionId, namespace: u8, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let inner = &*self.inner;
        let Ok(mut table) = inner.table.try_borrow_mut() else { return self.get_and_tell(key) };
        // Nothing leaves the table by a simple hit or miss: there is nothing to look after when the borrow ends.
        let slot = match table.hit(partition, namespace, key, || inner.runtime.upper_bound()).cloned() {
            Ok(value) => return Some(value),
            Err(NoHit::Absent) => {
                let now = || inner.runtime.passed_moment();
                if partition != CLOSED && table.machine.miss_at_rest(namespace, now) {
                    return None;
                }
                None
            }
            Err(NoHit::Found(slot)) if inner.rules.validate.is_none() => Some(slot),
            Err(_) => {
                drop(table);
                return self.get_and_tell(key);
            }
        };
        drop(table);
        self.get_slowly(slot)
    }

    /// The value, if it is certainly fresh, and nobody is to be told of the hit.
    #[inline]
    pub(super) fn hit<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let inner = &*self.inner;
        if inner.has_plugins() {
            return None;
        }
        let mut table = inner.table.try_borrow_mut().ok()?;
        table.hit(self.partition, self.handle.namespace, key, || inner.runtime.upper_bound()).ok().cloned()
    }

    /// A get of what was found in this slot and is no simple hit, if a key was found at all. Counts.
    #[inline(never)]
    fn get_slowly(&self, slot: Option<Slot>) -> Option<V> {
        self.with(|table| match self.touch(table, slot) {
            Touched::Hit => table.value(slot?).cloned(),
            Touched::Miss(_) => None,
        })?
    }

    /// Counts.
    fn touch(&self, table: &mut EntryTable<K, V, R>, slot: Option<Slot>) -> Touched {
        let runtime = &self.inner.runtime;
        match slot {
            Some(slot) => table.machine.touch(slot, runtime.now()),
            None => {
                let now = if table.machine.all_timeless() { Timestamp::default() } else { runtime.lower_bound() };
                table.machine.miss(self.handle.namespace, now);
                Touched::Miss(MissCause::Absent)
            }
        }
    }

    #[cold]
    fn get_and_tell<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let inner = &self.inner;
        let is_refused = self.finds_refused(key, inner.now());
        let (key, touched, value) = self.with(|table| {
            let slot = table.find(self.partition, key);
            let known = slot.and_then(|slot| table.key(slot)).zip(inner.told_key).map(|(key, clone)| clone(key));
            let touched = match slot.filter(|_| is_refused) {
                Some(slot) => table.machine.touch_invalid(slot),
                None => self.touch(table, slot),
            };
            match touched {
                Touched::Hit => (known, Touched::Hit, slot.and_then(|slot| table.value(slot)).cloned()),
                touched => (known, touched, None),
            }
        })?;
        let place = &*self.handle.place;
        match touched {
            Touched::Hit => inner.notify_of(key.as_ref(), |plugin, key| plugin.hit(&HitEvent { key, place })),
            Touched::Miss(cause) => {
                inner.notify(|plugin| plugin.miss(&MissEvent { key: key.as_ref(), cause, place }));
            }
        }
        value
    }

    /// Whether there is a value, fresh or stale, that the user's rule refuses.
    pub(super) fn finds_refused<Q>(&self, key: &Q, now: Timestamp) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.inner.rules.validate.is_none() {
            return false;
        }
        let value = self.with(|table| {
            let slot = table.find(self.partition, key).filter(|slot| table.machine.is_usable(*slot, now))?;
            table.value(slot).cloned()
        });
        value.flatten().is_some_and(|value| self.inner.refuses(&value))
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
        self.with(|table| {
            let slot = table.find(self.partition, key).filter(|slot| will_do(&table.machine, *slot, now))?;
            table.value(slot).cloned()
        })?
    }

    /// What there is to know of a key: fresh, stale or failed, how old, how heavy, by what names it can be purged, and whether
    /// it is being loaded. `None` if a get would find nothing and wait for nothing. Counts nothing, and is no use of the value.
    /// O(its tags).
    ///
    /// ```
    /// use nearcache::{Cache, EntryOptions, EntryState, Ttl};
    /// use std::time::Duration;
    ///
    /// let cache: Cache<&str, u32> = Cache::builder().time_to_live(Duration::from_secs(60)).build();
    /// cache.insert_with("key", 1, EntryOptions::new().tags(["posts"]).weight(100));
    /// let info = cache.info("key").expect("it is there");
    /// assert_eq!((info.state, info.loading, info.weight), (EntryState::Fresh, false, 100));
    /// assert_eq!(info.tags, ["posts"]);
    /// assert!(info.ttl <= Ttl::from(Duration::from_secs(60)));
    /// ```
    pub fn info<Q>(&self, key: &Q) -> Option<EntryInfo>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.now();
        self.with(|table| {
            let slot = table.find(self.partition, key)?;
            let Info { state, loading, age, weight, .. } = table.machine.info(slot, now)?;
            let tags = table.machine.tags_of(slot).into_iter().map(str::to_owned).collect();
            Some(EntryInfo { state, loading, age: Duration::from_millis(age.millis), ttl: age.ttl, weight, tags })
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
        self.with(|table| {
            let slot = table.find(self.partition, key).filter(|slot| table.machine.is_fresh(*slot, now))?;
            table.machine.age(slot, now).map(|age| age.ttl)
        })?
    }

    /// Stores a value, in the place of the one that was there. A load under way for the key goes on for
    /// those who wait for it, but what it brings is not stored.
    ///
    /// `false` if it was not stored: zero ttl, or heavier than `max_entry_bytes`, and the old value is gone then too; or of
    /// unknown weight in a cache that is bounded by bytes, which changes nothing.
    pub fn insert(&self, key: K, value: V) -> bool {
        match self.handle.plain_ttl {
            Some(ttl) => self.insert_plain(key, value, ttl),
            None => self.insert_by(key, value, None),
        }
    }

    /// [`insert`](Self::insert) with a lifetime, tags or a weight of its own.
    pub fn insert_with(&self, key: K, value: V, options: EntryOptions) -> bool {
        self.insert_by(key, value, Some(&options))
    }

    #[inline]
    pub(super) fn insert_by(&self, key: K, value: V, options: Option<&EntryOptions>) -> bool {
        let (inner, handle) = (&*self.inner, &*self.handle);
        let policy = &handle.policy;
        let said = options.map_or(&NOTHING_SAID, |options| &options.policy);
        let absent = inner.is_negative(&value);
        // A life counted from a moment ago ends a moment early, which a long one does not feel.
        let is_long =
            !absent && options.map_or(handle.is_long, |options| is_long(&policy.patched(&options.policy).entry));
        let now = if is_long { inner.runtime.lower_bound() } else { inner.now() };
        let weight = options.and_then(|options| options.weight).or_else(|| inner.weigh(&key, &value));
        let random = if said.jitter.unwrap_or(policy.entry.jitter) > 0.0 { inner.random() } else { 0.0 };
        let tags = [handle.tags.as_slice(), options.map_or(&[], |options| &options.tags)];
        if self.partition == CLOSED {
            return false;
        }
        let Ok(mut table) = inner.table.try_borrow_mut() else { return false };
        let hash = table.hash(self.partition, &key);
        let known = table.find_hashed(hash, &key);
        let new = NewValue { hash: Some(hash.0), policy, said, tags, weight, absent, random };
        let slot = table.machine.insert(known, self.partition, now, &new);
        drop(table);
        inner.with(|table| table.insert(known, slot, self.partition, &handle.place, hash, (key, value)));
        slot.is_some()
    }

    /// An insertion of a value of which nothing is to be known but when it ends, and of which nobody is told.
    #[inline]
    fn insert_plain(&self, key: K, value: V, ttl: PlainTtl) -> bool {
        let (inner, handle) = (&*self.inner, &*self.handle);
        let now = if handle.is_long { inner.runtime.lower_bound() } else { inner.now() };
        let Ok(mut table) = inner.table.try_borrow_mut() else { return false };
        let hash = table.hash(PartitionId::ROOT, &key);
        let exchanged = table.exchange(hash, key, value, now, ttl);
        drop(table);
        match exchanged {
            // With nothing borrowed.
            Exchanged::Yes(before) => drop(before),
            Exchanged::No(known, key, value) => return self.insert_slowly(known, hash, now, (key, value)),
        }
        if inner.purger.is_some() {
            inner.with(|_| ());
        }
        true
    }

    /// The same where more than that is to be done, of a key of this hash that was looked for.
    #[inline(never)]
    fn insert_slowly(&self, known: Option<Slot>, hash: KeyHash, now: Timestamp, entry: (K, V)) -> bool {
        let (inner, handle) = (&*self.inner, &*self.handle);
        let new = NewValue::of_policy(&handle.policy, hash.0);
        let slot = inner.table.try_borrow_mut().ok();
        let slot = slot.and_then(|mut table| table.machine.insert(known, PartitionId::ROOT, now, &new));
        inner.with(|table| table.insert(known, slot, PartitionId::ROOT, &handle.place, hash, entry));
        slot.is_some()
    }

    /// The values of those keys that are there and fresh. Each key counts as one [`get`](Self::get), and nothing is loaded. O(keys).
    pub fn get_all_present<'k, Q>(&self, keys: impl IntoIterator<Item = &'k Q>) -> HashMap<&'k Q, V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        keys.into_iter().filter_map(|key| Some((key, self.get(key)?))).collect()
    }

    /// Removes a key and returns its value, if it was fresh. It wins over a load under way:
    /// what that load brings goes to those who already waited, is not stored, and nobody joins it any more.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.runtime.now();
        self.with(|table| {
            let slot = table.find_to_remove(self.partition, key)?;
            let value = table.value(slot).filter(|_| table.machine.is_fresh(slot, now)).cloned();
            table.machine.remove(slot);
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
        let expired = self.with(|table| {
            let slot = table.find_to_remove(self.partition, key)?;
            Some(table.machine.expire(slot, now))
        });
        expired.flatten().unwrap_or(false)
    }

    /// Entries held, stale ones, remembered failures, and expired ones that no operation has met yet included; of a
    /// namespace or scope what lies in it and within it. O(1) for the cache itself, else O(namespaces and scopes with keys).
    pub fn len(&self) -> usize {
        let held = self.inner.with(|table| table.machine.held_within(self.handle.part()).entries);
        held.unwrap_or(0) as usize
    }

    /// Whether [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weights of the entries that [`len`](Self::len) counts, in bytes. Costs as much as that.
    pub fn weight(&self) -> u64 {
        self.inner.with(|table| table.machine.held_within(self.handle.part()).weight).unwrap_or(0)
    }

    /// Loads, and calls of batches, that wait for their turn, in all namespaces: see
    /// [`max_concurrent_loads`](super::Builder::max_concurrent_loads).
    pub fn loads_queued(&self) -> usize {
        self.with(|table| table.machine.loads_queued()).unwrap_or(0)
    }

    /// Loads under way, in all namespaces.
    pub fn loads_in_flight(&self) -> usize {
        self.with(|table| table.machine.loads_in_flight()).unwrap_or(0)
    }

    /// What happened so far: of the cache all, of a [namespace](Self::namespace) what happened there, but for the
    /// namespaces within it; of a scope, that of its namespace, and of the cache where it is in none.
    pub fn stats(&self) -> Stats {
        let stats = self.inner.with(|table| match self.handle.namespace {
            0 => table.machine.stats(),
            namespace => table.machine.namespace_stats(namespace),
        });
        stats.unwrap_or_default()
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.with(|table| *table.machine.limits()).unwrap_or_default()
    }

    /// The fresh entries whose keys this handle would find: with [`EvictionPolicy::Lru`](crate::core::EvictionPolicy::Lru)
    /// the most recently used first, else in no order that is promised. O(n): a copy, so that the cache may be used
    /// meanwhile.
    pub fn iter(&self) -> std::vec::IntoIter<(K, V)>
    where
        K: Clone,
    {
        self.copies(Machine::newest_first).into_iter()
    }

    pub(super) fn copies(&self, slots: fn(&mut Machine, Timestamp) -> Vec<Slot>) -> Vec<(K, V)>
    where
        K: Clone,
    {
        let now = self.inner.runtime.now();
        let entries = self.with(|table| {
            let mut order = slots(&mut table.machine, now);
            order.retain(|slot| table.machine.is_in(*slot, self.partition));
            let entry = |slot| Some((table.key(slot)?.clone(), table.value(slot)?.clone()));
            order.into_iter().filter_map(entry).collect()
        });
        entries.unwrap_or_default()
    }

    /// Removes everything in the whole cache that may not be handed out any more: values whose ttl, stale windows or idle time
    /// are over, and failures that need not be remembered; how many there were. Plugins are told. The cache does as much bit by
    /// bit while it is used, so that this is for one that lies idle, and for who wants to be told in time: from a timer. O(n).
    pub fn purge_stale(&self) -> usize {
        let now = self.inner.runtime.now();
        self.inner.with(|table| table.machine.remove_all_expired(now)).unwrap_or(0)
    }

    /// Looks at the next `slots` slots and removes what is dead there. Insertions and misses do this by
    /// themselves, a few slots at a time; an idle cache may be swept with it. O(`slots`).
    pub fn sweep(&self, slots: u32) {
        let now = self.inner.runtime.now();
        self.with(|table| table.machine.sweep(now, slots));
    }
}
