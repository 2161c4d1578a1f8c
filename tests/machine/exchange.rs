//! Where an entry makes way for one of its own kind the core takes a short way. It must leave what the long way leaves,
//! whatever else is in the cache or under way: two machines do the same, and one of them can't take the short way, since one
//! of its entries has once weighed something. `SEED=n` (at compile time) picks another run.

use std::collections::BTreeMap;

use nearcache::core::{
    Answer, EvictionPolicy, Failure, FlightId, Machine, NewValue, Part, PartitionId, Slot, Timers, WriteId,
    WriteThrough,
};
use nearcache::options::{Limits, Policy, PolicyPatch};
use nearcache::{Timestamp, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::driving::*;
use crate::random::{Random, seed};

const MAX_ENTRIES: u64 = 12;
const TTL: u64 = 50;

/// What there is besides plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Besides {
    Nothing,
    Tags,
    Weights,
    UnknownWeights,
    Scope,
    Windows,
    UsualWindows,
    Lifetimes,
    UsualLifetimes,
    Jitter,
    Absent,
    Loads,
    Writes,
}

struct Twin {
    machine: Machine,
    slots: BTreeMap<u32, Slot>,
    keys: BTreeMap<Slot, u32>,
    flights: Vec<FlightId>,
    writes: Vec<(WriteId, u32)>,
    scope: PartitionId,
    policy: Policy,
    log: String,
}

impl Twin {
    fn new(eviction: EvictionPolicy, besides: Besides, may_be_short: bool) -> Self {
        let bounded = matches!(besides, Besides::Weights | Besides::UnknownWeights);
        let limits = Limits::new(MAX_ENTRIES, if bounded { 20 } else { u64::MAX }, u64::MAX);
        let mut machine = Machine::with_eviction(limits, Ttl::Millis(TTL), Timers::Own, eviction);
        let scope = machine.open_partition(Part { namespace: 0, scope: "s" }).expect("a number");
        machine.retain_partition(scope);
        let policy = policy(PolicyPatch::new().ttl(Ttl::Millis(TTL)));
        let (slots, keys) = (BTreeMap::new(), BTreeMap::new());
        let (flights, writes, log) = (Vec::new(), Vec::new(), String::new());
        let mut twin = Self { machine, slots, keys, flights, writes, scope, policy, log };
        twin.insert(0, Besides::Nothing, Some(if may_be_short { 0 } else { 1 }), 0);
        twin.remove(0);
        twin
    }

    fn insert(&mut self, key: u32, besides: Besides, weight: Option<u32>, now: u64) {
        let (mut policy, mut said) = (self.policy, PolicyPatch::new());
        match besides {
            Besides::Windows => said = said.stale_while_revalidate(Ttl::Millis(30)),
            Besides::UsualWindows => policy.entry.stale_while_revalidate = Ttl::Millis(30),
            Besides::UsualLifetimes => policy.entry.ttl = Ttl::Millis(25),
            Besides::Lifetimes => said = said.ttl(Ttl::Millis(25)),
            Besides::Jitter => policy.entry.jitter = 0.5,
            Besides::Absent => policy.negative_ttl = Some(Ttl::Millis(20)),
            _ => {}
        }
        let tags = if besides == Besides::Tags { vec!["t".to_owned()] } else { Vec::new() };
        let partition = if besides == Besides::Scope { self.scope } else { PartitionId::ROOT };
        let slot = self.slots.get(&key).copied();
        let value = NewValue {
            hash: Some(key),
            policy: &policy,
            said: &said,
            tags: [&tags, &[]],
            weight,
            absent: besides == Besides::Absent,
            random: 0.9,
        };
        let stored = self.machine.insert(slot, partition, at(now), &value);
        self.drain();
        self.log += &format!(" insert {key} {stored:?}");
        self.place(key, stored);
    }

    fn place(&mut self, key: u32, slot: Option<Slot>) {
        if let Some(slot) = slot {
            assert_eq!(self.keys.insert(slot, key).unwrap_or(key), key, "the slot was another key's");
            self.slots.insert(key, slot);
        }
    }

