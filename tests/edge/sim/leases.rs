//! Leases, as pkg/src/tiers/lease.ts asks for them and its objects give them.

use std::collections::BTreeMap;

use nearcache::tier::{Acquired, Leases};

use super::isolate::{Key, object_clock};
use super::scenario::Target;
use super::slab::Id;
use super::stores::Server;
use super::world::{Event, World};

/// So often a load waits for others' that bring nothing.
const MOST_WAITS: u32 = 2;

/// In ms: how long a holder has it, how long others wait, and how long the object may take.
const TTL: u64 = 2_000;
const WAIT: u64 = 10_000;
const TIMEOUT: u64 = 500;

/// One object.
#[derive(Default)]
pub struct LeaseShard {
    pub server: Server,
    leases: Leases,
    waiting: BTreeMap<Key, Vec<(u64, Id)>>,
    /// Who holds what by the rule, token and end in ms: what `leases` says is judged by this.
    held: BTreeMap<Key, (u64, u64)>,
    waits: u64,
}

/// What is asked of an object.
#[derive(Clone, Copy)]
pub enum Wish {
    Acquire,
    Wait(u64),
    Renew(u64),
    Release(u64),
}

#[derive(Clone, Copy)]
pub enum Said {
    Token(u64),
    Held,
    Full,
    Done,
    /// The holder gave it back; if not, the wait's time was over.
    Released(bool),
}

#[derive(Clone, Copy)]
pub enum LeaseEvent {
    /// A call reaches the object of a key, from a place; somebody waits for it until then.
    Reach(Id, Key, usize, Wish, Option<u64>),
    /// It has been answered, or not in time.
    Answer(Id, Wish, Option<Said>),
    /// A wait at the object ends.
    WaitEnd(Key, u64),
    /// The holder says that it lives.
    Beat(Id),
}

impl World {
    pub fn lease_wait(&self) -> u64 {
        WAIT * 1_000
    }

    pub fn take_lease(&mut self, id: Id) {
        if self.loads.get_mut(id).is_some_and(|load| load.waits >= MOST_WAITS) {
            return self.go_alone(id);
        }
        self.wish(id, Wish::Acquire, TIMEOUT, true);
    }

