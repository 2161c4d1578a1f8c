//! The log of purges: what it keeps, and many isolates that follow it by a network that loses, delays and repeats, in virtual time.
#![cfg(feature = "tier")]

#[path = "common/random.rs"]
mod random;

use std::collections::BTreeMap;

use nearcache::Timestamp;
use nearcache::tier::message::{Action, Message, Purged};
use nearcache::tier::{Bound, FollowOptions, LogFollower, LogOptions, Page, PurgeLog, Told};
use random::{Random, seed};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn update(id: &str) -> Message {
    Message::new("e", Some(id.to_owned()), Action::Update)
}

fn expire(id: &str) -> Message {
    Message::new("e", Some(id.to_owned()), Action::Expire)
}

#[test]
fn a_later_message_about_the_same_takes_the_place_of_the_earlier() {
    let mut log = PurgeLog::new(LogOptions::default());
    assert_eq!(log.append(at(10), &update("a"), 1).removed, [0_u64; 0]);
    assert_eq!(log.append(at(10), &update("b"), 1).removed, [0_u64; 0]);
    assert_eq!(log.append(at(11), &update("a"), 1).removed, [1]);
    assert_eq!(log.append(at(12), &expire("b"), 1).removed, [0_u64; 0], "what is out is more than stale");
    assert_eq!(log.append(at(12), &expire("b"), 1).removed, [4]);
    assert_eq!(log.append(at(12), &update("b"), 1).removed, [5, 2]);
    assert_eq!((log.lost(0, at(0)), log.len(), log.head()), (None, 2, 6));
    assert_eq!(log.append(at(13), &Message::clear(), 1).removed, [3, 6]);
    assert_eq!(log.append(at(9), &update("c"), 1).at, at(13), "a clock that was set back");
}

#[test]
fn a_log_is_bounded_by_count_bytes_and_age_and_says_what_it_lost() {
    let options = LogOptions { max_records: 3, max_bytes: 100, max_age: 1_000 };
    let mut log = PurgeLog::new(options);
    for (n, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        log.append(at(10 + n as u64), &update(id), 10);
    }
    assert_eq!((log.lost(0, at(0)), log.lost(1, at(0)), log.len()), (Some(at(10)), None, 3));
    assert_eq!(log.lost(0, at(11)), None, "who wants to know of what came later only");
    assert_eq!(log.append(at(20), &update("e"), 95).removed, [2, 3, 4]);
    assert_eq!(log.lost(3, at(0)), Some(at(13)));
    assert_eq!(log.drop_old(at(1_019)), [0_u64; 0]);
    assert_eq!((log.drop_old(at(1_020)), log.lost(4, at(0)), log.lost(5, at(0))), (vec![5], Some(at(20)), None));
    // One that clears stands for all that is lost.
    log.append(at(1_021), &Message::clear(), 10);
    assert_eq!(log.lost(0, at(0)), None);
}

#[test]
fn a_log_that_was_kept_goes_on_where_it_was() {
    let mut log = PurgeLog::new(LogOptions::default());
    log.append(at(1), &update("a"), 10);
    log.append(at(2), &update("b"), 10);
    let kept = [(2, at(2), 10, update("b"))];
    let mut again = PurgeLog::restore(LogOptions::default(), 2, (1, at(1)), kept);
    assert_eq!((again.head(), again.lost(0, at(0))), (2, Some(at(1))));
    assert_eq!(again.append(at(0), &update("b"), 1), nearcache::tier::Appended { seq: 3, at: at(2), removed: vec![2] });
}

fn page(
    log: &PurgeLog,
    epoch: &str,
    after: u64,
    since: Timestamp,
    records: &BTreeMap<u64, (Timestamp, Message)>,
) -> Page {
    let records = records.range(after + 1..).filter(|(_, (at, _))| *at >= since);
    Page {
        epoch: epoch.to_owned(),
        head: log.head(),
        lost: log.lost(after, since),
        records: records.map(|(seq, (at, message))| (*seq, *at, Some(message.clone()))).collect(),
    }
}

