//! The log of purges, by its rule: an isolate looks when it is asked and its last look is older than half of the bound, and lets
//! those who ask wait for the look where it is older than all of it.

use nearcache::tier::Purge;

use super::isolate::Key;
use super::scenario::Target;
use super::stores::Server;
use super::world::{Event, World};

/// In µs: what was purged so long ago is not handed out; how long a look may take; how long the log is left alone after two
/// looks that failed.
const BOUND: u64 = 5_000_000;
const TIMEOUT: u64 = 1_000_000;
const COOLDOWN: u64 = 5_000_000;

/// The object that has it.
#[derive(Default)]
pub struct Log {
    pub server: Server,
    /// When they came, and what they purge.
    purges: Vec<(u64, Vec<Key>)>,
    pub looks: u64,
    pub late: u64,
}

/// What one isolate knows of it.
#[derive(Default)]
pub struct Follower {
    /// All that the log had at this moment is heeded, since that moment.
    pub current: Option<(u64, u64)>,
    read: usize,
    looking: Option<(u64, u64)>,
    last: u64,
    failures: u32,
    alone_until: u64,
    /// Who waits for the look: what they asked for and when.
    pub waiting: Vec<(Key, u64)>,
}

#[derive(Clone, Copy)]
pub enum LogEvent {
    /// Purges reach the log: of keys from one on.
    Append(Key, Key),
    /// A look of an isolate reaches it.
    Look(usize, u32, u64, u64),
    /// It has been answered with all up to there, or not in time.
    Page(usize, u32, u64, Option<usize>),
}

impl Follower {
    /// Whether to look, and whether to wait for that.
    fn poll(&mut self, now: u64) -> (Option<u64>, bool) {
        self.looking = self.looking.filter(|(_, began)| now - began <= TIMEOUT);
        let age = self.current.map_or(u64::MAX, |(at, _)| now - at);
        let mut look = None;
        if age >= BOUND / 2 && self.looking.is_none() && now >= self.alone_until {
            self.last += 1;
            self.looking = Some((self.last, now));
            look = Some(self.last);
        }
        (look, age > BOUND && self.looking.is_some())
    }
}

impl World {
    /// Somebody asks: whether to wait.
    pub fn follow(&mut self, isolate: usize) -> bool {
        let one = &mut self.isolates[isolate];
        let (look, waits) = one.follower.poll(self.now);
        if let Some(number) = look {
            let (from, life) = (one.place, one.life);
            self.log.looks += 1;
            let place = *self.log.server.place.get_or_insert(from);
            let (way, deadline) = (self.one_way(from, place), self.now + TIMEOUT);
            if self.is_cut(from, place) {
                self.at(deadline, Event::Log(LogEvent::Page(isolate, life, number, None)));
            } else {
                self.later(way, Event::Log(LogEvent::Look(isolate, life, number, deadline)));
            }
        }
        waits
    }

    /// A purge is told to the log.
    pub fn append(&mut self, isolate: usize, first: Key, count: usize) {
        let from = self.isolates[isolate].place;
        let place = *self.log.server.place.get_or_insert(from);
        // What does not get through is told again.
        let way = if self.is_cut(from, place) { 1_000_000 } else { self.one_way(from, place) };
        self.later(way, Event::Log(LogEvent::Append(first, count as Key)));
    }

    pub fn log_event(&mut self, event: LogEvent) {
        let work = (1e6 / self.scenario.object_rate) as u64;
        match event {
            LogEvent::Append(first, count) => {
                self.units.object_requests += 1;
                self.units.rows_written += 2;
                if self.is_dead(Target::Log) || self.log.server.serve(self.now, work).is_none() {
                    return self.later(1_000_000, Event::Log(event));
                }
                let keys: Vec<Key> = (first..first + count).collect();
                self.truth.logged(self.now, &keys);
                self.log.purges.push((self.now, keys));
            }
            LogEvent::Look(isolate, life, number, deadline) => {
                self.units.object_requests += 1;
                let from = self.isolates[isolate].place;
                let place = self.log.server.place.unwrap_or(from);
                let took = if self.is_dead(Target::Log) { None } else { self.log.server.serve(self.now, work) };
                let back = self.one_way(place, from);
                let ends = self.now.saturating_add(took.unwrap_or(0)).saturating_add(back);
                let well = took.is_some() && ends <= deadline && !self.is_cut(place, from);
                let head = well.then_some(self.log.purges.len());
                let at = if took.is_none() || well { ends.min(deadline) } else { deadline };
                self.at(at.max(self.now), Event::Log(LogEvent::Page(isolate, life, number, head)));
            }
            LogEvent::Page(isolate, life, number, head) => self.page(isolate, life, number, head),
        }
    }

    fn page(&mut self, isolate: usize, life: u32, number: u64, head: Option<usize>) {
        let one = &mut self.isolates[isolate];
        if one.life != life {
            return;
        }
        let follower = &mut one.follower;
        let Some((_, began)) = follower.looking.filter(|(looking, _)| *looking == number) else { return };
        follower.looking = None;
        if let Some(head) = head {
            follower.failures = 0;
            let heard = &self.log.purges[follower.read.min(head)..head];
            follower.read = head;
            follower.current = Some((began, self.now));
            let clock = one.clock(self.now);
            for key in heard.iter().flat_map(|(_, keys)| keys) {
                if let Some(slot) = one.slots.get(key).copied() {
                    one.machine.remove(slot);
                    one.drain();
                }
                one.chain.purge_here(clock, &self.part, Purge::Key(&self.keys[*key as usize]));
            }
        } else {
            self.log.late += 1;
            follower.failures += 1;
            if follower.failures >= 2 {
                follower.alone_until = self.now + COOLDOWN;
            }
        }
        for (key, asked_at) in std::mem::take(&mut self.isolates[isolate].follower.waiting) {
            self.ask(isolate, key, asked_at, None);
        }
    }
}