    pub fn release_lease(&mut self, id: Id) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let token = load.token.unwrap_or(0);
        self.wish(id, Wish::Release(token), TIMEOUT, true);
    }

    /// Calls the object, if it is not left alone.
    fn wish(&mut self, id: Id, wish: Wish, timeout: u64, is_gated: bool) {
        let Some(load) = self.loads.get_mut(id) else { return };
        let (isolate, key) = (load.isolate, load.key);
        let one = &mut self.isolates[isolate];
        let from = one.place;
        if is_gated && !one.gate.admits(one.clock(self.now), TIMEOUT) {
            self.wished(id, wish, None);
            return;
        }
        load.subrequests += 1;
        self.figures.subrequests += 1;
        let deadline = self.now + timeout * 1_000;
        let shard = self.shard_of(key);
        let place = *self.leases[shard].server.place.get_or_insert(from);
        let way = self.one_way(from, place);
        if self.is_cut(from, place) {
            self.at(deadline, Event::Lease(LeaseEvent::Answer(id, wish, None)));
        } else if self.now + way > deadline {
            self.at(deadline, Event::Lease(LeaseEvent::Answer(id, wish, None)));
            self.later(way, Event::Lease(LeaseEvent::Reach(id, key, from, wish, None)));
        } else {
            self.later(way, Event::Lease(LeaseEvent::Reach(id, key, from, wish, Some(deadline))));
        }
    }

    fn shard_of(&self, key: Key) -> usize {
        (key.wrapping_mul(0x9e37_79b1) >> 8) as usize % self.leases.len()
    }

    pub fn lease_event(&mut self, event: LeaseEvent) {
        match event {
            LeaseEvent::Reach(id, key, from, wish, deadline) => self.lease_reached(id, key, from, wish, deadline),
            LeaseEvent::Answer(id, wish, said) => {
                let Some(load) = self.loads.get_mut(id) else { return };
                if self.isolates[load.isolate].life != load.life {
                    // While the origin is asked, that is what ends it.
                    if !matches!(wish, Wish::Renew(_)) {
                        self.loads.remove(id);
                    }
                    return;
                }
                if !matches!(wish, Wish::Wait(_)) {
                    let one = &mut self.isolates[load.isolate];
                    one.gate.handle_end(one.clock(self.now), said.is_some());
                }
                self.wished(id, wish, said);
            }
            LeaseEvent::WaitEnd(key, wait) => self.end_waits(key, Some(wait)),
            LeaseEvent::Beat(id) => {
                let Some(load) = self.loads.get_mut(id) else { return };
                if self.isolates[load.isolate].life == load.life
                    && !load.releasing
                    && let Some(token) = load.token
                {
                    self.wish(id, Wish::Renew(token), TIMEOUT, true);
                    self.later(TTL * 1_000 / 3, Event::Lease(LeaseEvent::Beat(id)));
                }
            }
        }
    }

    fn lease_reached(&mut self, id: Id, key: Key, from: usize, wish: Wish, deadline: Option<u64>) {
        self.units.object_requests += 1;
        let work = (1e6 / self.scenario.object_rate) as u64;
        let shard = self.shard_of(key);
        let is_dead = self.is_dead(Target::Lease);
        let object = &mut self.leases[shard];
        let took = if is_dead { None } else { object.server.serve(self.now, work) };
        let Some(took) = took else {
            let at = deadline.unwrap_or(self.now).min(self.now + 1_000);
            self.at(at, Event::Lease(LeaseEvent::Answer(id, wish, None)));
            return;
        };
        let name = &self.keys[key as usize];
        let now = object_clock(self.now);
        let millis = now.as_millis();
        let mut wrong = None;
        let held = object.held.get(&key).copied().filter(|(_, until)| *until > millis);
        let said = match wish {
            Wish::Acquire => match object.leases.acquire(now, name, TTL) {
                Acquired::Granted(token) => {
                    if held.is_some() {
                        wrong = Some("a lease was given while another held it");
                    }
                    object.held.insert(key, (token, millis + TTL));
                    self.figures.leases += 1;
                    Some(Said::Token(token))
                }
                Acquired::Held(_) => Some(Said::Held),
                Acquired::Full => Some(Said::Full),
            },
            // Nobody waits for it any more.
            Wish::Wait(_) if deadline.is_none() => None,
            Wish::Wait(most) => match object.leases.acquire(now, name, 0) {
                Acquired::Held(left) => {
                    object.waits += 1;
                    if let Some(load) = self.loads.get_mut(id) {
                        load.wait_answer_by = deadline.unwrap_or(self.now);
                    }
                    let (wait, lasts) = (object.waits, left.min(most) * 1_000);
                    object.waiting.entry(key).or_default().push((wait, id));
                    object.server.occupy(self.now, lasts);
                    self.figures.lease_waits += 1;
                    self.later(lasts, Event::Lease(LeaseEvent::WaitEnd(key, wait)));
                    // The client's own timer ends what is not answered.
                    None
                }
                Acquired::Granted(_) | Acquired::Full => Some(Said::Released(true)),
            },
            Wish::Renew(token) => {
                let renewed = object.leases.renew(now, name, token, TTL);
                match object.held.get_mut(&key) {
                    Some((holder, until)) if renewed && *holder == token => *until = millis + TTL,
                    _ if renewed => wrong = Some("a lease was renewed by one that did not hold it"),
                    _ => {}
                }
                Some(Said::Done)
            }
            Wish::Release(token) => {
                if object.leases.release(name, token) {
                    match object.held.remove(&key) {
                        Some((holder, _)) if holder == token => {}
                        _ => wrong = Some("a lease was given back by one that did not hold it"),
                    }
                    self.end_waits(key, None);
                }
                Some(Said::Done)
            }
        };
        if let Some(wrong) = wrong {
            self.truth.violated(format!("{} µs, key {key}: {wrong}", self.now));
        }
        if said.is_some() {
            self.lease_answer(id, key, from, wish, took, said, deadline);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what an answer is made of")]
    fn lease_answer(
        &mut self,
        id: Id,
        key: Key,
        to: usize,
        wish: Wish,
        took: u64,
        said: Option<Said>,
        deadline: Option<u64>,
    ) {
        let Some(deadline) = deadline else { return };
        let shard = self.shard_of(key);
        let place = self.leases[shard].server.place.unwrap_or(to);
        let ends = self.now + took + self.one_way(place, to);
        let answer = if ends > deadline || self.is_cut(place, to) { (deadline, None) } else { (ends, said) };
        self.at(answer.0.max(self.now), Event::Lease(LeaseEvent::Answer(id, wish, answer.1)));
    }

    /// Those who wait for a key's lease, or one of them, are told to look again.
    fn end_waits(&mut self, key: Key, one: Option<u64>) {
        let shard = self.shard_of(key);
        let object = &mut self.leases[shard];
        let place = object.server.place.unwrap_or(0);
        let mut ended = Vec::new();
        if let Some(waiting) = object.waiting.get_mut(&key) {
            waiting.retain(|(wait, id)| {
                let ends = one.is_none_or(|one| one == *wait);
                ended.extend(ends.then_some(*id));
                !ends
            });
            if waiting.is_empty() {
                object.waiting.remove(&key);
            }
        }
        for id in ended {
            let Some(load) = self.loads.get_mut(id) else { continue };
            let (to, until) = (self.isolates[load.isolate].place, load.wait_answer_by);
            let ends = self.now + self.one_way(place, to);
            let answer = if ends > until || self.is_cut(place, to) {
                (until, None)
            } else {
                (ends, Some(Said::Released(one.is_none())))
            };
            let event = LeaseEvent::Answer(id, Wish::Wait(0), answer.1);
            self.at(answer.0.max(self.now), Event::Lease(event));
        }
    }

    /// What came of a wish.
    fn wished(&mut self, id: Id, wish: Wish, said: Option<Said>) {
        let Some(load) = self.loads.get_mut(id) else { return };
        match wish {
            Wish::Acquire => match said {
                Some(Said::Token(token)) => {
                    load.token = Some(token);
                    self.later(TTL * 1_000 / 3, Event::Lease(LeaseEvent::Beat(id)));
                    self.ask_origin(id);
                }
                Some(Said::Held) if load.wait_until > self.now => {
                    let left = (load.wait_until - self.now) / 1_000;
                    self.wish(id, Wish::Wait(left), left.min(TTL) + TIMEOUT, false);
                }
                _ => self.go_alone(id),
            },
            Wish::Wait(_) if said.is_some() && load.wait_until > self.now => {
                load.waits += u32::from(matches!(said, Some(Said::Released(true))));
                self.read(id);
            }
            Wish::Wait(_) => self.go_alone(id),
            Wish::Renew(_) => {}
            Wish::Release(_) => drop(self.loads.remove(id)),
        }
    }

    fn go_alone(&mut self, id: Id) {
        self.figures.alone += 1;
        self.ask_origin(id);
    }

    /// The objects lose their memory; those who wait there hear of it.
    pub fn forget_leases(&mut self) {
        let keys: Vec<Key> = self.leases.iter().flat_map(|shard| shard.waiting.keys().copied()).collect();
        for key in keys {
            self.end_waits(key, None);
        }
        for shard in &mut self.leases {
            shard.leases = Leases::default();
            shard.held.clear();
        }
    }
}
