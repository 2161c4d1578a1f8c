//! What the source has, what was purged when and who knows of it: by this, what isolates answer is judged.

use std::collections::BTreeMap;

use super::isolate::{Key, Version};
use super::scenario::{Scenario, Tier};

/// A version of a key that all of a tier has been told of, from that place.
struct Told {
    at: u64,
    place: usize,
    version: Version,
}

pub struct Truth {
    /// By key: when each version after the first came, which is when the one before was purged; and how long after that the one
    /// before was handed out last.
    versions: Vec<Vec<(u64, u64)>>,
    /// By key: what the log has, and since when.
    logged: BTreeMap<Key, Vec<(u64, Version)>>,
    told: Vec<BTreeMap<Key, Vec<Told>>>,
    tiers: Vec<Tier>,
    kv_visible: u64,
    /// No memory hands out longer what was purged elsewhere.
    longest: u64,
    /// What can't be.
    pub violations: Vec<String>,
    pub violation_count: u64,
    pub stale_answers: u64,
}

const MOST_LISTED: usize = 20;

impl Truth {
    pub fn new(scenario: &Scenario, longest: u64) -> Self {
        Self {
            versions: vec![Vec::new(); scenario.keys],
            logged: BTreeMap::new(),
            told: scenario.tiers.iter().map(|_| BTreeMap::new()).collect(),
            tiers: scenario.tiers.clone(),
            kv_visible: (scenario.kv_visible * 1e6) as u64,
            longest,
            violations: Vec::new(),
            violation_count: 0,
            stale_answers: 0,
        }
    }

    pub fn violated(&mut self, what: String) {
        self.violation_count += 1;
        if self.violations.len() < MOST_LISTED {
            self.violations.push(what);
        }
    }

    pub fn version(&self, key: Key) -> Version {
        self.versions[key as usize].len() as Version
    }

    /// The source has a new version of a key.
    pub fn update(&mut self, now: u64, key: Key) -> Version {
        self.versions[key as usize].push((now, 0));
        self.version(key)
    }

    /// All that a tier has of a key before this version is ended by a mark in it.
    pub fn told(&mut self, now: u64, tier: usize, place: usize, key: Key, version: Version) {
        self.told[tier].entry(key).or_default().push(Told { at: now, place, version });
    }

    /// The log has what was purged of these keys.
    pub fn logged(&mut self, now: u64, keys: &[Key]) {
        for key in keys {
            let version = self.version(*key);
            self.logged.entry(*key).or_default().push((now, version));
        }
    }

    /// A tier was asked at `asked`, and brought a value that is believed.
    pub fn brought(&mut self, now: u64, tier: usize, place: usize, asked: u64, key: Key, version: Version) {
        let kind = self.tiers[tier];
        let shows = |told: &Told| match kind {
            Tier::CacheApi => told.place == place && told.at <= asked,
            Tier::Kv if told.place != place => told.at + self.kv_visible <= asked,
            _ => told.at <= asked,
        };
        let Some(list) = self.told[tier].get(&key) else { return };
        let least = list.iter().filter(|told| shows(told)).map(|told| told.version).max().unwrap_or(0);
        if version < least {
            let name = kind.name();
            self.violated(format!("{now} µs: {name} brought version {version} of key {key} back after purge {least}"));
        }
    }

    /// A get of `asked_at` is answered with this version, by an isolate that has purged an earlier one, or not; and that has heeded all
    /// that the log had at some moment, since then.
    pub fn answered(
        &mut self,
        now: u64,
        asked_at: u64,
        key: Key,
        version: Version,
        own: Option<(Version, u64)>,
        current: Option<(u64, u64)>,
    ) {
        if let Some((until, since)) = current
            && since <= asked_at
            && let Some(logged) = self.logged.get(&key)
        {
            let least = logged.iter().take_while(|(at, _)| *at <= until).map(|(_, version)| *version).max();
            if version < least.unwrap_or(0) {
                self.violated(format!("{now} µs: version {version} of key {key} after the log told of {least:?}"));
            }
        }
        if version > self.version(key) {
            self.violated(format!("{now} µs: key {key} has no version {version} yet"));
        }
        if let Some((least, at)) = own
            && at <= asked_at
            && version < least
        {
            self.violated(format!("{now} µs: version {version} of key {key} after purge {least} in the same isolate"));
        }
        let missed = &mut self.versions[key as usize][version as usize..];
        let mut stale = 0;
        for (at, last) in missed.iter_mut().take_while(|(at, _)| *at <= asked_at) {
            *last = (*last).max(asked_at - *at);
            stale = stale.max(asked_at - *at);
        }
        self.stale_answers += u64::from(stale > 0);
        if stale > self.longest {
            self.violated(format!("{now} µs: version {version} of key {key} {} ms after its purge", stale / 1_000));
        }
    }

    /// For each purge, how long after it the old value was handed out last, in µs, the shortest first.
    pub fn staleness(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.versions.iter().flatten().map(|(_, last)| *last).collect();
        all.sort_unstable();
        all
    }
}
