//! Calls about many keys at once.

use std::borrow::Borrow;
use std::hash::Hash;

use super::cache::Cache;
use super::call::EntryOptions;
use super::runtime::Runtime;
use crate::core::{Machine, Slot};
use crate::time::Timestamp;

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// [`insert_with`](Self::insert_with) of many keys, with the same options; how many were stored. Where the iterator calls
    /// the cache, it finds there what came before. O(entries).
    ///
    /// ```
    /// use nearcache::{Cache, EntryOptions};
    ///
    /// let cache: Cache<&str, u32> = Cache::new_with_max_entries(1_000);
    /// assert_eq!(cache.insert_many([("a", 1), ("b", 2)], EntryOptions::new().tags(["letters"])), 2);
    /// assert_eq!(cache.remove_many([&"a", &"nobody"]), 1);
    /// assert_eq!(cache.remove_by_tag("letters"), 1);
    /// ```
    pub fn insert_many(&self, entries: impl IntoIterator<Item = (K, V)>, options: EntryOptions) -> usize {
        entries.into_iter().map(|(key, value)| usize::from(self.insert_by(key, value, Some(&options)))).sum()
    }

    /// [`remove`](Self::remove) of many keys; how many of them had a fresh value. O(keys).
    pub fn remove_many<'a, Q>(&self, keys: impl IntoIterator<Item = &'a Q>) -> usize
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized + 'a,
    {
        keys.into_iter().filter(|key| self.remove_if_there(*key, Machine::is_fresh)).count()
    }

    /// Removes what this handle would find, fresh or stale, and `predicate` picks; how many there were. As
    /// [`remove`](Self::remove) of each. The predicate may call the cache. O(n of the whole cache): what is to be purged often
    /// had better bear a [tag](Self::remove_by_tag).
    pub fn remove_where(&self, mut predicate: impl FnMut(&K, &V) -> bool) -> usize
    where
        K: Clone,
    {
        let mut picked = self.copies(Machine::usable);
        picked.retain(|(key, value)| predicate(key, value));
        picked.iter().filter(|(key, _)| self.remove_if_there(key, |_, _, _| true)).count()
    }

    /// Removes a key. Whether it held what `counts`.
    fn remove_if_there<Q>(&self, key: &Q, counts: impl FnOnce(&Machine, Slot, Timestamp) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.inner.now();
        let removed = self.with(|table| {
            let slot = table.find_to_remove(self.partition, key)?;
            let counted = counts(&table.machine, slot, now);
            table.machine.remove(slot);
            Some(counted)
        });
        removed.flatten().unwrap_or(false)
    }
}
