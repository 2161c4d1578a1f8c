//! The pure machine by itself: loads that wait for their turn.

use crate::driving::*;
use nearcache::core::{Answer, Ask, BatchId, BatchLimits, CallTurn, FlightId, JoinBatch, Machine, Node, Start, Timers};
use nearcache::options::{LoadLimits, Policy, PolicyPatch, Priority};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn limited(limits: LoadLimits) -> Machine {
    let mut machine = machine(100, Timers::Own);
    machine.limit_loads(limits);
    machine
}

#[test]
fn a_clock_that_is_set_back_puts_off_no_load() {
    let policy = within(10);
    let mut machine = limited(LoadLimits::new().per_second(1.0));
    lead(&mut machine, &ask(None, 3_600_000, &policy));
    let (_, next) = lead(&mut machine, &ask(None, 1_000, &policy));
    assert!(!machine.is_queued(next), "no token is an hour away");
    let mut machine = limited(LoadLimits::new().max_concurrent(1));
    lead(&mut machine, &ask(None, 3_600_000, &policy));
    let (slot, next) = lead(&mut machine, &ask(None, 1_005, &within(100)));
    assert_eq!((machine.poll_start(at(1_005)), machine.next_start()), (None, Some(at(1_016))));
    assert_eq!(machine.poll_start(at(1_015)), None, "somebody may be about to hear of the first");
    assert_eq!(machine.poll_start(at(1_016)), Some(Start::Load(next, Some(slot))), "and no place is held for an hour");
}

#[test]
fn who_is_waited_for_keeps_its_place_when_others_join() {
    let mut machine = limited(LoadLimits::new().max_concurrent(1));
    let policy = within(1_000);
    let (_, running) = lead(&mut machine, &ask(None, 0, &policy));
    let (slot, first) = lead(&mut machine, &ask(None, 0, &policy));
    lead(&mut machine, &ask(None, 0, &policy));
    join(&mut machine, &ask(Some(slot), 1, &policy));
    machine.brought(running, &brought(2, &[]));
    assert!(matches!(machine.poll_start(at(2)), Some(Start::Load(flight, _)) if flight == first));
}

#[test]
fn who_needs_a_load_of_the_other_line_moves_it_into_a_line_that_has_room_and_no_other() {
    for (most, low_has_room) in [(1, false), (2, true)] {
        let mut machine = limited(LoadLimits::new().max_concurrent(1).max_queued(most));
        let high = within(1_000);
        let low = high.patched(&PolicyPatch::new().priority(Priority::Low));
        lead(&mut machine, &ask(None, 0, &high));
        lead(&mut machine, &ask(None, 0, &high));
        let slots: Vec<_> = (0..most).map(|_| lead(&mut machine, &ask(None, 0, &low)).0).collect();
        assert!(matches!(machine.ask(&ask(None, 0, &low)), Answer::Refused(_)), "that line is full");
        join(&mut machine, &ask(Some(slots[0]), 0, &high));
        assert_eq!(matches!(machine.ask(&ask(None, 0, &low)), Answer::StartLoad(..)), low_has_room);
    }
}

#[test]
fn each_that_waits_knows_when_its_token_comes() {
    let mut machine = limited(LoadLimits::new().per_second(2.0));
    let policy = within(60_000);
    for _ in 0..2 {
        lead(&mut machine, &ask(None, 0, &policy));
    }
    let waiting: Vec<_> = (0..5).map(|_| lead(&mut machine, &ask(None, 0, &policy)).1).collect();
    let begins: Vec<_> = waiting.iter().map(|flight| machine.starts_at(Node::Flight(*flight))).collect();
    assert_eq!(begins, [1_000, 1_000, 2_000, 2_000, 3_000].map(|millis| Ok(Some(at(millis)))));
}

#[test]
fn a_batch_s_call_waits_for_no_place_that_one_who_waits_for_it_has() {
    // The two would wait for each other.
    for joins_later in [false, true] {
        let mut machine = limited(LoadLimits::new().max_concurrent(1));
        let policy = within(1_000);
        let (_, running) = lead(&mut machine, &ask(None, 0, &policy));
        let within_it = Some(Node::Flight(running));
        let asker = if joins_later { None } else { within_it };
        let (slot, key) = lead(&mut machine, &Ask { batched: true, asker, ..ask(None, 0, &policy) });
        let batch = batch_of(&mut machine, key, 0);
        if joins_later {
            join(&mut machine, &Ask { asker: within_it, ..ask(Some(slot), 0, &policy) });
        }
        assert_eq!(machine.begin_call(Node::Batch(batch), at(0)), CallTurn::Now);
        let (_, turn) = call_at(&mut machine, &policy, 0);
        assert_eq!(turn, CallTurn::Later, "nobody who has a place waits for another's");
    }
}

