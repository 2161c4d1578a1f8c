//! Bytes in this process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::tier::{Tier, TierEntry, TierError};
use crate::engine::{ManualClock, wall};
use crate::time::{Timestamp, Ttl};

/// Bytes in this process, on this thread: for tests, and to share what several caches load. A handle: clones are the same store.
/// What was stored first goes first, where room is needed.
#[derive(Clone, Debug)]
pub struct MemoryTier {
    name: String,
    max_bytes: usize,
    clock: Option<ManualClock>,
    state: Rc<RefCell<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// In order, not by hash: names have keys in them, and in wasm their hashes could be foreseen.
    held: BTreeMap<Rc<str>, MemoryEntry>,
    by_age: BTreeMap<u64, Rc<str>>,
    bytes: usize,
    stored: u64,
}

#[derive(Debug)]
struct MemoryEntry {
    bytes: Rc<[u8]>,
    until: Timestamp,
    number: u64,
}

impl MemoryTier {
    /// Of the name `memory`, for 64 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self { name: "memory".to_owned(), max_bytes: 64 << 20, clock: None, state: Rc::default() }
    }

    /// What it is called.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The most bytes, names included. An entry that is larger is not stored.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Takes the time from this clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: ManualClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How many entries there are, expired ones that nobody has met included.
    pub fn len(&self) -> usize {
        self.state.borrow().held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(wall, ManualClock::now)
    }
}

impl Default for MemoryTier {
    fn default() -> Self {
        Self::new()
    }
}

impl Tier for MemoryTier {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        let (now, mut state) = (self.now(), self.state.borrow_mut());
        if state.held.get(name).is_some_and(|held| held.until <= now) {
            state.remove(name);
        }
        Ok(state.held.get(name).map(|held| held.bytes.to_vec()))
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        let (until, mut state) = (self.now().after(Ttl::from(entry.ttl)), self.state.borrow_mut());
        state.remove(&entry.name);
        if weight(&entry.name, &entry.bytes) <= self.max_bytes {
            state.insert(entry, until, self.max_bytes);
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        self.state.borrow_mut().remove(name);
        Ok(())
    }

    async fn clear(&self) -> Result<bool, TierError> {
        *self.state.borrow_mut() = State::default();
        Ok(true)
    }
}

impl State {
    fn insert(&mut self, entry: &TierEntry, until: Timestamp, max_bytes: usize) {
        let TierEntry { name, bytes, .. } = entry;
        self.stored += 1;
        self.bytes += weight(name, bytes);
        self.by_age.insert(self.stored, name.clone());
        self.held.insert(name.clone(), MemoryEntry { bytes: bytes.clone(), until, number: self.stored });
        while self.bytes > max_bytes {
            let Some((_, oldest)) = self.by_age.first_key_value() else { return };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(held) = self.held.remove(name) {
            self.by_age.remove(&held.number);
            self.bytes -= weight(name, &held.bytes);
        }
    }
}

fn weight(name: &str, bytes: &[u8]) -> usize {
    name.len() + bytes.len()
}
