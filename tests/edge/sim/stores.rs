//! The stores below, as far as they answer, forget, lag and refuse: by what their makers document of them. What they take is
//! counted in the units by which they are paid.

use std::collections::HashMap;
use std::rc::Rc;

use super::map::Map;
use super::price::Units;
use super::random::Random;
use super::scenario::{Scenario, Tier};
use super::slab::Numbered;
use super::traffic::around;

pub type Bytes = Rc<[u8]>;

/// A name by its number.
pub type Name = u32;

/// Names that stand for themselves in everything else by a number.
#[derive(Default)]
pub struct Names(HashMap<Box<str>, Name>);

impl Names {
    pub fn number(&mut self, name: &str) -> Name {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = self.0.len() as Name;
        self.0.insert(name.into(), number);
        number
    }
}

#[derive(Clone)]
struct Entry {
    bytes: Bytes,
    until: u64,
}

type Table = Numbered<Name, Entry>;

fn look(table: &Table, name: Name, now: u64) -> Option<Entry> {
    table.get(&name).filter(|entry| entry.until > now).cloned()
}

/// What is wanted of a store.
#[derive(Clone, Debug)]
pub enum Call {
    Get(Vec<Name>),
    Set(Vec<(Name, Bytes, u64)>),
    Delete(Vec<Name>),
}

/// What a call came to, and how much longer its answer takes, in µs.
pub type Reply = (u64, Result<Vec<Option<Bytes>>, ()>);

/// No answer.
pub const NEVER: Reply = (u64::MAX, Err(()));

/// One thread that serves one after another.
#[derive(Default)]
pub struct Server {
    /// Where it is: where it was first asked from.
    pub place: Option<usize>,
    busy_until: u64,
    pub served: u64,
    refused: u64,
    /// The second it is in, how many it has served there, and in the busiest one.
    second: (u64, u64),
    pub peak: u64,
    /// Until when it has something to do, and how long it had, in µs: for so long it is paid for.
    occupied_until: u64,
    pub occupied: u64,
}

/// An object that has so much to do refuses more, in µs of work.
const LONGEST_QUEUE: u64 = 5_000_000;

impl Server {
    /// Takes a call that comes now, for so long; after how long it is done. `None`: it is overloaded.
    pub fn serve(&mut self, now: u64, takes: u64) -> Option<u64> {
        let wait = self.busy_until.saturating_sub(now);
        if wait > LONGEST_QUEUE {
            self.refused += 1;
            return None;
        }
        self.busy_until = now.max(self.busy_until) + takes;
        self.served += 1;
        if self.second.0 != now / 1_000_000 {
            self.second = (now / 1_000_000, 0);
        }
        self.second.1 += 1;
        self.peak = self.peak.max(self.second.1);
        self.occupy(now, wait + takes);
        Some(wait + takes)
    }

    /// It has something to do, if only to wait, for so long.
    pub fn occupy(&mut self, now: u64, micros: u64) {
        let until = now + micros;
        self.occupied += until.saturating_sub(now.max(self.occupied_until));
        self.occupied_until = self.occupied_until.max(until);
    }

    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts from here on.
    pub fn forget(&mut self) {
        (self.served, self.refused, self.peak, self.second.1, self.occupied) = (0, 0, 0, 0, 0);
    }
}

/// What a place has of KV's entries, absent ones too, and until when it asks nobody for them.
type KvEdge = Numbered<Name, (Option<Entry>, u64)>;

#[derive(Default)]
struct Shard {
    server: Server,
    table: Table,
}

pub struct Stores {
    cache: Vec<Table>,
    kv: Numbered<Name, (Option<Entry>, u64)>,
    kv_edges: Vec<KvEdge>,
    kv_visible: u64,
    shards: Vec<Shard>,
    /// How long an object, and Redis, work at a call, in µs.
    object_work: u64,
    redis: Shard,
    r2: Numbered<Name, (Entry, u64)>,
    pub refused_writes: u64,
}

/// Where KV's central stores, the bucket, Redis and the origin are: where most is asked. KV has a second one.
const HOME: usize = 0;
/// A name may be written so often, in µs: KV, R2.
const WRITES_APART: u64 = 1_000_000;
const REDIS_WORK: u64 = 20;

