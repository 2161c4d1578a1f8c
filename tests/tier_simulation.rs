//! Chains in several isolates over the same faulty tiers, in virtual time, against what no schedule may break:
//! every read ends within its tiers' timeouts; nothing that was purged comes back; figures add up.
#![cfg(feature = "tier")]

#[path = "common/random.rs"]
mod random;

use std::collections::BTreeMap;

use nearcache::tier::{
    BreakerOptions, Chain, ChainEvent, ChainOptions, Delivery, Failure, Lifetimes, NewValue, Place, Purge, Put, Read,
    ReadOutcome, Seal, Step, TierOptions, Write, Written,
};
use nearcache::{Timestamp, Ttl};
use random::{Random, seed};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SKEW: u64 = 20;
const TIMEOUT: u64 = 50;
/// How late a write may arrive that its sender takes for failed.
const LATE: u64 = 300;
const ISOLATES: usize = 3;
const TIERS: usize = 2;
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// What a tier is like for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weather {
    Fair,
    /// Some calls take longer than the timeout,
    Slow,
    /// or all.
    Hanging,
    /// Some calls fail,
    Flaky,
    /// or all.
    Down,
    /// It can be read, and not written.
    Full,
    /// Half of what it gives are bytes that nobody stored,
    Rubbish,
    /// or too few of those that were,
    Cut,
    /// or those of another name.
    Swapped,
    /// It gives more answers than there are names, or fewer.
    Miscounting,
    /// It has forgotten half of its values, though no marks.
    Forgetful,
}

const WEATHERS: [Weather; 10] = [
    Weather::Slow,
    Weather::Hanging,
    Weather::Flaky,
    Weather::Down,
    Weather::Full,
    Weather::Rubbish,
    Weather::Cut,
    Weather::Swapped,
    Weather::Miscounting,
    Weather::Forgetful,
];

/// What reads met in a weather: how many, how many failed, how long the slowest took, and lines in logs.
#[derive(Clone, Copy, Default)]
struct Met {
    reads: u64,
    failed: u64,
    longest: u64,
    lines: u64,
}

#[derive(Default)]
struct Store {
    held: BTreeMap<String, (Vec<u8>, u64)>,
    weather: Option<Weather>,
}

/// What arrives later.
enum Event {
    /// The driver's timer, or the tier's answer, whichever came first: `None` for a timer.
    Answered {
        read: usize,
        answers: Result<Vec<Option<Vec<u8>>>, Failure>,
    },
    Loaded {
        read: usize,
        version: u64,
    },
    /// Bytes reach a store.
    Stored {
        tier: usize,
        name: String,
        bytes: Option<Vec<u8>>,
        until: u64,
    },
    Written {
        isolate: usize,
        tier: usize,
        name: String,
        /// Generation and number.
        order: (Timestamp, u64),
        replaces: bool,
        bytes: usize,
        failure: Option<Failure>,
    },
    Delivered {
        isolate: usize,
        tier: usize,
        delivery: Delivery,
        failure: Option<Failure>,
    },
}

struct Reading {
    isolate: usize,
    keys: Vec<&'static str>,
    read: Read,
    began: u64,
    /// By this isolate's clock.
    generation: u64,
    /// The source's versions when it began that every tier had been told of.
    told: Vec<u64>,
}

