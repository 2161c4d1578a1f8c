//! Keys and values by slot, the index from key to slot, and the loads under way. Every key is stored once.

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::cell::{Cell, OnceCell, RefCell};
use std::hash::Hash;
use std::rc::Rc;

use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};

use super::gate::Gate;
use super::hash::KeyHasher;
use super::plugin::Place;
use super::runtime::Runtime;
use super::shared_task::SharedTask;
use crate::core::{Age, FlightId, Machine, Node, PartitionId, PlainTtl, Removal, RemovalCause, Slot, Start};
use crate::error::LoadError;
use crate::time::Timestamp;

/// Why a get is no simple hit.
pub(super) enum NoHit {
    /// The key has no slot.
    Absent,
    /// It has this one.
    Found(Slot),
    /// It takes a second look.
    Unknown,
}

/// What a get reads of a slot lies side by side.
pub(super) struct Item<K, V> {
    hash: KeyHash,
    /// Where in the index the slot stood when it came there.
    bucket: u32,
    content: Content<K, V>,
}

/// What comes of an [exchange](EntryTable::exchange).
pub(super) enum Exchanged<K, V> {
    /// It is done; what made way is to be dropped with nothing borrowed.
    Yes(Content<K, V>),
    /// There is more to it. The key's slot, if it has one, the key and the value.
    No(Option<Slot>, K, V),
}

/// One tag for key and value: an `Option` of each would take 8 bytes more where they are numbers.
#[derive(Default)]
pub(super) enum Content<K, V> {
    #[default]
    Nothing,
    /// Its load is under way, or has failed.
    Key(K),
    Entry(K, V),
}

/// A key's hash, as far as it is kept, made another by the number of its partition, and by each another one. So an equal key of
/// the same hash is of the same partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyHash(pub u32);

