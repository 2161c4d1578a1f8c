//! Entries that are taken out for a snapshot and put back. `SEED=n` (at compile time) picks another run.

use nearcache::core::{
    EntryState, EvictionPolicy, Machine, NewValue, NotRestored, Part, PartitionId, Record, RemovalCause, Restored,
    Slot, SnapshotId, Timers,
};
use nearcache::options::{Limits, PolicyPatch};
use nearcache::{Timestamp, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::driving::*;
use crate::random::{Random, seed};

const POLICIES: [EvictionPolicy; 2] = [EvictionPolicy::Lru, EvictionPolicy::DEFAULT];

fn with_policy(max_entries: u64, max_bytes: u64, eviction: EvictionPolicy) -> Machine {
    Machine::with_eviction(Limits::new(max_entries, max_bytes, u64::MAX), Ttl::Millis(1_000), Timers::Own, eviction)
}

fn put(machine: &mut Machine, hash: u32, now: u64, patch: PolicyPatch, weight: u32, tags: &[String]) -> Slot {
    let (policy, tags) = (policy(patch), [tags, &[]]);
    let (hash, said, weight) = (Some(hash), &PolicyPatch::new(), Some(weight));
    let value = NewValue { hash, policy: &policy, said, tags, weight, absent: false, random: 0.0 };
    machine.insert(None, PartitionId::ROOT, at(now), &value).expect("it fits")
}

fn plain(machine: &mut Machine, hash: u32) -> Slot {
    put(machine, hash, 0, PolicyPatch::new(), 0, &[])
}

fn restored(ordinal: u32, record: Record, tags: &[String]) -> Restored<'_> {
    Restored { partition: PartitionId::ROOT, hash: Some(ordinal + 1), ordinal, record, tags }
}

/// All that is in a machine, in the order in which it is taken out.
fn save(machine: &mut Machine, now: u64) -> Vec<(Slot, Record)> {
    let (id, slots) = (machine.begin_save(), machine.usable(at(now)));
    let take = |(ordinal, slot)| Some((slot, machine.save(id, ordinal, slot, at(now))?));
    let records = (0..).zip(slots).filter_map(take).collect();
    assert_eq!(machine.end_save(id), Some(Vec::new()));
    records
}

fn restore_all(machine: &mut Machine, now: u64, records: &[(Slot, Record)]) -> Vec<Result<Slot, NotRestored>> {
    let id = machine.begin_restore();
    let put =
        |(ordinal, (_, record)): (u32, &(Slot, Record))| machine.restore(id, at(now), &restored(ordinal, *record, &[]));
    let slots = (0..).zip(records.iter()).map(put).collect();
    assert!(machine.end_restore(id));
    slots
}

#[test]
fn what_is_put_back_lives_as_long_as_it_would_have_whatever_the_clock_shows() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    for _ in 0..if cfg!(target_family = "wasm") { 50 } else { 500 } {
        let mut from = with_policy(100, u64::MAX, POLICIES[random.below(2) as usize]);
        let mut now = 5_000;
        for n in 0..30 {
            now += random.below(100);
            let mut patch = PolicyPatch::new();
            let mut or = |patch: PolicyPatch, set: fn(PolicyPatch, Ttl) -> PolicyPatch| match random.below(3) {
                0 => patch,
                _ => set(patch, Ttl::Millis(1 + random.below(2_000))),
            };
            patch = or(patch, |patch, ttl| patch.ttl(ttl));
            patch = or(patch, |patch, ttl| patch.stale_while_revalidate(ttl));
            patch = or(patch, |patch, ttl| patch.stale_if_error(ttl));
            patch = or(patch, |patch, ttl| patch.idle_ttl(ttl));
            let slot = put(&mut from, n + 1, now, patch, 0, &[]);
            match random.below(6) {
                0 => drop(from.expire(slot, at(now + 10))),
                1 => drop(from.touch(slot, at(now + 10))),
                _ => {}
            }
            while from.poll_removal().is_some() {}
        }
        now += 10 + random.below(500);
        let records = save(&mut from, now);
        let later = random.below(1_500);
        // A clock that began a moment ago, and one that is far ahead.
        let (mut to, begin) =
            (with_policy(100, u64::MAX, POLICIES[random.below(2) as usize]), [3, 90_000][random.below(2) as usize]);
        let aged: Vec<_> = records.iter().map(|(slot, record)| (*slot, record.later(later))).collect();
        let slots = restore_all(&mut to, begin, &aged);
        for ((slot, record), restored) in records.iter().zip(slots) {
            for after in [0, 1, 50, 500, 1_000, 2_500, 10_000] {
                let was = from.info(*slot, at(now + later + after)).map(|info| (info.state, info.age.ttl));
                let is = restored
                    .ok()
                    .and_then(|slot| to.info(slot, at(begin + after)))
                    .map(|info| (info.state, info.age.ttl));
                assert_eq!(is, was, "seed {seed}: {record:?}, {later} ms later, at {after}");
            }
        }
    }
}