struct World {
    random: Random,
    now: u64,
    chains: Vec<Chain>,
    /// What each isolate's clock shows beyond the time.
    ahead: Vec<u64>,
    stores: Vec<Store>,
    /// Ordered by time; the number tells those of one moment apart.
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    reads: BTreeMap<usize, Reading>,
    /// The source: a version for each key.
    source: BTreeMap<&'static str, u64>,
    /// Purges under way: key, the version that it makes the least, isolate.
    purges: Vec<(&'static str, u64, usize)>,
    /// The least version that may be read of each key: by all isolates, and by each.
    told: BTreeMap<&'static str, u64>,
    own: Vec<BTreeMap<&'static str, u64>>,
    answers: u64,
    loads: u64,
    longest: u64,
    faults: u64,
    met: BTreeMap<Weather, Met>,
}

impl World {
    fn new(seed: u64, signed: bool) -> Self {
        let options = ChainOptions { max_lifetime: 2_000, clock_skew: SKEW, late_writes: LATE, marks: true };
        let mut random = Random(seed);
        let chains = (0..ISOLATES).map(|_| {
            let seal = if signed { Seal::default().with_secret(b"s") } else { Seal::default() };
            let mut chain = Chain::new(options, seal);
            for tier in 0..TIERS {
                let breaker = BreakerOptions { failures: 3, cooldown: 100 };
                let ttl = if tier == 0 { Ttl::Millis(500) } else { Ttl::Forever };
                chain.add_tier(TierOptions { timeout: TIMEOUT, ttl, breaker, ..TierOptions::default() }).unwrap();
            }
            chain
        });
        Self {
            now: 1_000,
            chains: chains.collect(),
            ahead: (0..ISOLATES).map(|_| random.below(SKEW)).collect(),
            stores: (0..TIERS).map(|_| Store::default()).collect(),
            events: BTreeMap::new(),
            count: 0,
            reads: BTreeMap::new(),
            source: KEYS.map(|key| (key, 0)).into(),
            purges: Vec::new(),
            told: KEYS.map(|key| (key, 0)).into(),
            own: vec![KEYS.map(|key| (key, 0)).into(); ISOLATES],
            answers: 0,
            loads: 0,
            longest: 0,
            faults: 0,
            met: BTreeMap::new(),
            random,
        }
    }

    fn clock(&self, isolate: usize) -> Timestamp {
        Timestamp::from_millis(self.now + self.ahead[isolate])
    }

    fn later(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.events.insert((self.now + delay, self.count), event);
    }

    fn step(&mut self) {
        match self.random.below(200) {
            0..60 if self.events.len() < 40 => self.begin(),
            60 => self.purge(),
            61 => {
                let tier = self.random.below(TIERS as u64) as usize;
                let weather = WEATHERS[self.random.below(WEATHERS.len() as u64) as usize];
                self.stores[tier].weather = self.random.one_in(2).then_some(weather);
            }
            62 => {
                // Bytes that somebody broke.
                let tier = self.random.below(TIERS as u64) as usize;
                let count = self.stores[tier].held.len() as u64;
                if count > 0 {
                    let at = self.random.below(count) as usize;
                    let broken = self.random.next() as u8;
                    if let Some((bytes, _)) = self.stores[tier].held.values_mut().nth(at)
                        && let Some(first) = bytes.last_mut()
                    {
                        *first ^= broken | 1;
                    }
                }
            }
            _ => {
                let pause = self.now + self.random.below(20);
                let Some((&(at, number), _)) = self.events.first_key_value() else { return self.now = pause };
                if pause < at {
                    return self.now = pause;
                }
                let event = self.events.remove(&(at, number)).unwrap();
                self.now = self.now.max(at);
                self.happen(event);
            }
        }
        for isolate in 0..ISOLATES {
            self.deliver(isolate);
            while let Some(event) = self.chains[isolate].poll_event() {
                let (ChainEvent::Failing { tier, .. }
                | ChainEvent::Recovered { tier, .. }
                | ChainEvent::Refused { tier, .. }) = event;
                self.met.entry(self.weather(tier)).or_default().lines += 1;
            }
        }
    }

    fn weather(&self, tier: usize) -> Weather {
        self.stores[tier].weather.unwrap_or(Weather::Fair)
    }

    fn begin(&mut self) {
        let isolate = self.random.below(ISOLATES as u64) as usize;
        let keys: Vec<_> = KEYS.into_iter().filter(|_| self.random.one_in(2)).collect();
        let read = Read::new(keys.iter().map(|key| (place(), (*key).to_owned())), self.random.one_in(4));
        let told = keys.iter().map(|key| self.told[key].max(self.own[isolate][key])).collect();
        let began = self.now;
        let generation = self.clock(isolate).as_millis();
        let id = self.count as usize;
        self.count += 1;
        self.reads.insert(id, Reading { isolate, keys, read, began, generation, told });
        self.go_on(id);
    }