impl KeyHash {
    /// As the index wants it, which looks at the upper bits and the lower ones: up to 2^25 keys they are different bits.
    #[inline]
    fn spread(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

impl<K, V> Default for Item<K, V> {
    fn default() -> Self {
        Self { hash: KeyHash::default(), bucket: 0, content: Content::Nothing }
    }
}

/// A load that others can join.
pub(super) struct InFlight<V, R: Runtime> {
    pub task: SharedTask<R>,
    pub brought: Rc<SharedResult<V>>,
}

/// What a load leaves for those who wait.
pub(super) struct SharedResult<V> {
    pub result: OnceCell<LoadResult<V>>,
    /// Where the load waits for its turn, if it has to.
    pub gate: Rc<Gate>,
    /// The groups of those who may not have it, and ask again.
    pub ask_again: RefCell<Vec<u32>>,
    /// The groups whose soft deadline was told of.
    pub told_soft: RefCell<Vec<u32>>,
    /// Nobody can be waiting for it any more, and the machine has counted who did as timed out.
    pub swept: Cell<bool>,
}

impl<V> Default for SharedResult<V> {
    fn default() -> Self {
        let (ask_again, told_soft) = (RefCell::default(), RefCell::default());
        Self { result: OnceCell::new(), gate: Rc::default(), ask_again, told_soft, swept: Cell::new(false) }
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
    /// Of loads and calls whose turn has come, or may come by a timer.
    pub gates: Vec<Rc<Gate>>,
}

pub(super) struct LeftEntry<K, V> {
    pub key: Option<K>,
    pub value: Option<V>,
    /// `None`: nobody is told that it left.
    pub cause: Option<RemovalCause>,
    /// It is no entry that left, but a key that has a value now, for those who are told.
    pub is_stored: bool,
    pub place: Option<Rc<Place>>,
}

impl<K, V> LeftEntry<K, V> {
    /// Something that is only to be dropped.
    pub fn silent(key: Option<K>, value: Option<V>) -> Self {
        Self { key, value, cause: None, place: None, is_stored: false }
    }

    /// A key that has a value now.
    pub fn stored(key: K, place: Option<Rc<Place>>) -> Self {
        Self { key: Some(key), value: None, cause: None, place, is_stored: true }
    }
}

impl<K, V, R: Runtime> Default for Left<K, V, R> {
    fn default() -> Self {
        Self { entries: Vec::new(), errors: Vec::new(), flights: Vec::new(), gates: Vec::new() }
    }
}

impl<K, V, R: Runtime> Left<K, V, R> {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.errors.is_empty() && self.flights.is_empty() && self.gates.is_empty()
    }
}

/// Everything that changes in a cache.
pub(super) struct EntryTable<K, V, R: Runtime> {
    pub machine: Machine,
    index: HashTable<Slot>,
    items: Vec<Item<K, V>>,
    pub hasher: KeyHasher,
    in_flight: Vec<Option<Rc<InFlight<V, R>>>>,
    /// Of batches whose call waits for its turn.
    pub calls: Vec<(Node, Rc<Gate>)>,
    /// The errors of loads that failed a moment ago, by slot.
    failures: HashMap<Slot, LoadError>,
    /// Where keys lie that do not lie at the root, by slot: there for plugins, as far as it is needed.
    places: Vec<Option<Rc<Place>>>,
    /// Clones keys for plugins; there if there are any.
    told_key: Option<fn(&K) -> K>,
    /// What has left since the borrow began.
    pub left: Left<K, V, R>,
    /// There while a snapshot is loaded.
    #[cfg(feature = "snapshot")]
    pub noted: Option<super::noted::Noted>,
}

impl<K: Hash + Eq, V, R: Runtime> EntryTable<K, V, R> {
    pub fn new(machine: Machine, told_key: Option<fn(&K) -> K>, hasher: KeyHasher) -> Self {
        Self {
            machine: machine.with_seed(hasher.seed()),
            index: HashTable::new(),
            items: Vec::new(),
            hasher,
            in_flight: Vec::new(),
            calls: Vec::new(),
            failures: HashMap::new(),
            places: Vec::new(),
            told_key,
            left: Left::default(),
            #[cfg(feature = "snapshot")]
            noted: None,
        }
    }

    /// A key of this hash is set or removed: a snapshot that is loaded has an older value of it.
    #[inline]
    pub fn note(&mut self, hash: KeyHash) {
        #[cfg(feature = "snapshot")]
        if let Some(noted) = &mut self.noted {
            noted.add(hash.0);
        }
        #[cfg(not(feature = "snapshot"))]
        let _ = hash;
    }

    /// As [`find`](Self::find), of a key that is about to be removed.
    pub fn find_to_remove<Q>(&mut self, partition: PartitionId, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(partition, key);
        self.note(hash);
        self.find_hashed(hash, key)
    }

    #[inline]
    pub fn hash<Q: Hash + ?Sized>(&self, partition: PartitionId, key: &Q) -> KeyHash {
        // An odd factor makes different numbers of different ones.
        let apart = partition.0.wrapping_mul(0x9e37_79b1);
        KeyHash((self.hasher.hash(key) as u32) ^ apart)
    }

    #[inline]
    pub fn find<Q>(&self, partition: PartitionId, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_hashed(self.hash(partition, key), key)
    }

    #[inline]
    pub fn find_hashed<Q>(&self, hash: KeyHash, key: &Q) -> Option<Slot>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        find_in(&self.index, &self.items, hash, key)
    }

    /// The value of a key that lies in this namespace, if it is certainly fresh, which counts as a hit; else what was found so
    /// far. `now` is asked for a moment not before now, if what is there ever expires.
    #[inline(always)]
    pub fn hit<Q>(
        &mut self,
        partition: PartitionId,
        namespace: u8,
        key: &Q,
        now: impl FnOnce() -> Timestamp,
    ) -> Result<&V, NoHit>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(partition, key);
        let Self { machine, index, items, .. } = self;
        let slot = first(index, items, hash).ok_or(NoHit::Absent)?;
        let item = items.get(slot.index()).ok_or(NoHit::Unknown)?;
        // What is another's of the same hash, or has no value, is rare enough to be looked up once more.
        let Content::Entry(its, value) = &item.content else { return Err(NoHit::Unknown) };
        if its.borrow() != key {
            return Err(NoHit::Unknown);
        }
        let until = machine.fresh_until_of(slot);
        if !until.is_for_ever() && !until.is_after(now()) {
            return Err(NoHit::Found(slot));
        }
        machine.count_hit(slot, namespace);
        Ok(value)
    }