#[test]
fn ages_go_on_and_what_lives_as_long_as_usual_needs_no_column_for_it() {
    let mut from = with_policy(10, u64::MAX, EvictionPolicy::Lru);
    let usual = put(&mut from, 1, 1_000, PolicyPatch::new().ttl(Ttl::Millis(1_000)), 0, &[]);
    let other = put(&mut from, 2, 1_000, PolicyPatch::new().ttl(Ttl::Millis(900)), 0, &[]);
    let ever = put(&mut from, 3, 1_000, PolicyPatch::new(), 0, &[]);
    for begin in [10, 100_000] {
        let records: Vec<_> = save(&mut from, 1_200).iter().map(|(slot, record)| (*slot, record.later(300))).collect();
        let mut to = with_policy(10, u64::MAX, EvictionPolicy::Lru);
        let back = restore_all(&mut to, begin, &records);
        for (slot, ttl) in [(usual, Ttl::Millis(500)), (other, Ttl::Millis(400)), (ever, Ttl::Forever)] {
            let at_place = records.iter().position(|(known, _)| *known == slot).expect("it was saved");
            let age = to.age(back[at_place].expect("it is back"), at(begin)).expect("it is fresh");
            assert_eq!((age.millis, age.ttl), (begin.min(500), ttl));
        }
    }
}

#[test]
fn a_clock_that_was_set_back_lengthens_no_life() {
    let mut from = with_policy(10, u64::MAX, EvictionPolicy::Lru);
    let slot = put(&mut from, 1, 1_000, PolicyPatch::new().ttl(Ttl::Millis(100)), 0, &[]);
    let id = from.begin_save();
    let record = from.save(id, 0, slot, at(900)).expect("it is fresh");
    assert_eq!((record.age, record.ttl), (0, Ttl::Millis(100)));
}

#[test]
fn the_order_comes_back_and_what_is_worth_most_fits_into_a_smaller_cache() {
    let mut from = with_policy(100, u64::MAX, EvictionPolicy::Lru);
    let slots: Vec<Slot> = (1..=10).map(|n| plain(&mut from, n)).collect();
    from.touch(slots[3], at(0));
    let records = save(&mut from, 0);
    assert_eq!(records.first().map(|(slot, _)| *slot), Some(slots[3]));
    let mut to = with_policy(4, u64::MAX, EvictionPolicy::Lru);
    let own = plain(&mut to, 77);
    let back = restore_all(&mut to, 0, &records);
    assert_eq!(back.iter().filter(|one| one.is_ok()).count(), 3);
    assert_eq!(back[3..].iter().collect::<Vec<_>>(), [&Err(NotRestored::NoRoom); 7]);
    let order: Vec<Slot> = [Ok(own)].iter().chain(&back[..3]).map(|slot| slot.expect("it fits")).collect();
    assert_eq!(to.newest_first(at(0)), order, "what was there before is worth more");
    // The least recently used goes first.
    plain(&mut to, 78);
    assert_eq!(to.poll_removal().map(|removal| removal.slot), Some(order[3]));
}

#[test]
fn bytes_have_bounds_too_and_smaller_ones_fill_what_is_left() {
    let mut from = with_policy(100, 1_000, EvictionPolicy::DEFAULT);
    for (hash, weight) in [(1, 400), (2, 300), (3, 90)] {
        put(&mut from, hash, 0, PolicyPatch::new(), weight, &[]);
    }
    let records = save(&mut from, 0);
    let mut to = with_policy(100, 500, EvictionPolicy::DEFAULT);
    restore_all(&mut to, 0, &records);
    assert!(to.len() == 2 && to.weight() <= 500 && to.weight() >= 390, "{} of {}", to.weight(), to.len());
}