    fn go_on(&mut self, id: usize) {
        let Some(mut reading) = self.reads.remove(&id) else { return };
        let isolate = reading.isolate;
        let now = self.clock(isolate);
        if let Step::Get { tier, names, timeout } = reading.read.poll(&mut self.chains[isolate], now) {
            let names = names.to_vec();
            let weather = self.weather(tier);
            let took = match weather {
                Weather::Slow => self.random.below(4 * TIMEOUT),
                Weather::Hanging => u64::MAX,
                _ => self.random.below(TIMEOUT / 2),
            };
            let answers = if took > timeout { Err(Failure::Timeout) } else { self.get(tier, &names) };
            let failed = u64::from(!answers.as_ref().is_ok_and(|answers| answers.len() == names.len()));
            self.faults += failed;
            let met = self.met.entry(weather).or_default();
            met.reads += 1;
            met.failed += failed;
            met.longest = met.longest.max(took.min(timeout));
            self.reads.insert(id, reading);
            self.later(took.min(timeout), Event::Answered { read: id, answers });
            return;
        }
        self.longest = self.longest.max(self.now - reading.began);
        assert!(self.now - reading.began <= TIERS as u64 * TIMEOUT, "an answer that took {}", self.now - reading.began);
        for promotion in reading.read.promotions(&mut self.chains[isolate], now) {
            let name = reading.read.name(promotion.item).unwrap().to_owned();
            // What the driver kept of the lower tier's answer, as it was then or is now.
            let held = self.stores[TIERS - 1].held.get(&name).map(|(bytes, _)| bytes.clone());
            let Some(bytes) = held.filter(|bytes| bytes.len() == promotion.bytes) else {
                let written = Written { name: &name, generation: now, number: None, replaces: false };
                self.chains[isolate].handle_written(promotion.put.tier, now, &[written], promotion.bytes, None);
                continue;
            };
            let put = promotion.put;
            self.put(isolate, Write { name, bytes, puts: vec![put], generation: now, number: 0, replaces: false });
        }
        for (item, key) in reading.keys.clone().into_iter().enumerate() {
            match reading.read.outcome(&self.chains[isolate], now, item) {
                ReadOutcome::Answer(found) => {
                    self.answers += 1;
                    let version = version_of(&found.tags);
                    let least = reading.told[item].max(self.own[isolate][key]);
                    assert!(version >= least, "{key}: version {version} came back after the purge of {least}");
                    assert!(found.freshness_at(now) <= found.freshness.max(found.freshness_at(now)));
                }
                ReadOutcome::Load(_) => {
                    // What the source says it says now, however late that comes.
                    let version = self.source[key];
                    let delay = self.random.below(100);
                    let id = self.count as usize;
                    self.count += 1;
                    let (read, began) = (Read::new([], false), self.now);
                    let generation = self.clock(isolate).as_millis().max(reading.generation);
                    self.reads.insert(id, Reading { isolate, keys: vec![key], read, began, generation, told: vec![] });
                    self.later(delay, Event::Loaded { read: id, version });
                }
            }
        }
    }

    fn get(&mut self, tier: usize, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let weather = self.weather(tier);
        if weather == Weather::Down || weather == Weather::Flaky && self.random.one_in(2) {
            return Err(Failure::Error);
        }
        let mut answers: Vec<_> = names
            .iter()
            .map(|name| {
                let (bytes, until) = self.stores[tier].held.get(name)?;
                (*until > self.now).then(|| bytes.clone())
            })
            .collect();
        match weather {
            Weather::Swapped => answers.rotate_left(1),
            Weather::Miscounting if self.random.one_in(2) => answers.push(None),
            Weather::Miscounting => drop(answers.pop()),
            _ => {}
        }
        for (answer, name) in answers.iter_mut().zip(names) {
            match weather {
                Weather::Rubbish if self.random.one_in(2) => {
                    *answer = Some((0..self.random.below(90)).map(|_| self.random.next() as u8).collect());
                }
                Weather::Cut => {
                    if let Some(bytes) = answer {
                        bytes.truncate(self.random.below(bytes.len() as u64 + 1) as usize);
                    }
                }
                Weather::Forgetful if name.starts_with('v') && self.random.one_in(2) => *answer = None,
                _ => {}
            }
        }
        Ok(answers)
    }

