//! Keys and values by slot, the index from key to slot, and the loads under way. Every key is stored once.

use std::borrow::Borrow;
use std::cell::{Cell, OnceCell, RefCell};
use std::hash::{BuildHasher, Hash};
use std::rc::Rc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::plugin::Place;
use super::runtime::Runtime;
use super::shared_task::SharedTask;
use crate::core::{Age, FlightId, Machine, PartitionId, Removal, RemovalCause, Slot};
use crate::error::LoadError;

struct Item<K, V> {
    partition: PartitionId,
    key: Option<K>,
    value: Option<V>,
}

impl<K, V> Default for Item<K, V> {
    fn default() -> Self {
        Self { partition: PartitionId::ROOT, key: None, value: None }
    }
}

/// A load that others can join.
pub(super) struct InFlight<V, R: Runtime> {
    pub task: SharedTask<R>,
    pub brought: Rc<Brought<V>>,
}

/// What a load leaves for those who wait.
pub(super) struct Brought<V> {
    pub result: OnceCell<LoadResult<V>>,
    /// The groups of those who may not have it, and ask again.
    pub ask_again: RefCell<Vec<u32>>,
    /// The groups whose soft deadline was told of.
    pub told_soft: RefCell<Vec<u32>>,
    /// Nobody can be waiting for it any more, and the machine has counted who did as timed out.
    pub swept: Cell<bool>,
}

impl<V> Default for Brought<V> {
    fn default() -> Self {
        let (ask_again, told_soft) = (RefCell::default(), RefCell::default());
        Self { result: OnceCell::new(), ask_again, told_soft, swept: Cell::new(false) }
    }
}

#[derive(Clone)]
pub(super) struct LoadResult<V> {
    pub value: Result<V, LoadError>,
    /// The value is an older one: the load failed.
    pub stale: bool,
    pub age: Option<Age>,
}

/// What has left the cache, to be told of and dropped once nothing is borrowed.
pub(super) struct Left<K, V, R: Runtime> {
    pub entries: Vec<LeftEntry<K, V>>,
    pub errors: Vec<LoadError>,
    pub flights: Vec<Rc<InFlight<V, R>>>,
}

pub(super) struct LeftEntry<K, V> {
    pub key: Option<K>,
    pub value: Option<V>,
    /// `None`: nobody is told.
    pub cause: Option<RemovalCause>,
    pub place: Option<Rc<Place>>,
}

impl<K, V> LeftEntry<K, V> {
    /// Something that is only to be dropped.
    pub fn silent(key: Option<K>, value: Option<V>) -> Self {
        Self { key, value, cause: None, place: None }
    }
}

impl<K, V, R: Runtime> Default for Left<K, V, R> {
    fn default() -> Self {
        Self { entries: Vec::new(), errors: Vec::new(), flights: Vec::new() }
    }
}

impl<K, V, R: Runtime> Left<K, V, R> {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.errors.is_empty() && self.flights.is_empty()
    }
}

/// Everything that changes in a cache.
pub(super) struct EntryTable<K, V, R: Runtime> {
    pub machine: Machine,
    index: HashTable<Slot>,
    items: Vec<Item<K, V>>,
    hasher: DefaultHashBuilder,
    in_flight: Vec<Option<Rc<InFlight<V, R>>>>,
    /// The errors of loads that failed a moment ago, by slot.
    failures: HashMap<Slot, LoadError>,
    /// Where keys lie that do not lie at the root, by slot: there for plugins, as far as it is needed.
    places: Vec<Option<Rc<Place>>>,
    /// Clones keys for plugins; there if there are any.
    told_key: Option<fn(&K) -> K>,
    /// What has left since the borrow began.
    pub left: Left<K, V, R>,
}

impl<K: Hash + Eq, V, R: Runtime> EntryTable<K, V, R> {
    pub fn new(machine: Machine, told_key: Option<fn(&K) -> K>) -> Self {
        Self {
            machine,
            index: HashTable::new(),
            items: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            in_flight: Vec::new(),
            failures: HashMap::new(),
            places: Vec::new(),
            told_key,
            left: Left::default(),
        }
    }

    #[inline]
    pub fn hash<Q: Hash + ?Sized>(&self, partition: PartitionId, key: &Q) -> u64 {
        hash_in(&self.hasher, partition, key)
    }

    #[inline]
    pub fn find<Q>(&self, partition: PartitionId, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_hashed(self.hash(partition, key), partition, key)
    }

    #[inline]
    pub fn find_hashed<Q>(&self, hash: u64, partition: PartitionId, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let items = &self.items;
        let same = |slot: &Slot| match items.get(slot.index()) {
            Some(Item { partition: its, key: Some(k), .. }) => *its == partition && k.borrow() == key,
            _ => false,
        };
        self.index.find(hash, same).copied()
    }

    pub fn key(&self, slot: Slot) -> Option<&K> {
        self.items.get(slot.index())?.key.as_ref()
    }

    #[inline]
    pub fn value(&self, slot: Slot) -> Option<&V> {
        self.items.get(slot.index())?.value.as_ref()
    }

