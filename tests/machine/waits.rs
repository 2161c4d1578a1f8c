//! The pure machine by itself: loads, who waits for them, and how each wait ends.

use std::collections::BTreeMap;

use crate::driving::*;
use crate::random::{Random, seed};
use nearcache::Ttl;
use nearcache::core::{
    Age, Answer, Ask, BatchLimits, Counted, EvictionPolicy, Failure, JoinBatch, LoadOutcome, Machine, MissCause, Node,
    PartitionId, Settled, Softened, StaleCause, Stats,
};
use nearcache::core::{Timers, WaitId, Wake, Who};
use nearcache::options::{Limits, Policy, PolicyPatch, Retry};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn what_a_load_brings_after_its_flight_has_ended_changes_nothing() {
    let mut machine = machine(10, Timers::Own);
    let policy = within(10);
    let (_, first) = lead(&mut machine, &ask(None, 0, &policy));
    assert!(machine.leave(WaitId { flight: first, group: 0 }, CALLER), "the last waiter left");
    let (slot, second) = lead(&mut machine, &ask(None, 0, &policy));
    assert_eq!(first.index(), second.index(), "the number is used again");
    assert_eq!(machine.brought(first, &brought(1, &[])).outcome, LoadOutcome::FlightEnded);
    assert_eq!(machine.failed(first, &Failure::last(at(1), None)).outcome, LoadOutcome::FlightEnded);
    assert_eq!(machine.brought(second, &brought(1, &[])).outcome, LoadOutcome::Stored(slot));
    assert_eq!(machine.len(), 1);
}

#[test]
fn a_flight_that_everyone_has_forgotten_is_swept_and_its_driver_told() {
    let mut machine = machine(10, Timers::Own);
    let policy = within(10);
    let (slot, flight) = lead(&mut machine, &ask(None, 0, &policy));
    // Who joins extends the time in which somebody may be waiting.
    join(&mut machine, &ask(Some(slot), 5, &policy));
    machine.sweep(at(15), 1);
    assert_eq!((machine.poll_ended(), machine.loads_in_flight()), (None, 1), "somebody may be about to hear of it");
    machine.sweep(at(16), 1);
    assert_eq!((machine.poll_ended(), machine.loads_in_flight()), (Some(flight), 0));
    let left = machine.poll_removal().map(|removal| (removal.slot, removal.cause, removal.key_removed));
    assert_eq!(left, Some((slot, None, true)), "and its key goes with it");
    assert_eq!(machine.stats().loads_abandoned, 1);
}

#[test]
fn a_load_that_waits_for_itself_by_way_of_others_is_refused_at_the_join() {
    // The symptom: loads in a circle blocked their thread.
    let mut machine = machine(10, Timers::Own);
    let policy = within(1_000);
    let inside = |flight| Some(Node::Flight(flight));
    let (one_slot, one) = lead(&mut machine, &ask(None, 0, &policy));
    let (two_slot, two) = lead(&mut machine, &Ask { asker: inside(one), ..ask(None, 0, &policy) });
    let (three_slot, three) = lead(&mut machine, &Ask { asker: inside(two), ..ask(None, 0, &policy) });
    let gets = machine.stats().gets();
    for slot in [one_slot, two_slot, three_slot] {
        let answer = machine.ask(&Ask { asker: inside(three), ..ask(Some(slot), 0, &policy) });
        assert_eq!(answer, Answer::Recursive);
    }
    assert_eq!(machine.stats().gets(), gets, "a refused get is none");
    // Two waits for three no more: then three may wait for two's own.
    let who = Who::Caller(inside(two));
    machine.leave(WaitId { flight: three, group: 0 }, who);
    let (_, four) = lead(&mut machine, &ask(None, 1, &policy));
    join(&mut machine, &Ask { asker: inside(four), ..ask(Some(one_slot), 1, &policy) });
    machine.brought(two, &brought(2, &[]));
    machine.brought(one, &brought(2, &[]));
    assert_eq!(machine.loads_in_flight(), 1);
}

