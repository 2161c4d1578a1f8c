//! Entries that leave by a timer: under random lifetimes and calls none stays longer than its interval, none goes too early,
//! and the timer rings no oftener than it has to. `SEED=n` (at compile time) picks another run.

use std::collections::BTreeMap;

use nearcache::core::{Answer, EvictionPolicy, Failure, Machine, RemovalCause, Slot, Timers};
use nearcache::options::{Limits, PolicyPatch};
use nearcache::{Timestamp, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::driving::*;
use crate::random::{Random, seed};

/// A driver with nothing but a timer, which is set when there is news.
struct Driven {
    machine: Machine,
    every: u64,
    timer: Option<Timestamp>,
    /// By key: its slot, and when something of it could last be handed out, or kept a load from beginning.
    held: BTreeMap<u32, (Slot, u64)>,
    rings: u64,
    expired: u64,
}

impl Driven {
    fn new(limits: Limits, eviction: EvictionPolicy, every: u64) -> Self {
        let mut machine = Machine::with_eviction(limits, Ttl::Millis(100), Timers::Own, eviction);
        machine.purge_stale_every(Ttl::Millis(every));
        Self { machine, every, timer: None, held: BTreeMap::new(), rings: 0, expired: 0 }
    }

    fn drain(&mut self, now: u64) {
        if !self.machine.has_news() {
            return;
        }
        while let Some(removal) = self.machine.poll_removal() {
            let key = self.held.iter().find(|(_, (slot, _))| *slot == removal.slot).map(|(key, _)| *key);
            if removal.cause == Some(RemovalCause::Expired) {
                let (_, usable) = self.held[&key.expect("a key lay there")];
                assert!(usable < now, "at {now} an entry left that could be handed out");
                self.expired += 1;
            }
            if removal.key_removed {
                self.held.retain(|held, _| Some(*held) != key);
            }
        }
        self.timer = self.machine.next_purge();
        assert!(!self.machine.has_news());
    }

    fn is_held(&self, slot: Slot, now: u64) -> bool {
        self.machine.info(slot, at(now)).is_some_and(|info| info.state.as_str() != "loading")
    }

    /// It is a millisecond later.
    fn tick(&mut self, now: u64) {
        let usable: Vec<u32> = self.held.iter().filter(|it| self.is_held(it.1.0, now)).map(|it| *it.0).collect();
        usable.into_iter().for_each(|key| self.held.get_mut(&key).expect("it is there").1 = now);
        for _ in 0..100 {
            if self.timer.is_none_or(|at| at > self::at(now)) {
                break;
            }
            self.rings += 1;
            self.machine.purge_due(at(now));
            self.drain(now);
        }
        assert!(self.timer.is_none_or(|at| at > self::at(now)), "it rings and rings");
        for (key, (_, usable)) in &self.held {
            assert!(now - usable <= self.every, "at {now} key {key} is still there, over since {usable}");
        }
    }
}

#[test]
fn under_random_calls_every_entry_leaves_in_time_and_none_too_early() {
    println!("seed {}", seed());
    let mut random = Random(seed());
    for round in 0..40 {
        let eviction = [EvictionPolicy::Lru, EvictionPolicy::Adaptive][round % 2];
        let every = 1 + random.below(if round % 4 < 2 { 50 } else { 500 });
        // With a single entry no other's end makes up for one that was not noted.
        let entries = if round % 5 == 0 { 1 } else { 5 + random.below(40) };
        let mut driven = Driven::new(Limits::new(entries, u64::MAX, u64::MAX), eviction, every);
        let steps = if entries == 1 { 40_000 } else { 4_000 };
        for now in 1_000_000..1_000_000 + steps {
            // And with long rests.
            if random.below(if entries == 1 { 150 } else { 3 }) == 0 {
                act(&mut driven, &mut random, now);
            }
            driven.tick(now);
        }
        assert!(driven.expired > 0 || entries == 1, "nothing has expired");
        assert!(driven.rings <= steps / every + 1, "{} rings in {steps} ms, every {every}", driven.rings);
        // What never ends is all that may be left.
        driven.tick(2_000_000);
        let left = driven.machine.len();
        assert_eq!(driven.machine.remove_all_expired(at(2_000_000)), 0);
        assert_eq!(driven.machine.len(), left);
        if left == 0 {
            assert_eq!(driven.timer, None, "nobody waits for nothing");
        }
    }
}

fn act(driven: &mut Driven, random: &mut Random, now: u64) {
    let key = random.below(if driven.machine.limits().max_entries() == 1 { 2 } else { 60 }) as u32;
    let slot = driven.held.get(&key).map(|it| it.0);
    let mut patch = PolicyPatch::new();
    if random.below(2) == 0 {
        patch = patch.ttl([Ttl::Millis(1 + random.below(300)), Ttl::Forever][usize::from(random.below(8) == 0)]);
    }
    if random.below(4) == 0 {
        patch = patch.stale_if_error(Ttl::Millis(random.below(200)));
    }
    if random.below(4) == 0 {
        patch.idle_ttl = Some(Ttl::Millis(1 + random.below(100)));
    }
    patch = if patch.ttl.is_none() { patch.ttl(Ttl::Millis(100)) } else { patch };
    let policy = policy(patch);
    let placed = match (random.below(12), slot) {
        (0..=5, _) => insert(&mut driven.machine, slot, nearcache::core::PartitionId::ROOT, now, &policy),
        (6 | 7, Some(slot)) => {
            driven.machine.touch(slot, at(now));
            None
        }
        (8, Some(slot)) => {
            driven.machine.expire(slot, at(now));
            None
        }
        (9, Some(slot)) => {
            driven.machine.remove(slot);
            None
        }
        (10, _) => match driven.machine.ask(&ask(slot, now, &policy)) {
            Answer::StartLoad(slot, flight, _) => {
                // A value that was over makes way for the load.
                driven.held.entry(key).or_insert((slot, now)).0 = slot;
                driven.drain(now);
                let failure = Failure {
                    now: at(now),
                    backoff: Some(Ttl::Millis(random.below(80))),
                    may_retry: false,
                    random: 0.5,
                };
                driven.machine.failed(flight, &failure);
                None
            }
            _ => None,
        },
        (11, _) if random.below(50) == 0 => {
            driven.machine.clear();
            driven.held.clear();
            None
        }
        _ => None,
    };
    driven.drain(now);
    if let Some(slot) = placed {
        driven.held.insert(key, (slot, now));
    }
    // What has just been let go of could be handed out a moment ago.
    if let Some(slot) = driven.held.get(&key).map(|it| it.0).filter(|slot| !driven.is_held(*slot, now)) {
        let was = driven.held[&key].1.min(now);
        driven.held.insert(key, (slot, was));
    }
}

#[test]
fn a_step_lets_go_of_a_thousand_entries_at_the_most_and_is_followed_by_the_next_at_once() {
    let mut driven = Driven::new(Limits::new(100_000, u64::MAX, u64::MAX), EvictionPolicy::Adaptive, 10);
    let usual = policy(PolicyPatch::new().ttl(Ttl::Millis(100)));
    for _ in 0..40_000 {
        insert(&mut driven.machine, None, nearcache::core::PartitionId::ROOT, 0, &usual);
    }
    assert_eq!(driven.machine.next_purge(), Some(at(100)));
    let mut held = driven.machine.len();
    let mut steps = 0;
    while held > 0 {
        assert_eq!(driven.machine.next_purge(), Some(at(100)), "at once");
        driven.machine.purge_due(at(100));
        while driven.machine.poll_removal().is_some() {}
        let left = driven.machine.len();
        assert!(held - left <= 1_024 && held > left, "{held} entries, then {left}");
        (held, steps) = (left, steps + 1);
    }
    driven.machine.purge_due(at(100));
    assert_eq!(driven.machine.next_purge(), None);
    println!("{steps} steps");
}

#[test]
fn an_end_is_noted_also_of_what_takes_the_place_of_an_endless_value() {
    for of_its_own_key in [true, false] {
        let mut driven = Driven::new(Limits::new(2, u64::MAX, u64::MAX), EvictionPolicy::Lru, 10);
        let insert = |machine: &mut Machine, slot, now, ttl| {
            insert(machine, slot, nearcache::core::PartitionId::ROOT, now, &policy(PolicyPatch::new().ttl(ttl)))
        };
        let slots = [(); 2].map(|()| insert(&mut driven.machine, None, 0, Ttl::Forever));
        assert_eq!(driven.machine.next_purge(), None);
        let over = slots[0].filter(|_| of_its_own_key);
        insert(&mut driven.machine, over, 5, Ttl::Millis(100)).expect("it fits");
        assert_eq!((driven.machine.len(), driven.machine.next_purge()), (2, Some(at(110))));
    }
}

#[test]
fn a_timer_that_has_died_with_its_request_is_asked_for_again() {
    let mut driven = Driven::new(Limits::new(10, u64::MAX, u64::MAX), EvictionPolicy::Lru, 10);
    let brief = policy(PolicyPatch::new().ttl(Ttl::Millis(50)));
    let root = nearcache::core::PartitionId::ROOT;
    insert(&mut driven.machine, None, root, 0, &brief);
    assert_eq!(driven.machine.next_purge(), Some(at(50)));
    // Late, but not so late that it could not come.
    insert(&mut driven.machine, None, root, 55, &brief);
    while driven.machine.poll_removal().is_some() {}
    assert!(!driven.machine.has_news());
    insert(&mut driven.machine, None, root, 60, &brief);
    assert!(driven.machine.has_news());
    assert_eq!(driven.machine.next_purge(), Some(at(60)));
}

#[test]
fn without_the_option_there_is_never_anything_to_wait_for() {
    let mut machine = machine(10, Timers::Own);
    insert(&mut machine, None, nearcache::core::PartitionId::ROOT, 0, &policy(PolicyPatch::new().ttl(Ttl::Millis(5))));
    assert_eq!((machine.has_news(), machine.next_purge()), (false, None));
    machine.purge_due(at(100));
    assert_eq!(machine.len(), 1);
}