#[cfg(feature = "adaptive")]
#[test]
fn the_adaptive_policy_goes_on_where_it_was() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut from = with_policy(200, u64::MAX, EvictionPolicy::Adaptive);
    let mut keys = std::collections::BTreeMap::new();
    let ask = |machine: &mut Machine, keys: &mut std::collections::BTreeMap<u32, Slot>, key: u32| {
        if let Some(slot) = keys.get(&key) {
            machine.touch(*slot, at(0));
            return true;
        }
        let slot = plain(machine, key);
        while let Some(removal) = machine.poll_removal() {
            keys.retain(|_, slot| *slot != removal.slot);
        }
        keys.insert(key, slot);
        false
    };
    // A popular part within scans.
    let mut next = 1_000;
    let mut key = |random: &mut Random| match random.below(2) {
        0 => 1 + random.below(150) as u32,
        _ => {
            next += 1;
            next
        }
    };
    for _ in 0..20_000 {
        ask(&mut from, &mut keys, key(&mut random));
    }
    let records = save(&mut from, 0);
    let standings: Vec<u32> = records.iter().map(|(_, record)| record.standing).collect();
    let mut to = with_policy(200, u64::MAX, EvictionPolicy::Adaptive);
    let hash_of = |slot: Slot| keys.iter().find(|(_, known)| **known == slot).map_or(0, |(key, _)| *key);
    to.restore_cold_share(from.cold_share());
    let id = to.begin_restore();
    let mut restored_keys = std::collections::BTreeMap::new();
    for (ordinal, (slot, record)) in (0..).zip(&records) {
        let hash = hash_of(*slot);
        let entry = Restored { hash: Some(hash), ..restored(ordinal, *record, &[]) };
        restored_keys.insert(hash, to.restore(id, at(0), &entry).expect("it fits"));
    }
    assert!(to.end_restore(id));
    assert_eq!(to.cold_share(), from.cold_share());
    let again: Vec<u32> = save(&mut to, 0).iter().map(|(_, record)| record.standing).collect();
    assert_eq!(again, standings, "classes, counters and ages, in the same order");
    // Both hit as often from here on; a cold cache does not.
    let mut cold = with_policy(200, u64::MAX, EvictionPolicy::Adaptive);
    let mut cold_keys = std::collections::BTreeMap::new();
    let mut hits = [0; 3];
    for _ in 0..300 {
        let key = key(&mut random);
        hits[0] += u32::from(ask(&mut from, &mut keys, key));
        hits[1] += u32::from(ask(&mut to, &mut restored_keys, key));
        hits[2] += u32::from(ask(&mut cold, &mut cold_keys, key));
    }
    assert!(hits[1] + 3 >= hits[0] && hits[0] > hits[2] + 20, "seed {seed}: {hits:?}");
}

#[test]
fn what_changes_while_it_is_saved_is_not_of_the_snapshot() {
    for eviction in POLICIES {
        let mut machine = with_policy(8, u64::MAX, eviction);
        let tagged = ["t".to_owned()];
        let slots: Vec<Slot> = (1..=6).map(|n| plain(&mut machine, n)).collect();
        let (by_tag, stale) = (
            put(&mut machine, 7, 0, PolicyPatch::new(), 0, &tagged),
            put(&mut machine, 8, 0, PolicyPatch::new().ttl(Ttl::Millis(9)).stale_if_error(Ttl::Millis(9)), 0, &[]),
        );
        let (id, order) = (machine.begin_save(), machine.usable(at(0)));
        assert_eq!(order.len(), 8);
        let all = [slots[0], slots[1], slots[2], slots[3], slots[4], by_tag, stale];
        for (ordinal, slot) in (0..).zip(all) {
            assert!(machine.save(id, ordinal, slot, at(0)).is_some());
        }
        machine.remove(slots[0]);
        let policy = policy(PolicyPatch::new());
        insert(&mut machine, Some(slots[1]), PartitionId::ROOT, 0, &policy);
        machine.remove_tag(ROOT, "t");
        machine.expire(stale, at(1));
        while machine.poll_removal().is_some() {}
        // One that was not taken out yet, and goes.
        machine.remove(slots[5]);
        assert!(machine.save(id, 7, slots[5], at(0)).is_none());
        let mut changed = machine.end_save(id).expect("it was the last begun");
        changed.sort_unstable();
        assert_eq!(changed, [0, 1, 5, 6]);
        assert_eq!(machine.end_save(id), None);
    }
}

#[test]
fn what_makes_room_while_it_is_saved_is_noted_and_a_clear_leaves_nothing() {
    for eviction in POLICIES {
        let mut machine = with_policy(4, u64::MAX, eviction);
        for n in 1..=4 {
            plain(&mut machine, n);
        }
        let (id, order) = (machine.begin_save(), machine.usable(at(0)));
        for (ordinal, slot) in (0..).zip(&order) {
            machine.save(id, ordinal, *slot, at(0));
        }
        plain(&mut machine, 5);
        let gone = machine.poll_removal().expect("one makes room");
        assert_eq!(gone.cause, Some(RemovalCause::Size));
        let changed = machine.end_save(id).expect("it was the last begun");
        assert_eq!(changed.iter().map(|at| order[*at as usize]).collect::<Vec<_>>(), [gone.slot]);
        let (id, order) = (machine.begin_save(), machine.usable(at(0)));
        machine.save(id, 0, order[0], at(0));
        machine.clear();
        assert_eq!(machine.end_save(id), Some(vec![0]));
    }
}