    /// Puts a key in the slot that the machine gave it.
    pub fn place(&mut self, slot: Slot, partition: PartitionId, place: &Rc<Place>, key: K, hash: u64) {
        while self.items.len() <= slot.index() {
            self.items.push(Item::default());
        }
        if let Some(item) = self.items.get_mut(slot.index()) {
            item.partition = partition;
            item.key = Some(key);
        }
        if self.told_key.is_some() && partition != PartitionId::ROOT {
            if self.places.len() <= slot.index() {
                self.places.resize(slot.index() + 1, None);
            }
            if let Some(known) = self.places.get_mut(slot.index()) {
                *known = Some(place.clone());
            }
        }
        let Self { index, items, hasher, .. } = self;
        index.insert_unique(hash, slot, |slot| items.get(slot.index()).map_or(0, |item| item.hash(hasher)));
    }

    /// The error that a slot remembers.
    pub fn failure(&self, slot: Slot) -> Option<&LoadError> {
        self.failures.get(&slot)
    }

    /// Keeps the error of a load.
    pub fn put_failure(&mut self, slot: Slot, error: LoadError) {
        self.left.errors.extend(self.failures.insert(slot, error));
    }

    /// Writes a value. The machine has let go of the one that it replaces.
    pub fn put(&mut self, slot: Slot, value: V) {
        self.forget_failure(slot);
        let Some(item) = self.items.get_mut(slot.index()) else { return };
        if let Some(old) = item.value.replace(value) {
            let key = item.key.as_ref().zip(self.told_key).map(|(key, clone)| clone(key));
            let place = self.places.get(slot.index()).cloned().flatten();
            let cause = Some(RemovalCause::Replaced);
            self.left.entries.push(LeftEntry { key, value: Some(old), cause, place });
        }
    }

    /// Takes out what the machine let go of. Comes before a value is written.
    #[inline]
    pub fn drain(&mut self) {
        while let Some(removal) = self.machine.poll_removal() {
            self.remove(removal);
        }
        while let Some(flight) = self.machine.poll_ended() {
            if let Some(in_flight) = self.in_flight(flight) {
                in_flight.brought.swept.set(true);
            }
            self.take_in_flight(flight);
        }
    }

    fn remove(&mut self, Removal { slot, cause, key_removed }: Removal) {
        self.forget_failure(slot);
        let hash = self.items.get(slot.index()).map(|item| item.hash(&self.hasher));
        if key_removed
            && let Some(hash) = hash
            && let Ok(found) = self.index.find_entry(hash, |s| *s == slot)
        {
            found.remove();
        }
        let Some(item) = self.items.get_mut(slot.index()) else { return };
        let value = item.value.take();
        let (key, place) = match key_removed {
            true => (item.key.take(), self.places.get_mut(slot.index()).and_then(Option::take)),
            false => {
                let key = item.key.as_ref().zip(self.told_key).map(|(key, clone)| clone(key));
                (key, self.places.get(slot.index()).cloned().flatten())
            }
        };
        self.left.entries.push(LeftEntry { key, value, cause, place });
    }

    fn forget_failure(&mut self, slot: Slot) {
        if !self.failures.is_empty() {
            self.left.errors.extend(self.failures.remove(&slot));
        }
    }

    /// Takes everything out, for `clear`.
    pub fn clear(&mut self) {
        let held = self.machine.clear();
        self.index = HashTable::new();
        self.left.errors.extend(std::mem::take(&mut self.failures).into_values());
        let (mut items, mut places) = (std::mem::take(&mut self.items), std::mem::take(&mut self.places));
        for slot in held {
            if let Some(item) = items.get_mut(slot.index()) {
                let (key, value) = (item.key.take(), item.value.take());
                let place = places.get_mut(slot.index()).and_then(Option::take);
                self.left.entries.push(LeftEntry { key, value, cause: Some(RemovalCause::Removed), place });
            }
        }
        // Keys whose loads are under way have no value; they are dropped with the rest, outside the borrow.
        self.left.entries.extend(items.into_iter().map(|item| LeftEntry::silent(item.key, item.value)));
    }

    pub fn set_in_flight(&mut self, flight: FlightId, in_flight: Rc<InFlight<V, R>>) {
        while self.in_flight.len() <= flight.index() {
            self.in_flight.push(None);
        }
        if let Some(place) = self.in_flight.get_mut(flight.index()) {
            *place = Some(in_flight);
        }
    }

    pub fn in_flight(&self, flight: FlightId) -> Option<&Rc<InFlight<V, R>>> {
        self.in_flight.get(flight.index())?.as_ref()
    }

    /// Takes the record of a flight that has ended.
    pub fn take_in_flight(&mut self, flight: FlightId) {
        let taken = self.in_flight.get_mut(flight.index()).and_then(Option::take);
        self.left.flights.extend(taken);
    }
}

impl<K: Hash, V> Item<K, V> {
    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        self.key.as_ref().map_or(0, |key| hash_in(hasher, self.partition, key))
    }
}

#[inline]
fn hash_in<Q: Hash + ?Sized>(hasher: &DefaultHashBuilder, partition: PartitionId, key: &Q) -> u64 {
    if partition == PartitionId::ROOT { hasher.hash_one(key) } else { hasher.hash_one((partition, key)) }
}
