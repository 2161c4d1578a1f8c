//! Purges, as pkg/src/tiers/writer.ts tells them to tiers.

use std::rc::Rc;

use nearcache::core::Part;
use nearcache::tier::{Delivery, Failure, Purge};

use super::calls::{Call, Then};
use super::isolate::{Key, OwnPurge};
use super::world::World;

impl World {
    /// The source has new versions, and an isolate purges what is cached of the old ones.
    pub fn purge(&mut self, isolate: usize, key: Key) {
        let now = self.now;
        let tag = self.tags[key as usize].first().cloned();
        let first = key / 10 * 10;
        let keys = match tag {
            Some(_) => first..(first + 10).min(self.scenario.keys as Key),
            None => key..key + 1,
        };
        let keys: Vec<_> = keys.map(|key| (key, self.truth.update(now, key))).collect();
        let one = &mut self.isolates[isolate];
        let clock = one.clock(now);
        let (purge, mark) = match &tag {
            Some(tag) => (Purge::Tag(tag), self.part.tag_mark(tag)),
            None => (Purge::Key(&self.keys[key as usize]), self.part.key_mark(&self.keys[key as usize])),
        };
        match &tag {
            Some(tag) => drop(one.machine.remove_tag(Part { namespace: 0, scope: "" }, tag)),
            None => one.slots.get(&key).copied().into_iter().for_each(|slot| one.machine.remove(slot)),
        }
        one.drain();
        one.chain.purge(clock, &self.part, purge);
        for (key, version) in &keys {
            one.purged.insert(*key, (*version, now));
        }
        let (first, count) = (keys[0].0, keys.len());
        let own = Rc::new(OwnPurge { mark, keys });
        one.untold.iter_mut().for_each(|untold| untold.push(own.clone()));
        self.deliver(isolate);
        if self.scenario.log {
            self.append(isolate, first, count);
        }
    }

    /// Tells tiers what they have not been told.
    pub fn deliver(&mut self, isolate: usize) {
        for tier in 0..self.scenario.tiers.len() {
            let one = &mut self.isolates[isolate];
            if one.telling[tier] || !one.chain.owes(tier) {
                continue;
            }
            let now = one.clock(self.now);
            let Some(delivery) = one.chain.poll_delivery(tier, now) else { continue };
            one.telling[tier] = true;
            let is_told = |purge: &Rc<OwnPurge>| delivery.marks.iter().any(|(name, _)| *name == purge.mark);
            let purges = one.untold[tier].iter().filter(|purge| is_told(purge)).cloned().collect();
            let marks =
                delivery.marks.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice().into(), delivery.ttl));
            let mut calls = vec![Call::Set(marks.collect())];
            if !delivery.deletes.is_empty() {
                calls.push(Call::Delete(delivery.deletes.clone()));
            }
            let timeout = self.timeout(tier);
            self.send(isolate, tier, calls, timeout, Then::Delivered { delivery, purges });
        }
    }

    pub fn delivered(
        &mut self,
        isolate: usize,
        tier: usize,
        delivery: &Delivery,
        purges: &[Rc<OwnPurge>],
        failure: Option<Failure>,
    ) {
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        one.telling[tier] = false;
        one.chain.handle_delivered(tier, now, delivery, failure);
        if failure.is_some() {
            return;
        }
        one.untold[tier].retain(|purge| !purges.iter().any(|told| Rc::ptr_eq(told, purge)));
        for (key, version) in purges.iter().flat_map(|purge| &purge.keys) {
            self.truth.told(self.now, tier, one.place, *key, *version);
        }
        self.deliver(isolate);
    }
}
