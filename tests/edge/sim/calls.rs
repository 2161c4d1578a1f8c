//! Calls of tiers: how they get there and back, in time or not, and what then goes on.

use nearcache::tier::{Delivery, Failure};

use super::scenario::{Target, Tier};
use super::slab::Id;
use super::stores::{self, Bytes, NEVER, Reply};
use super::world::{Event, World};

/// What is asked of a tier, by names.
pub enum Call {
    Get(Vec<String>),
    Set(Vec<(String, Bytes, u64)>),
    Delete(Vec<String>),
}

/// What goes on when a call has ended.
pub enum Then {
    Read(Id),
    /// Values were written, so many bytes; perhaps a load waits for that.
    Written {
        name: String,
        bytes: usize,
        load: Option<Id>,
    },
    Delivered {
        delivery: Delivery,
        purges: Vec<std::rc::Rc<super::isolate::OwnPurge>>,
    },
}

pub struct Pending {
    pub isolate: usize,
    life: u32,
    tier: usize,
    parts: usize,
    answers: Vec<Option<Bytes>>,
    failure: Option<Failure>,
    then: Option<Then>,
}

/// What goes to one of a tier's stores.
pub struct Part {
    tier: usize,
    shard: usize,
    store: usize,
    from: usize,
    call: stores::Call,
    /// Which of the names it answers.
    places: Vec<usize>,
    /// Until when somebody waits for its end.
    deadline: Option<u64>,
}

/// Sends calls of one kind each to a tier; they end together.
pub fn send(world: &mut World, isolate: usize, tier: usize, calls: Vec<Call>, timeout: u64, then: Then) {
    let kind = world.scenario.tiers[tier];
    let (from, life) = (world.isolates[isolate].place, world.isolates[isolate].life);
    let deadline = world.now + timeout * 1_000;
    let mut names = 0;
    let mut parts: Vec<Part> = Vec::new();
    for call in calls {
        let mut group = Group { parts: &mut parts, kind, from, deadline, empty: call.empty() };
        match call {
            Call::Get(mut list) => {
                let places = names..;
                names += list.len();
                // What lies everywhere is asked of one that is asked anyway.
                let mut list: Vec<_> = list.drain(..).zip(places).collect();
                list.sort_by_key(|(name, _)| is_of_many(name));
                let mut first = None;
                for (name, place) in list {
                    let at = group.part(world, &name, first.filter(|_| is_of_many(&name)));
                    let part = &mut group.parts[at];
                    first = first.or(Some(part.shard));
                    part.places.push(place);
                    if let stores::Call::Get(list) = &mut part.call {
                        list.push(world.names.number(&name));
                    }
                }
            }
            Call::Set(entries) => {
                for (name, bytes, ttl) in entries {
                    for at in group.parts_of(world, &name) {
                        if let stores::Call::Set(list) = &mut group.parts[at].call {
                            list.push((world.names.number(&name), bytes.clone(), ttl));
                        }
                    }
                }
            }
            Call::Delete(list) => {
                for name in list {
                    for at in group.parts_of(world, &name) {
                        if let stores::Call::Delete(list) = &mut group.parts[at].call {
                            list.push(world.names.number(&name));
                        }
                    }
                }
            }
        }
    }
    count_subrequests(world, kind, &parts, &then);
    let pending = Pending {
        isolate,
        life,
        tier,
        parts: parts.len(),
        answers: vec![None; names],
        failure: None,
        then: Some(then),
    };
    let id = world.calls.insert(pending);
    for mut part in parts {
        part.tier = tier;
        let way = world.one_way(from, part.store);
        let is_cut = world.is_cut(from, part.store);
        if is_cut || world.now + way > deadline {
            world.at(deadline, Event::PartEnd(id, part.places.clone(), NEVER));
            part.deadline = None;
        }
        // What was given up may arrive all the same.
        if !is_cut {
            world.later(way, Event::Reach(id, part));
        }
    }
}

impl Call {
    fn empty(&self) -> stores::Call {
        match self {
            Self::Get(_) => stores::Call::Get(Vec::new()),
            Self::Set(_) => stores::Call::Set(Vec::new()),
            Self::Delete(_) => stores::Call::Delete(Vec::new()),
        }
    }
}

/// As in pkg/src/tiers/platform.ts: marks of tags and of all lie in every object.
fn is_of_many(name: &str) -> bool {
    name.starts_with("t:") || name.starts_with("a:")
}

