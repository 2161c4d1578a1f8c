//! Keys and values by slot, and the index from key to slot. Every key is stored once.

use std::borrow::Borrow;
use std::cell::OnceCell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::runtime::Runtime;
use super::seat::Brought;
use super::view::Room;
use crate::core::{Cause, Departure, FlightId, Machine, Slot};
use crate::error::LoadError;

struct Item<K, V> {
    /// `None` for the root.
    room: Option<Rc<Room>>,
    key: Option<K>,
    value: Option<V>,
}

impl<K, V> Default for Item<K, V> {
    fn default() -> Self {
        Self { room: None, key: None, value: None }
    }
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
    pub result: Rc<OnceCell<Brought<V>>>,
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
    /// The errors of loads that failed a moment ago, by slot.
    failures: HashMap<Slot, LoadError>,
    /// The numbers of the namespaces.
    pub spaces: HashMap<Rc<Room>, u8>,
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
            failures: HashMap::new(),
            spaces: HashMap::new(),
            gone: Vec::new(),
        }
    }

    #[inline]
    pub fn hash<Q: Hash + ?Sized>(&self, room: Option<&Rc<Room>>, key: &Q) -> u64 {
        hash_in(&self.hasher, room, key)
    }

    #[inline]
    pub fn find<Q>(&self, room: Option<&Rc<Room>>, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_hashed(self.hash(room, key), room, key)
    }

    #[inline]
    pub fn find_hashed<Q>(&self, hash: u64, room: Option<&Rc<Room>>, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let items = &self.items;
        let same = |slot: &Slot| match items.get(slot.index()) {
            Some(Item { room: its, key: Some(k), .. }) => same_room(its.as_ref(), room) && k.borrow() == key,
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

    /// Puts a key in the slot the machine gave it.
    pub fn place(&mut self, slot: Slot, room: Option<&Rc<Room>>, key: K, hash: u64) {
        while self.items.len() <= slot.index() {
            self.items.push(Item::default());
        }
        if let Some(item) = self.items.get_mut(slot.index()) {
            item.room = room.cloned();
            item.key = Some(key);
        }
        let Self { index, items, hasher, .. } = self;
        index.insert_unique(hash, slot, |slot| items.get(slot.index()).map_or(0, |item| item.hash(hasher)));
    }

    /// The slots of all keys in a room, and in those below it. O(n).
    pub fn slots_in(&self, room: &Room) -> Vec<Slot> {
        let within = |(number, item): (usize, &Item<K, V>)| {
            item.key.as_ref().filter(|_| room.holds(item.room.as_ref()))?;
            Slot::new(u32::try_from(number).ok()?)
        };
        self.items.iter().enumerate().filter_map(within).collect()
    }

    /// Whether a slot's key is exactly in this room.
    pub fn is_in(&self, slot: Slot, room: Option<&Rc<Room>>) -> bool {
        self.items.get(slot.index()).is_some_and(|item| same_room(item.room.as_ref(), room))
    }

    /// Keeps the error of a load.
    pub fn remember(&mut self, slot: Slot, error: LoadError) {
        self.failures.insert(slot, error);
    }

    /// The error that a slot remembers.
    pub fn failure(&self, slot: Slot) -> Option<&LoadError> {
        self.failures.get(&slot)
    }

    /// Writes a value and returns the one it replaces.
    pub fn put(&mut self, slot: Slot, value: V) -> Option<V> {
        if !self.failures.is_empty() {
            self.failures.remove(&slot);
        }
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
        if !self.failures.is_empty() {
            self.failures.remove(&slot);
        }
        let hash = self.items.get(slot.index()).map(|item| item.hash(&self.hasher));
        if vacated
            && let Some(hash) = hash
            && let Ok(found) = self.index.find_entry(hash, |s| *s == slot)
        {
            found.remove();
        }
        let Some(item) = self.items.get_mut(slot.index()) else { return };
        let value = item.value.take();
        if vacated {
            item.room = None;
        }
        let key = if vacated { item.key.take() } else { item.key.as_ref().zip(clone_key).map(|(key, f)| f(key)) };
        self.gone.push(Gone { key, value, cause });
    }

    /// Takes everything out, for `clear`.
    pub fn clear(&mut self) {
        let held = self.machine.clear();
        self.index = HashTable::new();
        self.failures = HashMap::new();
        let mut items = std::mem::take(&mut self.items);
        for slot in held {
            if let Some(item) = items.get_mut(slot.index()) {
                let (key, value) = (item.key.take(), item.value.take());
                self.gone.push(Gone { key, value, cause: Some(Cause::Removed) });
            }
        }
        // Keys whose loads are under way have no value; they are dropped with the rest, outside the borrow.
        self.gone.extend(items.into_iter().map(|Item { key, value, .. }| Gone { key, value, cause: None }));
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

impl<K: Hash, V> Item<K, V> {
    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        self.key.as_ref().map_or(0, |key| hash_in(hasher, self.room.as_ref(), key))
    }
}

#[inline]
fn hash_in<Q: Hash + ?Sized>(hasher: &DefaultHashBuilder, room: Option<&Rc<Room>>, key: &Q) -> u64 {
    let Some(room) = room else { return hasher.hash_one(key) };
    let mut state = hasher.build_hasher();
    room.hash(&mut state);
    key.hash(&mut state);
    state.finish()
}

#[inline]
fn same_room(one: Option<&Rc<Room>>, other: Option<&Rc<Room>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Rc::ptr_eq(one, other) || one == other,
        _ => false,
    }
}
