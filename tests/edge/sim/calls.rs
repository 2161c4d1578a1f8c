//! Calls of tiers: how they get there and back, in time or not, and what then goes on.

use nearcache::tier::{Delivery, Failure};

use super::scenario::{Target, Tier};
use super::slab::Id;
use super::stores::{Bytes, NEVER, Reply};
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
    Written { bytes: usize, load: Option<Id> },
    Delivered { delivery: Delivery, purges: Vec<std::rc::Rc<super::isolate::OwnPurge>> },
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
    call: super::stores::Call,
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
        let first = parts.len();
        match call {
            Call::Get(list) => {
                for name in list {
                    let name = world.names.number(&name);
                    let part = part_for(world, &mut parts, first, kind, from, deadline, name, Kind::Get);
                    part.places.push(names);
                    names += 1;
                    if let super::stores::Call::Get(list) = &mut part.call {
                        list.push(name);
                    }
                }
            }
            Call::Set(entries) => {
                for (name, bytes, ttl) in entries {
                    let name = world.names.number(&name);
                    let part = part_for(world, &mut parts, first, kind, from, deadline, name, Kind::Set);
                    if let super::stores::Call::Set(list) = &mut part.call {
                        list.push((name, bytes, ttl));
                    }
                }
            }
            Call::Delete(list) => {
                for name in list {
                    let name = world.names.number(&name);
                    let part = part_for(world, &mut parts, first, kind, from, deadline, name, Kind::Delete);
                    if let super::stores::Call::Delete(list) = &mut part.call {
                        list.push(name);
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

#[derive(Clone, Copy)]
enum Kind {
    Get,
    Set,
    Delete,
}

#[expect(clippy::too_many_arguments, reason = "what a part is made of")]
fn part_for<'a>(
    world: &mut World,
    parts: &'a mut Vec<Part>,
    first: usize,
    kind: Tier,
    from: usize,
    deadline: u64,
    name: u32,
    call: Kind,
) -> &'a mut Part {
    let (shard, store) = world.stores.route(kind, from, name);
    let known = parts[first..].iter().position(|part| part.shard == shard);
    let at = known.map_or(parts.len(), |at| first + at);
    if at == parts.len() {
        let call = match call {
            Kind::Get => super::stores::Call::Get(Vec::new()),
            Kind::Set => super::stores::Call::Set(Vec::new()),
            Kind::Delete => super::stores::Call::Delete(Vec::new()),
        };
        parts.push(Part { tier: 0, shard, store, from, call, places: Vec::new(), deadline: Some(deadline) });
    }
    &mut parts[at]
}

fn count_subrequests(world: &mut World, kind: Tier, parts: &[Part], then: &Then) {
    let names = |part: &Part| match &part.call {
        super::stores::Call::Get(names) => names.len(),
        super::stores::Call::Set(entries) => entries.len(),
        super::stores::Call::Delete(names) if kind == Tier::R2 => names.len().min(1),
        super::stores::Call::Delete(names) => names.len(),
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
            Some(Then::Written { bytes, load }) => self.written(isolate, tier, bytes, failure, load),
            Some(Then::Delivered { delivery, purges }) => self.delivered(isolate, tier, &delivery, &purges, failure),
            None => {}
        }
    }
}
