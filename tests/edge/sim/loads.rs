//! One load, as pkg/src/tiers/chain.ts drives it: read the tiers, take the lease, ask the origin, store what it brings.

use nearcache::Timestamp;
use nearcache::core::{Counted, Failure as LoadFailure, FlightId, LoadOutcome, LoadedValue};
use nearcache::options::PolicyPatch;
use nearcache::tier::{Failure, Lifetimes, NewValue, Read, ReadOutcome, Step, Written};

use super::calls::{Call, Then};
use super::figures::Layer;
use super::isolate::{Key, Version};
use super::slab::Id;
use super::stores::Bytes;
use super::traffic::around;
use super::world::{Event, World};

/// Where the origin is.
const HOME: usize = 0;

pub struct Load {
    pub isolate: usize,
    pub life: u32,
    pub key: Key,
    flight: FlightId,
    refresh: bool,
    read: Read,
    /// What tiers brought under the value's name, and when they were asked.
    brought: Vec<(usize, Bytes, u64)>,
    asked: (usize, u64),
    /// What may stand in if the origin fails.
    held: Option<Held>,
    /// By the isolate's clock: when it asked the origin.
    began: Timestamp,
    version: Version,
    fails: bool,
    pub subrequests: u32,
    /// Until when it waits for others' leases, in µs.
    pub wait_until: u64,
    /// By when a wait is answered.
    pub wait_answer_by: u64,
    /// How often others' loads brought nothing that it could use.
    pub waits: u32,
    /// The lease that it holds.
    pub token: Option<u64>,
    /// Writes that have to end before the lease is given back.
    writes: usize,
    pub releasing: bool,
}

/// A value from below.
#[derive(Clone, Copy)]
struct Held {
    tier: usize,
    version: Version,
    stored_at: Timestamp,
    lifetimes: Lifetimes,
}

impl World {
    pub fn begin_load(&mut self, isolate: usize, key: Key, flight: FlightId, refresh: bool) {
        let one = &self.isolates[isolate];
        let load = Load {
            isolate,
            life: one.life,
            key,
            flight,
            refresh,
            read: Read::new([], false),
            brought: Vec::new(),
            asked: (0, 0),
            held: None,
            began: one.clock(self.now),
            version: 0,
            fails: false,
            subrequests: 0,
            wait_until: self.now + self.lease_wait(),
            waits: 0,
            wait_answer_by: 0,
            token: None,
            writes: 0,
            releasing: false,
        };
        self.figures.loads += 1;
        let id = self.loads.insert(load);
        self.read(id);
    }

    /// Reads the tiers from the top.
    pub fn read(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let key = self.keys[load.key as usize].clone();
        load.read = Read::new([(self.part.clone(), key)], load.refresh);
        load.brought.clear();
        self.go_on(id);
    }

    fn go_on(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let isolate = load.isolate;
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        if let Step::Get { tier, names, timeout } = load.read.poll(&mut one.chain, now) {
            let names = names.to_vec();
            load.asked.0 = tier;
            if names.iter().any(|name| name.starts_with("v:")) {
                load.asked.1 = self.now;
            }
            self.send(isolate, tier, vec![Call::Get(names)], timeout, Then::Read(id));
            return;
        }
        self.read_ended(id);
    }