    fn put(&mut self, isolate: usize, Write { name, bytes, puts, generation, number, replaces }: Write) {
        for Put { tier, ttl } in puts {
            let (count, name) = (bytes.len(), name.clone());
            let failure = self.write(tier, ttl, vec![(name.clone(), Some(bytes.clone()))]);
            let delay = self.random.below(TIMEOUT);
            self.later(
                delay,
                Event::Written { isolate, tier, name, order: (generation, number), replaces, bytes: count, failure },
            );
        }
    }

    /// Writes that reach a store sooner or later, or, if they fail, perhaps. What fails may have arrived all the same.
    fn write(&mut self, tier: usize, ttl: u64, writes: Vec<(String, Option<Vec<u8>>)>) -> Option<Failure> {
        let failure = match self.weather(tier) {
            Weather::Slow | Weather::Hanging => Some(Failure::Timeout),
            Weather::Down | Weather::Full => Some(Failure::Error),
            Weather::Flaky => self.random.one_in(2).then_some(Failure::Error),
            _ => None,
        };
        self.faults += u64::from(failure.is_some());
        for (name, bytes) in writes {
            if failure.is_none() || self.random.one_in(3) {
                let delay = if failure.is_none() { 0 } else { self.random.below(LATE) };
                let until = self.now + delay + ttl;
                self.later(delay, Event::Stored { tier, name, bytes, until });
            }
        }
        failure
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Answered { read, answers } => {
                let Some(reading) = self.reads.get_mut(&read) else { return };
                let isolate = reading.isolate;
                let now = Timestamp::from_millis(self.now + self.ahead[isolate]);
                let chain = &mut self.chains[isolate];
                match answers {
                    Ok(answers) => reading.read.handle_answers(chain, now, &answers),
                    Err(failure) => reading.read.handle_failure(chain, now, failure),
                }
                self.go_on(read);
            }
            Event::Loaded { read, version } => {
                self.loads += 1;
                let Reading { isolate, keys, generation, .. } = self.reads.remove(&read).unwrap();
                let tag = format!("version {version}");
                let (now, place) = (self.clock(isolate), place());
                let value = NewValue {
                    place: &place,
                    key: keys[0],
                    generation: Timestamp::from_millis(generation),
                    number: self.chains[isolate].begin(),
                    replaces: self.random.one_in(4),
                    lifetimes: Lifetimes {
                        ttl: Ttl::Millis(300 + self.random.below(3_000)),
                        stale_while_revalidate: Ttl::Millis(self.random.below(500)),
                        stale_if_error: Ttl::Millis(self.random.below(500)),
                    },
                    age: 0,
                    tags: vec![&tag, "all"],
                    codec: 1,
                    compressed: false,
                    weight: None,
                    payload: b"1",
                };
                let Some(write) = self.chains[isolate].write(now, &value) else { return };
                self.put(isolate, write);
            }
            Event::Stored { tier, name, bytes, until } => {
                let held = &mut self.stores[tier].held;
                match bytes {
                    Some(bytes) => drop(held.insert(name, (bytes, until))),
                    None => drop(held.remove(&name)),
                }
            }
            Event::Written { isolate, tier, name, order: (generation, number), replaces, bytes, failure } => {
                let now = self.clock(isolate);
                let written = Written { name: &name, generation, number: Some(number), replaces };
                self.chains[isolate].handle_written(tier, now, &[written], bytes, failure);
            }
            Event::Delivered { isolate, tier, delivery, failure } => {
                let now = self.clock(isolate);
                self.chains[isolate].handle_delivered(tier, now, &delivery, failure);
                let chain = &self.chains[isolate];
                if (0..TIERS).all(|tier| !chain.owes(tier)) {
                    let told = &mut self.told;
                    self.purges.retain(|(key, version, by)| {
                        if *by == isolate {
                            let least = told.get_mut(key).unwrap();
                            *least = (*least).max(*version);
                        }
                        *by != isolate
                    });
                }
            }
        }
    }