#[test]
fn a_loader_that_goes_on_after_its_load_has_ended_waits_for_nothing() {
    let policy = within(1_000);
    let inside = |flight| Some(Node::Flight(flight));
    let batch =
        |load| JoinBatch { last: None, has: false, load: Some(load), limits: BatchLimits::default(), now: at(0) };
    // The symptom: whatever it asked for took the place of the waits of the load that had its number now, so that a circle
    // through that was closed.
    for in_batch in [false, true] {
        let mut machine = machine(10, Timers::Own);
        let (_, gone) = lead(&mut machine, &ask(None, 0, &policy));
        assert!(machine.lost(gone));
        let (one_slot, one) = lead(&mut machine, &ask(None, 0, &policy));
        assert_eq!(one.index(), gone.index(), "the number is used again");
        let (_, two) = lead(&mut machine, &Ask { asker: inside(one), ..ask(None, 0, &policy) });
        match in_batch {
            true => drop(machine.join_batch(&batch(gone))),
            false => drop(lead(&mut machine, &Ask { asker: inside(gone), ..ask(None, 0, &policy) })),
        }
        let back = machine.ask(&Ask { asker: inside(two), ..ask(Some(one_slot), 0, &policy) });
        assert_eq!(back, Answer::Recursive);
    }
    // And who waited for it, and has not been told yet, was taken for one that waits.
    let mut machine = machine(10, Timers::Own);
    let (slot, one) = lead(&mut machine, &ask(None, 0, &policy));
    let (_, gone) = lead(&mut machine, &Ask { asker: inside(one), ..ask(None, 0, &policy) });
    assert!(machine.lost(gone));
    join(&mut machine, &Ask { asker: inside(gone), ..ask(Some(slot), 0, &policy) });
}

#[test]
fn a_batch_that_asks_for_a_key_of_its_own_is_refused() {
    // The symptom: it blocked its thread.
    let mut machine = machine(10, Timers::Own);
    let policy = within(1_000);
    let (slot, flight) = lead(&mut machine, &ask(None, 0, &policy));
    let join =
        |load, last| JoinBatch { last, has: false, load: Some(load), limits: BatchLimits::default(), now: at(0) };
    let batch = machine.join_batch(&join(flight, None)).batch;
    machine.close_batch(batch);
    let inside = Some(Node::Batch(batch));
    assert_eq!(machine.ask(&Ask { asker: inside, ..ask(Some(slot), 0, &policy) }), Answer::Recursive);
    let (other_slot, other) = lead(&mut machine, &Ask { asker: inside, ..ask(None, 0, &policy) });
    let next = machine.join_batch(&join(other, Some(batch))).batch;
    assert_ne!(next, batch, "a key that the batch asks for comes into another");
    machine.close_batch(next);
    let within = Ask { asker: Some(Node::Batch(next)), ..ask(Some(slot), 0, &policy) };
    assert_eq!(machine.ask(&within), Answer::Recursive, "which may ask for none of the first either");
    assert_eq!(machine.ask(&Ask { slot: Some(other_slot), ..within }), Answer::Recursive);
    machine.batch_ended(batch);
    assert_eq!(crate::driving::join(&mut machine, &within).flight, flight);
}