    pub fn key(&self, slot: Slot) -> Option<&K> {
        self.items.get(slot.index())?.key()
    }

    #[inline]
    pub fn value(&self, slot: Slot) -> Option<&V> {
        self.items.get(slot.index())?.value()
    }

    /// The value that a loader or writer may be shown.
    pub fn last_good(&self, slot: Slot, now: Timestamp) -> Option<V>
    where
        V: Clone,
    {
        self.machine.is_usable(slot, now).then(|| self.value(slot).cloned()).flatten()
    }

    /// Puts a key in the slot that the machine gave it.
    pub fn place(&mut self, slot: Slot, partition: PartitionId, place: &Rc<Place>, key: K, hash: KeyHash) {
        self.note(hash);
        while self.items.len() <= slot.index() {
            self.items.push(Item::default());
        }
        let bucket = self.index.insert_unique(hash.spread(), slot, |slot| spread_of(&self.items, *slot)).bucket_index();
        if let Some(item) = self.items.get_mut(slot.index()) {
            *item = Item { hash, bucket: bucket as u32, content: Content::Key(key) };
        }
        if self.told_key.is_some() && partition != PartitionId::ROOT {
            if self.places.len() <= slot.index() {
                self.places.resize(slot.index() + 1, None);
            }
            if let Some(known) = self.places.get_mut(slot.index()) {
                *known = Some(place.clone());
            }
        }
    }

    /// Puts a value in the slot that the machine gave it, if it did, with a key that had another one before (`known`), or none.
    #[inline(never)]
    pub fn insert(
        &mut self,
        known: Option<Slot>,
        slot: Option<Slot>,
        partition: PartitionId,
        place: &Rc<Place>,
        hash: KeyHash,
        (key, value): (K, V),
    ) {
        self.drain();
        let Some(slot) = slot else {
            return self.left.entries.push(LeftEntry::silent(Some(key), Some(value)));
        };
        match known {
            None => self.place(slot, partition, place, key, hash),
            Some(_) => self.left.entries.push(LeftEntry::silent(Some(key), None)),
        }
        self.put(slot, value);
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
        let old = item.put(value);
        let told = item.key().zip(self.told_key);
        let place = told.and_then(|_| self.places.get(slot.index()).cloned().flatten());
        if let Some(old) = old {
            let (key, cause) = (told.map(|(key, clone)| clone(key)), Some(RemovalCause::Replaced));
            self.left.entries.push(LeftEntry { key, value: Some(old), cause, place: place.clone(), is_stored: false });
        }
        if let Some((key, clone)) = told {
            self.left.entries.push(LeftEntry::stored(clone(key), place));
        }
    }

    /// Stores a value of which nothing is to be known but when it ends, of a key of the cache itself, where what makes way for it
    /// is the older value or another key of the same kind.
    #[inline]
    pub fn exchange(&mut self, hash: KeyHash, key: K, value: V, now: Timestamp, ttl: PlainTtl) -> Exchanged<K, V> {
        let Self { machine, index, items, .. } = self;
        let has_hash = |slot: &Slot| items.get(slot.index()).is_some_and(|item| item.hash == hash);
        let place = match index.entry(hash.spread(), has_hash, |slot| spread_of(items, *slot)) {
            Entry::Vacant(place) => place,
            Entry::Occupied(found) => {
                let slot = *found.get();
                return self.replace(slot, hash, key, value, now, ttl);
            }
        };
        let Some(slot) = machine.exchange_plain(None, now, ttl, Some(hash.0)) else {
            return Exchanged::No(None, key, value);
        };
        let Some(item) = items.get_mut(slot.index()) else { return Exchanged::No(None, key, value) };
        let bucket = place.insert(slot).bucket_index() as u32;
        let before = std::mem::replace(item, Item { hash, bucket, content: Content::Entry(key, value) });
        remove_from(index, before.hash, before.bucket, slot, bucket);
        Exchanged::Yes(before.content)
    }

