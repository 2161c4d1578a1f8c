//! What only shows from within: that queues, sums and ghosts hold together under random operations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::HashSet;

use super::clock::{Class, Clock, Queue, Room};
use super::ghosts::Ghosts;
use super::shadows::Shadows;
use super::{Leaving, MOST_HITS, NOTED};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(bound)) as u32
    }
}

fn check(clock: &Clock, held: &HashSet<u32>, weights: &[u32]) {
    let order = clock.order();
    let distinct: HashSet<u32> = order.iter().copied().collect();
    assert_eq!(order.len(), distinct.len(), "a number stands in a queue twice");
    assert_eq!(&distinct, held);
    let sum = |class| {
        order
            .iter()
            .filter(|number| clock.class(**number) == class)
            .fold((0, 0), |(len, weight), number| (len + 1, weight + u64::from(weights[*number as usize])))
    };
    let of = |queue: &Queue| (queue.len, queue.weight);
    assert_eq!(sum(Class::Hot), of(&clock.hot), "hot ones and their weight");
    assert_eq!(sum(Class::Cold), of(&clock.cold), "cold ones and their weight");
    assert_eq!(clock.len() as usize, held.len());
    assert!(clock.hits.iter().all(|hits| hits & !NOTED <= MOST_HITS));
}

#[test]
fn queues_and_sums_hold_together_under_random_operations() {
    const NUMBERS: u32 = 40;
    for seed in 0..10 {
        let mut random = Random(seed);
        let mut clock = Clock::new(NUMBERS);
        let mut weights = vec![0_u32; NUMBERS as usize + 1];
        let mut held: HashSet<u32> = HashSet::new();
        let mut keyed = 0;
        let (mut evicted, mut became_hot) = (0, 0);
        for _ in 0..3_000 {
            let number = 1 + random.below(NUMBERS);
            match random.below(12) {
                // A share of the hot that changes at any moment, to nothing and to everything.
                0 => clock.set_hot_room(Room {
                    entries: random.below(NUMBERS + 10),
                    weight: if random.below(2) == 0 { u64::MAX } else { u64::from(random.below(400)) },
                }),
                1 if held.contains(&number) => {
                    let why = [Leaving::Removed, Leaving::Failure][random.below(2) as usize];
                    clock.remove(number, &weights, why);
                    held.remove(&number);
                    weights[number as usize] = 0;
                }
                2..4 if !held.is_empty() => {
                    let keep = random.below(NUMBERS + 1);
                    let victim = clock.victim(&weights, keep).expect("there is something");
                    assert!(held.contains(&victim), "evicts what is not there");
                    assert!(victim != keep || held.len() == 1, "evicts what is to be kept");
                    clock.remove(victim, &weights, Leaving::Evicted);
                    held.remove(&victim);
                    weights[victim as usize] = 0;
                    evicted += 1;
                }
                4 if held.contains(&number) => {
                    let before = weights[number as usize];
                    weights[number as usize] = random.below(30);
                    clock.reweigh(number, before, weights[number as usize]);
                }
                5..8 if held.contains(&number) => {
                    clock.hit(number);
                }
                _ if !held.contains(&number) => {
                    // Few keys, so that ghosts come back.
                    let hash = random.below(80).wrapping_mul(0x9e37_79b1);
                    clock.keyed(number, hash);
                    keyed = keyed.max(number);
                    weights[number as usize] = random.below(30);
                    clock.insert(number, &weights, random.below(8) > 0);
                    held.insert(number);
                    became_hot += u32::from(clock.was_full && clock.class(number) == Class::Hot);
                }
                _ => {}
            }
            check(&clock, &held, &weights);
        }
        assert!(evicted > 100 && became_hot > 10, "too little has happened: {evicted} {became_hot}");
    }
}

