//! What is stored without a load, and what is purged.

use super::*;

impl Sim {
    pub(super) fn insert(&mut self, key: u64) {
        let partition = self.partition(key);
        let (policy, tags) = (self.policy(), self.some_tags());
        let names: Vec<String> = tags.iter().map(|tag| TAGS[*tag].to_owned()).collect();
        let weight = (!self.random.one_in(10)).then(|| self.random.below(25) as u32);
        if weight.is_some() {
            self.purges.push(Purge::Key(key));
        }
        let id = self.origin(key, tags);
        let said = PolicyPatch::default();
        let value = NewValue {
            hash: Some(key as u32),
            policy: &policy,
            said: &said,
            tags: [&names, &[]],
            weight,
            absent: false,
            random: 0.0,
        };
        let known = self.by_key.get(&key).copied();
        let stored = self.machine.insert(known, partition, self.at(), &value);
        // What a value makes way for in its own slot is polled before it is written.
        self.drain();
        let good = lives(&policy.entry) && weight.is_some_and(|weight| weight <= HEAVIEST);
        assert_eq!(stored.is_some(), good, "step {}", self.step);
        if let Some(slot) = stored {
            self.place(key, slot);
            self.put(slot, Kept::Value(id));
            self.store(id, &policy.entry);
        }
    }

    pub(super) fn begin_write(&mut self, key: u64) {
        let partition = self.partition(key);
        let policy = self.policy();
        let slot = self.by_key.get(&key).copied();
        let may_vanish = self.timers == Timers::Own;
        let now = self.at();
        let write = WriteThrough {
            slot,
            hash: Some(key as u32),
            partition,
            now,
            policy: &policy,
            tags: &[],
            weight: Some(1),
            may_vanish,
            computes: false,
        };
        let (slot, id) = self.machine.begin_write(&write).expect("numbers are left");
        self.drain();
        self.place(key, slot);
        self.purges.push(Purge::Key(key));
        let origin = self.origin(key, Vec::new());
        let limit = match policy.hard_timeout {
            Ttl::Millis(millis) => millis.min(900_000),
            Ttl::Forever => 900_000,
        };
        let other = |write: &Write| {
            let purges = &self.purges[self.origins[&write.origin].began..];
            write.key == key || purges.iter().any(|purge| matches!(purge, Purge::Part(0)))
        };
        let may = self.writes.iter().any(other);
        let must = self.writes.iter().any(|write| other(write) && self.now <= write.abandoned_at);
        let doubtful = [may, must];
        self.writes.push(Write { origin, key, id, policy, abandoned_at: self.now + limit + 30_000, doubtful });
    }

    pub(super) fn end_write(&mut self, at: usize) {
        let write = self.writes.swap_remove(at);
        let tags = self.some_tags();
        let names: Vec<String> = tags.iter().map(|tag| TAGS[*tag].to_owned()).collect();
        if let Some(origin) = self.origins.get_mut(&write.origin) {
            origin.tags = tags;
        }
        let conflicted = self.purged_between(write.origin, self.origins[&write.origin].began, self.purges.len());
        let slot = self.by_key.get(&write.key).copied();
        let said = PolicyPatch::default();
        let now = self.at();
        let brought = LoadedValue {
            now,
            said: &said,
            tags: &names,
            weight: None,
            absent: false,
            skip: false,
            random: 0.0,
            age: 0,
        };
        let written = (!self.random.one_in(4)).then_some(&brought);
        let others = self.writes.iter().any(|other| other.key == write.key);
        let stored = self.machine.end_write(write.id, slot, now, written);
        self.drain();
        self.purges.push(Purge::Key(write.key));
        let policy = write.policy.entry;
        match stored {
            Some(slot) => {
                let conflicted = conflicted || write.doubtful[1];
                assert!(written.is_some() && !conflicted, "stored a write that conflicts, step {}", self.step);
                assert_eq!(self.by_key.get(&write.key), Some(&slot));
                self.put(slot, Kept::Value(write.origin));
                self.store(write.origin, &policy);
            }
            None => {
                let late = self.now > write.abandoned_at;
                let good = written.is_some() && !conflicted && !others && !late && !write.doubtful[0] && lives(&policy);
                assert!(!good, "did not store what was written, step {}", self.step);
            }
        }
    }

    pub(super) fn end_freshness(&mut self, purge: Purge) {
        let now = self.now;
        let hit: Vec<u64> = self.origins.iter().filter(|(_, o)| self.concerns(purge, o)).map(|(id, _)| *id).collect();
        for id in hit {
            let origin = self.origins.get_mut(&id).expect("it is known");
            if origin.fresh_until > now {
                let by = |end: u64| if end == FOREVER { FOREVER } else { end - (origin.fresh_until - now) };
                let (forever, was) = (origin.fresh_until == FOREVER, (origin.revalidate, origin.error));
                // After a freshness without end the windows' lengths are not known here: any end will do.
                (origin.revalidate, origin.error) = if forever { (FOREVER, FOREVER) } else { (by(was.0), by(was.1)) };
                origin.fresh_until = now;
            }
        }
    }

    pub(super) fn purge_tag(&mut self) {
        let part = self.random.below(PARTS.len() as u64) as usize;
        let tag = self.random.below(TAGS.len() as u64) as usize;
        let soft = self.random.one_in(2);
        let purge = Purge::Tag(part, tag);
        let in_memory = |sim: &Self| {
            let bears = |kept: &&Kept| matches!(kept, Kept::Value(id) if sim.concerns(purge, &sim.origins[id]));
            sim.kept.values().filter(bears).count()
        };
        let borne = in_memory(self);
        let now = self.at();
        self.purges.push(purge);
        match soft {
            true => {
                self.with_part(part, |machine, part| machine.expire_tag(part, TAGS[tag], now));
                self.end_freshness(purge);
            }
            false => {
                let hit = self.with_part(part, |machine, part| machine.remove_tag(part, TAGS[tag]));
                assert_eq!(hit, borne, "entries that bore the tag, step {}", self.step);
            }
        }
        self.drain();
        assert!(soft || in_memory(self) == 0, "a purged value is still there");
    }

    pub(super) fn clear(&mut self, part: usize) {
        self.purges.push(Purge::Part(part));
        if part == 0 {
            self.machine.clear();
            self.drain();
            self.slots.clear();
            self.by_key.clear();
            self.kept.clear();
            assert_eq!(self.machine.len(), 0);
        } else {
            self.with_part(part, |machine, part| machine.remove_within(part));
            self.drain();
            let held = self.with_part(part, |machine, part| machine.held_within(part).entries);
            assert_eq!(held, 0);
        }
    }
}
