//! Short ways to say what a driver says to the machine.

#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::LazyLock;

use nearcache::core::{
    Answer, Ask, FlightId, LoadedValue, Machine, NewValue, Part, PartitionId, Slot, Timers, WaitId, Who,
};
use nearcache::options::{Limits, Policy, PolicyPatch};
use nearcache::{Timestamp, Ttl};

pub const ROOT: Part<'static> = Part { namespace: 0, scope: "" };
pub const CALLER: Who = Who::Caller(None);

pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn machine(max_entries: u64, timers: Timers) -> Machine {
    Machine::new(Limits::new(max_entries, u64::MAX, u64::MAX), Ttl::Forever, timers)
}

pub fn policy(patch: PolicyPatch) -> Policy {
    Policy::DEFAULT.patched(&patch)
}

pub fn within(millis: u64) -> Policy {
    policy(PolicyPatch::new().hard_timeout(Ttl::Millis(millis)))
}

pub fn ask(slot: Option<Slot>, now: u64, policy: &Policy) -> Ask<'_> {
    Ask {
        hash: None,
        slot,
        partition: PartitionId::ROOT,
        now: at(now),
        asked_at: at(now),
        again: None,
        policy,
        tags: &[],
        weight: None,
        force_fresh: false,
        invalid: false,
        background: true,
        detached: false,
        batched: false,
        random: None,
        asker: None,
    }
}

pub fn lead(machine: &mut Machine, ask: &Ask<'_>) -> (Slot, FlightId) {
    match machine.ask(ask) {
        Answer::StartLoad(slot, flight, _) => (slot, flight),
        other => panic!("wanted to lead, got {other:?}"),
    }
}

pub fn join(machine: &mut Machine, ask: &Ask<'_>) -> WaitId {
    match machine.ask(ask) {
        Answer::Join(wait) => wait,
        other => panic!("wanted to join, got {other:?}"),
    }
}

/// Of which nothing is said.
fn nothing_said() -> &'static PolicyPatch {
    static NOTHING: LazyLock<PolicyPatch> = LazyLock::new(PolicyPatch::new);
    &NOTHING
}

pub fn brought(now: u64, tags: &[String]) -> LoadedValue<'_> {
    LoadedValue {
        now: at(now),
        said: nothing_said(),
        tags,
        weight: None,
        absent: false,
        skip: false,
        random: 0.0,
        age: 0,
    }
}

pub fn insert(
    machine: &mut Machine,
    slot: Option<Slot>,
    partition: PartitionId,
    now: u64,
    policy: &Policy,
) -> Option<Slot> {
    let value = NewValue {
        hash: None,
        policy,
        said: nothing_said(),
        tags: [&[], &[]],
        weight: None,
        absent: false,
        random: 0.0,
    };
    machine.insert(slot, partition, at(now), &value)
}

pub fn insert_tagged(machine: &mut Machine, partition: PartitionId, tag: &str) -> Slot {
    let tags = [tag.to_owned()];
    let value = NewValue {
        hash: None,
        policy: &Policy::DEFAULT,
        said: nothing_said(),
        tags: [&tags, &[]],
        weight: None,
        absent: false,
        random: 0.0,
    };
    machine.insert(None, partition, at(0), &value).expect("it fits")
}