#[test]
fn to_exchange_is_to_remove_one_and_insert_the_other() {
    const NUMBERS: u32 = 60;
    for seed in 0..10 {
        let mut random = Random(seed);
        let mut clocks = [(); 2].map(|()| Clock::new(NUMBERS));
        let (mut rotated, mut became_hot) = (0, 0);
        for step in 0..5_000 {
            // Few keys, so that ghosts come back; some have no hash.
            let hash = (random.below(150) * u32::from(step % 9 > 0)).wrapping_mul(0x9e37_79b1);
            let hits: Vec<u32> = (0..2).map(|_| 1 + random.below(NUMBERS)).collect();
            let share = (random.below(50) == 0).then(|| random.below(NUMBERS));
            for clock in &mut clocks {
                share.into_iter().for_each(|entries| clock.set_hot_room(Room { entries, weight: u64::MAX }));
                for number in &hits {
                    if clock.class(*number) != Class::Out {
                        clock.hit(*number);
                    }
                }
            }
            let number = clocks[0].len() + 1;
            let [first, second] = &mut clocks;
            let number = if number <= NUMBERS {
                for clock in [first, second] {
                    clock.keyed(number, hash);
                    clock.insert(number, &[], true);
                }
                number
            } else {
                let victim = first.victim(&[], 0).unwrap();
                assert_eq!(second.victim(&[], 0), Some(victim));
                rotated += u32::from(first.class(victim) == Class::Cold);
                first.exchange(victim, hash, false);
                second.remove(victim, &[], Leaving::Evicted);
                second.keyed(victim, hash);
                second.insert(victim, &[], true);
                victim
            };
            let [first, second] = &clocks;
            became_hot += u32::from(first.was_full && first.class(number) == Class::Hot);
            assert_eq!(first.order(), second.order(), "step {step}");
            assert!((1..=NUMBERS).all(|number| first.class(number) == second.class(number)), "step {step}");
            assert_eq!((&first.hits, first.hash(number)), (&second.hits, second.hash(number)));
        }
        assert!(rotated > 1_000 && became_hot > 30, "too little has happened: {rotated} {became_hot}");
    }
}

#[test]
fn an_operation_moves_only_a_few_of_many_entries_that_were_all_hit() {
    const NUMBERS: u32 = 10_000;
    let mut clock = Clock::new(NUMBERS);
    clock.set_hot_room(Room { entries: NUMBERS / 2, weight: u64::MAX });
    for number in 1..=NUMBERS {
        clock.keyed(number, number);
        clock.insert(number, &[], true);
    }
    clock.hits.iter_mut().for_each(|hits| *hits = MOST_HITS);
    let before: u64 = clock.hits.iter().map(|hits| u64::from(*hits)).sum();
    assert!(clock.victim(&[], 0).is_some());
    let after: u64 = clock.hits.iter().map(|hits| u64::from(*hits)).sum();
    let taken = before - after;
    assert!(taken > 0 && taken < 1_000, "{taken} hits were taken in one operation");
}

#[test]
fn a_ghost_is_known_with_its_age_until_others_take_its_place() {
    let mut ghosts = Ghosts::new(1_000);
    let mut random = Random(1);
    let mut hash = || random.below(u32::MAX);
    ghosts.reserve(1_000, 0);
    let bytes = ghosts.bytes();
    assert!((6_000..=6_200).contains(&bytes), "three ghosts of 4 bytes to two entries: {bytes}");
    let (first, other) = (hash(), hash());
    ghosts.add(first, 100, 3);
    assert_eq!(ghosts.take(other, 200), None);
    let known = ghosts.take(first, 200).expect("it was just added");
    assert_eq!((known.age, known.comes), (100, 3));
    assert_eq!(ghosts.take(first, 200), None, "it is known once");
    ghosts.add(first, 300, 1);
    for time in 0..20_000 {
        ghosts.add(hash(), 300 + time, 1);
    }
    assert_eq!(ghosts.take(first, 20_300), None);
    assert_eq!(ghosts.bytes(), bytes, "however many come");
}

#[test]
fn a_ghost_of_the_print_0_is_known_behind_a_place_without_a_ghost() {
    // The symptom: what holds no ghost was taken for it, and it was overlooked.
    let mut ghosts = Ghosts::new(1_000);
    ghosts.reserve(1_000, 0);
    let (of_print_0, other) = (0x8000_0000, 0x8000_0001);
    assert_eq!(ghosts.take(of_print_0, 100), None, "there is none yet");
    for hash in [of_print_0, other] {
        ghosts.add(hash, 100, 3);
    }
    assert!(ghosts.take(other, 200).is_some(), "it leaves its place, which is before the other's");
    assert_eq!(ghosts.take(of_print_0, 200).map(|known| (known.age, known.comes)), Some((100, 3)));
    assert_eq!(ghosts.take(of_print_0, 200), None, "it is known once");
}