    /// The source changes, and then what is cached of it is purged.
    fn purge(&mut self) {
        let isolate = self.random.below(ISOLATES as u64) as usize;
        let key = KEYS[self.random.below(KEYS.len() as u64) as usize];
        let now = self.clock(isolate);
        let (purge, keys) = match self.random.below(10) {
            0 => (Purge::All, KEYS.to_vec()),
            1 => (Purge::Tag("all"), KEYS.to_vec()),
            _ => (Purge::Key(key), vec![key]),
        };
        for key in keys {
            let version = self.source.get_mut(key).unwrap();
            *version += 1;
            self.own[isolate].insert(key, *version);
            self.purges.push((key, *version, isolate));
        }
        self.chains[isolate].purge(now, &place(), purge);
    }

    fn deliver(&mut self, isolate: usize) {
        if self.events.values().any(|event| matches!(event, Event::Delivered { isolate: by, .. } if *by == isolate)) {
            return;
        }
        let now = self.clock(isolate);
        for tier in 0..TIERS {
            let Some(delivery) = self.chains[isolate].poll_delivery(tier, now) else { continue };
            let deletes = delivery.deletes.iter().map(|name| (name.clone(), None));
            let marks = delivery.marks.iter().map(|(name, bytes)| (name.clone(), Some(bytes.clone())));
            let failure = self.write(tier, delivery.ttl, deletes.chain(marks).collect());
            let delay = 1 + self.random.below(TIMEOUT);
            self.later(delay, Event::Delivered { isolate, tier, delivery, failure });
        }
    }
}

fn place() -> Place {
    Place::new(&["n"], &[])
}

fn version_of(tags: &[String]) -> u64 {
    tags.iter().find_map(|tag| tag.strip_prefix("version ")?.parse().ok()).unwrap()
}

#[test]
fn no_schedule_brings_back_what_was_purged_or_makes_a_read_late() {
    let seed = seed();
    let steps: u64 = option_env!("STEPS")
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(if cfg!(target_family = "wasm") { 1_000 } else { 10_000 });
    let rounds = 10;
    println!("seed {seed}, {rounds} × {steps} steps");
    let (mut answers, mut loads, mut faults, mut purged) = (0, 0, 0, 0);
    let mut all: BTreeMap<Weather, Met> = BTreeMap::new();
    for round in 0..rounds {
        let mut world = World::new(seed.wrapping_add(round), round % 2 == 1);
        for _ in 0..steps {
            world.step();
        }
        while let Some(((at, _), event)) = world.events.pop_first() {
            world.now = world.now.max(at);
            world.happen(event);
        }
        for chain in &world.chains {
            for tier in 0..TIERS {
                let f = chain.figures(tier).unwrap();
                let sum = f.hits + f.stale + f.misses + f.purged + f.refusals() + f.lost;
                assert_eq!(f.asked, sum, "seed {seed}, round {round}: {f:?}");
                purged += f.purged;
            }
        }
        assert!(world.reads.is_empty(), "every read ended");
        answers += world.answers;
        loads += world.loads;
        faults += world.faults;
        for (weather, met) in world.met {
            let sum = all.entry(weather).or_default();
            sum.reads += met.reads;
            sum.failed += met.failed;
            sum.longest = sum.longest.max(met.longest);
            sum.lines += met.lines;
        }
    }
    println!("tier that is  reads  failed  slowest (timeout {TIMEOUT} ms)  log lines");
    for (weather, Met { reads, failed, longest, lines }) in &all {
        println!("{:<12} {reads:>7} {failed:>6} {longest:>8} {lines:>8}", format!("{weather:?}"));
        assert!(*reads > 0 && *longest <= TIMEOUT);
    }
    // A short run may have no time for each.
    assert!(all.len() == WEATHERS.len() + 1 || rounds * steps < 100_000, "all weathers were met");
    println!("{answers} answers from tiers, {loads} loads, {faults} faults, {purged} values that a mark ended");
    // The schedules are worth something: all of it happens often.
    assert!(answers.min(loads).min(faults).min(purged) > steps / 100);
}
