//! What only shows from within: that the index has each key's slot once, wherever it has moved.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::collections::VecDeque;

use super::*;
use crate::core::{EvictionPolicy, NewValue, Timers};
use crate::engine::hash::KeyHasher;
use crate::engine::runtime::Local;
use crate::options::{Limits, Policy, PolicyPatch};
use crate::time::Ttl;

/// A key's hash, by SplitMix64's last steps. The index tells keys apart by the upper 7 bits before it asks: here it can't.
fn hash_of(key: u64) -> KeyHash {
    let mut z = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    KeyHash((z ^ (z >> 31)) as u32 >> 7)
}

struct Tried {
    table: EntryTable<u64, u64, Local>,
    /// The least recently used first.
    held: VecDeque<u64>,
    policy: Policy,
    most: usize,
}

impl Tried {
    fn new(most: usize) -> Self {
        let limits = Limits::new(most as u64, u64::MAX, u64::MAX);
        let machine = Machine::with_eviction(limits, Ttl::Forever, Timers::Own, EvictionPolicy::Lru);
        Self {
            table: EntryTable::new(machine, None, KeyHasher::new(|| 0.5)),
            held: VecDeque::new(),
            policy: Policy::default(),
            most,
        }
    }

    fn insert(&mut self, key: u64) {
        let (hash, now) = (hash_of(key), Timestamp::default());
        let ttl = PlainTtl::of(&self.policy).expect("nothing is to be known of a value");
        if let Exchanged::No(known, key, value) = self.table.exchange(hash, key, key, now, ttl) {
            assert!(known.is_none() && self.held.len() < self.most, "what is full makes way in one step");
            let said = PolicyPatch::default();
            let (policy, said) = (&self.policy, &said);
            let new = NewValue {
                hash: Some(hash.0),
                policy,
                said,
                tags: [&[], &[]],
                weight: None,
                absent: false,
                random: 1.0,
            };
            let slot = self.table.machine.insert(None, PartitionId::ROOT, now, &new);
            self.table.insert(None, slot, PartitionId::ROOT, &Rc::default(), hash, (key, value));
        } else {
            let gone = self.held.pop_front().expect("somebody has made way");
            assert!(self.find(gone).is_none(), "{gone} has made way");
        }
        self.held.push_back(key);
    }

    fn remove(&mut self, key: u64) {
        let slot = self.find(key).expect("it is there");
        self.table.machine.remove(slot);
        self.table.drain();
        self.held.retain(|held| *held != key);
        assert!(self.find(key).is_none(), "{key} was removed");
    }

    fn find(&self, key: u64) -> Option<Slot> {
        self.table.find_hashed(hash_of(key), &key)
    }

    fn check(&self) {
        assert_eq!(self.table.index.len(), self.held.len(), "what is gone stays in the index, or more is gone");
        for key in &self.held {
            let slot = self.find(*key).unwrap_or_else(|| panic!("{key} is lost"));
            assert_eq!(self.table.value(slot), Some(key));
        }
    }
}

#[test]
fn what_makes_way_or_is_removed_leaves_the_index_wherever_it_stands_after_that_has_grown() {
    // Sizes at which the index grows in the step in which one makes way, and others.
    for most in [3, 7, 14, 28, 30, 112] {
        for round in 0..50_u64 {
            let mut tried = Tried::new(most);
            let keys = |from: usize| (from as u64..(from + most) as u64).map(move |at| round * 10_000 + at);
            keys(0).for_each(|key| tried.insert(key));
            tried.check();
            for (at, key) in keys(most).enumerate() {
                // Of those that were there when it grew.
                if at % 5 == 4 {
                    let oldest = tried.held.front().copied().expect("some are left");
                    tried.remove(oldest);
                }
                tried.insert(key);
                tried.check();
            }
        }
    }
}