/// The parts of one call.
struct Group<'a> {
    parts: &'a mut Vec<Part>,
    kind: Tier,
    from: usize,
    deadline: u64,
    empty: stores::Call,
}

impl Group<'_> {
    /// The part for a name, or for a shard of its tier.
    fn part(&mut self, world: &mut World, name: &str, shard: Option<usize>) -> usize {
        let (shard, store) = match shard {
            Some(shard) if self.kind == Tier::Object => (shard, world.stores.settle(shard, self.from)),
            _ => {
                // A value and its key's mark lie together.
                let number = world.names.number(name.strip_prefix("v:").or(name.strip_prefix("k:")).unwrap_or(name));
                world.stores.route(self.kind, self.from, number)
            }
        };
        let is_same = |part: &Part| {
            part.shard == shard && std::mem::discriminant(&part.call) == std::mem::discriminant(&self.empty)
        };
        if let Some(at) = self.parts.iter().position(is_same) {
            return at;
        }
        let (from, call, deadline) = (self.from, self.empty.clone(), Some(self.deadline));
        self.parts.push(Part { tier: 0, shard, store, from, call, places: Vec::new(), deadline });
        self.parts.len() - 1
    }

    fn parts_of(&mut self, world: &mut World, name: &str) -> Vec<usize> {
        if self.kind == Tier::Object && is_of_many(name) {
            (0..world.scenario.shards).map(|shard| self.part(world, name, Some(shard))).collect()
        } else {
            vec![self.part(world, name, None)]
        }
    }
}

fn count_subrequests(world: &mut World, kind: Tier, parts: &[Part], then: &Then) {
    let names = |part: &Part| match &part.call {
        stores::Call::Get(names) => names.len(),
        stores::Call::Set(entries) => entries.len(),
        stores::Call::Delete(names) if kind == Tier::R2 => names.len().min(1),
        stores::Call::Delete(names) => names.len(),
    };
    let count = match kind {
        Tier::Object | Tier::Redis => parts.len(),
        Tier::CacheApi | Tier::Kv | Tier::R2 => parts.iter().map(names).sum(),
    };
    world.figures.subrequests += count as u64;
    if let Then::Read(load) = then
        && let Some(load) = world.loads.get_mut(*load)
    {
        load.subrequests += count as u32;
    }
}

impl World {
    pub fn reach(&mut self, id: Id, part: Part) {
        let Part { tier, shard, store, from, call, places, deadline } = part;
        let kind = self.scenario.tiers[tier];
        let (took, result) = if self.is_dead(Target::Tier(kind)) {
            (0, Err(()))
        } else {
            let is_alone = kind == Tier::Kv && self.is_cut(from, super::stores::nearest_center(from, &self.map));
            let World { stores, map, units, random, now, .. } = self;
            stores.take(kind, shard, store, *now, is_alone, &call, map, units, random)
        };
        let Some(deadline) = deadline else { return };
        let back = self.one_way(store, from);
        let ends = self.now.saturating_add(took).saturating_add(back);
        if ends > deadline || self.is_cut(store, from) {
            self.at(deadline, Event::PartEnd(id, places, NEVER));
        } else {
            self.at(ends, Event::PartEnd(id, places, (0, result)));
        }
    }

    pub fn part_ended(&mut self, id: Id, places: &[usize], (late, result): Reply) {
        let Some(pending) = self.calls.get_mut(id) else { return };
        match result {
            Ok(answers) => {
                for (place, answer) in places.iter().zip(answers) {
                    pending.answers[*place] = answer;
                }
            }
            Err(()) => {
                let failure = if late == u64::MAX { Failure::Timeout } else { Failure::Error };
                pending.failure = pending.failure.or(Some(failure));
            }
        }
        pending.parts -= 1;
        if pending.parts > 0 {
            return;
        }
        let Some(pending) = self.calls.remove(id) else { return };
        let Pending { isolate, life, tier, answers, failure, then, .. } = pending;
        if self.isolates[isolate].life != life {
            if let Some(Then::Read(load) | Then::Written { load: Some(load), .. }) = then {
                self.loads.remove(load);
            }
            return;
        }
        match then {
            Some(Then::Read(load)) => self.read_on(load, failure.map_or(Ok(answers), Err)),
            Some(Then::Written { name, bytes, load }) => self.written(isolate, tier, &name, bytes, failure, load),
            Some(Then::Delivered { delivery, purges }) => self.delivered(isolate, tier, &delivery, &purges, failure),
            None => {}
        }
    }
}