    fn remove(&mut self, key: u32) {
        if let Some(slot) = self.slots.get(&key) {
            self.machine.remove(*slot);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(removal) = self.machine.poll_removal() {
            self.log += &format!(" {removal:?}");
            if removal.key_removed {
                let key = self.keys.remove(&removal.slot).expect("a key lay there");
                self.slots.remove(&key);
            }
        }
        while let Some(flight) = self.machine.poll_ended() {
            self.flights.retain(|known| *known != flight);
        }
    }

    /// What there is besides, now in the course of it.
    fn special(&mut self, besides: Besides, key: u32, pick: usize, now: u64) {
        let slot = self.slots.get(&key).copied();
        match besides {
            Besides::Tags if pick.is_multiple_of(4) => {
                let removed = self.machine.remove_tag(ROOT, "t");
                self.log += &format!(" purged {removed}");
            }
            Besides::Loads if pick.is_multiple_of(2) && !self.flights.is_empty() => {
                let flight = self.flights.swap_remove(pick % self.flights.len());
                let settled = match pick % 3 {
                    0 => self.machine.failed(flight, &Failure::last(at(now), Some(Ttl::Millis(9)))),
                    _ => self.machine.brought(flight, &brought(now, &[])),
                };
                self.log += &format!(" settled {:?}", settled.outcome);
            }
            Besides::Loads => {
                let policy = self.policy;
                let mut ask = ask(slot, now, &policy);
                (ask.hash, ask.force_fresh) = (Some(key), pick.is_multiple_of(3));
                let answer = self.machine.ask(&ask);
                self.drain();
                self.log += &format!(" {answer:?}");
                if let Answer::StartLoad(slot, flight, _) = answer {
                    self.place(key, Some(slot));
                    self.flights.push(flight);
                }
            }
            Besides::Writes if pick.is_multiple_of(2) && !self.writes.is_empty() => {
                let (write, key) = self.writes.swap_remove(pick % self.writes.len());
                let slot = self.slots.get(&key).copied();
                let ended = self.machine.end_write(write, slot, at(now), Some(&brought(now, &[])));
                self.log += &format!(" wrote {ended:?}");
            }
            Besides::Writes => {
                let (partition, policy) = (PartitionId::ROOT, self.policy);
                let (hash, now, may_vanish) = (Some(key), at(now), pick.is_multiple_of(3));
                let write = WriteThrough {
                    slot,
                    hash,
                    partition,
                    now,
                    policy: &policy,
                    tags: &[],
                    weight: None,
                    may_vanish,
                    computes: false,
                };
                let (slot, id) = self.machine.begin_write(&write).expect("a number");
                self.drain();
                self.place(key, Some(slot));
                self.writes.push((id, key));
            }
            Besides::Weights => self.insert(key, besides, Some(pick as u32 % 9), now),
            Besides::UnknownWeights => self.insert(key, besides, None, now),
            _ => self.insert(key, besides, Some(0), now),
        }
        self.drain();
    }

    fn state(&mut self, now: Timestamp) -> String {
        let machine = &mut self.machine;
        let of_keys: Vec<_> = self.slots.iter().map(|(key, slot)| (*key, *slot, machine.age(*slot, now))).collect();
        let held = [ROOT, Part { namespace: 0, scope: "s" }].map(|part| machine.held_within(part));
        let order = machine.newest_first(now);
        format!("{of_keys:?} {held:?} {:?} {} {}", machine.stats(), order.len(), std::mem::take(&mut self.log))
    }
}

fn run(eviction: EvictionPolicy, besides: Besides, seed: u64) {
    let [mut short, mut long] = [true, false].map(|may_be_short| Twin::new(eviction, besides, may_be_short));
    let mut random = Random(seed);
    let mut now = 0;
    for step in 0..300 {
        // Now and then so long that some come near their end, and some to it.
        now += random.below(4) + if random.below(25) == 0 { 30 } else { 0 };
        // A key's partition is always the same; what is tagged, weighed and so on may be any.
        let (did, pick) = (random.below(100), random.below(1_000) as usize);
        let special = step > 150 && did < 12;
        let key = random.below(40) as u32 + if besides == Besides::Scope && special { 100 } else { 1 };
        for twin in [&mut short, &mut long] {
            match did {
                _ if special => twin.special(besides, key, pick, now),
                12..15 => twin.remove(key),
                15..50 => {
                    if let Some(slot) = twin.slots.get(&key).copied() {
                        let touched = twin.machine.touch(slot, at(now));
                        twin.log += &format!(" {touched:?}");
                        twin.drain();
                    }
                }
                _ => twin.insert(key, Besides::Nothing, Some(0), now),
            }
        }
        let context = format!("seed {seed} step {step} {eviction:?} {besides:?}");
        assert_eq!(short.state(at(now)), long.state(at(now)), "{context}");
    }
    let evicted = short.machine.stats().evicted_size;
    assert!(evicted > 20, "{besides:?}: {evicted}");
    for twin in [&mut short, &mut long] {
        twin.flights.clear();
        now += 10_000_000;
        // Long after the last deadline everything can end.
        (0..200).for_each(|_| twin.machine.sweep(at(now), 50));
        twin.drain();
        assert!(twin.machine.is_empty() && twin.machine.all_timeless(), "{besides:?}: something is left");
    }
}

#[test]
fn an_entry_that_makes_way_for_one_of_its_kind_leaves_what_any_eviction_leaves() {
    use Besides::*;
    let of_entries = [Nothing, Tags, Weights, UnknownWeights, Scope, Jitter, Absent];
    let of_time = [Windows, UsualWindows, Lifetimes, UsualLifetimes, Loads, Writes];
    for eviction in [EvictionPolicy::Lru, EvictionPolicy::Adaptive] {
        for besides in of_entries.into_iter().chain(of_time) {
            // Many short ones: the first few of what is special decide.
            (0..10).for_each(|round| run(eviction, besides, seed().wrapping_add(round)));
        }
    }
}
