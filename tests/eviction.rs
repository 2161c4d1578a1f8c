//! Who is kept: LRU to the letter, and the policy that adapts by its figures.
//! `SEED=n` (at compile time) picks the random runs.

#[path = "common/hits.rs"]
mod hits;
#[path = "common/random.rs"]
mod random;
#[path = "common/traces.rs"]
mod traces;

use std::collections::HashSet;

use hits::{Simulated, Trace, belady, hit_ratio, hit_ratio_with};
use nearcache::core::{Answer, Ask, EvictionPolicy, Failure, LoadOutcome, PartitionId, Slot};
use nearcache::options::{Limits, Policy};
use nearcache::{Timestamp, Ttl};
use random::{Random, seed};
use traces::Zipf;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const COUNT: usize = 60_000;
const BOTH: [EvictionPolicy; 2] = [EvictionPolicy::Lru, EvictionPolicy::Adaptive];

fn entries(entries: u64) -> Limits {
    Limits::new(entries, u64::MAX, u64::MAX)
}

/// Percent of accesses that Belady's rule, LRU and the adaptive policy hit.
fn percents(name: &str, trace: &Trace, limits: Limits) -> [f64; 3] {
    let ratio = |policy| hit_ratio(trace, policy, limits).count;
    let percents = [belady(trace, limits).count, ratio(EvictionPolicy::Lru), ratio(EvictionPolicy::Adaptive)];
    let percents = percents.map(|ratio| ratio * 100.0);
    println!("{name}: Belady {:.1}, lru {:.1}, adaptive {:.1}", percents[0], percents[1], percents[2]);
    percents
}

/// At least so many points of hit ratio above LRU, and so much of what Belady's rule hits.
fn adapts(name: &str, trace: &Trace, limits: Limits, ahead: f64, share: f64) {
    let [best, lru, adaptive] = percents(name, trace, limits);
    assert!(adaptive <= best + 1e-9 && lru <= best + 1e-9, "nobody hits more than one who knows the future");
    assert!(adaptive >= lru + ahead, "{name}: {adaptive:.1} %, LRU {lru:.1} %");
    assert!(adaptive >= best * share, "{name}: {adaptive:.1} %, Belady {best:.1} %");
}

#[test]
fn lru_keeps_to_the_letter_what_was_used_last_by_count_and_by_weight() {
    println!("seed {}", seed());
    for run in 0..4 {
        let mut random = Random(seed().wrapping_add(run));
        let (most, bytes) = if run % 2 == 0 { (20, u64::MAX) } else { (1 << 20, 200) };
        let mut cache = Simulated::new(EvictionPolicy::Lru, Limits::new(most, bytes, u64::MAX), Ttl::Forever);
        // The most recently used first.
        let mut model: Vec<(u32, u32)> = Vec::new();
        let mut evicted = 0;
        for _ in 0..2_000 {
            let (key, size) = (random.below(40) as u32, 1 + random.below(30) as u32);
            let at = model.iter().position(|(held, _)| *held == key);
            match random.below(10) {
                0 => {
                    cache.remove(key);
                    model.retain(|(held, _)| *held != key);
                }
                1 | 2 => {
                    cache.set(key, key, size, Timestamp::default());
                    model.retain(|(held, _)| *held != key);
                    model.insert(0, (key, size));
                }
                _ => {
                    assert_eq!(cache.access(key, key, size, 0), at.is_some());
                    let entry = at.map_or((key, size), |at| model.remove(at));
                    model.insert(0, entry);
                }
            }
            while model.len() as u64 > most || model.iter().map(|(_, size)| u64::from(*size)).sum::<u64>() > bytes {
                model.pop();
                evicted += 1;
            }
            let order = cache.machine.newest_first(Timestamp::default());
            let wanted: Vec<Slot> = model.iter().filter_map(|(key, _)| cache.slot(*key)).collect();
            assert_eq!(order, wanted);
            assert_eq!(order.len(), model.len());
        }
        assert!(evicted > 300, "too little was evicted: {evicted}");
    }
}