#[test]
fn ghosts_are_still_known_after_their_table_has_grown() {
    let mut ghosts = Ghosts::new(100_000);
    ghosts.reserve(100, 0);
    let hashes: Vec<u32> = (0..60_u32).map(|at| at.wrapping_mul(0x9e37_79b9)).collect();
    for (at, hash) in hashes.iter().enumerate() {
        ghosts.add(*hash, 10_000 + at as u32 * 100, 2);
    }
    ghosts.reserve(100_000, 20_000);
    let bytes = ghosts.bytes() as f64 / 100_000.0;
    assert!((6.0..6.2).contains(&bytes), "{bytes} bytes an entry");
    for (at, hash) in hashes.iter().enumerate() {
        let known = ghosts.take(*hash, 20_000).expect("nothing has taken its place");
        let (wanted, age) = (10_000 - at as u32 * 100, known.age);
        assert!(age.abs_diff(wanted) <= 256 && known.comes == 2, "age {age}, wanted about {wanted}");
    }
}

/// A clock with two hot entries, numbers 1 and 2, whose keys have come in three times, after room was needed.
fn clock_of_two_that_came_thrice() -> Clock {
    let mut clock = Clock::new(10);
    clock.set_hot_room(Room { entries: 2, weight: u64::MAX });
    for number in [1, 2, 1, 2, 1, 2] {
        clock.remove(number, &[], Leaving::Removed);
        clock.keyed(number, number.wrapping_mul(0x9e37_79b1));
        clock.insert(number, &[], true);
        assert_eq!(clock.class(number), Class::Hot);
    }
    evict_after_coming_in(&mut clock, 0x1234_5678, true);
    clock
}

/// A key comes in as number 3, and goes to make room. What class it had.
fn evict_after_coming_in(clock: &mut Clock, hash: u32, known: bool) -> Class {
    clock.keyed(3, hash);
    clock.insert(3, &[], known);
    let class = clock.class(3);
    if class == Class::Cold {
        assert_eq!(clock.victim(&[], 0), Some(3));
        clock.remove(3, &[], if known { Leaving::Evicted } else { Leaving::Failure });
    }
    class
}

#[test]
fn a_key_takes_the_place_of_a_hot_one_when_it_has_come_in_more_often() {
    let mut clock = clock_of_two_that_came_thrice();
    let classes = [(); 3].map(|()| evict_after_coming_in(&mut clock, 0xabcd_ef01, true));
    // Unknown; known, of two times against three; of three against three less one.
    assert_eq!(classes, [Class::Cold, Class::Cold, Class::Hot]);
}

#[test]
fn a_failure_neither_uses_up_what_is_known_of_its_key_nor_adds_to_it() {
    let mut clock = clock_of_two_that_came_thrice();
    let classes = [true, true, false, false, true].map(|known| evict_after_coming_in(&mut clock, 0xabcd_ef01, known));
    assert_eq!(classes, [Class::Cold, Class::Cold, Class::Cold, Class::Cold, Class::Hot]);
}

#[test]
fn a_hot_key_that_is_removed_comes_back_as_if_it_had_been_used_then() {
    for (why, class) in [(Leaving::Removed, Class::Hot), (Leaving::Evicted, Class::Cold)] {
        let mut clock = clock_of_two_that_came_thrice();
        let (hash, oldest) = (clock.hash(1), 1);
        assert_eq!(clock.order(), [2, oldest]);
        clock.remove(oldest, &[], why);
        clock.keyed(oldest, hash);
        clock.insert(oldest, &[], true);
        // By its age the entry under the hand, which is the other now, is newer.
        assert_eq!(clock.class(oldest), class, "{why:?}");
    }
}

#[test]
fn what_a_policy_keeps_is_counted_in_bytes() {
    let mut clock = Clock::new(1_000);
    for number in 1..=1_000 {
        clock.keyed(number, number);
        clock.insert(number, &[], true);
    }
    let bytes = clock.bytes();
    assert!((17_000..17_100).contains(&bytes), "16 bytes and a counter an entry: {bytes}");
    let mut shadows = Shadows::new();
    assert_eq!(shadows.bytes(), 0, "nothing is allocated ahead");
    let use_keys = |shadows: &mut Shadows| {
        for number in 1..=1_000_u32 {
            shadows.access(number.wrapping_mul(0x9e37_79b9), 100, true);
        }
        shadows.bytes()
    };
    let shares = use_keys(&mut shadows);
    assert!((13_500..14_500).contains(&shares), "four of up to 128 entries: {shares}");
    assert!(shadows.hit_rates().is_none(), "from now on other rooms are tried too");
    let all = use_keys(&mut shadows);
    assert!((60_000..65_000).contains(&all), "and four of up to 512: {all}");
}
