//! The log of purges, for the object that holds it and for those who follow it.

use nearcache::Timestamp;
use nearcache::tier::{self, Bound, FollowOptions, LogOptions, Page, Told};
use wasm_bindgen::prelude::wasm_bindgen;

use super::message::{message_of, purge};
use super::to_time;

/// Which messages a log has.
#[wasm_bindgen]
pub struct PurgeLog {
    log: tier::PurgeLog,
}

/// What is said of a message in a row of numbers: its number, its moment, its bytes.
const NUMBERS: usize = 3;
/// What is said of it in a row of strings, as [`message_of`] takes them.
const FIELDS: usize = 6;

#[wasm_bindgen]
impl PurgeLog {
    /// As it was kept: the number of its last message, its floor, and of each message [`NUMBERS`] and [`FIELDS`].
    #[wasm_bindgen(constructor)]
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn new(
        max_records: f64,
        max_bytes: f64,
        max_age: f64,
        head: f64,
        floor: f64,
        floor_at: f64,
        numbers: Vec<f64>,
        fields: Vec<String>,
    ) -> PurgeLog {
        let options =
            LogOptions { max_records: max_records as usize, max_bytes: max_bytes as usize, max_age: max_age as u64 };
        let kept = numbers.chunks_exact(NUMBERS).zip(fields.chunks_exact(FIELDS)).filter_map(|(numbers, fields)| {
            let [seq, at, bytes] = *numbers else { return None };
            Some((seq as u64, to_time(at), bytes as usize, message_of(None, f64::NAN, fields)?))
        });
        PurgeLog { log: tier::PurgeLog::restore(options, head as u64, (floor as u64, to_time(floor_at)), kept) }
    }

    /// Takes a message: its number and moment, the floor's, and the numbers of those that the log has no more. Nothing if it can't be read.
    pub fn append(&mut self, now: f64, bytes: f64, fields: Vec<String>) -> Option<Vec<f64>> {
        let message = message_of(None, f64::NAN, &fields)?;
        let appended = self.log.append(to_time(now), &message, bytes as usize);
        let (floor, floor_at) = self.log.floor();
        let mut numbers = vec![appended.seq as f64, from_time(appended.at), floor as f64, from_time(floor_at)];
        numbers.extend(appended.removed.iter().map(|seq| *seq as f64));
        Some(numbers)
    }

    /// The number of the last message.
    pub fn head(&self) -> f64 {
        self.log.head() as f64
    }

    /// The moment of the last message that is missing for who has read up to one, if there is any.
    pub fn lost(&self, after: f64, since: f64) -> Option<f64> {
        self.log.lost(after as u64, to_time(since)).map(from_time)
    }
}

/// One isolate's reading of the log.
#[wasm_bindgen]
pub struct LogFollower {
    follower: tier::LogFollower,
}

#[wasm_bindgen]
impl LogFollower {
    /// Of one that has not looked yet.
    #[wasm_bindgen(constructor)]
    pub fn new(max_staleness: f64, timeout: f64, hard: bool, below: bool) -> LogFollower {
        let options = FollowOptions {
            max_staleness: max_staleness as u64,
            timeout: timeout as u64,
            bound: if hard { Bound::Hard } else { Bound::Soft },
            below,
            ..FollowOptions::default()
        };
        LogFollower { follower: tier::LogFollower::new(options) }
    }

    /// What a request has to do first.
    pub fn poll(&mut self, now: f64) -> Next {
        let next = self.follower.poll(to_time(now));
        let look = next
            .look
            .map(|look| vec![look.number as f64, look.after as f64, from_time(look.since), look.timeout as f64]);
        Next { wait: next.wait, clear: next.clear, look }
    }

    /// The log has answered. Three strings for each thing to do, as messages have them, or `clear`, and as many moments.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn page(
        &mut self,
        now: f64,
        look: f64,
        epoch: String,
        head: f64,
        lost: Option<f64>,
        numbers: Vec<f64>,
        fields: Vec<String>,
    ) -> Steps {
        let records = numbers.chunks_exact(NUMBERS).zip(fields.chunks_exact(FIELDS)).filter_map(|(numbers, fields)| {
            let [seq, at, _] = *numbers else { return None };
            Some((seq as u64, to_time(at), message_of(None, f64::NAN, fields)))
        });
        let page = Page { epoch, head: head as u64, lost: lost.map(to_time), records: records.collect() };
        let mut steps = Steps { what: Vec::new(), at: Vec::new() };
        for told in self.follower.handle_page(to_time(now), look as u64, page) {
            let (what, at) = match told {
                Told::Purge { purged, soft, at } => (purge(purged, soft), at),
                Told::Clear { until } => (vec!["clear".to_owned(), String::new(), String::new()], until),
            };
            steps.what.extend(what);
            steps.at.push(from_time(at));
        }
        steps
    }

    /// It has not, in time or at all. Whether to clear the memory.
    pub fn failed(&mut self, now: f64, look: f64) -> bool {
        self.follower.handle_failure(to_time(now), look as u64)
    }

    /// How far behind it may be, if it has looked; looks, failures, messages, gaps.
    pub fn figures(&self, now: f64) -> Vec<f64> {
        let f = self.follower.figures();
        let staleness = self.follower.staleness(to_time(now)).map_or(f64::INFINITY, |millis| millis as f64);
        vec![staleness, f.looks as f64, f.failures as f64, f.heard as f64, f.gaps as f64]
    }
}

/// What a request has to do first.
#[wasm_bindgen(getter_with_clone)]
pub struct Next {
    /// Wait for the look that is under way.
    pub wait: bool,
    /// Clear the memory.
    pub clear: bool,
    /// A look to begin: its number, after which message, since when, and for how long to wait.
    pub look: Option<Vec<f64>>,
}

/// What to do after a look.
#[wasm_bindgen(getter_with_clone)]
pub struct Steps {
    /// Kind, name, and `soft` or nothing, of each.
    pub what: Vec<String>,
    /// When each was purged.
    pub at: Vec<f64>,
}

fn from_time(time: Timestamp) -> f64 {
    time.as_millis() as f64
}