#[test]
fn the_adaptive_policy_knows_each_entry_once_within_the_bounds_whatever_happens() {
    println!("seed {}", seed());
    for run in 0..6 {
        let mut random = Random(seed().wrapping_add(run));
        let limits = Limits::new([30, 1_000, 1][run as usize % 3], [u64::MAX, 500][run as usize % 2], 60);
        let mut cache = Simulated::new(EvictionPolicy::Adaptive, limits, Ttl::Millis(400));
        let mut now = 0;
        let mut columns = None;
        for _ in 0..3_000 {
            now += random.below(3);
            let (key, size) = (random.below(300) as u32, random.below(70) as u32);
            let dice = random.below(200);
            let cleared = dice == 0;
            match dice {
                0 => cache.clear(),
                1..20 => cache.remove(key),
                20..40 => cache.set(key, key, size, Timestamp::from_millis(now)),
                // Many keys, of which few come often.
                _ => {
                    cache.access(key % (1 + random.below(300) as u32), key, size, now);
                }
            }
            let machine = &mut cache.machine;
            assert!(machine.len() as u64 <= u64::from(limits.max_entries()) && machine.weight() <= limits.max_bytes());
            let order = machine.newest_first(Timestamp::default());
            let distinct: HashSet<Slot> = order.iter().copied().collect();
            assert_eq!((order.len(), distinct.len()), (machine.len(), machine.len()));
            // A view of a column from before must not be used after the column has moved.
            let seen = (machine.fresh_until().as_ptr(), machine.hit_counters().as_ptr());
            let (version, room) = (machine.columns_version(), machine.columns_capacity());
            let slots = machine.fresh_until().len();
            if let Some((before, at, room)) = columns.replace((seen, version, room)) {
                assert!(before == seen || at != version, "a column has moved without a word");
                assert!(before == seen || cleared || slots > room, "a column has moved though it had room");
            }
        }
        assert!(cache.machine.stats().evicted_size > 50 || limits.max_entries() == 1_000);
        let bytes = cache.machine.eviction_bytes();
        assert!(bytes < 1_000 * 40 + 30_000, "{bytes} bytes of eviction");
    }
}

