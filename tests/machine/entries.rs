//! The pure machine by itself, as a driver sees it: slots, parts, tags and writes.

use crate::driving::*;
use nearcache::core::{
    Answer, BatchId, BatchLimits, Failure, Goes, JoinBatch, JoinedBatch, LoadOutcome, Machine, NewValue, Part,
    PartitionId, RemovalCause, Timers, Touched, WriteThrough, join_scope,
};
use nearcache::options::{Limits, Policy, PolicyPatch};
use nearcache::{Ttl, core::MissCause};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn write<'a>(slot: Option<nearcache::core::Slot>, now: u64, policy: &'a Policy) -> WriteThrough<'a> {
    let partition = PartitionId::ROOT;
    WriteThrough {
        hash: None,
        slot,
        partition,
        now: at(now),
        policy,
        tags: &[],
        weight: None,
        may_vanish: false,
        computes: false,
    }
}

#[test]
fn slots_are_used_again() {
    let mut machine = machine(100, Timers::Own);
    let policy = policy(PolicyPatch::new().ttl(Ttl::Millis(50)));
    let mut highest = 0;
    for n in 0..10_000 {
        let slot = insert(&mut machine, None, PartitionId::ROOT, n, &policy).expect("it fits");
        highest = highest.max(slot.number());
        while machine.poll_removal().is_some() {}
    }
    assert!(highest <= 101, "a hundred, and the one that comes before another goes: {highest}");
}

#[test]
fn removals_say_what_left_and_whether_the_key_goes_too() {
    let mut machine = machine(1, Timers::Own);
    let policy = policy(PolicyPatch::new().ttl(Ttl::Millis(5)));
    let slot = insert(&mut machine, None, PartitionId::ROOT, 0, &policy).expect("it fits");
    let (same, flight) = lead(&mut machine, &ask(Some(slot), 5, &policy));
    let removal = machine.poll_removal().expect("the value leaves");
    assert_eq!((same, removal.cause, removal.key_removed), (slot, Some(RemovalCause::Expired), false));
    assert_eq!(machine.failed(flight, &Failure::last(at(6), None)).outcome, LoadOutcome::NotStored);
    let removal = machine.poll_removal().expect("then the key");
    assert_eq!((removal.cause, removal.key_removed), (None, true));
}

#[test]
fn a_get_that_loads_nothing_is_told_why_it_found_nothing() {
    let mut machine = machine(10, Timers::Own);
    let policy = policy(PolicyPatch::new().ttl(Ttl::Millis(5)));
    let slot = insert(&mut machine, None, PartitionId::ROOT, 0, &policy).expect("it fits");
    assert_eq!(machine.touch(slot, at(4)), Touched::Hit);
    assert_eq!(machine.touch(slot, at(5)), Touched::Miss(MissCause::Expired));
    assert_eq!(machine.touch(slot, at(5)), Touched::Miss(MissCause::Absent));
}

/// The partition of a path of namespaces and one of scopes, in the order that `steps` says.
fn open(machine: &mut Machine, steps: &[(bool, &str)]) -> (u8, String, PartitionId) {
    let (mut namespace, mut scope) = (0, String::new());
    for (is_namespace, name) in steps {
        match is_namespace {
            true => namespace = machine.namespace(namespace, name).expect("a number"),
            false => scope = join_scope(&scope, name),
        }
    }
    let partition = machine.open_partition(Part { namespace, scope: &scope }).expect("a number");
    (namespace, scope, partition)
}

#[test]
fn namespaces_and_scopes_commute() {
    let mut machine = machine(100, Timers::Own);
    let orders: [&[(bool, &str)]; 3] = [
        &[(true, "a"), (true, "b"), (false, "u"), (false, "v")],
        &[(false, "u"), (true, "a"), (false, "v"), (true, "b")],
        &[(false, "u"), (false, "v"), (true, "a"), (true, "b")],
    ];
    let partitions = orders.map(|steps| open(&mut machine, steps).2);
    machine.retain_partition(partitions[0]);
    assert!(partitions.iter().all(|partition| *partition == partitions[0]), "{partitions:?}");
    let (.., other) = open(&mut machine, &[(true, "b"), (true, "a"), (false, "u"), (false, "v")]);
    assert_ne!(other, partitions[0], "namespaces do not commute with each other");
    let (.., other) = open(&mut machine, &[(true, "a"), (true, "b"), (false, "v"), (false, "u")]);
    assert_ne!(other, partitions[0], "nor do scopes");
}