/// The symptom: when the requests were gone that had begun as many batches' calls as may be made at once, no load ever
/// began any more.
#[test]
fn the_place_of_a_batchs_call_whose_request_has_died_is_taken_back() {
    let mut machine = limited(LoadLimits::new().max_concurrent(2));
    let policy = within(10);
    let (dead, turn) = call_at(&mut machine, &policy, 0);
    assert_eq!(turn, CallTurn::Now);
    let (alive, turn) = call_at(&mut machine, &policy, 5);
    assert_eq!(turn, CallTurn::Now);
    let (waits, turn) = call_at(&mut machine, &policy, 6);
    assert_eq!(turn, CallTurn::Later);
    assert_eq!(machine.poll_start(at(10)), None, "somebody may be about to hear of the first");
    assert_eq!(machine.next_start(), Some(at(11)));
    assert_eq!(machine.poll_start(at(11)), Some(Start::Call(Node::Batch(waits))));
    // It was alive all the same, and frees nothing that it does not have.
    machine.batch_ended(dead);
    let (last, turn) = call_at(&mut machine, &policy, 12);
    assert_eq!(turn, CallTurn::Later);
    machine.batch_ended(alive);
    assert_eq!(machine.poll_start(at(12)), Some(Start::Call(Node::Batch(last))));
    // A batch that is known to be lost has no place, and one that nobody waits for takes none.
    let (unwanted, turn) = call_at(&mut machine, &policy, 13);
    assert_eq!(turn, CallTurn::Later);
    assert!(machine.batch_lost(last, 1));
    assert_eq!(machine.poll_start(at(24)), Some(Start::Call(Node::Batch(unwanted))));
    let (_, turn) = call_at(&mut machine, &policy, 25);
    assert_eq!(turn, CallTurn::Now);
}

#[test]
fn the_call_of_a_batch_that_is_known_to_be_lost_has_no_place_any_more() {
    let mut machine = limited(LoadLimits::new().max_concurrent(1));
    let policy = within(10);
    let (lost, turn) = call_at(&mut machine, &policy, 0);
    assert_eq!(turn, CallTurn::Now);
    let (next, turn) = call_at(&mut machine, &policy, 0);
    assert_eq!((turn, machine.poll_start(at(0))), (CallTurn::Later, None));
    assert!(machine.batch_lost(lost, 1), "its keys are tried again");
    assert_eq!(machine.poll_start(at(0)), Some(Start::Call(Node::Batch(next))));
}

/// The symptom: a call that never ended held its place for ever, and with `max_concurrent` of them no load began any more.
#[test]
fn a_call_that_nobody_waits_for_any_more_has_no_place() {
    for timers in [Timers::Own, Timers::Shared] {
        let mut machine = machine(100, timers);
        machine.limit_loads(LoadLimits::new().max_concurrent(1));
        let policy = within(10);
        let [first, second] = [0, 0].map(|now| lead(&mut machine, &Ask { batched: true, ..ask(None, now, &policy) }).1);
        let limits = BatchLimits { max_size: 2, window: None };
        let join = |machine: &mut Machine, last, load| {
            machine.join_batch(&JoinBatch { last, has: false, load: Some(load), limits, now: at(0) }).batch
        };
        // One has been tried before.
        let failed = join(&mut machine, None, second);
        machine.close_batch(failed);
        machine.batch_ended(failed);
        let batch = join(&mut machine, None, first);
        assert_eq!(join(&mut machine, Some(batch), second), batch);
        assert_eq!(machine.begin_call(Node::Batch(batch), at(0)), CallTurn::Now);
        let (_, next) = lead(&mut machine, &ask(None, 0, &within(1_000)));
        machine.lost(first);
        assert_eq!(machine.poll_start(at(1)), None, "one waits for it yet");
        machine.lost(second);
        assert!(matches!(machine.poll_start(at(1)), Some(Start::Load(flight, _)) if flight == next));
        // Its end is nobody else's.
        machine.batch_ended(batch);
        let (_, last) = lead(&mut machine, &ask(None, 2, &within(1_000)));
        assert_eq!(machine.poll_start(at(2)), None);
        machine.brought(next, &brought(2, &[]));
        assert!(matches!(machine.poll_start(at(2)), Some(Start::Load(flight, _)) if flight == last));
    }
}

/// The symptom: such a call took the only place, and whoever came next waited until somebody told of its end.
#[test]
fn a_batch_that_nobody_waits_for_takes_no_place_in_its_turn() {
    for timers in [Timers::Own, Timers::Shared] {
        let mut machine = machine(100, timers);
        machine.limit_loads(LoadLimits::new().max_concurrent(1));
        let policy = within(1_000);
        let (_, running) = lead(&mut machine, &ask(None, 0, &policy));
        let (_, left) = lead(&mut machine, &Ask { batched: true, ..ask(None, 0, &policy) });
        let batch = batch_of(&mut machine, left, 0);
        assert_eq!(machine.begin_call(Node::Batch(batch), at(0)), CallTurn::Later);
        machine.lost(left);
        let (_, next) = lead(&mut machine, &ask(None, 0, &policy));
        machine.brought(running, &brought(1, &[]));
        assert_eq!(machine.poll_start(at(1)), Some(Start::Call(Node::Batch(batch))), "it hears that it is over");
        assert!(matches!(machine.poll_start(at(1)), Some(Start::Load(flight, _)) if flight == next));
    }
}

fn call_at(machine: &mut Machine, policy: &Policy, now: u64) -> (BatchId, CallTurn) {
    let (_, flight) = lead(machine, &Ask { batched: true, ..ask(None, now, policy) });
    let batch = batch_of(machine, flight, now);
    (batch, machine.begin_call(Node::Batch(batch), at(now)))
}

/// A batch of this load alone, that takes no more.
fn batch_of(machine: &mut Machine, load: FlightId, now: u64) -> BatchId {
    let limits = BatchLimits { max_size: 10, window: None };
    let join = JoinBatch { last: None, has: false, load: Some(load), limits, now: at(now) };
    let batch = machine.join_batch(&join).batch;
    machine.close_batch(batch);
    batch
}
