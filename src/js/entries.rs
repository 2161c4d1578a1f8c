//! Entries: looked at, stored, and let go of.

use nearcache::core::{MissCause, NewValue, Part, PartitionId, RemovalCause, Slot, Touched};
use nearcache::numbers::{from_ttl, to_time};
use nearcache::options::PolicyPatch;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::call_options::CallOptions;
use crate::codes::*;
use crate::numbers::{to_hash, to_tags, to_weight};

#[wasm_bindgen]
impl Core {
    /// `HIT`, or `MISS` with a cause, and `NEWS`.
    pub fn touch(&mut self, slot: u32, now: f64) -> u32 {
        let Some(slot) = Slot::new(slot) else { return MISS_ABSENT };
        match self.machine.touch(slot, to_time(now)) {
            Touched::Hit => HIT,
            Touched::Miss(cause) => miss(cause) | self.news(),
        }
    }

    /// As `touch`, of a value that the user's rule refuses. `NEWS`.
    pub fn touch_invalid(&mut self, slot: u32) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.touch_invalid(slot);
        }
        self.news()
    }

    /// A get of a key that has no slot. 0 or `NEWS`.
    pub fn miss(&mut self, namespace: u8, now: f64) -> u32 {
        self.machine.miss(namespace, to_time(now));
        self.news()
    }

    /// Whether the value is fresh, without counting a get.
    pub fn is_fresh(&self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.is_fresh(slot, to_time(now)))
    }

    /// Whether there is a value to fall back on.
    pub fn is_usable(&self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.is_usable(slot, to_time(now)))
    }

    /// How long the value stays fresh: milliseconds, infinity, 0 for a stale one, or -1 for none that may be
    /// handed out.
    pub fn remaining(&self, slot: u32, now: f64) -> f64 {
        let age = Slot::new(slot).and_then(|slot| self.machine.age(slot, to_time(now)));
        age.map_or(-1.0, |age| from_ttl(age.ttl))
    }

    /// Stores a value of a policy, about which nothing else is said. The slot (0: not stored), `EVICTED` and `NEWS`.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn insert(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        bytes: f64,
        absent: bool,
        random: f64,
    ) -> u32 {
        // The commonest of all in a full cache, which need not be told what the rest is for.
        if partition == 0
            && !absent
            && bytes.is_nan()
            && let Some(ttl) = self.policies.plain(policy)
            && let Some(stored) = self.machine.exchange_plain(Slot::new(slot), to_time(now), ttl, to_hash(hash))
        {
            return stored.number() | if slot == 0 { EVICTED } else { 0 } | self.news();
        }
        self.put(slot, partition, hash, now, policy, bytes, absent, random, PolicyPatch::nothing(), &[])
    }

    /// As `insert`, with what is said of this value.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn insert_with(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        bytes: f64,
        absent: bool,
        random: f64,
        said: &[f64],
        tags: Option<String>,
    ) -> u32 {
        let said = CallOptions::read(said).patch;
        self.put(slot, partition, hash, now, policy, bytes, absent, random, &said, &to_tags(tags))
    }

    /// The next of what left: a slot with its cause as its kind, `KEY_REMOVED`, and `NEWS` if there may be another; 0 when
    /// there is none.
    pub fn removal(&mut self) -> u32 {
        let Some(removal) = self.machine.poll_removal() else { return 0 };
        let cause = match removal.cause {
            None => 0,
            Some(RemovalCause::Size) => 1,
            Some(RemovalCause::Expired) => 2,
            Some(RemovalCause::Replaced) => 3,
            // `Removed`.
            Some(_) => 4,
        };
        removal.slot.number() | (cause << KIND_SHIFT) | if removal.key_removed { KEY_REMOVED } else { 0 } | self.news()
    }

    /// What there is to know of a slot's key, in the order of `pkg/src/cache.ts`; empty if there is nothing.
    pub fn info(&self, slot: u32, now: f64) -> Vec<f64> {
        let Some(info) = Slot::new(slot).and_then(|slot| self.machine.info(slot, to_time(now))) else {
            return Vec::new();
        };
        let state = f64::from(info.state as u8);
        vec![
            state,
            f64::from(u8::from(info.loading)),
            info.age.millis as f64,
            from_ttl(info.age.ttl),
            f64::from(info.weight),
        ]
    }

    /// The tags of a slot's entry, joined by U+0000.
    pub fn tags_of(&self, slot: u32) -> String {
        let mut joined = String::new();
        for tag in Slot::new(slot).map_or_else(Vec::new, |slot| self.machine.tags_of(slot)) {
            if !joined.is_empty() {
                joined.push('\0');
            }
            joined.push_str(tag);
        }
        joined
    }

    /// Entries of a part of the cache and within it.
    pub fn len(&self, namespace: u8, scope: &str) -> u32 {
        self.machine.held_within(Part { namespace, scope }).entries
    }

    /// Their bytes.
    pub fn weight(&self, namespace: u8, scope: &str) -> f64 {
        self.machine.held_within(Part { namespace, scope }).weight as f64
    }
}

impl Core {
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    fn put(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        bytes: f64,
        absent: bool,
        random: f64,
        said: &PolicyPatch,
        tags: &[String],
    ) -> u32 {
        let (known, weight) = (Slot::new(slot), to_weight(bytes));
        let (hash, policy) = (to_hash(hash), self.policies.get(policy));
        let value = NewValue { hash, policy, said, tags: [tags, &[]], weight, absent, random };
        let stored = self.machine.insert(known, PartitionId(partition), to_time(now), &value);
        match stored {
            Some(slot) if known.is_none() => self.stored_anew(slot),
            stored => stored.map_or(0, Slot::number) | self.news(),
        }
    }

    /// A new key has this slot.
    #[inline]
    fn stored_anew(&mut self, slot: Slot) -> u32 {
        let evicted = self.machine.poll_removal_from(slot).is_some();
        slot.number() | if evicted { EVICTED } else { 0 } | self.news()
    }
}

fn miss(cause: MissCause) -> u32 {
    if cause == MissCause::Expired { MISS_EXPIRED } else { MISS_ABSENT }
}
