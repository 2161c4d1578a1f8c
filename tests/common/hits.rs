//! What a policy hits of a trace, by the machine itself, and what Belady's rule hits of it. For tests/eviction.rs and
//! examples/hitrate.rs.

use std::collections::{BTreeSet, HashMap};

use nearcache::core::{EvictionPolicy, Machine, NewValue, PartitionId, Slot, Timers, Touched};
use nearcache::options::{Limits, Policy, PolicyPatch};
use nearcache::{Timestamp, Ttl};

/// Accesses in their order: keys by dense numbers, with sizes.
#[derive(Default)]
pub struct Trace {
    pub accesses: Vec<(u32, u32)>,
    /// By key.
    pub hashes: Vec<u32>,
    numbers: HashMap<u64, u32>,
}

#[allow(dead_code, reason = "each user uses its part")]
impl Trace {
    pub fn new(keys: impl IntoIterator<Item = u64>) -> Self {
        let mut trace = Self::default();
        keys.into_iter().for_each(|key| trace.add(key, 1));
        trace
    }

    pub fn add(&mut self, key: u64, size: u32) {
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            // As a driver does with keys that are numbers.
            self.hashes.push((key ^ (key >> 32)) as u32);
        }
        self.accesses.push((number, size));
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.hashes.len()
    }

    /// What all keys weigh together, each at its greatest.
    pub fn bytes(&self) -> u64 {
        let mut sizes = vec![0_u64; self.keys()];
        for (key, size) in &self.accesses {
            let known = &mut sizes[*key as usize];
            *known = (*known).max(u64::from(*size));
        }
        sizes.iter().sum()
    }

    /// The sizes of the table in docs/eviction.md: four parts of `all`, each at least `least`.
    pub fn sizes(all: u64, least: u64) -> Vec<u64> {
        let part = |of: u64| ((all + of / 2) / of).max(least);
        let mut sizes: Vec<u64> = [200, 100, 20, 10].map(part).to_vec();
        sizes.dedup();
        if sizes.len() < 4 {
            sizes.push(part(4));
            sizes.dedup();
        }
        sizes
    }
}

/// Of accesses and of bytes, from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ratio {
    pub count: f64,
    pub bytes: f64,
}

#[derive(Default)]
struct Tally {
    all: [u64; 2],
    hits: [u64; 2],
}

impl Tally {
    fn add(&mut self, size: u32, hit: bool) {
        for (at, amount) in [1, u64::from(size)].into_iter().enumerate() {
            self.all[at] += amount;
            self.hits[at] += if hit { amount } else { 0 };
        }
    }

    fn ratio(&self) -> Ratio {
        let of = |at: usize| self.hits[at] as f64 / (self.all[at] as f64).max(1.0);
        Ratio { count: of(0), bytes: of(1) }
    }
}

/// A cache of numbers, driven as a driver does: keys mapped to slots, hashes only of keys that have none.
pub struct Simulated {
    pub machine: Machine,
    slots: Vec<Option<Slot>>,
    keys: Vec<u32>,
    /// By slot.
    sizes: Vec<u32>,
    policy: Policy,
    /// Whether keys have hashes.
    pub hashes: bool,
}

#[allow(dead_code, reason = "each user uses its part")]
impl Simulated {
    pub fn new(policy: EvictionPolicy, limits: Limits, ttl: Ttl) -> Self {
        let machine = Machine::with_eviction(limits, ttl, Timers::Own, policy);
        let mut policy = Policy::default();
        policy.entry.ttl = ttl;
        Self { machine, slots: Vec::new(), keys: Vec::new(), sizes: Vec::new(), policy, hashes: true }
    }

    /// A get and, if it misses, a set. Whether it hit.
    pub fn access(&mut self, key: u32, hash: u32, size: u32, now: u64) -> bool {
        let now = Timestamp::from_millis(now);
        let slot = self.slot(key);
        let hit = match slot {
            Some(slot) => self.machine.touch(slot, now) == Touched::Hit,
            None => {
                self.machine.miss(0, now);
                false
            }
        };
        self.drain();
        if !hit {
            self.set(key, hash, size, now);
        }
        hit
    }

    /// A value that was hit has another size now, if it has.
    pub fn resize(&mut self, key: u32, size: u32, now: u64) {
        if self.slot(key).is_some_and(|slot| self.sizes[slot.index()] != size) {
            self.set(key, 0, size, Timestamp::from_millis(now));
        }
    }