    /// A tier has answered.
    pub fn read_on(&mut self, id: Id, answers: Result<Vec<Option<Bytes>>, Failure>) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let isolate = load.isolate;
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        match answers {
            Ok(answers) => {
                let (tier, at) = load.asked;
                // The value is asked for first, and alone.
                let is_first = load.brought.iter().all(|(known, ..)| *known != tier);
                if let ([Some(bytes)], true) = (&answers[..], is_first) {
                    load.brought.push((tier, bytes.clone(), at));
                }
                load.read.handle_answers(&mut one.chain, now, &answers);
            }
            Err(failure) => load.read.handle_failure(&mut one.chain, now, failure),
        }
        self.deliver(isolate);
        self.go_on(id);
    }

    fn read_ended(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let (isolate, key) = (load.isolate, load.key);
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        let promotions = load.read.promotions(&mut one.chain, now);
        let (found, is_answer) = match load.read.outcome(&one.chain, now, 0) {
            ReadOutcome::Answer(found) => (Some(found), true),
            ReadOutcome::Load(found) => (found, false),
        };
        let is_whole = load.read.is_whole();
        let mut bytes = None;
        load.held = found.and_then(|found| {
            let (_, whole, asked) = load.brought.iter().find(|(tier, ..)| *tier == found.tier)?;
            bytes = Some(whole.clone());
            let (of, version) = read_payload(whole.get(found.payload.clone())?)?;
            let held = Held { tier: found.tier, version, stored_at: found.stored_at, lifetimes: found.lifetimes };
            if of != key {
                self.truth.violated(format!("{} µs: a value of key {of} was read for key {key}", self.now));
            }
            self.truth.brought(self.now, found.tier, one.place, *asked, key, version);
            Some(held)
        });
        load.subrequests += promotions.len() as u32;
        let name = load.read.name(0).unwrap_or_default().to_owned();
        for promotion in promotions {
            let Some(bytes) = bytes.clone() else { continue };
            let (tier, ttl, count) = (promotion.put.tier, promotion.put.ttl, promotion.bytes);
            let timeout = self.timeout(tier);
            let entry = Call::Set(vec![(name.clone(), bytes, ttl)]);
            self.send(
                isolate,
                tier,
                vec![entry],
                timeout,
                Then::Written { name: name.clone(), bytes: count, load: None },
            );
        }
        if is_answer {
            self.bring_held(id);
        } else if self.scenario.lease && is_whole {
            self.take_lease(id);
        } else {
            self.ask_origin(id);
        }
    }

    pub fn timeout(&self, tier: usize) -> u64 {
        self.scenario.tiers[tier].timeout()
    }

    pub fn ask_origin(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let one = &self.isolates[load.isolate];
        load.began = one.clock(self.now);
        load.subrequests += 1;
        let (place, key, holds) = (one.place, load.key, load.token.is_some());
        self.figures.subrequests += 1;
        self.figures.origin_called(self.now, key);
        if holds {
            self.loading[key as usize] += 1;
            self.figures.most_at_once = self.figures.most_at_once.max(self.loading[key as usize]);
        }
        let way = self.one_way(place, HOME);
        self.later(way, Event::OriginReached(id));
    }

    /// The origin reads what it has, and answers after a while.
    pub fn origin_reached(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let (key, place) = (load.key, self.isolates[load.isolate].place);
        load.version = self.truth.version(key);
        load.fails = self.random.unit() < self.scenario.origin_failures;
        let took = around(self.scenario.origin, 0.4, &mut self.random) + self.one_way(HOME, place);
        self.later(took, Event::OriginDone(key, id));
    }

    pub fn origin_done(&mut self, key: Key, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        if load.token.is_some() {
            self.loading[key as usize] -= 1;
        }
        if self.isolates[load.isolate].life != load.life {
            self.loads.remove(id);
            return;
        }
        if load.fails {
            self.figures.origin_failures += 1;
            let has = load.held.is_some();
            if has { self.bring_held(id) } else { self.fail(id) }
        } else {
            self.store(id);
            self.bring(id, None);
        }
        self.end_load(id);
    }

    /// Writes what the origin brought to the tiers.
    fn store(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let (isolate, holds) = (load.isolate, load.token.is_some());
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        let payload = write_payload(load.key, load.version);
        let value = NewValue {
            place: &self.part,
            key: &self.keys[load.key as usize],
            generation: load.began,
            number: 0,
            lifetimes: Lifetimes {
                ttl: self.policy.entry.ttl,
                stale_while_revalidate: self.policy.entry.stale_while_revalidate,
                stale_if_error: self.policy.entry.stale_if_error,
            },
            age: 0,
            tags: self.tags[load.key as usize].iter().map(String::as_str).collect(),
            codec: 3,
            compressed: false,
            weight: None,
            replaces: false,
            payload: &payload,
        };
        let Some(write) = one.chain.write(now, &value) else { return };
        let (bytes, count): (Bytes, _) = (write.bytes.as_slice().into(), write.bytes.len());
        load.writes = if holds { write.puts.len() } else { 0 };
        load.subrequests += write.puts.len() as u32;
        for put in write.puts {
            let timeout = self.timeout(put.tier);
            let entry = Call::Set(vec![(write.name.clone(), bytes.clone(), put.ttl)]);
            let then = Then::Written { name: write.name.clone(), bytes: count, load: holds.then_some(id) };
            self.send(isolate, put.tier, vec![entry], timeout, then);
        }
    }

    pub fn written(
        &mut self,
        isolate: usize,
        tier: usize,
        name: &str,
        bytes: usize,
        failure: Option<Failure>,
        load: Option<Id>,
    ) {
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        one.chain.handle_written(
            tier,
            now,
            &[Written { name, generation: now, number: None, replaces: false }],
            bytes,
            failure,
        );
        self.deliver(isolate);
        if let Some(id) = load
            && let Some(load) = self.loads.get_mut(id)
        {
            load.writes -= 1;
            self.end_load(id);
        }
    }

    /// Gives the lease back when all is stored; then nothing is left to do.
    fn end_load(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        if load.writes > 0 {
            return;
        }
        if load.token.is_some() {
            load.releasing = true;
            self.release_lease(id);
        } else {
            self.loads.remove(id);
        }
    }

    /// What lies below will do, or has to.
    fn bring_held(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let held = load.held;
        let ends = load.token.is_none() && !load.fails;
        self.bring(id, held);
        if ends {
            self.loads.remove(id);
        }
    }

    /// The machine is told what came, and those who waited get it.
    fn bring(&mut self, id: Id, held: Option<Held>) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let (isolate, key, flight, subrequests) = (load.isolate, load.key, load.flight, load.subrequests);
        let version = held.map_or(load.version, |held| held.version);
        let layer = held.map_or(Layer::Origin, |held| Layer::Tier(held.tier));
        self.figures.most_subrequests = self.figures.most_subrequests.max(subrequests);
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        let said = held.map_or(PolicyPatch::new(), |held| {
            let Lifetimes { ttl, stale_while_revalidate, stale_if_error } = held.lifetimes;
            let patch = PolicyPatch::new().ttl(ttl).jitter(0.0);
            patch.stale_while_revalidate(stale_while_revalidate).stale_if_error(stale_if_error)
        });
        let brought = LoadedValue {
            now,
            said: &said,
            tags: &[],
            weight: None,
            absent: false,
            skip: false,
            random: 0.0,
            age: held.map_or(0, |held| now.millis_since(held.stored_at)),
        };
        let outcome = one.machine.brought(flight, &brought).outcome;
        let mut again = Vec::new();
        while let Some(wait) = one.machine.poll_ask_again() {
            again.push(wait);
        }
        one.drain();
        if outcome == LoadOutcome::FlightEnded {
            return;
        }
        if let LoadOutcome::Stored(slot) = outcome {
            one.items[slot.index()] = (key, version);
        }
        for waiter in std::mem::take(one.waiters(flight)) {
            if again.contains(&waiter.wait) {
                let counted = if waiter.leads { Counted::Miss } else { Counted::Coalesced };
                self.ask(isolate, key, waiter.asked_at, Some(counted));
            } else {
                let layer = if waiter.leads { layer } else { Layer::Shared };
                self.answered(isolate, key, waiter.asked_at, version, layer);
            }
        }
        self.set_alarm(isolate);
    }

    fn fail(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let (isolate, key, flight) = (load.isolate, load.key, load.flight);
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        let outcome = one.machine.failed(flight, &LoadFailure::last(now, None)).outcome;
        one.drain();
        let waiters = std::mem::take(one.waiters(flight));
        let rescue = match outcome {
            LoadOutcome::ServedStale(slot) => Some(one.items[slot.index()].1),
            _ => None,
        };
        for waiter in waiters {
            match rescue {
                Some(version) => self.answered(isolate, key, waiter.asked_at, version, Layer::Memory),
                None => self.failed(waiter.asked_at),
            }
        }
    }
}

fn write_payload(key: Key, version: Version) -> [u8; 8] {
    (u64::from(key) << 32 | u64::from(version)).to_le_bytes()
}

fn read_payload(bytes: &[u8]) -> Option<(Key, Version)> {
    let number = u64::from_le_bytes(bytes.try_into().ok()?);
    Some(((number >> 32) as Key, number as Version))
}
