//! Keys and values by slot, and the index from key to slot. Every key is stored once.

use std::borrow::Borrow;
use std::cell::OnceCell;
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::runtime::Runtime;
use crate::core::{Cause, Departure, FlightId, Machine, Slot};
use crate::error::LoadError;

struct Item<K, V> {
    key: Option<K>,
    value: Option<V>,
}

/// A value that has left, to be reported and dropped once nothing is borrowed.
pub(super) struct Gone<K, V> {
    pub key: Option<K>,
    pub value: Option<V>,
    pub cause: Option<Cause>,
}

/// A load that others can join.
pub(super) struct Flying<V, R: Runtime> {
    pub task: R::Task,
    pub result: Rc<OnceCell<Result<V, LoadError>>>,
}

impl<V, R: Runtime> Clone for Flying<V, R> {
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), result: self.result.clone() }
    }
}

/// Everything that changes in a cache.
pub(super) struct Shelf<K, V, R: Runtime> {
    pub machine: Machine,
    index: HashTable<Slot>,
    items: Vec<Item<K, V>>,
    hasher: DefaultHashBuilder,
    flying: Vec<Option<Flying<V, R>>>,
    /// What has left since the borrow began.
    pub gone: Vec<Gone<K, V>>,
}

impl<K: Hash + Eq, V, R: Runtime> Shelf<K, V, R> {
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            index: HashTable::new(),
            items: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            flying: Vec::new(),
            gone: Vec::new(),
        }
    }

    #[inline]
    pub fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    #[inline]
    pub fn find<Q>(&self, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_hashed(self.hash(key), key)
    }

    #[inline]
    pub fn find_hashed<Q>(&self, hash: u64, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let items = &self.items;
        let same =
            |slot: &Slot| matches!(items.get(slot.index()), Some(Item { key: Some(k), .. }) if k.borrow() == key);
        self.index.find(hash, same).copied()
    }

    pub fn key(&self, slot: Slot) -> Option<&K> {
        self.items.get(slot.index())?.key.as_ref()
    }

    #[inline]
    pub fn value(&self, slot: Slot) -> Option<&V> {
        self.items.get(slot.index())?.value.as_ref()
    }

    /// Puts a key in the slot the machine gave it.
    pub fn place(&mut self, slot: Slot, key: K, hash: u64) {
        while self.items.len() <= slot.index() {
            self.items.push(Item { key: None, value: None });
        }
        if let Some(item) = self.items.get_mut(slot.index()) {
            item.key = Some(key);
        }
        let Self { index, items, hasher, .. } = self;
        index.insert_unique(hash, slot, |slot| {
            items.get(slot.index()).and_then(|item| item.key.as_ref()).map_or(0, |key| hasher.hash_one(key))
        });
    }

    /// Writes a value and returns the one it replaces.
    pub fn put(&mut self, slot: Slot, value: V) -> Option<V> {
        self.items.get_mut(slot.index())?.value.replace(value)
    }

    /// Moves what the machine let go of to [`gone`](Self::gone).
    #[inline]
    pub fn drain(&mut self, clone_key: Option<fn(&K) -> K>) {
        while let Some(departure) = self.machine.poll_departure() {
            self.depart(departure, clone_key);
        }
    }

    fn depart(&mut self, Departure { slot, cause, vacated }: Departure, clone_key: Option<fn(&K) -> K>) {
        let hash = self.key(slot).map(|key| self.hasher.hash_one(key));
        if vacated
            && let Some(hash) = hash
            && let Ok(found) = self.index.find_entry(hash, |s| *s == slot)
        {
            found.remove();
        }
        let Some(item) = self.items.get_mut(slot.index()) else { return };
        let value = item.value.take();
        let key = if vacated { item.key.take() } else { item.key.as_ref().zip(clone_key).map(|(key, f)| f(key)) };
        self.gone.push(Gone { key, value, cause });
    }

    /// Takes everything out, for `clear`.
    pub fn clear(&mut self) {
        let held = self.machine.clear();
        self.index = HashTable::new();
        let mut items = std::mem::take(&mut self.items);
        for slot in held {
            if let Some(item) = items.get_mut(slot.index()) {
                let (key, value) = (item.key.take(), item.value.take());
                self.gone.push(Gone { key, value, cause: Some(Cause::Removed) });
            }
        }
        // Keys whose loads are under way have no value; they are dropped with the rest, outside the borrow.
        self.gone.extend(items.into_iter().map(|Item { key, value }| Gone { key, value, cause: None }));
    }

    pub fn set_flying(&mut self, flight: FlightId, flying: Flying<V, R>) {
        while self.flying.len() <= flight.index() {
            self.flying.push(None);
        }
        if let Some(place) = self.flying.get_mut(flight.index()) {
            *place = Some(flying);
        }
    }

    pub fn flying(&self, flight: FlightId) -> Option<&Flying<V, R>> {
        self.flying.get(flight.index())?.as_ref()
    }

    /// Takes the record of a flight that has ended, to be dropped once nothing is borrowed.
    pub fn take_flying(&mut self, flight: FlightId) -> Option<Flying<V, R>> {
        self.flying.get_mut(flight.index())?.take()
    }
}