#[test]
fn sizes_of_parts_count_what_lies_within_them() {
    let limits = Limits::new(100, 1_000, 1_000);
    let mut machine = Machine::new(limits, Ttl::Forever, Timers::Own);
    let said = PolicyPatch::new();
    let mut put = |steps: &[(bool, &str)], weight| {
        let (.., partition) = open(&mut machine, steps);
        let (policy, weight) = (&Policy::DEFAULT, Some(weight));
        let value = NewValue { hash: None, policy, said: &said, tags: [&[], &[]], weight, absent: false, random: 0.0 };
        (machine.insert(None, partition, at(0), &value).expect("it fits"), partition)
    };
    put(&[], 1);
    put(&[(true, "a")], 2);
    let (slot, _) = put(&[(true, "a"), (false, "u")], 4);
    put(&[(false, "u")], 8);
    put(&[(true, "a"), (true, "b")], 16);
    put(&[(false, "ub")], 32);
    let held = |machine: &Machine, namespace, scope: &str| {
        let held = machine.held_within(Part { namespace, scope });
        (held.entries, held.weight)
    };
    assert_eq!(held(&machine, 0, ""), (6, 63));
    assert_eq!(held(&machine, 1, ""), (3, 22), "the namespace, its scope, and the namespace in it");
    assert_eq!(held(&machine, 0, "u"), (2, 12), "in every namespace, and not what is only called alike");
    assert_eq!(held(&machine, 1, "u"), (1, 4));
    let by_namespace = |machine: &Machine| -> Vec<(u32, u64)> {
        machine.held_by_namespace().iter().map(|held| (held.entries, held.weight)).collect()
    };
    assert_eq!(by_namespace(&machine), [(3, 41), (2, 6), (1, 16)], "each without those within it");
    machine.remove(slot);
    assert_eq!((held(&machine, 1, "u"), held(&machine, 1, ""), held(&machine, 0, "")), ((0, 0), (2, 18), (5, 59)));
    machine.remove_within(Part { namespace: 1, scope: "" });
    assert_eq!((held(&machine, 1, ""), held(&machine, 0, "")), ((0, 0), (3, 41)));
    assert_eq!(by_namespace(&machine), [(3, 41), (0, 0), (0, 0)]);
    machine.clear();
    assert_eq!((held(&machine, 0, ""), held(&machine, 0, "u")), ((0, 0), (0, 0)));
}

#[test]
fn a_scopes_number_is_kept_while_it_has_keys_or_handles_and_used_again_after() {
    let mut machine = machine(100, Timers::Own);
    let (.., first) = open(&mut machine, &[(false, "first")]);
    machine.retain_partition(first);
    let slot = insert(&mut machine, None, first, 0, &Policy::DEFAULT).expect("it fits");
    assert_ne!(open(&mut machine, &[(false, "second")]).2, first);
    machine.release_partition(first);
    assert_eq!(open(&mut machine, &[(false, "first")]).2, first, "it has a key");
    machine.remove(slot);
    let highest = (0..1_000).map(|n| open(&mut machine, &[(false, &n.to_string())]).2.0).max();
    assert!(highest.is_some_and(|highest| highest < 5), "numbers of forgotten scopes are used again: {highest:?}");
}

#[test]
fn a_tag_is_purged_in_a_part_and_within_it() {
    let steps: [&[(bool, &str)]; 4] = [&[], &[(true, "a")], &[(true, "a"), (false, "u")], &[(false, "u")]];
    for (purged_in, hits) in [(0, 4), (1, 2), (2, 1), (3, 2)] {
        let mut machine = machine(100, Timers::Own);
        for steps in steps {
            let (.., partition) = open(&mut machine, steps);
            insert_tagged(&mut machine, partition, "red");
            insert_tagged(&mut machine, partition, "blue");
        }
        let (namespace, scope, _) = open(&mut machine, steps[purged_in]);
        let part = Part { namespace, scope: &scope };
        assert_eq!((machine.remove_tag(part, "red"), machine.len()), (hits, 8 - hits), "{part:?}");
        assert_eq!((machine.expire_tag(part, "blue", at(0)), machine.len()), (hits, 8 - 2 * hits), "{part:?}");
    }
}

#[test]
fn what_loses_its_key_after_a_purge_may_be_inserted_anew_in_the_same_slot() {
    // The symptom: a slot that `ask` had freed was handed out as the new load's, and the next key got the same.
    let mut machine = machine(10, Timers::Own);
    let policy = within(0);
    let first = insert(&mut machine, None, PartitionId::ROOT, 0, &Policy::DEFAULT).expect("it fits");
    machine.remove(first);
    let (second, _) = lead(&mut machine, &ask(None, 1, &policy));
    let third = insert(&mut machine, None, PartitionId::ROOT, 1, &Policy::DEFAULT).expect("it fits");
    assert_ne!(second, third, "the load's key has its slot, however late the load is");
    assert_eq!(machine.newest_first(at(2)), [third]);
}