#[test]
fn a_request_waits_only_where_the_bound_is_exceeded_and_all_share_a_look() {
    let log = PurgeLog::new(LogOptions::default());
    let none = BTreeMap::new();
    let mut follower = LogFollower::new(FollowOptions::default());
    let first = follower.poll(at(100_000));
    let look = first.look.clone().unwrap();
    assert!(!first.wait, "nothing was loaded before");
    assert_eq!((look.after, look.since), (0, at(99_500)), "what came before matters to nobody but tiers");
    assert_eq!(follower.poll(at(100_001)).look, None, "one is under way");
    assert_eq!(follower.handle_page(at(100_050), look.number, page(&log, "x", 0, at(0), &none)), []);
    assert_eq!(follower.staleness(at(100_060)), Some(60), "since the look began");
    assert_eq!(follower.poll(at(102_000)).look, None);
    let next = follower.poll(at(102_500));
    assert!(next.look.is_some() && !next.wait, "half of the bound: nobody waits");
    assert!(!follower.handle_failure(at(103_000), next.look.unwrap().number));
    let next = follower.poll(at(105_001));
    assert!(next.look.is_some() && next.wait);
    let joined = follower.poll(at(105_100));
    assert!(joined.look.is_none() && joined.wait, "who comes meanwhile waits for the same");
    let next = follower.poll(at(106_002));
    assert!(next.look.is_some() && next.wait, "a look that takes too long was lost with its request");
}

#[test]
fn with_tiers_below_the_first_request_waits_and_hears_of_all_that_is_known() {
    let mut log = PurgeLog::new(LogOptions::default());
    let mut records = BTreeMap::new();
    let appended = log.append(at(1_000), &update("a"), 1);
    records.insert(appended.seq, (appended.at, update("a")));
    let mut follower = LogFollower::new(FollowOptions { below: true, ..FollowOptions::default() });
    let next = follower.poll(at(900_000));
    assert!(next.wait);
    let look = next.look.unwrap();
    let told = follower.handle_page(at(900_010), look.number, page(&log, "x", look.after, look.since, &records));
    assert_eq!(told, [Told::Purge { purged: Purged::Tag("e:a".into()), soft: false, at: at(1_000) }]);
}

#[test]
fn where_the_log_is_away_answers_go_on_or_the_memory_is_cleared_once_in_the_bound() {
    for (bound, clears) in [(Bound::Soft, 0), (Bound::Hard, 10)] {
        let mut follower = LogFollower::new(FollowOptions { bound, ..FollowOptions::default() });
        let (mut cleared, mut waited, mut looks) = (0, 0, 0);
        for now in (0..55_000).step_by(10) {
            let next = follower.poll(at(100_000 + now));
            (cleared, waited) = (cleared + u64::from(next.clear), waited + u64::from(next.wait));
            if let Some(look) = next.look {
                looks += 1;
                cleared += u64::from(follower.handle_failure(at(100_000 + now), look.number));
            }
        }
        assert_eq!(cleared, clears, "{bound:?}");
        assert!(looks < 12 && waited < 12, "{looks} looks, {waited} waited");
        let staleness = follower.staleness(at(155_000)).unwrap();
        assert!(if bound == Bound::Soft { staleness >= 55_000 } else { staleness <= 5_010 }, "{staleness}");
    }
}

#[test]
fn another_log_or_one_that_went_back_clears() {
    let log = PurgeLog::new(LogOptions::default());
    let none = BTreeMap::new();
    let mut follower = LogFollower::new(FollowOptions::default());
    let mut now = 100_000;
    let mut heard = |page: Page| {
        now += 10_000;
        let look = follower.poll(at(now)).look.unwrap();
        follower.handle_page(at(now), look.number, page)
    };
    let of = |epoch: &str, head| Page { head, ..page(&log, epoch, 0, at(0), &none) };
    assert_eq!(heard(of("x", 7)), []);
    assert_eq!(heard(of("x", 3)), [Told::Clear { until: at(120_000) }]);
    assert_eq!(heard(of("x", 3)), []);
    assert_eq!(heard(of("y", 0)), [Told::Clear { until: at(140_000) }]);
    let unread = Page { records: vec![(1, at(5), None)], ..of("y", 1) };
    assert_eq!(heard(unread), [Told::Clear { until: at(5) }], "it may have been about anything");
}

// ---- Many isolates ----

