//! The synchronous cache against a model too simple to be wrong, under random operations.

use std::cell::RefCell;
use std::rc::Rc;

use nearcache::core::EvictionPolicy;
use nearcache::{Cache, EntryOptions, RemovalCause, Ttl};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::common::{Heard, Random, Virtual, seed};

#[derive(Clone, Debug)]
pub struct Held {
    pub key: u8,
    pub value: u64,
    pub weight: u32,
    pub expires: u64,
}

/// The most recently used last.
pub struct Model {
    pub held: Vec<Held>,
    pub max_entries: usize,
    pub max_bytes: u64,
    pub max_entry_bytes: u32,
}

impl Model {
    pub fn live(&self, key: u8, now: u64) -> Option<&Held> {
        self.held.iter().find(|held| held.key == key && now < held.expires)
    }

    pub fn insert(&mut self, new: Held, now: u64) -> bool {
        self.held.retain(|held| held.key != new.key);
        if new.expires <= now || self.max_entries == 0 || new.weight > self.max_entry_bytes {
            return false;
        }
        self.held.push(new);
        while self.held.len() > self.max_entries || self.weight() > self.max_bytes {
            self.held.remove(0);
        }
        true
    }

    pub fn weight(&self) -> u64 {
        self.held.iter().map(|held| u64::from(held.weight)).sum()
    }
}

pub fn run(seed: u64, steps: u32, ttl: bool) {
    let mut random = Random(seed);
    let max_entries = [0, 1, 2, 7, 100][random.below(5) as usize];
    let max_bytes = [0, 1, 10, 50, u64::MAX][random.below(5) as usize];
    let max_entry_bytes = [1, 5, u64::MAX][random.below(3) as usize];
    let world = Virtual::<false>::default();
    let departures = Rc::new(RefCell::new(Vec::new()));
    let heard = departures.clone();
    let cache: Cache<u8, u64, _> = Cache::builder()
        .eviction(EvictionPolicy::Lru)
        .max_entries(max_entries)
        .max_bytes(max_bytes)
        .max_entry_bytes(max_entry_bytes)
        .plugin(Heard(move |key: &u8, value: &u64, cause| heard.borrow_mut().push((*key, *value, cause))))
        .runtime(world.clone())
        .build();
    let mut model = Model {
        held: Vec::new(),
        max_entries: max_entries as usize,
        max_bytes,
        max_entry_bytes: max_entry_bytes.min(max_bytes).min(u64::from(u32::MAX)) as u32,
    };
    let (mut gets, mut stored) = (0, 0_u64);
    for step in 0..steps {
        let key = random.below(20) as u8;
        let now = world.0.now();
        match random.below(10) {
            0..=3 => {
                gets += 1;
                let expected = model.live(key, now).cloned();
                assert_eq!(cache.get(&key), expected.as_ref().map(|held| held.value), "seed {seed} step {step}");
                if let Some(held) = expected {
                    model.held.retain(|held| held.key != key);
                    model.held.push(held);
                }
            }
            4..=6 => {
                let weight = random.below(7) as u32;
                let millis = if ttl { random.below(30) } else { u64::MAX };
                let value = u64::from(step);
                let life = if ttl { Ttl::Millis(millis) } else { Ttl::Forever };
                let options = EntryOptions::new().ttl(life).weight(weight);
                let expires = now.saturating_add(millis);
                let done = cache.insert_with(key, value, options);
                // Without time the model is exact. With it, dead entries make room sooner or later,
                // so what is evicted early depends on the sweep; the model follows the listener there.
                if ttl {
                    model.held.retain(|held| held.key != key);
                    for (gone, value, cause) in departures.borrow().iter() {
                        if matches!(cause, RemovalCause::Size | RemovalCause::Expired) {
                            model.held.retain(|held| held.key != *gone || held.value != *value);
                        }
                    }
                    if done {
                        model.held.push(Held { key, value, weight, expires });
                    }
                    assert!(model.held.len() <= model.max_entries && model.weight() <= max_bytes);
                } else {
                    assert_eq!(
                        done,
                        model.insert(Held { key, value, weight, expires }, now),
                        "seed {seed} step {step}"
                    );
                }
                stored += u64::from(done);
            }
            7 => {
                let expected = model.live(key, now).map(|held| held.value);
                assert_eq!(cache.remove(&key), expected, "seed {seed} step {step}");
                model.held.retain(|held| held.key != key);
            }
            8 => {
                let expected = model.live(key, now);
                assert_eq!(cache.peek(&key), expected.map(|held| held.value), "seed {seed} step {step}");
                assert_eq!(cache.contains(&key), expected.is_some());
                let left = expected.map(|held| held.expires - now);
                let remaining = cache.remaining_ttl(&key);
                assert!(match remaining {
                    Some(Ttl::Millis(millis)) => left == Some(millis),
                    Some(Ttl::Forever) => left.is_some() && !ttl,
                    None => left.is_none(),
                });
            }
            _ if random.one_in(40) => {
                cache.clear();
                model.held.clear();
            }
            _ => world.0.advance(random.below(5)),
        }
        let now = world.0.now();
        let mut order: Vec<_> = model.held.iter().filter(|held| now < held.expires).map(|h| (h.key, h.value)).collect();
        order.reverse();
        assert_eq!(cache.iter().collect::<Vec<_>>(), order, "seed {seed} step {step}");
        assert!(cache.len() as u64 <= max_entries && cache.weight() <= max_bytes, "seed {seed} step {step}");
        if !ttl {
            assert_eq!((cache.len(), cache.weight()), (model.held.len(), model.weight()));
        }
    }
    let stats = cache.stats();
    assert_eq!(stats.hits + stats.misses, gets);
    assert_eq!(stats.inserts, stored);
    let gone = stats.evicted_size + stats.evicted_expired + stats.evicted_replaced + stats.evicted_removed;
    assert_eq!(stats.inserts, gone + cache.len() as u64, "every value stored is held or has left for a counted cause");
    assert_eq!(departures.borrow().len() as u64, gone, "the listener heard of every value that left");
}

pub const ROUNDS: u64 = if cfg!(target_family = "wasm") { 20 } else { 200 };

#[test]
fn random_operations_without_time_match_the_model() {
    println!("seed {}", seed());
    (0..ROUNDS).for_each(|round| run(seed() + round, 1_000, false));
}

#[test]
fn random_operations_with_lifetimes_match_the_model() {
    println!("seed {}", seed());
    (0..ROUNDS).for_each(|round| run(seed() + round, 1_000, true));
}