#[test]
fn a_save_that_is_begun_later_ends_the_one_before() {
    let mut machine = with_policy(4, u64::MAX, EvictionPolicy::Lru);
    let slot = plain(&mut machine, 1);
    let first = machine.begin_save();
    let second = machine.begin_save();
    assert!(machine.save(first, 0, slot, at(0)).is_none() && machine.end_save(first).is_none());
    assert!(machine.save(second, 0, slot, at(0)).is_some() && machine.end_save(second).is_some());
    let (first, second) = (machine.begin_restore(), machine.begin_restore());
    let superseded = machine.restore(first, at(0), &restored(0, Record::NEW, &[]));
    assert_eq!((superseded, machine.end_restore(first)), (Err(NotRestored::Superseded), false));
    assert!(machine.restore(second, at(0), &restored(0, Record::NEW, &[])).is_ok());
}

#[test]
fn a_purge_of_a_tag_since_the_restoring_began_beats_what_would_be_put_back() {
    let mut machine = with_policy(10, u64::MAX, EvictionPolicy::DEFAULT);
    let namespace = machine.namespace(0, "posts").expect("a number");
    let posts = machine.open_partition(Part { namespace, scope: "" }).expect("a number");
    let tags = ["ann".to_owned(), "bob".to_owned()];
    let put = |machine: &mut Machine, id: SnapshotId, partition: PartitionId, ordinal: u32, tags: &[String]| {
        machine.restore(id, at(0), &Restored { partition, ..restored(ordinal, Record::NEW, tags) })
    };
    machine.remove_tag(ROOT, "ann");
    let id = machine.begin_restore();
    let first = put(&mut machine, id, PartitionId::ROOT, 0, &tags).expect("the purge was before");
    // From within the namespace it is about what lies there.
    machine.remove_tag(Part { namespace, scope: "" }, "bob");
    assert!(put(&mut machine, id, PartitionId::ROOT, 1, &tags).is_ok());
    assert_eq!(put(&mut machine, id, posts, 2, &tags), Err(NotRestored::Purged));
    assert!(put(&mut machine, id, posts, 3, &tags[..1]).is_ok());
    machine.expire_tag(ROOT, "ann", at(0));
    assert_eq!(put(&mut machine, id, posts, 4, &tags[..1]), Err(NotRestored::Purged));
    assert!(machine.info(first, at(0)).is_none(), "what was back already bears the tag");
    assert!(put(&mut machine, id, posts, 5, &[]).is_ok());
    machine.remove_within(Part { namespace, scope: "" });
    assert_eq!(put(&mut machine, id, PartitionId::ROOT, 6, &[]), Err(NotRestored::Purged));
}

#[test]
fn nothing_is_put_back_once_something_had_to_go() {
    let mut machine = with_policy(2, u64::MAX, EvictionPolicy::Lru);
    let id = machine.begin_restore();
    for n in 1..=3 {
        plain(&mut machine, n);
    }
    let one = machine.newest_first(at(0))[0];
    machine.remove(one);
    let again = machine.restore(id, at(0), &restored(0, Record::NEW, &[]));
    assert_eq!(again, Err(NotRestored::NoRoom), "it may be an older value of what went");
    assert!(machine.end_restore(id));
}

#[test]
fn what_a_snapshot_drops_at_its_end_goes_again_but_for_what_is_newer() {
    let mut machine = with_policy(10, u64::MAX, EvictionPolicy::DEFAULT);
    let id = machine.begin_restore();
    let slots: Vec<Slot> =
        (0..4).filter_map(|n| machine.restore(id, at(0), &restored(n, Record::NEW, &[])).ok()).collect();
    insert(&mut machine, Some(slots[1]), PartitionId::ROOT, 0, &policy(PolicyPatch::new()));
    for ordinal in 1..3 {
        machine.take_back(id, ordinal, slots[ordinal as usize]);
    }
    machine.take_back(id, 0, slots[3]);
    assert!(machine.end_restore(id));
    let state = |slot: &Slot| machine.info(*slot, Timestamp::from_millis(1)).map(|info| info.state);
    assert_eq!(
        slots.iter().map(state).collect::<Vec<_>>(),
        [Some(EntryState::Fresh), Some(EntryState::Fresh), None, Some(EntryState::Fresh)]
    );
    assert_eq!(machine.poll_removal().map(|removal| removal.slot), Some(slots[2]));
}
