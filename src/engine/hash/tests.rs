//! Strings that somebody makes whose hashes are to be all the same.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test may panic")]

use super::KeyHasher;
use foldhash::fast::FoldHasher;
use std::hash::Hasher as _;

/// As many strings of one hash as wanted, by a hasher whose seeds are known: where what is to be multiplied is 0, the other
/// factor does not count.
fn colliding(hasher: &KeyHasher, count: usize) -> Vec<String> {
    const LENGTH: usize = 250;
    let mut shows = FoldHasher::with_seed(0, &hasher.shared);
    shows.write_u64(1);
    let factor = shows.finish();
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
    (0_u64..)
        .find_map(|number| {
            let mut bytes = format!("{number:0>8}").into_bytes();
            bytes.resize(LENGTH, b'.');
            let first = hasher.first.rotate_right(LENGTH as u32);
            let product = u128::from(word(&bytes, 0) ^ first) * u128::from(word(&bytes, 32) ^ factor);
            let state = (product as u64) ^ ((product >> 64) as u64);
            bytes[64..72].copy_from_slice(&state.to_le_bytes());
            state.to_le_bytes().is_ascii().then_some(bytes)
        })
        .into_iter()
        .flat_map(|bytes| {
            (0..count).map(move |free| {
                let mut bytes = bytes.clone();
                bytes[96..104].copy_from_slice(format!("{free:0>8}").as_bytes());
                String::from_utf8(bytes).expect("it is ASCII")
            })
        })
        .collect()
}

fn hashes(hasher: &KeyHasher, strings: &[String]) -> usize {
    strings.iter().map(|string| hasher.hash(string)).collect::<hashbrown::HashSet<_>>().len()
}

#[test]
fn strings_that_collide_by_the_seeds_of_one_cache_do_not_by_those_of_another() {
    let known = KeyHasher::new(|| 0.5);
    let strings = colliding(&known, 1_000);
    assert_eq!((strings.len(), hashes(&known, &strings)), (1_000, 1), "whoever knows the seeds can do it");
    let mut random = [0.25, 0.75].into_iter().cycle();
    let other = KeyHasher::new(move || random.next().expect("there are always more"));
    assert_eq!(hashes(&other, &strings), 1_000);
}

#[test]
fn seeds_of_nothing_hash_well_enough() {
    for number in [0.0, f64::NAN, 0.999_999_999] {
        let hasher = KeyHasher::new(|| number);
        let strings: Vec<_> = (0..10_000).map(|number| format!("key {number}")).collect();
        assert_eq!(hashes(&hasher, &strings), 10_000);
        let low: hashbrown::HashSet<_> = strings.iter().map(|string| hasher.hash(string) as u32 & 0xffff).collect();
        assert!(low.len() > 9_000, "{number}: {}", low.len());
    }
}
