//! What the bare machine's eviction policies cost: one process, interleaved rounds, medians and the ratio to `lru`.
//!
//! `cargo bench --bench eviction`. Zipf(1.0) over ten times as many keys as the cache has entries; no maps of keys, no values.

use std::hint::black_box;
use std::time::Instant;

use nearcache::core::{EvictionPolicy, Machine, NewValue, PartitionId, Slot, Timers};
use nearcache::options::{Limits, Policy, PolicyPatch};
use nearcache::{Timestamp, Ttl};

const ROUNDS: usize = 9;
const POLICIES: [(&str, EvictionPolicy); 2] = [("lru", EvictionPolicy::Lru), ("adaptive", EvictionPolicy::Adaptive)];

struct Bench {
    machine: Machine,
    slots: Vec<Option<Slot>>,
    keys: Vec<u32>,
    policy: Policy,
}

impl Bench {
    fn new(eviction: EvictionPolicy, entries: u32, zipf: &[u32]) -> Self {
        let limits = Limits::new(u64::from(entries), u64::MAX, u64::MAX);
        let machine = Machine::with_eviction(limits, Ttl::Millis(1 << 40), Timers::Own, eviction);
        let mut policy = Policy::default();
        policy.entry.ttl = Ttl::Millis(1 << 40);
        let mut bench = Self { machine, slots: Vec::new(), keys: vec![0; entries as usize + 3], policy };
        for key in zipf {
            bench.get_or_insert(*key);
        }
        bench
    }

    fn get_or_insert(&mut self, key: u32) -> bool {
        let hit = match self.slots.get(key as usize).copied().flatten() {
            Some(slot) => self.machine.hit(slot, Timestamp::from_millis(1)),
            None => false,
        };
        if !hit {
            self.insert(key);
        }
        hit
    }

    fn insert(&mut self, key: u32) {
        let said = PolicyPatch::default();
        let value = NewValue {
            hash: Some(key),
            policy: &self.policy,
            said: &said,
            tags: [&[], &[]],
            weight: None,
            absent: false,
            random: 0.0,
        };
        let stored = self.machine.insert(None, PartitionId::ROOT, Timestamp::from_millis(1), &value);
        while let Some(removal) = self.machine.poll_removal() {
            self.slots[self.keys[removal.slot.index()] as usize] = None;
        }
        if let Some(slot) = stored {
            if self.slots.len() <= key as usize {
                self.slots.resize(key as usize + 1, None);
            }
            self.slots[key as usize] = Some(slot);
            self.keys[slot.index()] = key;
        }
    }
}

fn nanos(count: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / count as f64
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Draws from Zipf(1.0) over so many keys, by its distribution function and a generator (SplitMix64).
fn zipf(keys: u32, count: usize) -> Vec<u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        })
        .collect();
    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..count)
        .map(|_| {
            let drawn = draw() * sum;
            sums.partition_point(|at| *at < drawn) as u32
        })
        .collect()
}

fn main() {
    for entries in [100_u32, 1_000, 10_000, 100_000] {
        let keys = entries * 10;
        let trace = zipf(keys, (keys as usize * 4).max(200_000));
        let mut benches = POLICIES.map(|(_, policy)| Bench::new(policy, entries, &trace));
        let mut times = POLICIES.map(|_| [const { Vec::new() }; 3]);
        let mut ratios = [0.0; 2];
        let mut fresh = keys;
        for _ in 0..ROUNDS {
            for (at, bench) in benches.iter_mut().enumerate() {
                let mut hits = 0;
                times[at][1].push(nanos(trace.len(), || {
                    hits = trace.iter().filter(|key| bench.get_or_insert(**key)).count();
                }));
                ratios[at] = hits as f64 / trace.len() as f64 * 100.0;
                // Hits alone: the trace's keys that are there.
                let held: Vec<Slot> = trace.iter().filter_map(|key| bench.slots[*key as usize]).take(200_000).collect();
                times[at][0].push(nanos(held.len(), || {
                    for slot in &held {
                        black_box(bench.machine.hit(*slot, Timestamp::from_millis(1)));
                    }
                }));
                // Keys never seen before, each of which evicts.
                times[at][2].push(nanos(100_000, || (0..100_000).for_each(|key| bench.insert(fresh + key))));
            }
            fresh += 100_000;
        }
        println!("{entries} entries");
        let lru = times[0].clone().map(|mut times| median(&mut times));
        for (at, (name, _)) in POLICIES.iter().enumerate() {
            let [hit, mix, evict] = times[at].clone().map(|mut times| median(&mut times));
            println!(
                "  {name:9} hit {hit:5.1} ns ({:.2})  get, insert on miss {mix:5.1} ns ({:.2})  insert that evicts {evict:5.1} ns \
                 ({:.2})  hits {:.1} %  {:.1} bytes an entry",
                hit / lru[0],
                mix / lru[1],
                evict / lru[2],
                ratios[at],
                benches[at].machine.eviction_bytes() as f64 / f64::from(entries),
            );
        }
    }
}