    pub fn slot(&self, key: u32) -> Option<Slot> {
        self.slots.get(key as usize).copied().flatten()
    }

    pub fn set(&mut self, key: u32, hash: u32, size: u32, now: Timestamp) {
        let said = PolicyPatch::default();
        let slot = self.slot(key);
        let value = NewValue {
            hash: (self.hashes && slot.is_none()).then_some(hash),
            policy: &self.policy,
            said: &said,
            tags: [&[], &[]],
            weight: Some(size),
            absent: false,
            random: 0.0,
        };
        let stored = self.machine.insert(slot, PartitionId::ROOT, now, &value);
        self.drain();
        if let Some(slot) = stored {
            let (key_at, slot_at) = (key as usize, slot.index());
            self.slots.resize(self.slots.len().max(key_at + 1), None);
            self.keys.resize(self.keys.len().max(slot_at + 1), 0);
            self.slots[key_at] = Some(slot);
            self.keys[slot_at] = key;
            self.sizes.resize(self.keys.len(), 0);
            self.sizes[slot_at] = size;
        }
    }

    pub fn remove(&mut self, key: u32) {
        if let Some(slot) = self.slot(key) {
            self.machine.remove(slot);
            self.drain();
        }
    }

    /// What was removed is done with, and the slot is no longer that of a key here.
    pub fn forget(&mut self, slot: Slot) {
        self.drain();
        self.keys.resize(self.keys.len().max(slot.index() + 1), 0);
        self.keys[slot.index()] = 0;
    }

    pub fn clear(&mut self) {
        self.machine.clear();
        self.slots.clear();
    }

    fn drain(&mut self) {
        while let Some(removal) = self.machine.poll_removal() {
            if removal.key_removed {
                self.slots[self.keys[removal.slot.index()] as usize] = None;
            }
        }
    }
}

/// What a policy hits, in a cache of such limits whose values live for ever.
pub fn hit_ratio(trace: &Trace, policy: EvictionPolicy, limits: Limits) -> Ratio {
    hit_ratio_with(trace, policy, limits, Ttl::Forever)
}

/// The same of values that live so long, a millisecond for each access.
pub fn hit_ratio_with(trace: &Trace, policy: EvictionPolicy, limits: Limits, ttl: Ttl) -> Ratio {
    let mut cache = Simulated::new(policy, limits, ttl);
    let mut tally = Tally::default();
    for (now, (key, size)) in trace.accesses.iter().enumerate() {
        let hit = cache.access(*key, trace.hashes[*key as usize], *size, now as u64);
        tally.add(*size, hit);
        if hit {
            cache.resize(*key, *size, now as u64);
        }
        assert!(cache.machine.weight() <= limits.max_bytes() && cache.machine.len() <= limits.max_entries() as usize);
    }
    tally.ratio()
}

/// What Belady's rule hits (IBM Systems Journal 5(2), 1966): of all that is there and what has just come, that which is used again
/// last goes first. No policy hits more, if all weigh the same; with sizes it is a good guess at the best.
pub fn belady(trace: &Trace, limits: Limits) -> Ratio {
    const NEVER: usize = usize::MAX;
    let mut next = vec![NEVER; trace.accesses.len()];
    let mut last = vec![NEVER; trace.keys()];
    for (at, (key, _)) in trace.accesses.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut last[*key as usize], at);
    }
    // By next use. Keys that are not used again never come in.
    let mut held: BTreeSet<(usize, u32)> = BTreeSet::new();
    let mut known: Vec<Option<(usize, u32)>> = vec![None; trace.keys()];
    let (mut weight, mut tally) = (0_u64, Tally::default());
    for ((key, size), next) in trace.accesses.iter().zip(next) {
        let before = known[*key as usize].take();
        if let Some((at, size)) = before {
            held.remove(&(at, *key));
            weight -= u64::from(size);
        }
        tally.add(*size, before.is_some());
        if next == NEVER || *size > limits.max_entry_bytes() {
            continue;
        }
        held.insert((next, *key));
        known[*key as usize] = Some((next, *size));
        weight += u64::from(*size);
        while held.len() > limits.max_entries() as usize || weight > limits.max_bytes() {
            let Some((_, victim)) = held.pop_last() else { break };
            if let Some((_, size)) = known[victim as usize].take() {
                weight -= u64::from(size);
            }
        }
    }
    tally.ratio()
}