#[test]
fn the_same_calls_choose_the_same_victims() {
    let trace = Trace::new(traces::scans(seed(), 10_000));
    let run = || {
        let mut cache = Simulated::new(EvictionPolicy::Adaptive, entries(100), Ttl::Forever);
        trace.accesses.iter().map(|(key, size)| cache.access(*key, *key, *size, 0)).collect::<Vec<bool>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_trace_of_few_keys_is_tried_in_each_size_once() {
    assert_eq!(Trace::sizes(40, 50), [50]);
    assert_eq!(Trace::sizes(2_606, 50), [50, 130, 261, 652]);
    assert_eq!(Trace::sizes(20_484, 50), [102, 205, 1_024, 2_048]);
}

#[test]
fn popular_keys_stay_where_the_popular_stay_popular() {
    let trace = Trace::new(traces::zipf(seed(), COUNT));
    adapts("Zipf, 50 entries", &trace, entries(50), 11.0, 0.78);
    adapts("Zipf, 500 entries", &trace, entries(500), 8.0, 0.82);
}

#[test]
fn a_scan_of_keys_that_never_come_back_drives_nothing_out() {
    let trace = Trace::new(traces::scans(seed(), COUNT));
    adapts("scans, 200 entries", &trace, entries(200), 7.0, 0.80);
    adapts("scans, 800 entries", &trace, entries(800), 6.0, 0.82);
    // What the scans cost: the popular keys are hit as often as without them, or nearly.
    let quiet = hit_ratio(&Trace::new(traces::zipf(seed(), COUNT)), EvictionPolicy::Adaptive, entries(800)).count;
    let among_scans = hit_ratio(&trace, EvictionPolicy::Adaptive, entries(800)).count / (5.0 / 7.0);
    assert!(among_scans > quiet - 0.02, "{among_scans:.3} instead of {quiet:.3}");
}

#[test]
fn a_loop_larger_than_the_cache_is_hit_as_far_as_the_cache_reaches() {
    let trace = Trace::new(traces::rounds(COUNT));
    adapts("rounds of 1,000 keys, 200 entries", &trace, entries(200), 15.0, 0.82);
    adapts("rounds of 1,000 keys, 500 entries", &trace, entries(500), 40.0, 0.90);
    adapts("rounds of 1,000 keys, 800 entries", &trace, entries(800), 60.0, 0.90);
}

#[test]
fn other_keys_become_popular_and_take_the_place_of_those_that_were() {
    let trace = Trace::new(traces::shifts(seed(), COUNT));
    adapts("shifts, 200 entries", &trace, entries(200), 7.0, 0.75);
    adapts("shifts, 2,000 entries", &trace, entries(2_000), -2.0, 0.82);
}

#[test]
fn where_recency_is_what_counts_it_keeps_up_with_lru() {
    let news = Trace::new(traces::news(seed(), 2 * COUNT));
    adapts("news, 200 entries", &news, entries(200), -1.0, 0.70);
    adapts("news, 500 entries", &news, entries(500), -1.0, 0.94);
    let twice = Trace::new(traces::twice(2 * COUNT));
    adapts("each key twice, 200 entries", &twice, entries(200), -1.0, 0.97);
    adapts("each key twice, 500 entries", &twice, entries(500), -1.0, 0.97);
}

#[test]
fn where_everything_expires_soon_it_still_hits_more_than_lru() {
    let trace = Trace::new(traces::zipf(seed(), COUNT));
    for (ttl, ahead) in [(500, 0.5), (2_000, 5.0), (10_000, 9.0)] {
        let of = |policy| hit_ratio_with(&trace, policy, entries(200), Ttl::Millis(ttl)).count * 100.0;
        let [lru, adaptive] = BOTH.map(of);
        println!("expiring after {ttl} accesses, 200 entries: lru {lru:.1}, adaptive {adaptive:.1}");
        assert!(adaptive >= lru + ahead, "ttl {ttl}: {adaptive:.1} %, LRU {lru:.1} %");
    }
    // All at once: what comes afterwards is cached as in an empty cache.
    let mut cache = Simulated::new(EvictionPolicy::Adaptive, entries(100), Ttl::Millis(1_000));
    (0..1_000).for_each(|key| _ = cache.access(key, key, 1, 0));
    (0..100).for_each(|key| _ = cache.access(5_000 + key, key, 1, 10_000));
    let hits = (0..100).filter(|key| cache.access(5_000 + key, *key, 1, 10_001)).count();
    assert_eq!(hits, 100);
}

#[test]
fn with_sizes_it_hits_more_than_lru_by_count_and_by_bytes() {
    let mut random = Random(seed());
    let popular = Zipf::new(5_000, 0.9);
    let mut trace = Trace::default();
    for at in 0..COUNT as u64 {
        let scanned = at % 7_000 >= 5_000;
        let key = if scanned { 1_000_000 + at } else { popular.draw(&mut random) };
        // From 100 to 25,700, the same for the same key.
        trace.add(key, 100 << (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61));
    }
    for bytes in [200_000, 2_000_000] {
        // Bounded by bytes alone, and by a number of entries that is never reached.
        for most in [u64::MAX, 10_000] {
            let limits = Limits::new(most, bytes, u64::MAX);
            let [lru, adaptive] = BOTH.map(|policy| hit_ratio(&trace, policy, limits));
            let best = belady(&trace, limits);
            println!("{bytes} bytes: Belady {best:.3?}, lru {lru:.3?}, adaptive {adaptive:.3?}");
            assert!(adaptive.count > lru.count + 0.05 && adaptive.bytes > lru.bytes + 0.05);
            assert!(adaptive.count > best.count * 0.6);
        }
    }
}

#[test]
fn keys_without_a_hash_are_cached_too() {
    // As `lru` would have it, or better, for want of ghosts.
    let trace = traces::zipf(seed(), COUNT);
    let mut cache = Simulated::new(EvictionPolicy::Adaptive, entries(200), Ttl::Forever);
    cache.hashes = false;
    let hits = trace.iter().filter(|key| cache.access(**key as u32, 0, 1, 0)).count();
    let lru = hit_ratio(&Trace::new(trace), EvictionPolicy::Lru, entries(200)).count;
    let ratio = hits as f64 / COUNT as f64;
    println!("without hashes {:.1}, lru {:.1}", ratio * 100.0, lru * 100.0);
    assert!(ratio > lru);
}

#[test]
fn a_key_that_comes_back_soon_after_its_eviction_stays() {
    // A cache full of keys that are never asked for again, and one that comes back from among its ghosts.
    let run = |hashes| {
        let mut cache = Simulated::new(EvictionPolicy::Adaptive, entries(100), Ttl::Forever);
        cache.hashes = hashes;
        let mut fresh = 1_000..;
        let mut some = |cache: &mut Simulated, count: usize| {
            fresh.by_ref().take(count).for_each(|key| _ = cache.access(key, key, 1, 0));
        };
        some(&mut cache, 100);
        assert!(!cache.access(7, 7, 1, 0));
        some(&mut cache, 30);
        assert!(!cache.access(7, 7, 1, 0), "it was evicted");
        some(&mut cache, 50);
        cache.access(7, 7, 1, 0)
    };
    assert!(run(true), "it was recognised");
    assert!(!run(false), "the test shows nothing: it would have stayed anyway");
}

#[test]
fn a_load_that_fails_does_not_cost_its_key_what_is_known_of_it() {
    let mut cache = Simulated::new(EvictionPolicy::Adaptive, entries(100), Ttl::Forever);
    (1_000..1_100).for_each(|key| _ = cache.access(key, key, 1, 0));
    cache.access(7, 7, 1, 0);
    (1_100..1_130).for_each(|key| _ = cache.access(key, key, 1, 0));
    assert_eq!(cache.slot(7), None, "it was evicted");
    let policy = Policy::default();
    let ask = Ask {
        slot: None,
        hash: Some(7),
        partition: PartitionId::ROOT,
        now: Timestamp::default(),
        asked_at: Timestamp::default(),
        again: None,
        policy: &policy,
        tags: &[],
        weight: None,
        force_fresh: false,
        invalid: false,
        background: true,
        detached: false,
        batched: false,
        random: None,
        asker: None,
    };
    let Answer::StartLoad(slot, flight, _) = cache.machine.ask(&ask) else { panic!("it is to be loaded") };
    let settled = cache.machine.failed(flight, &Failure::last(Timestamp::default(), Some(Ttl::Millis(5))));
    assert_eq!(settled.outcome, LoadOutcome::FailureCached(slot));
    cache.forget(slot);
    cache.machine.remove(slot);
    (1_200..1_210).for_each(|key| _ = cache.access(key, key, 1, 10));
    assert!(!cache.access(7, 7, 1, 10));
    (1_300..1_350).for_each(|key| _ = cache.access(key, key, 1, 10));
    assert!(cache.access(7, 7, 1, 10), "it was recognised, and stayed");
}

#[test]
fn a_driver_counts_hits_in_the_column_as_the_machine_would() {
    let mut cache = Simulated::new(EvictionPolicy::Adaptive, entries(2_000), Ttl::Millis(100));
    (0..2_000).for_each(|key| _ = cache.access(key, key, 1, 0));
    let mut noted = 0;
    let slots: Vec<Slot> = (0..2_000).filter_map(|key| cache.slot(key)).collect();
    for slot in slots {
        let machine = &mut cache.machine;
        // What was in a denser sample while the cache was small learns now that it is no more.
        machine.note_hit(slot);
        let before = machine.hit_counters()[slot.index()];
        assert!(machine.fresh_until()[slot.index()] == 100.0);
        (0..9).for_each(|_| machine.note_hit(slot));
        match before {
            0..128 => assert_eq!(machine.hit_counters()[slot.index()], 3, "it counts to three"),
            _ => {
                assert!(machine.hit_counters()[slot.index()] >= 128, "of these it wants to know");
                noted += 1;
            }
        }
    }
    assert!((1..400).contains(&noted), "a sample: {noted} of 2,000");
    assert_eq!(cache.machine.stats().hits, 0, "noted hits are the driver's to count");
    cache.machine.count_hits(0, 5);
    assert_eq!(cache.machine.stats().hits, 5);
    // What holds no value is fresh before no moment.
    let slot = cache.slot(1_999).expect("it is there");
    cache.remove(1_999);
    let fresh = 0.0 < cache.machine.fresh_until()[slot.index()];
    assert!(!fresh);
    let mut lru = Simulated::new(EvictionPolicy::Lru, entries(10), Ttl::Forever);
    lru.access(1, 1, 1, 0);
    assert!(lru.machine.hit_counters().is_empty(), "with LRU every hit is to be told");
    let slot = lru.slot(1).expect("it is there");
    assert!(lru.machine.fresh_until()[slot.index()] > 1e18, "for ever");
}

#[test]
fn what_the_policies_remember_takes_few_bytes() {
    for (size, lru, adaptive) in [(1_000, 8.5, 62.0), (10_000, 8.1, 28.0), (30_000, 8.1, 26.0)] {
        let of = |policy| {
            let mut cache = Simulated::new(policy, entries(size), Ttl::Forever);
            (0..3 * size as u32).for_each(|key| _ = cache.access(key, key, 1, 0));
            cache.machine.eviction_bytes() as f64 / size as f64
        };
        let bytes = BOTH.map(of);
        println!("{size} entries: {bytes:.1?} bytes each");
        assert!(bytes[0] <= lru && bytes[1] <= adaptive, "{bytes:?}");
    }
}