impl Stores {
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            cache: vec![Table::default(); scenario.places],
            kv: Numbered::default(),
            kv_edges: vec![KvEdge::default(); scenario.places],
            kv_visible: (scenario.kv_visible * 1e6) as u64,
            shards: (0..scenario.shards).map(|_| Shard::default()).collect(),
            object_work: (1e6 / scenario.object_rate) as u64,
            redis: Shard { server: Server { place: Some(HOME), ..Server::default() }, table: Table::default() },
            r2: Numbered::default(),
            refused_writes: 0,
        }
    }

    /// Which of a tier's stores has a name, and where that is, seen from a place.
    pub fn route(&mut self, tier: Tier, place: usize, name: Name) -> (usize, usize) {
        match tier {
            Tier::CacheApi | Tier::Kv => (0, place),
            Tier::R2 | Tier::Redis => (0, HOME),
            Tier::Object => {
                let shard = (name.wrapping_mul(0x9e37_79b1) >> 8) as usize % self.shards.len();
                (shard, self.settle(shard, place))
            }
        }
    }

    /// Where an object is: where it was first asked from.
    pub fn settle(&mut self, shard: usize, place: usize) -> usize {
        *self.shards[shard].server.place.get_or_insert(place)
    }

    /// A call reaches a store, which may be cut off from its center.
    #[expect(clippy::too_many_arguments, reason = "what a call is made of")]
    pub fn take(
        &mut self,
        tier: Tier,
        shard: usize,
        place: usize,
        now: u64,
        is_alone: bool,
        call: &Call,
        map: &Map,
        units: &mut Units,
        random: &mut Random,
    ) -> Reply {
        match tier {
            Tier::CacheApi => self.take_cache(place, now, call, units, random),
            Tier::Kv => self.take_kv(place, now, is_alone, call, map, units, random),
            Tier::Object => {
                units.object_requests += 1;
                let Shard { server, table } = &mut self.shards[shard];
                let Some(took) = server.serve(now, self.object_work) else { return (0, Err(())) };
                match call {
                    Call::Get(names) => units.rows_read += names.len() as u64,
                    // The row and its place in the index by expiry.
                    Call::Set(entries) => units.rows_written += 2 * entries.len() as u64,
                    Call::Delete(names) => units.rows_written += 2 * names.len() as u64,
                }
                (took, Ok(apply(table, now, call)))
            }
            Tier::Redis => {
                let commands = match call {
                    Call::Get(_) => 1,
                    Call::Set(entries) => entries.len() as u64,
                    Call::Delete(_) => 1,
                };
                units.redis_commands += commands;
                let Some(took) = self.redis.server.serve(now, REDIS_WORK * commands) else { return (0, Err(())) };
                (took, Ok(apply(&mut self.redis.table, now, call)))
            }
            Tier::R2 => self.take_r2(now, call, units, random),
        }
    }

    fn take_cache(&mut self, place: usize, now: u64, call: &Call, units: &mut Units, random: &mut Random) -> Reply {
        let count = match call {
            Call::Get(names) | Call::Delete(names) => names.len(),
            Call::Set(entries) => entries.len(),
        };
        units.cache_calls += count as u64;
        (around(2.0, 0.5, random), Ok(apply(&mut self.cache[place], now, call)))
    }

    #[expect(clippy::too_many_arguments, reason = "what a call is made of")]
    fn take_kv(
        &mut self,
        place: usize,
        now: u64,
        is_alone: bool,
        call: &Call,
        map: &Map,
        units: &mut Units,
        random: &mut Random,
    ) -> Reply {
        let to_center = (map.round_trip(place, nearest_center(place, map)) * 1_000.0) as u64;
        let edge = &mut self.kv_edges[place];
        let mut took = 0;
        let mut answers = Vec::new();
        match call {
            Call::Get(names) => {
                units.kv_reads += names.len() as u64;
                for &name in names {
                    if let Some((entry, until)) = edge.get(&name)
                        && *until > now
                    {
                        answers.push(entry.clone().filter(|entry| entry.until > now).map(|entry| entry.bytes));
                        took = took.max(around(7.0, 0.5, random));
                        continue;
                    }
                    if is_alone {
                        return NEVER;
                    }
                    let entry = self.kv.get(&name).and_then(|(entry, _)| entry.clone()).filter(|e| e.until > now);
                    answers.push(entry.clone().map(|entry| entry.bytes));
                    edge.insert(name, (entry, now + self.kv_visible));
                    took = took.max(to_center + around(100.0, 0.4, random));
                }
                (took, Ok(answers))
            }
            Call::Set(_) | Call::Delete(_) if is_alone => NEVER,
            Call::Set(_) | Call::Delete(_) => {
                let mut result = Ok(answers);
                let mut write = |name: Name, entry: Option<Entry>| match self.kv.get(&name) {
                    Some((_, at)) if now.saturating_sub(*at) < WRITES_APART => {
                        self.refused_writes += 1;
                        result = Err(());
                    }
                    _ => {
                        self.kv.insert(name, (entry.clone(), now));
                        edge.insert(name, (entry, now + self.kv_visible));
                    }
                };
                match call {
                    Call::Set(entries) => {
                        units.kv_writes += entries.len() as u64;
                        for (name, bytes, ttl) in entries {
                            let until = now + ttl.max(&60_000) * 1_000;
                            write(*name, Some(Entry { bytes: bytes.clone(), until }));
                        }
                    }
                    Call::Delete(names) => {
                        units.kv_deletes += names.len() as u64;
                        names.iter().for_each(|name| write(*name, None));
                    }
                    Call::Get(_) => {}
                }
                (to_center + around(100.0, 0.4, random), result)
            }
        }
    }

    fn take_r2(&mut self, now: u64, call: &Call, units: &mut Units, random: &mut Random) -> Reply {
        match call {
            Call::Get(names) => {
                units.r2_reads += names.len() as u64;
                let answer =
                    |name: &Name| self.r2.get(name).filter(|(e, _)| e.until > now).map(|(e, _)| e.bytes.clone());
                (around(80.0, 0.4, random), Ok(names.iter().map(answer).collect()))
            }
            Call::Set(entries) => {
                units.r2_writes += entries.len() as u64;
                let mut result = Ok(Vec::new());
                for (name, bytes, ttl) in entries {
                    if self.r2.get(name).is_some_and(|(_, at)| now.saturating_sub(*at) < WRITES_APART) {
                        self.refused_writes += 1;
                        result = Err(());
                        continue;
                    }
                    self.r2.insert(*name, (Entry { bytes: bytes.clone(), until: now + ttl * 1_000 }, now));
                }
                (around(150.0, 0.4, random), result)
            }
            Call::Delete(names) => {
                names.iter().for_each(|name| drop(self.r2.remove(name)));
                (around(100.0, 0.4, random), Ok(Vec::new()))
            }
        }
    }

    /// Counts from here on.
    pub fn forget_figures(&mut self) {
        self.shards.iter_mut().for_each(|shard| shard.server.forget());
        self.redis.server.forget();
        self.refused_writes = 0;
    }

    /// The objects behind the tier.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.shards.iter().map(|shard| &shard.server)
    }
}

/// Where the nearer of KV's central stores is.
pub fn nearest_center(place: usize, map: &Map) -> usize {
    let second = 1.min(map.len() - 1);
    if map.round_trip(place, second) < map.round_trip(place, HOME) { second } else { HOME }
}

fn apply(table: &mut Table, now: u64, call: &Call) -> Vec<Option<Bytes>> {
    match call {
        Call::Get(names) => names.iter().map(|name| look(table, *name, now).map(|entry| entry.bytes)).collect(),
        Call::Set(entries) => {
            for (name, bytes, ttl) in entries {
                table.insert(*name, Entry { bytes: bytes.clone(), until: now + ttl.saturating_mul(1_000) });
            }
            Vec::new()
        }
        Call::Delete(names) => {
            names.iter().for_each(|name| drop(table.remove(name)));
            Vec::new()
        }
    }
}