const BOUND: u64 = 5_000;
const TIMEOUT: u64 = 1_000;
/// Less than there are keys, so that messages are lost to those who sleep.
const SMALL: LogOptions = LogOptions { max_records: 3, max_bytes: 10_000, max_age: 60_000 };
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

struct Isolate {
    follower: LogFollower,
    hard: bool,
    /// What is in memory: the source's version, by key.
    memory: BTreeMap<&'static str, u64>,
    /// When it may next be asked: it sleeps meanwhile.
    asleep_until: u64,
}

/// What arrives later.
enum Event {
    /// An isolate's question reaches the log.
    Asked { isolate: usize, look: u64, after: u64, since: Timestamp },
    /// An answer reaches an isolate.
    Answered { isolate: usize, look: u64, page: Page },
    /// The isolate's timer.
    Late { isolate: usize, look: u64 },
    /// A load has read this version.
    Loaded { isolate: usize, key: &'static str, version: u64, cut: u64 },
    /// A purge reaches the log; it is tried again until it is acknowledged.
    Published { key: &'static str, version: u64 },
}

struct World {
    random: Random,
    now: u64,
    log: PurgeLog,
    epoch: u64,
    records: BTreeMap<u64, (Timestamp, Message)>,
    isolates: Vec<Isolate>,
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    source: BTreeMap<&'static str, u64>,
    /// For each key: since when the log has acknowledged that versions below this are purged.
    acknowledged: Vec<(u64, &'static str, u64)>,
    /// How often each isolate's memory was purged, so that loads that began before are not kept.
    cuts: Vec<u64>,
    down_until: u64,
    answers: u64,
    waits: u64,
    /// The oldest purge that an answer did not know of, by whether the bound is hard.
    worst: [u64; 2],
    clears: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let isolate = |n: usize| {
            let hard = n % 2 == 1;
            let bound = if hard { Bound::Hard } else { Bound::Soft };
            let options = FollowOptions { max_staleness: BOUND, timeout: TIMEOUT, bound, ..FollowOptions::default() };
            Isolate { follower: LogFollower::new(options), hard, memory: BTreeMap::new(), asleep_until: 0 }
        };
        Self {
            random: Random(seed),
            now: 1_000_000,
            log: PurgeLog::new(SMALL),
            epoch: 0,
            records: BTreeMap::new(),
            isolates: (0..6).map(isolate).collect(),
            events: BTreeMap::new(),
            count: 0,
            source: KEYS.map(|key| (key, 0)).into(),
            acknowledged: Vec::new(),
            cuts: vec![0; 6],
            down_until: 0,
            answers: 0,
            waits: 0,
            worst: [0; 2],
            clears: 0,
        }
    }

    fn later(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.events.insert((self.now + delay, self.count), event);
    }

    fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            self.now += self.random.below(400);
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
            }
            match self.random.below(100) {
                0..=69 => self.request(),
                70..=84 => self.purge(),
                85 => self.down_until = self.now + self.random.below(12_000),
                86 => {
                    // An object that was moved comes back with what it had kept; rarely, with nothing.
                    if self.random.one_in(10) {
                        self.epoch += 1;
                        self.records.clear();
                        self.log = PurgeLog::new(SMALL);
                    } else {
                        let kept = self.records.iter().map(|(seq, (at, message))| (*seq, *at, 50, message.clone()));

                        self.log = PurgeLog::restore(SMALL, self.log.head(), self.log.floor(), kept);
                    }
                }
                87..=89 => {
                    let (isolate, long) = (self.random.below(6) as usize, self.random.below(90_000));
                    self.isolates[isolate].asleep_until = self.now + long;
                }
                _ => {}
            }
        }
    }

    fn request(&mut self) {
        let isolate = self.random.below(6) as usize;
        if self.isolates[isolate].asleep_until > self.now {
            return;
        }
        let next = self.isolates[isolate].follower.poll(at(self.now));
        if next.clear {
            self.clear(isolate);
        }
        if let Some(look) = next.look {
            let (number, after, since) = (look.number, look.after, look.since);
            assert!(look.timeout <= TIMEOUT);
            let delay = self.random.below(300);
            self.later(look.timeout, Event::Late { isolate, look: number });
            // Lost, or asked twice.
            for _ in 0..[1, 1, 1, 1, 1, 1, 0, 2][self.random.below(8) as usize] {
                self.later(delay, Event::Asked { isolate, look: number, after, since });
            }
        }
        if next.wait {
            self.waits += 1;
            return;
        }
        self.answer(isolate);
    }

    /// Answers from memory, or loads.
    fn answer(&mut self, isolate: usize) {
        let key = KEYS[self.random.below(KEYS.len() as u64) as usize];
        let Some(&version) = self.isolates[isolate].memory.get(key) else {
            let (version, cut) = (self.source[key], self.cuts[isolate]);
            let delay = self.random.below(2_000);
            self.later(delay, Event::Loaded { isolate, key, version, cut });
            return;
        };
        self.answers += 1;
        let oldest = self.acknowledged.iter().filter(|(_, of, least)| *of == key && version < *least);
        let Some(since) = oldest.map(|(since, ..)| *since).min() else { return };
        let behind = self.now - since;
        let worst = &mut self.worst[usize::from(self.isolates[isolate].hard)];
        *worst = behind.max(*worst);
        let known = self.isolates[isolate].follower.staleness(at(self.now)).unwrap();
        let allowed = if self.isolates[isolate].hard { BOUND } else { BOUND.max(known) };
        assert!(behind <= allowed, "{key} at version {version} was purged {behind} ms ago; {known} are known of");
    }

    fn purge(&mut self) {
        let key = KEYS[self.random.below(KEYS.len() as u64) as usize];
        let version = self.source[key] + 1;
        self.source.insert(key, version);
        let delay = self.random.below(300);
        self.later(delay, Event::Published { key, version });
    }

    fn clear(&mut self, isolate: usize) {
        self.clears += 1;
        self.cuts[isolate] += 1;
        self.isolates[isolate].memory.clear();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Published { key, version } if self.now < self.down_until => {
                self.later(500, Event::Published { key, version });
            }
            Event::Published { key, version } => {
                let message = update(key);
                let appended = self.log.append(at(self.now), &message, 50);
                appended.removed.iter().for_each(|seq| drop(self.records.remove(seq)));
                self.records.insert(appended.seq, (appended.at, message));
                assert_eq!(self.records.len(), self.log.len());
                self.acknowledged.push((self.now, key, version));
            }
            Event::Asked { isolate, look, after, since } => {
                if self.now >= self.down_until {
                    let page = page(&self.log, &self.epoch.to_string(), after, since, &self.records);
                    let longest = if self.random.one_in(10) { 4_000 } else { 300 };
                    let delay = self.random.below(longest);
                    self.later(delay, Event::Answered { isolate, look, page });
                }
            }
            Event::Answered { isolate, look, page } => {
                for told in self.isolates[isolate].follower.handle_page(at(self.now), look, page) {
                    match told {
                        Told::Clear { .. } => self.clear(isolate),
                        Told::Purge { purged: Purged::Tag(tag), .. } => {
                            self.cuts[isolate] += 1;
                            self.isolates[isolate].memory.remove(tag.strip_prefix("e:").unwrap());
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            Event::Late { isolate, look } => {
                if self.isolates[isolate].follower.handle_failure(at(self.now), look) {
                    self.clear(isolate);
                }
            }
            Event::Loaded { isolate, key, version, cut } => {
                // As the cache does: what was read before a purge is not kept.
                if cut == self.cuts[isolate] {
                    self.isolates[isolate].memory.insert(key, version);
                }
            }
        }
    }
}

#[test]
fn no_purged_value_is_answered_beyond_the_bound_whatever_the_network_does() {
    let seed = seed();
    let steps = std::env::var("STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(100_000);
    let (mut answers, mut worst, mut waits, mut clears) = (0, [0; 2], 0, 0);
    for round in 0..10 {
        let mut world = World::new(seed.wrapping_add(round));
        world.run(steps / 10);
        answers += world.answers;
        worst = [0, 1].map(|hard| world.worst[hard].max(worst[hard]));
        waits += world.waits;
        clears += world.clears;
    }
    println!(
        "seed {seed}: {answers} answers, {waits} waits, {clears} clears, at most {worst:?} ms behind, softly and hard"
    );
    assert!(answers > steps / 20 && waits > 0 && clears > 0 && worst[1] > 1_000 && worst[0] > BOUND);
}