#[test]
fn a_driver_that_goes_on_using_a_slot_that_was_freed_corrupts_nothing() {
    // The symptom: the ring of entries was corrupted, and `newest_first` never ended.
    let mut machine = machine(10, Timers::Own);
    let slots: Vec<_> =
        (0..4).map(|n| insert(&mut machine, None, PartitionId::ROOT, n, &Policy::DEFAULT).expect("it fits")).collect();
    let freed = slots[1];
    machine.remove(freed);
    while machine.poll_removal().is_some() {}
    machine.remove(freed);
    machine.expire(freed, at(5));
    assert_eq!(machine.touch(freed, at(5)), Touched::Miss(MissCause::Absent));
    assert_eq!((machine.is_fresh(freed, at(5)), machine.age(freed, at(5))), (false, None));
    assert_eq!(machine.len(), 3);
    let written = insert(&mut machine, Some(freed), PartitionId::ROOT, 6, &Policy::DEFAULT).expect("it fits");
    assert_eq!(machine.newest_first(at(6)), [written, slots[3], slots[2], slots[0]]);
    machine.remove(written);
    let answer = machine.ask(&ask(Some(written), 7, &Policy::DEFAULT));
    assert!(matches!(answer, Answer::StartLoad(..)), "{answer:?}");
    assert_eq!((machine.newest_first(at(7)).len(), machine.len()), (3, 3));
}

#[test]
fn a_write_that_nobody_ends_is_given_up_and_its_key_goes() {
    // The symptom: without a deadline its key stayed uncached for good.
    let mut machine = machine(10, Timers::Own);
    for (policy, given_up) in
        [(within(1_000), 31_000), (policy(PolicyPatch::new().hard_timeout(Ttl::Forever)), 930_000)]
    {
        for cause in [None, Some(RemovalCause::Removed)] {
            let old = cause.and_then(|_| insert(&mut machine, None, PartitionId::ROOT, 0, &Policy::DEFAULT));
            let (slot, id) = machine.begin_write(&write(old, 0, &policy)).expect("a number");
            machine.sweep(at(given_up), 1);
            assert_eq!(machine.poll_removal(), None, "it may still end");
            machine.sweep(at(given_up + 1), 1);
            let removal = machine.poll_removal().expect("its key goes");
            let wanted = (slot, cause, true);
            assert_eq!((removal.slot, removal.cause, removal.key_removed), wanted, "with its old value, if it had one");
            let late = brought(given_up + 2, &[]);
            let stored = machine.end_write(id, None, at(given_up + 2), Some(&late));
            assert_eq!(stored, None, "and what it brings is not stored");
            assert_eq!(machine.len(), 0);
        }
    }
}

#[test]
fn many_writes_under_way_cost_nothing_to_other_keys() {
    // The symptom: every set, miss and eviction walked the list of writes. Quadratic, this would take minutes.
    let mut machine = machine(1_000, Timers::Own);
    let policy = within(1_000);
    let writes: Vec<_> =
        (0..100_000).map(|_| machine.begin_write(&write(None, 0, &policy)).expect("a number")).collect();
    for n in 0..100_000 {
        insert(&mut machine, None, PartitionId::ROOT, n % 1_000, &policy).expect("it fits");
        while machine.poll_removal().is_some() {}
    }
    for (slot, id) in writes {
        assert!(machine.end_write(id, Some(slot), at(1_000), None).is_none());
    }
    assert_eq!(machine.len(), 1_000);
}

#[test]
fn a_write_that_is_abandoned_before_one_that_began_earlier_gives_its_key_up_first() {
    let mut machine = machine(10, Timers::Own);
    let (slot, slow) = machine.begin_write(&write(None, 0, &within(60_000))).expect("a number");
    let (quick, _) = machine.begin_write(&write(None, 0, &within(100))).expect("a number");
    // Half a minute after its deadline.
    for (now, gone) in [(30_100, None), (30_101, Some(quick)), (90_000, None)] {
        machine.sweep(at(now), 1);
        assert_eq!(machine.poll_removal().map(|removal| removal.slot), gone, "{now}");
    }
    assert!(
        machine.end_write(slow, Some(slot), at(90_000), Some(&brought(90_000, &[]))).is_some(),
        "the other is under way"
    );
}

#[test]
fn a_purge_while_only_a_write_is_under_way_beats_it_if_it_bears_the_tag() {
    for (tag, stored) in [("red", false), ("blue", true)] {
        let mut machine = machine(10, Timers::Own);
        let (slot, id) = machine.begin_write(&write(None, 0, &Policy::DEFAULT)).expect("a number");
        machine.remove_tag(ROOT, "red");
        let tags = [tag.to_owned()];
        let written = machine.end_write(id, Some(slot), at(1), Some(&brought(1, &tags)));
        assert_eq!((written.is_some(), machine.len()), (stored, usize::from(stored)), "{tag}");
    }
}

