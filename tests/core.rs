//! The pure machine by itself, as a driver sees it.

mod common;

use std::collections::BTreeSet;

use common::{Random, seed};
use nearcache::core::{Answer, Ask, Cause, Deadlines, FlightId, Keep, Machine, Outcome, Query, Settled, Slot};
use nearcache::options::{Life, Limits};
use nearcache::{Timestamp, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn machine(max_entries: u64) -> Machine {
    Machine::new(Limits::new(max_entries, u64::MAX, u64::MAX), Ttl::Forever)
}

fn query(now: u64, deadline: u64) -> Query {
    Query { space: 0, now: at(now), deadline: at(deadline), ask: Ask::Stored, background: true, draw: None }
}

const fn keep(ttl: Ttl) -> Keep<'static> {
    Keep { life: Life::of(ttl), weight: 0, tags: &[], draw: 0.0 }
}

fn lead(machine: &mut Machine, slot: Option<Slot>, now: u64, deadline: u64) -> (Slot, FlightId) {
    match machine.ask(slot, &query(now, deadline)) {
        Answer::Lead(slot, flight) => (slot, flight),
        other => panic!("wanted to lead, got {other:?}"),
    }
}

const STORE: Outcome = Outcome::Store(keep(Ttl::Forever));
const FAIL: Outcome = Outcome::Fail { backoff: Ttl::ZERO };

#[test]
fn a_flights_id_survives_the_way_through_a_js_number() {
    let mut machine = machine(10);
    let (_, first) = lead(&mut machine, None, 0, 10);
    machine.settle(first, at(0), FAIL);
    let (_, second) = lead(&mut machine, None, 0, 10);
    assert_eq!(first.index(), second.index(), "the number is used again");
    assert_ne!(first, second, "the name is not");
    for id in [first, second] {
        assert_eq!(FlightId::from_bits((id.to_bits() as f64) as u64), id);
    }
}

#[test]
fn what_a_load_brings_after_its_flight_has_ended_changes_nothing() {
    let mut machine = machine(10);
    let (_, first) = lead(&mut machine, None, 0, 10);
    assert!(machine.leave(first, 1), "the last waiter left");
    let (slot, second) = lead(&mut machine, None, 0, 10);
    assert_eq!(machine.settle(first, at(1), STORE), Settled::Late);
    assert_eq!(machine.settle(second, at(1), STORE), Settled::Stored(slot));
    assert_eq!(machine.len(), 1);
}

#[test]
fn a_flight_that_everyone_has_forgotten_is_swept() {
    let mut machine = machine(10);
    let (slot, flight) = lead(&mut machine, None, 0, 10);
    machine.sweep(at(10), 1);
    assert!(machine.is_live(flight), "somebody may be about to hear that his time is up");
    machine.sweep(at(11), 1);
    assert!(!machine.is_live(flight));
    let left = machine.poll_departure().map(|departure| (departure.slot, departure.cause, departure.vacated));
    assert_eq!(left, Some((slot, None, true)), "and its key with it");
    assert_eq!(machine.stats().loads_abandoned, 1);
}

#[test]
fn a_driver_that_hears_of_every_leaving_keeps_its_flights() {
    let mut machine = machine(10);
    machine.keep_flights();
    let (_, flight) = lead(&mut machine, None, 0, 10);
    machine.sweep(at(1_000), 10);
    assert!(machine.is_live(flight));
}

#[test]
fn slots_are_used_again() {
    let mut machine = machine(100);
    let mut highest = 0;
    for n in 0..10_000 {
        let slot = machine.insert(None, 0, at(n), &keep(Ttl::Millis(50))).expect("it fits");
        highest = highest.max(slot.number());
        while machine.poll_departure().is_some() {}
    }
    assert!(highest <= 101, "a hundred, and the one that comes before another goes: {highest}");
}

#[test]
fn departures_say_what_left_and_whether_the_key_goes_too() {
    let mut machine = machine(1);
    let slot = machine.insert(None, 0, at(0), &keep(Ttl::Millis(5))).expect("it fits");
    let Answer::Lead(same, flight) = machine.ask(Some(slot), &query(5, 100)) else { panic!("dead") };
    let departure = machine.poll_departure().expect("the dead value leaves");
    assert_eq!((same, departure.cause, departure.vacated), (slot, Some(Cause::Expired), false));
    machine.settle(flight, at(6), FAIL);
    let departure = machine.poll_departure().expect("then the key");
    assert_eq!((departure.cause, departure.vacated), (None, true));
}

#[test]
fn deadlines_come_in_order_and_only_for_the_living() {
    println!("seed {}", seed());
    let mut random = Random(seed());
    let mut deadlines = Deadlines::default();
    let mut living = BTreeSet::new();
    let (mut now, mut id) = (0, 0);
    let mut pending: Vec<(u64, u64)> = Vec::new();
    for _ in 0..20_000 {
        match random.below(4) {
            0 | 1 => {
                id += 1;
                let moment = now + random.below(50);
                living.insert(id);
                pending.push((moment, id));
                deadlines.add(at(moment), id, |id| living.contains(&id));
            }
            2 => {
                let ended = random.below(id + 1);
                living.remove(&ended);
                pending.retain(|(_, id)| *id != ended);
            }
            _ => {
                now += random.below(5);
                while let Some(due) = deadlines.pop_due(at(now), |id| living.contains(&id)) {
                    let earliest = pending.iter().map(|(moment, _)| *moment).min();
                    let found = pending.iter().position(|(_, id)| *id == due).expect("a living one");
                    assert_eq!(Some(pending[found].0), earliest);
                    pending.remove(found);
                    living.remove(&due);
                }
                assert!(pending.iter().all(|(moment, _)| *moment > now), "one was missed");
                let next = pending.iter().map(|(moment, _)| at(*moment)).min();
                assert_eq!(deadlines.next(|id| living.contains(&id)), next);
            }
        }
    }
}

#[test]
fn a_deadline_without_end_is_not_kept() {
    let mut deadlines = Deadlines::default();
    deadlines.add(Timestamp::from_millis(0).after(Ttl::Forever), 1, |_| true);
    assert_eq!(deadlines.next(|_| true), None);
}
