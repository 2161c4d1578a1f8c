//! A log of purges, at the one place that all isolates ask: what was purged, in order, within bounds.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::message::{Message, Purged};
use crate::time::{Timestamp, Ttl};

/// What a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// So many messages. Default: 10,000.
    pub max_records: usize,
    /// So many bytes of messages. Default: 1 MiB.
    pub max_bytes: usize,
    /// Each for so long, in ms. Default: a day, which is as long as anything lies in a tier.
    pub max_age: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { max_records: 10_000, max_bytes: 1 << 20, max_age: 86_400_000 }
    }
}

/// Which messages a log has, by number. Their bytes are the driver's.
///
/// A message that a later one makes needless goes: an earlier one about the same, and before one that clears, all. Whoever has read up to
/// some number gets what came after it, or is told that some of that is gone.
#[derive(Debug)]
pub struct PurgeLog {
    options: LogOptions,
    /// In order.
    records: VecDeque<Record>,
    /// The number of the last message about something, by [`name_of`].
    latest: HashMap<Box<str>, u64>,
    bytes: usize,
    head: u64,
    /// Messages up to this number are gone that nothing stands for, and the moment of the last of them.
    floor: (u64, Timestamp),
    last_at: Timestamp,
}

#[derive(Debug)]
struct Record {
    seq: u64,
    at: Timestamp,
    bytes: usize,
    about: Box<str>,
}

/// A message has been taken into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its number, from 1 on.
    pub seq: u64,
    /// Its moment, by the log's clock, never before the one of the message before.
    pub at: Timestamp,
    /// The numbers of messages that the log has no more.
    pub removed: Vec<u64>,
}

impl PurgeLog {
    /// An empty one.
    pub fn new(options: LogOptions) -> Self {
        Self {
            options,
            records: VecDeque::new(),
            latest: HashMap::new(),
            bytes: 0,
            head: 0,
            floor: (0, Timestamp::default()),
            last_at: Timestamp::default(),
        }
    }

    /// One that had been kept: its [`head`](Self::head), its [`floor`](Self::floor), and its messages with their numbers, moments and lengths.
    pub fn restore(
        options: LogOptions,
        head: u64,
        floor: (u64, Timestamp),
        kept: impl IntoIterator<Item = (u64, Timestamp, usize, Message)>,
    ) -> Self {
        let mut log = Self { head, floor, last_at: floor.1, ..Self::new(options) };
        for (seq, at, bytes, message) in kept {
            log.head = log.head.max(seq);
            log.last_at = log.last_at.max(at);
            log.insert(seq, at, bytes, &message);
        }
        log
    }

    /// Takes a message that has so many bytes. O(n) at the worst, of moving what lies behind one that goes.
    pub fn append(&mut self, now: Timestamp, message: &Message, bytes: usize) -> Appended {
        self.head += 1;
        self.last_at = self.last_at.max(now);
        let (seq, at) = (self.head, self.last_at);
        let mut removed = self.supersede(message);
        self.insert(seq, at, bytes, message);
        removed.extend(self.drop_old(now));
        Appended { seq, at, removed }
    }

    /// The number of the last message.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Messages up to this number are gone that nothing stands for; when the last of them was.
    pub fn floor(&self) -> (u64, Timestamp) {
        self.floor
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether who has read up to `after`, and wants to know of what was purged from `since` on, can't be told all: the moment of the last
    /// message that is missing.
    pub fn lost(&self, after: u64, since: Timestamp) -> Option<Timestamp> {
        let (floor, at) = self.floor;
        (after < floor && since <= at).then_some(at)
    }

    /// Lets go of what is too old, or too much. The numbers of what is gone.
    pub fn drop_old(&mut self, now: Timestamp) -> Vec<u64> {
        let mut removed = Vec::new();
        while let Some(oldest) = self.records.front() {
            let too_old = oldest.at.after(Ttl::Millis(self.options.max_age)) <= now;
            if !too_old && self.records.len() <= self.options.max_records && self.bytes <= self.options.max_bytes {
                break;
            }
            let seq = oldest.seq;
            self.floor = (seq, oldest.at);
            self.remove(seq);
            removed.push(seq);
        }
        removed
    }

    fn supersede(&mut self, message: &Message) -> Vec<u64> {
        let (purged, soft) = (message.purged(), message.is_soft());
        if purged == Purged::Everything && !soft {
            self.latest.clear();
            self.bytes = 0;
            self.floor = (0, Timestamp::default());
            return self.records.drain(..).map(|record| record.seq).collect();
        }
        let kinds: &[bool] = if soft { &[true] } else { &[true, false] };
        let earlier: Vec<u64> =
            kinds.iter().filter_map(|&soft| self.latest.get(&*name_of(&purged, soft)).copied()).collect();
        earlier.iter().for_each(|&seq| self.remove(seq));
        earlier
    }

    fn insert(&mut self, seq: u64, at: Timestamp, bytes: usize, message: &Message) {
        let about = name_of(&message.purged(), message.is_soft());
        self.bytes += bytes;
        self.latest.insert(about.clone(), seq);
        self.records.push_back(Record { seq, at, bytes, about });
    }

    fn remove(&mut self, seq: u64) {
        let place = self.records.binary_search_by_key(&seq, |record| record.seq);
        let Some(record) = place.ok().and_then(|place| self.records.remove(place)) else { return };
        self.bytes -= record.bytes;
        if self.latest.get(&record.about) == Some(&seq) {
            self.latest.remove(&record.about);
        }
    }
}

/// One name for what is purged, and whether it is made stale only.
fn name_of(purged: &Purged, soft: bool) -> Box<str> {
    let (kind, name) = match purged {
        Purged::Tag(tag) => ("t", tag.as_str()),
        Purged::Url(url) => ("u", url.as_str()),
        Purged::Prefix(prefix) => ("p", prefix.as_str()),
        Purged::Everything => ("a", ""),
    };
    [kind, if soft { "~" } else { ":" }, name].concat().into_boxed_str()
}