    /// The same where the hash is known: mostly as that of this key.
    fn replace(
        &mut self,
        slot: Slot,
        hash: KeyHash,
        key: K,
        value: V,
        now: Timestamp,
        ttl: PlainTtl,
    ) -> Exchanged<K, V> {
        let known = self.find_hashed(hash, &key);
        if known == Some(slot)
            && let Some(item) = self.items.get_mut(slot.index())
            && matches!(item.content, Content::Entry(..))
            && self.machine.exchange_plain(Some(slot), now, ttl, None).is_some()
        {
            let old = item.put(value);
            return Exchanged::Yes(old.map_or(Content::Nothing, |old| Content::Entry(key, old)));
        }
        Exchanged::No(known, key, value)
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

    /// Begins what waited for its turn, as far as that has come.
    pub fn start_waiting(&mut self, now: Timestamp) {
        while let Some(start) = self.machine.poll_start(now) {
            let (node, slot) = match start {
                Start::Load(flight, slot) => (Node::Flight(flight), slot),
                Start::Call(batch) => (batch, None),
            };
            if let Some(gate) = self.gate(node) {
                gate.slot.set(slot);
                gate.open();
                self.left.gates.push(gate);
            }
            self.calls.retain(|(call, _)| *call != node);
        }
        let next = self.machine.next_to_start().and_then(|node| self.gate(node));
        self.left.gates.extend(next);
        self.drain();
    }

    fn gate(&self, node: Node) -> Option<Rc<Gate>> {
        match node {
            Node::Flight(flight) => self.in_flight(flight).map(|in_flight| in_flight.brought.gate.clone()),
            Node::Batch(_) => self.calls.iter().find(|(call, _)| *call == node).map(|(_, gate)| gate.clone()),
        }
    }

    fn remove(&mut self, Removal { slot, cause, key_removed }: Removal) {
        self.forget_failure(slot);
        let Some(item) = self.items.get_mut(slot.index()) else { return };
        let hash = item.hash;
        if key_removed {
            remove_from(&mut self.index, hash, item.bucket, slot, u32::MAX);
        }
        let ((key, value), place) = match key_removed {
            true => (std::mem::take(item).into_parts(), self.places.get_mut(slot.index()).and_then(Option::take)),
            false => {
                let value = item.take_value();
                let key = item.key().zip(self.told_key).map(|(key, clone)| clone(key));
                ((key, value), self.places.get(slot.index()).cloned().flatten())
            }
        };
        self.left.entries.push(LeftEntry { key, value, cause, place, is_stored: false });
        if key_removed {
            self.note(hash);
        }
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
                let (key, value) = std::mem::take(item).into_parts();
                let place = places.get_mut(slot.index()).and_then(Option::take);
                self.left.entries.push(LeftEntry {
                    key,
                    value,
                    cause: Some(RemovalCause::Removed),
                    place,
                    is_stored: false,
                });
            }
        }
        // Keys whose loads are under way have no value; they are dropped with the rest, outside the borrow.
        let parts = items.into_iter().map(Item::into_parts);
        self.left.entries.extend(parts.map(|(key, value)| LeftEntry::silent(key, value)));
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

/// The first slot of this hash, which is the right one but for once in 2^32 times. (A loop that calls nobody takes half as
/// long as one that does.)
#[inline]
fn first<K, V>(index: &HashTable<Slot>, items: &[Item<K, V>], hash: KeyHash) -> Option<Slot> {
    let has_hash = |slot: &Slot| items.get(slot.index()).is_some_and(|item| item.hash == hash);
    index.find(hash.spread(), has_hash).copied()
}

/// Takes a slot of this hash out of the index, where it stood in this bucket when it came there, but not what is in the bucket `but`.
#[inline]
fn remove_from(index: &mut HashTable<Slot>, hash: KeyHash, bucket: u32, slot: Slot, but: u32) {
    match index.get_bucket_entry(bucket as usize) {
        Ok(found) if *found.get() == slot && bucket != but => _ = found.remove(),
        _ => remove_moved(index, hash, slot, but),
    }
}

/// The same of one that has moved since, as the index has grown.
#[cold]
fn remove_moved(index: &mut HashTable<Slot>, hash: KeyHash, slot: Slot, but: u32) {
    let is_it = |bucket: &usize| *bucket != but as usize && index.get_bucket(*bucket) == Some(&slot);
    let bucket = index.iter_hash_buckets(hash.spread()).find(is_it);
    debug_assert!(bucket.is_some(), "a slot that holds a key is in the index");
    if let Some(Ok(found)) = bucket.map(|bucket| index.get_bucket_entry(bucket)) {
        found.remove();
    }
}

fn spread_of<K, V>(items: &[Item<K, V>], slot: Slot) -> u64 {
    items.get(slot.index()).map_or(0, |item| item.hash.spread())
}

#[inline(always)]
fn find_in<K, V, Q>(index: &HashTable<Slot>, items: &[Item<K, V>], hash: KeyHash, key: &Q) -> Option<Slot>
where
    K: Borrow<Q>,
    Q: Eq + ?Sized,
{
    let first = first(index, items, hash)?;
    let is_right = items.get(first.index()).is_some_and(|item| item.is(hash, key));
    if is_right { Some(first) } else { find_among(index, items, hash, key) }
}

/// As [`find_in`], among several keys of the hash.
#[cold]
fn find_among<K, V, Q>(index: &HashTable<Slot>, items: &[Item<K, V>], hash: KeyHash, key: &Q) -> Option<Slot>
where
    K: Borrow<Q>,
    Q: Eq + ?Sized,
{
    let is_right = |slot: &Slot| items.get(slot.index()).is_some_and(|item| item.is(hash, key));
    index.find(hash.spread(), is_right).copied()
}

impl<K, V> Item<K, V> {
    #[inline]
    fn key(&self) -> Option<&K> {
        match &self.content {
            Content::Nothing => None,
            Content::Key(key) | Content::Entry(key, _) => Some(key),
        }
    }

    #[inline]
    fn value(&self) -> Option<&V> {
        match &self.content {
            Content::Entry(_, value) => Some(value),
            _ => None,
        }
    }

    /// Puts a value with the key that is there. The one that was there before.
    fn put(&mut self, value: V) -> Option<V> {
        match &mut self.content {
            Content::Entry(_, place) => Some(std::mem::replace(place, value)),
            content => {
                if let Content::Key(key) = std::mem::take(content) {
                    *content = Content::Entry(key, value);
                }
                None
            }
        }
    }

    fn take_value(&mut self) -> Option<V> {
        match std::mem::take(&mut self.content) {
            Content::Entry(key, value) => {
                self.content = Content::Key(key);
                Some(value)
            }
            content => {
                self.content = content;
                None
            }
        }
    }

    fn into_parts(self) -> (Option<K>, Option<V>) {
        match self.content {
            Content::Nothing => (None, None),
            Content::Key(key) => (Some(key), None),
            Content::Entry(key, value) => (Some(key), Some(value)),
        }
    }

    #[inline]
    fn is<Q>(&self, hash: KeyHash, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.hash == hash && self.key().is_some_and(|its| its.borrow() == key)
    }
}
