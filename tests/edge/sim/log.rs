//! The log of purges, as pkg/src/tiers/purge-log.ts follows it and its object keeps it.

use std::collections::BTreeMap;

use nearcache::Timestamp;
use nearcache::tier::message::{Action, Message, Purged};
use nearcache::tier::{FollowOptions, LogFollower, LogOptions, Look, Page, Purge, PurgeLog, Told};

use super::isolate::{Key, object_clock};
use super::scenario::Target;
use super::stores::Server;
use super::world::{Event, World};

/// The object that has it.
pub struct Log {
    pub server: Server,
    log: PurgeLog,
    messages: BTreeMap<u64, (Timestamp, Message)>,
    pub late: u64,
}

impl Default for Log {
    fn default() -> Self {
        let log = PurgeLog::new(LogOptions::default());
        Self { server: Server::default(), log, messages: BTreeMap::new(), late: 0 }
    }
}

/// What one isolate knows of it.
pub struct Follower {
    log: LogFollower,
    /// When the look under way began.
    began: u64,
    /// All that the log had at this moment is heeded, since that moment.
    pub current: Option<(u64, u64)>,
    /// Who waits for the look: what they asked for and when.
    pub waiting: Vec<(Key, u64)>,
}

impl Follower {
    pub fn new(below: bool, clock_skew: u64) -> Self {
        let options = FollowOptions { below, clock_skew, ..FollowOptions::default() };
        Self { log: LogFollower::new(options), began: 0, current: None, waiting: Vec::new() }
    }
}

#[derive(Clone)]
pub enum LogEvent {
    /// Purges reach the log: of keys from one on.
    Append(Key, usize),
    /// A look of an isolate reaches it, which waits for it until then.
    Look(usize, u32, Look, u64),
    /// It has been answered, or not in time.
    Page(usize, u32, u64, Option<Page>),
}

impl World {
    /// Somebody asks: whether to wait.
    pub fn follow(&mut self, isolate: usize) -> bool {
        let one = &mut self.isolates[isolate];
        let (from, life) = (one.place, one.life);
        let next = one.follower.log.poll(one.clock(self.now));
        if let Some(look) = next.look {
            one.follower.began = self.now;
            let place = *self.log.server.place.get_or_insert(from);
            let (way, deadline) = (self.one_way(from, place), self.now + look.timeout * 1_000);
            if self.is_cut(from, place) {
                self.at(deadline, Event::Log(LogEvent::Page(isolate, life, look.number, None)));
            } else {
                self.later(way, Event::Log(LogEvent::Look(isolate, life, look, deadline)));
            }
        }
        next.wait
    }

    /// A purge is told to the log.
    pub fn append(&mut self, isolate: usize, first: Key, count: usize) {
        let from = self.isolates[isolate].place;
        let place = *self.log.server.place.get_or_insert(from);
        // What does not get through is told again.
        let way = if self.is_cut(from, place) { 1_000_000 } else { self.one_way(from, place) };
        self.later(way, Event::Log(LogEvent::Append(first, count)));
    }

    pub fn log_event(&mut self, event: LogEvent) {
        let work = (1e6 / self.scenario.object_rate) as u64;
        match event {
            LogEvent::Append(first, count) => {
                self.units.object_requests += 1;
                self.units.rows_written += 2;
                if self.is_dead(Target::Log) || self.log.server.serve(self.now, work).is_none() {
                    return self.later(1_000_000, Event::Log(LogEvent::Append(first, count)));
                }
                let entity = if count == 1 { "key" } else { "keys" };
                let message = Message::new(entity, Some(first.to_string()), Action::Update);
                let bytes = message.to_json().len();
                let appended = self.log.log.append(object_clock(self.now), &message, bytes);
                appended.removed.iter().for_each(|seq| drop(self.log.messages.remove(seq)));
                self.log.messages.insert(appended.seq, (appended.at, message));
                self.truth.logged(self.now, &(first..first + count as Key).collect::<Vec<_>>());
            }
            LogEvent::Look(isolate, life, look, deadline) => {
                self.units.object_requests += 1;
                let from = self.isolates[isolate].place;
                let place = self.log.server.place.unwrap_or(from);
                let took = if self.is_dead(Target::Log) { None } else { self.log.server.serve(self.now, work) };
                let back = self.one_way(place, from);
                let ends = self.now.saturating_add(took.unwrap_or(0)).saturating_add(back);
                let is_well = took.is_some() && ends <= deadline && !self.is_cut(place, from);
                let page = is_well.then(|| self.log.page(&look));
                let at = if took.is_none() || is_well { ends.min(deadline) } else { deadline };
                self.at(at.max(self.now), Event::Log(LogEvent::Page(isolate, life, look.number, page)));
            }
            LogEvent::Page(isolate, life, number, page) => self.page(isolate, life, number, page),
        }
    }

    fn page(&mut self, isolate: usize, life: u32, number: u64, page: Option<Page>) {
        let one = &mut self.isolates[isolate];
        if one.life != life {
            return;
        }
        let clock = one.clock(self.now);
        if let Some(page) = page {
            for told in one.follower.log.handle_page(clock, number, page) {
                let Told::Purge { purged: Purged::Tag(tag), at, .. } = told else {
                    self.truth.violated(format!("{} µs: the log told what nobody purged", self.now));
                    continue;
                };
                for key in keys_of(&tag).filter(|key| (*key as usize) < self.keys.len()) {
                    if let Some(slot) = one.slots.get(&key).copied() {
                        one.machine.remove(slot);
                        one.drain();
                    }
                    one.chain.purge_logged(clock, at, &self.part, Purge::Key(&self.keys[key as usize]));
                }
            }
            one.follower.current = Some((one.follower.began, self.now));
        } else {
            self.log.late += 1;
            one.follower.log.handle_failure(clock, number);
        }
        for (key, asked_at) in std::mem::take(&mut self.isolates[isolate].follower.waiting) {
            self.ask(isolate, key, asked_at, None);
        }
    }
}

impl Log {
    fn page(&self, look: &Look) -> Page {
        let after = self.messages.range(look.after + 1..).filter(|(_, (at, _))| *at >= look.since);
        Page {
            epoch: "one".to_owned(),
            head: self.log.head(),
            lost: self.log.lost(look.after, look.since),
            records: after.map(|(seq, (at, message))| (*seq, *at, Some(message.clone()))).collect(),
        }
    }
}

/// The keys of a message's tag.
fn keys_of(tag: &str) -> std::ops::Range<Key> {
    let (entity, first) = tag.split_once(':').unwrap_or((tag, "0"));
    let first: Key = first.parse().unwrap_or(0);
    first..first + if entity == "key" { 1 } else { 10 }
}