fn join(last: Option<BatchId>, has: bool, limits: BatchLimits, now: u64) -> JoinBatch {
    JoinBatch { last, has, load: None, limits, now: at(now) }
}

#[test]
fn keys_join_the_open_batch_until_its_window_has_passed_or_it_is_full() {
    let mut machine = machine(10, Timers::Own);
    let limits = BatchLimits { window: Some(10), max_size: 3 };
    let JoinedBatch { batch: first, is_new, goes } = machine.join_batch(&join(None, false, limits, 5));
    assert_eq!((is_new, goes), (true, Goes::At(at(15))));
    let mut joined = |last, has, now| {
        let JoinedBatch { batch, is_new, goes } = machine.join_batch(&join(Some(last), has, limits, now));
        assert_eq!(is_new, batch != last);
        (batch, goes)
    };
    assert_eq!(joined(first, true, 5), (first, Goes::At(at(15))), "a key that it has makes it no fuller");
    assert_eq!(joined(first, false, 20), (first, Goes::At(at(15))), "who waits for it will see to it");
    assert_eq!(joined(first, false, 20), (first, Goes::Now));
    let (second, goes) = joined(first, true, 6);
    assert!(second != first && goes == Goes::At(at(16)), "it is full, and the key is in none of the new one");
    assert!(!machine.is_batch_open(first) && machine.is_batch_open(second));
    machine.close_batch(first);
    assert!(machine.is_batch_open(second), "what has gone closes no other");
    machine.close_batch(second);
    assert!(machine.join_batch(&join(Some(second), false, limits, 6)).is_new);
}

#[test]
fn the_batches_of_two_loaders_are_apart() {
    let mut machine = machine(10, Timers::Own);
    let limits = BatchLimits { max_size: 2, ..BatchLimits::default() };
    let one = machine.join_batch(&join(None, false, limits, 0)).batch;
    let other = machine.join_batch(&join(None, false, limits, 0)).batch;
    assert_eq!(machine.join_batch(&join(Some(one), false, limits, 0)).goes, Goes::Now);
    assert!(!machine.is_batch_open(one) && machine.is_batch_open(other));
}

#[test]
fn a_batch_that_nobody_waits_for_takes_keys_no_longer_than_its_window() {
    let mut machine = machine(10, Timers::Own);
    let by_turn = BatchLimits::default();
    let JoinedBatch { batch, goes, .. } = machine.join_batch(&join(None, false, by_turn, 0));
    assert_eq!(goes, Goes::WithTheTurn);
    assert!(!machine.join_batch(&join(Some(batch), false, by_turn, 1_000)).is_new);
    machine.leave_batch(batch);
    machine.leave_batch(batch);
    assert!(machine.join_batch(&join(Some(batch), false, by_turn, 0)).is_new, "its turn may be over");
    assert!(!machine.is_batch_open(batch), "and it is forgotten");
    let timed = BatchLimits { window: Some(10), ..by_turn };
    for (now, is_new) in [(9, false), (10, true)] {
        let batch = machine.join_batch(&join(None, false, timed, 0)).batch;
        machine.leave_batch(batch);
        assert_eq!(machine.join_batch(&join(Some(batch), false, timed, now)).is_new, is_new);
    }
}

#[test]
fn a_key_is_tried_in_ten_batches_that_are_lost() {
    let mut machine = machine(10, Timers::Own);
    let mut tries = 0;
    loop {
        let batch = machine.join_batch(&join(None, false, BatchLimits::default(), 0)).batch;
        tries += 1;
        let again = machine.batch_lost(batch, tries);
        assert!(!machine.is_batch_open(batch), "it takes no more keys");
        if !again {
            break;
        }
    }
    assert_eq!(tries, 10);
}

#[test]
fn each_of_many_tags_that_come_and_go_is_found() {
    let mut machine = machine(1_000, Timers::Own).with_seed(7);
    let mut held: Vec<(nearcache::core::Slot, u64)> = Vec::new();
    for n in 0..2_000_u64 {
        held.push((insert_tagged(&mut machine, PartitionId::ROOT, &format!("tag {n}")), n));
        // Two of three go again, from all over.
        if n % 3 > 0 {
            let (slot, _) = held.swap_remove(n as usize * 7 % held.len());
            machine.remove(slot);
        }
        while machine.poll_removal().is_some() {}
    }
    assert_eq!(machine.len(), held.len());
    for (_, n) in held {
        assert_eq!(machine.remove_tag(ROOT, &format!("tag {n}")), 1, "tag {n}");
        assert_eq!(machine.remove_tag(ROOT, &format!("tag {n}")), 0);
    }
}