fn tagged(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn who_asked_after_a_purge_of_a_tag_that_the_load_bears_asks_again() {
    // The symptom: a purge of whatever tag made every load under way unjoinable and unstorable.
    for (tags, again) in [(&["red"][..], true), (&["blue"], false), (&[], false), (&["blue", "red"], true)] {
        let mut machine = machine(10, Timers::Own);
        let policy = within(1_000);
        let (slot, flight) = lead(&mut machine, &ask(None, 0, &policy));
        let before = join(&mut machine, &ask(Some(slot), 0, &policy));
        machine.remove_tag(ROOT, "red");
        let after = join(&mut machine, &ask(Some(slot), 0, &policy));
        assert_ne!(before, after, "they are told apart");
        let tags = tagged(tags);
        let settled = machine.brought(flight, &brought(1, &tags));
        assert_eq!(settled.outcome == LoadOutcome::NotStored, again, "{tags:?}");
        assert_eq!((machine.must_ask_again(), machine.poll_ask_again()), (again, again.then_some(after)));
        assert_eq!(machine.poll_ask_again(), None);
        let gets = machine.stats().gets();
        let asks = Ask { again: Some(Counted::Coalesced), now: at(1), ..ask(None, 0, &policy) };
        if again {
            assert!(matches!(machine.ask(&asks), Answer::StartLoad(_, _, MissCause::Absent)));
            assert_eq!((machine.stats().gets(), machine.stats().coalesced), (gets, 1), "it is counted as one get");
        }
    }
}

#[test]
fn who_asked_between_two_purges_asks_again() {
    // Found by the simulation: only the last purge was remembered.
    let mut machine = machine(10, Timers::Own);
    let policy = within(1_000);
    let (slot, flight) = lead(&mut machine, &ask(None, 0, &policy));
    machine.remove_tag(ROOT, "red");
    let between = join(&mut machine, &ask(Some(slot), 0, &policy));
    machine.remove_tag(ROOT, "red");
    machine.remove_tag(ROOT, "blue");
    machine.brought(flight, &brought(1, &tagged(&["blue", "red"])));
    assert_eq!(machine.poll_ask_again(), Some(between));
}

#[test]
fn a_purge_of_a_key_s_tag_leaves_its_load_alone_unless_that_bears_the_tag() {
    // Found by the simulation: the key was cut loose from its load, and the next to ask began another.
    let mut machine = machine(10, Timers::Own);
    let policy = within(1_000);
    let slot = insert_tagged(&mut machine, PartitionId::ROOT, "red");
    let fresh = Ask { force_fresh: true, ..ask(Some(slot), 0, &policy) };
    let (_, flight) = lead(&mut machine, &fresh);
    assert_eq!(machine.remove_tag(ROOT, "red"), 1);
    join(&mut machine, &ask(Some(slot), 0, &policy));
    assert_eq!(machine.brought(flight, &brought(1, &[])).outcome, LoadOutcome::Stored(slot));
    assert!(!machine.must_ask_again());
}

#[test]
fn more_purges_than_are_remembered_beat_a_slow_load_that_has_tags_and_no_other() {
    for (tags, stored) in [(&["quiet"][..], false), (&[], true)] {
        let mut machine = machine(10, Timers::Own);
        let policy = within(100_000);
        let (_, flight) = lead(&mut machine, &ask(None, 0, &policy));
        for n in 0..1_500 {
            machine.remove_tag(ROOT, &format!("tag {n}"));
        }
        let settled = machine.brought(flight, &brought(1, &tagged(tags)));
        assert_eq!(matches!(settled.outcome, LoadOutcome::Stored(_)), stored, "{tags:?}");
        let (_, next) = lead(&mut machine, &ask(None, 2, &policy));
        assert!(matches!(machine.brought(next, &brought(3, &tagged(&["tag 7"]))).outcome, LoadOutcome::Stored(_)));
    }
}

#[test]
fn a_purged_tag_is_not_forgotten_among_a_thousand_others() {
    let mut machine = machine(10, Timers::Own);
    let policy = within(100_000);
    let (_, flight) = lead(&mut machine, &ask(None, 0, &policy));
    for n in 0..1_024 {
        machine.remove_tag(ROOT, &format!("tag {n}"));
    }
    assert_eq!(machine.brought(flight, &brought(1, &tagged(&["tag 0"]))).outcome, LoadOutcome::NotStored);
}

fn stale_policy() -> Policy {
    let patch = PolicyPatch::new().ttl(Ttl::Millis(10)).stale_if_error(Ttl::Millis(100));
    policy(patch.soft_timeout(Ttl::Millis(5)).hard_timeout(Ttl::Millis(50)))
}

#[test]
fn at_the_soft_deadline_the_value_of_now_will_do_and_the_cache_may_wait_on() {
    for hold in [true, false] {
        let mut machine = machine(10, Timers::Own);
        let policy = stale_policy();
        let slot = insert(&mut machine, None, PartitionId::ROOT, 0, &policy).expect("it fits");
        let (_, flight) = lead(&mut machine, &ask(Some(slot), 20, &policy));
        let wait = WaitId { flight, group: 0 };
        let second = join(&mut machine, &ask(Some(slot), 20, &policy));
        assert_eq!(machine.soften(wait, 1, None, at(25), hold), Softened::No, "there is none");
        assert_eq!(machine.soften(wait, 1, Some(slot), at(111), hold), Softened::No, "it is too old");
        let first = machine.soften(wait, 1, Some(slot), at(25), hold);
        let last = machine.soften(second, 1, Some(slot), at(25), hold);
        match hold {
            true => assert_eq!((first, last, machine.loads_in_flight()), (Softened::Held, Softened::Yes, 1)),
            false => assert_eq!((first, last, machine.loads_in_flight()), (Softened::Yes, Softened::Ended, 0)),
        }
        assert_eq!((machine.stats().soft_timeouts, machine.stats().timeouts), (2, 0));
        assert_eq!(machine.time_out(wait, Who::Cache), hold, "the cache gives up at its own deadline");
    }
}

#[test]
fn one_who_asks_again_keeps_its_deadline() {
    let mut machine = machine(10, Timers::Own);
    let policy = within(10);
    let (slot, flight) = lead(&mut machine, &ask(None, 0, &policy));
    let wait = join(&mut machine, &ask(Some(slot), 0, &policy));
    assert!(machine.lost(flight) && !machine.lost(flight));
    assert!(!machine.leave(wait, CALLER), "there is nothing left to leave");
    let again = |now| Ask { again: Some(Counted::Coalesced), now: at(now), ..ask(None, 0, &policy) };
    assert!(matches!(machine.ask(&again(9)), Answer::StartLoad(..)));
    assert_eq!(machine.ask(&again(10)), Answer::TimedOut);
    let stats = machine.stats();
    assert_eq!((stats.misses, stats.coalesced, stats.timeouts, stats.loads_abandoned), (2, 0, 1, 1));
}

#[test]
fn a_value_of_unknown_weight_is_no_value_where_weights_matter() {
    let mut machine = Machine::new(Limits::new(10, 100, 100), Ttl::Forever, Timers::Own);
    assert_eq!(insert(&mut machine, None, PartitionId::ROOT, 0, &Policy::DEFAULT), None);
    let (_, flight) = lead(&mut machine, &ask(None, 0, &Policy::DEFAULT));
    let Settled { outcome, unknown_weight, .. } = machine.brought(flight, &brought(1, &[]));
    assert_eq!((outcome, unknown_weight, machine.stats().load_failures), (LoadOutcome::NotStored, true, 1));
    let said = Ask { weight: Some(7), ..ask(None, 2, &Policy::DEFAULT) };
    let (slot, flight) = lead(&mut machine, &said);
    assert_eq!(machine.brought(flight, &brought(3, &[])).outcome, LoadOutcome::Stored(slot));
    assert_eq!(machine.weight(), 7, "as the caller said");
}

#[test]
fn an_answer_says_which_event_it_is() {
    let mut machine = machine(10, Timers::Own);
    let policy = policy(PolicyPatch::new().ttl(Ttl::Millis(10)).stale_while_revalidate(Ttl::Millis(10)));
    let slot = insert(&mut machine, None, PartitionId::ROOT, 0, &policy).expect("it fits");
    assert_eq!(machine.ask(&ask(Some(slot), 5, &policy)), Answer::Hit(slot));
    let Answer::Refresh { flight, stale: true, .. } = machine.ask(&ask(Some(slot), 15, &policy)) else {
        panic!("no refresh")
    };
    let stale = Answer::Stale(slot, StaleCause::Revalidate);
    assert_eq!(machine.ask(&ask(Some(slot), 15, &policy)), stale);
    let settled = machine.failed(flight, &Failure::last(at(16), Some(Ttl::Millis(3))));
    assert!(settled.background);
    assert_eq!(machine.ask(&ask(Some(slot), 17, &policy)), Answer::Stale(slot, StaleCause::Error));
    let forced = Ask { force_fresh: true, ..ask(Some(slot), 17, &policy) };
    assert!(matches!(machine.ask(&forced), Answer::StartLoad(_, _, MissCause::Forced)));
}

#[test]
fn one_timer_serves_all_waits_in_the_order_of_their_deadlines() {
    println!("seed {}", seed());
    let mut random = Random(seed());
    let mut machine = machine(10, Timers::Shared);
    let mut open: BTreeMap<(u64, usize), WaitId> = BTreeMap::new();
    let (mut now, mut count) = (0, 0);
    for _ in 0..20_000 {
        match random.below(4) {
            0 | 1 => {
                let policy = within(1 + random.below(50));
                let (_, flight) = lead(&mut machine, &ask(None, now, &policy));
                let Ttl::Millis(limit) = policy.hard_timeout else { continue };
                count += 1;
                open.insert((now + limit, count), WaitId { flight, group: 0 });
            }
            2 if !open.is_empty() => {
                let at = random.below(open.len() as u64) as usize;
                let key = *open.keys().nth(at).expect("one of them");
                assert!(machine.leave(open.remove(&key).expect("that one"), CALLER));
            }
            _ => {
                now += random.below(5);
                while let Some(wake) = machine.timeout(at(now)) {
                    let Wake::TimedOut { wait, last: true } = wake else { panic!("{wake:?}") };
                    let earliest = *open.keys().next().expect("one that is open");
                    let found = open.iter().find(|(_, known)| **known == wait).map(|(key, _)| *key).expect("open");
                    assert_eq!(found.0, earliest.0);
                    open.remove(&found);
                }
                assert!(open.keys().all(|(deadline, _)| *deadline > now), "one was missed");
                let next = open.keys().next().map(|(deadline, _)| at(*deadline));
                assert_eq!(machine.next_deadline(), next);
            }
        }
        while machine.poll_removal().is_some() {}
    }
}

#[test]
fn a_failed_load_has_taken_its_time_and_its_memory_is_used_like_an_entry() {
    let mut machine = machine(2, Timers::Own);
    let policy = policy(PolicyPatch::new().error_backoff(Ttl::Forever));
    let (failed, flight) = lead(&mut machine, &ask(None, 0, &policy));
    let settled = machine.failed(flight, &Failure::last(at(40), None));
    assert_eq!((settled.outcome, settled.millis), (LoadOutcome::FailureCached(failed), 40));
    let times = machine.stats().load_millis;
    assert_eq!((times.count(), times.sum()), (1, 40));
    let value = insert(&mut machine, None, PartitionId::ROOT, 41, &policy).expect("it fits");
    assert_eq!(machine.ask(&ask(Some(failed), 42, &policy)), Answer::Failed(failed));
    insert(&mut machine, None, PartitionId::ROOT, 43, &policy).expect("it fits");
    assert_eq!(machine.poll_removal().map(|removal| removal.slot), Some(value), "the failure was used more recently");
}

#[test]
fn one_timer_wakes_nobody_for_the_cache_s_own_wait_at_a_soft_deadline() {
    let mut machine = machine(10, Timers::Shared);
    let patch = PolicyPatch::new().keep_loading(true).soft_timeout(Ttl::Millis(5)).hard_timeout(Ttl::Millis(10));
    let (_, flight) = lead(&mut machine, &ask(None, 0, &policy(patch)));
    let wait = WaitId { flight, group: 0 };
    assert!(!machine.leave(wait, CALLER), "the cache waits on");
    assert_eq!(machine.timeout(at(9)), None);
    assert_eq!(machine.timeout(at(10)), Some(Wake::TimedOut { wait, last: true }));
    assert_eq!(machine.stats().timeouts, 0, "nobody was told of an error");
}

#[test]
fn a_clock_that_is_set_back_puts_no_deadline_off() {
    let mut machine = machine(10, Timers::Shared);
    let (_, flight) = lead(&mut machine, &ask(None, 10_000, &within(10)));
    assert_eq!((machine.timeout(at(2_000)), machine.next_deadline()), (None, Some(at(2_010))));
    let wait = WaitId { flight, group: 0 };
    assert_eq!(machine.timeout(at(2_010)), Some(Wake::TimedOut { wait, last: true }));
}

#[test]
fn a_clock_that_is_set_back_takes_a_load_s_beginning_and_its_leader_s_deadline_along() {
    let mut machine = machine(10, Timers::Own);
    let (slot, flight) = lead(&mut machine, &ask(None, 10_000, &within(1_000)));
    // It began at 2,000 by the new time, and whoever waits longer than its leader sees to it that it goes on.
    for (now, hard) in [(2_000, 5_000), (2_999, 100)] {
        join(&mut machine, &ask(Some(slot), now, &within(hard)));
    }
    let (_, other) = lead(&mut machine, &ask(Some(slot), 3_000, &within(1_000)));
    assert_eq!([flight, other].map(|flight| machine.brought(flight, &brought(3_007, &[])).millis), [1_007, 7]);
}

#[test]
fn without_a_backoff_a_failed_load_is_followed_by_the_next_also_where_the_clock_was_set_back() {
    let mut machine = machine(10, Timers::Own);
    let policy = policy(PolicyPatch::new().ttl(Ttl::Millis(10)).stale_if_error(Ttl::Forever));
    let slot = insert(&mut machine, None, PartitionId::ROOT, 0, &policy).expect("it fits");
    let (_, flight) = lead(&mut machine, &ask(Some(slot), 2_000, &policy));
    assert_eq!(machine.failed(flight, &Failure::last(at(2_000), None)).outcome, LoadOutcome::ServedStale(slot));
    lead(&mut machine, &ask(Some(slot), 1_500, &policy));
}

#[test]
fn an_attempt_whose_delay_took_too_long_is_not_made() {
    for (late, may) in [(9, true), (10, false)] {
        let mut machine = machine(10, Timers::Own);
        let retry = Retry::new(2).delay(Ttl::Millis(5)).jitter(0.0);
        let policy = policy(PolicyPatch::new().hard_timeout(Ttl::Millis(10)).retry(retry));
        let (_, flight) = lead(&mut machine, &ask(None, 0, &policy));
        let failure = Failure { may_retry: true, ..Failure::last(at(1), None) };
        assert_eq!(machine.failed(flight, &failure).outcome, LoadOutcome::RetryIn(5));
        assert_eq!(machine.may_try_again(flight, at(late)), may);
    }
}

/// Of all, of a load and who led it in a machine that is told when it begins and when it ends, or when it ends of both.
fn after_loads(policy: &Policy, keys: u64, told_at_once: bool) -> (Stats, Vec<Option<Age>>) {
    let mut machine = Machine::with_eviction(
        Limits::new(3, u64::MAX, u64::MAX),
        policy.entry.ttl,
        Timers::Shared,
        EvictionPolicy::Lru,
    );
    let mut slots = Vec::new();
    for key in 0..keys {
        let (asked_at, now) = (100 + 10 * key, 107 + 10 * key);
        let slot = if told_at_once {
            let (slot, flight) = lead(&mut machine, &ask(None, asked_at, policy));
            machine.brought(flight, &brought(now, &[]));
            slot
        } else {
            machine.count_load(PartitionId::ROOT, at(asked_at), at(now));
            insert(&mut machine, None, PartitionId::ROOT, now, policy).expect("it is stored")
        };
        slots.push(slot);
        while machine.poll_removal().is_some() {}
        machine.poll_evicted();
    }
    slots.drain(..slots.len().saturating_sub(3));
    (machine.stats(), slots.into_iter().map(|slot| machine.age(slot, at(10 * keys + 100))).collect())
}

#[test]
fn a_load_of_which_the_machine_hears_as_it_ends_leaves_what_a_get_and_its_load_leave() {
    let plain = policy(PolicyPatch::new().ttl(Ttl::Millis(5_000)));
    let stale = policy(PolicyPatch::new().ttl(Ttl::Millis(5_000)).stale_while_revalidate(Ttl::Millis(1_000)));
    let endless = policy(PolicyPatch::new().ttl(Ttl::Forever));
    for policy in [plain, stale, endless] {
        for keys in [1, 3, 9] {
            let (late, ages) = after_loads(&policy, keys, false);
            let (at_once, wanted) = after_loads(&policy, keys, true);
            assert_eq!((&late, &ages), (&at_once, &wanted), "{keys} keys, {policy:?}");
            assert_eq!((late.misses, late.loads, late.load_millis.sum()), (keys, keys, 7 * keys));
        }
    }
}

#[test]
fn a_get_of_which_the_machine_hears_late_sets_deadlines_back_with_the_clock() {
    let policy = within(1_000);
    let mut machine = machine(3, Timers::Shared);
    lead(&mut machine, &ask(None, 20_000, &policy));
    machine.count_load(PartitionId::ROOT, at(20_003), at(20_005));
    assert_eq!(machine.next_deadline(), Some(at(21_000)));
    machine.count_load(PartitionId::ROOT, at(12_003), at(12_005));
    assert_eq!(machine.next_deadline(), Some(at(13_000)));
}
