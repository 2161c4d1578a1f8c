//! Loads that end, and waits.

use super::*;

impl Sim {
    /// A load ends with a value.
    pub(super) fn bring(&mut self, at: usize) {
        let mut said = PolicyPatch::new();
        if self.random.one_in(3) {
            said = said.ttl(self.ttl(60));
        }
        if self.random.one_in(3) {
            said = said.stale_if_error(self.ttl(60));
        }
        let more = if self.random.one_in(2) { self.some_tags() } else { Vec::new() };
        let weight = self.random.one_in(2).then(|| self.random.below(25) as u32);
        let skip = self.random.one_in(10);
        let load = &self.loads[at];
        let (id, key, flight, began, was_ended) = (load.id, load.key, load.flight, load.began, load.ended);
        let policy = load.policy.of_value(&said, false);
        let heavy = weight.or(load.weight);
        let names: Vec<String> = more.iter().map(|tag| TAGS[*tag].to_owned()).collect();
        let tags: Vec<usize> = load.tags.iter().copied().chain(more).collect();
        if let Some(origin) = self.origins.get_mut(&id).filter(|_| !was_ended) {
            origin.tags = tags;
        }
        let brought =
            LoadedValue { now: self.at(), said: &said, tags: &names, weight, absent: false, skip, random: 0.0, age: 0 };
        let settled = self.machine.brought(flight, &brought);
        self.drain();
        let mut again = Vec::new();
        while let Some(wait) = self.machine.poll_ask_again() {
            assert_eq!(wait.flight, flight);
            again.push(wait.group as usize);
        }
        assert_eq!(settled.outcome == LoadOutcome::FlightEnded, was_ended, "who has ended, step {}", self.step);
        if was_ended {
            return;
        }
        self.loads[at].ended = true;
        self.brought += 1;
        if settled.unknown_weight {
            assert!(heavy.is_none() && !skip);
            self.after_failure(at, settled.outcome);
            return;
        }
        let purged = self.purged_between(id, began, self.purges.len());
        let overdue = self.loads[at].queue.is_cut || self.loads.iter().any(|other| other.key == key && other.id > id);
        let written = self.writes.iter().any(|write| write.key == key);
        let heavy = heavy.unwrap_or(0) > HEAVIEST;
        match settled.outcome {
            LoadOutcome::Stored(slot) => {
                assert!(!skip && !heavy && lives(&policy), "stored what may not be, step {}", self.step);
                assert!(!purged, "stored what was purged, step {}", self.step);
                assert!(!self.is_written(key), "stored what may be from before a write, step {}", self.step);
                assert_eq!(self.by_key.get(&key), Some(&slot), "stored in another's slot");
                self.put(slot, Kept::Value(id));
                self.store(id, &policy);
            }
            LoadOutcome::NotStored => {
                let good = !skip && !heavy && lives(&policy) && !purged && !overdue && !written;
                assert!(!good, "did not store what may be, step {}", self.step);
            }
            other => panic!("{other:?}"),
        }
        for (group, waiters) in self.loads[at].groups.clone().into_iter().enumerate() {
            for waiter in waiters.into_iter().filter(|waiter| !self.waiters[*waiter].ended).collect::<Vec<_>>() {
                let asked = self.waiters[waiter].asked;
                let beaten = self.purged_between(id, began, asked);
                assert!(!beaten || again.contains(&group), "got what was purged before it asked, step {}", self.step);
                match again.contains(&group) {
                    true => self.ask_again(waiter),
                    false => self.ends_with_load(waiter),
                }
            }
        }
    }

    pub(super) fn ask_again(&mut self, waiter: usize) {
        self.again += 1;
        let Waiter { key, asked_at, counted, policy, asker, .. } = self.waiters[waiter];
        self.ends_with_load(waiter);
        // A batch's loader ends with its batch; a load's may go on.
        let asker = asker.filter(|asker| matches!(asker, Node::Flight(_)) || self.is_under_way(*asker));
        self.ask_as(key, policy, Vec::new(), false, Some((asked_at, counted)), asker);
    }

    pub(super) fn fail(&mut self, at: usize) {
        let backoff = self.random.one_in(3).then(|| Ttl::Millis(self.random.below(30)));
        let (flight, was_ended) = (self.loads[at].flight, self.loads[at].ended);
        let (may_retry, random) = (self.random.one_in(2), self.random.unit());
        let failure = Failure { now: self.at(), backoff, may_retry, random };
        let settled = self.machine.failed(flight, &failure);
        self.drain();
        if let LoadOutcome::RetryIn(millis) = settled.outcome {
            self.retries += 1;
            assert!(may_retry && !was_ended, "tried again what may not be, step {}", self.step);
            self.check_retry(at, millis);
            // Whether it is tried again, or fails for good before, is another step's business.
            return;
        }
        assert_eq!(settled.outcome == LoadOutcome::FlightEnded, was_ended);
        if !was_ended {
            self.loads[at].ended = true;
            self.brought += 1;
            if let LoadOutcome::FailureCached(slot) = settled.outcome {
                let policy = self.loads[at].policy.backoff(backoff);
                self.put(slot, Kept::Error(self.loads[at].id));
                self.store(self.loads[at].id, &EntryPolicy::of(policy));
            }
            self.after_failure(at, settled.outcome);
        }
    }

    /// A load is tried again only for those who can wait so long, and while it is its key's.
    pub(super) fn check_retry(&mut self, at: usize, millis: u64) {
        let load = &mut self.loads[at];
        load.attempts += 1;
        assert!(load.attempts < load.policy.retry.attempts, "one attempt too many, step {}", self.step);
        let background = load.background || load.policy.keep_loading;
        let (id, began, waiters) = (load.id, load.began, load.groups.concat());
        let mut cut = self.purges[began..].iter().filter(|purge| !matches!(purge, Purge::Tag(..)));
        assert!(!cut.any(|purge| self.concerns(*purge, &self.origins[&id])), "superseded, step {}", self.step);
        let next = self.now.saturating_add(millis);
        let in_time = waiters.iter().any(|waiter| next < self.waiters[*waiter].deadline);
        assert!(in_time || background, "nobody can wait so long, step {}", self.step);
        assert!(self.machine.may_try_again(self.loads[at].flight, self.at()), "it may, at once");
    }

    pub(super) fn after_failure(&mut self, at: usize, outcome: LoadOutcome) {
        let (id, key) = (self.loads[at].id, self.loads[at].key);
        match outcome {
            LoadOutcome::ServedStale(slot) => self.check_memory(slot, key, |origin| origin.error),
            LoadOutcome::FailureCached(slot) => {
                assert_eq!(self.by_key.get(&key), Some(&slot));
                assert!(!self.is_written(key), "remembered a failure during a write, step {}", self.step);
                // Errors bear no tags.
                self.origins.get_mut(&id).expect("it is known").tags.clear();
                if self.kept.get(&slot) != Some(&Kept::Error(id)) {
                    let policy = self.loads[at].policy.error_backoff;
                    self.put(slot, Kept::Error(id));
                    self.store(id, &EntryPolicy::of(policy));
                }
            }
            LoadOutcome::NotStored => {}
            other => panic!("{other:?}"),
        }
        for waiter in self.loads[at].groups.concat() {
            if !self.waiters[waiter].ended {
                self.ends_with_load(waiter);
            }
        }
    }

    /// The load's request is gone.
    pub(super) fn lose(&mut self, at: usize) {
        let was_ended = self.loads[at].ended;
        assert_eq!(self.machine.lost(self.loads[at].flight), !was_ended);
        self.drain();
        self.loads[at].ended = true;
        for waiter in self.loads[at].groups.concat() {
            if !self.waiters[waiter].ended {
                self.ask_again(waiter);
            }
        }
    }

    pub(super) fn load_of(&self, wait: WaitId) -> usize {
        self.loads.iter().position(|load| load.flight == wait.flight).expect("a load that began")
    }

    /// A waiter leaves, by its own will or at its deadline.
    pub(super) fn leave(&mut self, waiter: usize) {
        let Waiter { wait, deadline, asker, .. } = self.waiters[waiter];
        let at = self.load_of(wait);
        self.waiters[waiter].ended = true;
        let last = match self.now >= deadline {
            true => self.machine.time_out(wait, Who::Caller(asker)),
            false => self.machine.leave(wait, Who::Caller(asker)),
        };
        self.drain();
        let waiters = self.loads[at].groups.concat();
        if last {
            assert!(waiters.iter().all(|waiter| self.waiters[*waiter].ended), "ended under a waiter");
            self.loads[at].ended = true;
        }
    }

    /// The timer rings, perhaps late.
    pub(super) fn ring(&mut self) {
        while let Some(wake) = self.machine.timeout(self.at()) {
            self.drain();
            match wake {
                Wake::Soft(wait) => self.soften(wait),
                Wake::TimedOut { wait, last } => {
                    let at = self.load_of(wait);
                    for waiter in self.loads[at].groups[wait.group as usize].clone() {
                        let Waiter { ended, deadline, .. } = self.waiters[waiter];
                        assert!(ended || self.now >= deadline, "woken before its time");
                        if !ended {
                            self.waits_no_more(waiter);
                        }
                    }
                    if last {
                        let waiters = self.loads[at].groups.concat();
                        assert!(waiters.iter().all(|waiter| self.waiters[*waiter].ended), "ended under a waiter");
                        self.loads[at].ended = true;
                    }
                }
            }
        }
        if self.timers == Timers::Shared {
            let late = |waiter: &Waiter| !waiter.ended && waiter.deadline <= self.now;
            assert!(!self.waiters.iter().any(late), "a waiter was not woken, step {}", self.step);
        }
    }

    pub(super) fn soften(&mut self, wait: WaitId) {
        let at = self.load_of(wait);
        let key = self.loads[at].key;
        let slot = self.by_key.get(&key).copied();
        let waiters: Vec<usize> = self.loads[at].groups[wait.group as usize].clone();
        let waiting = waiters.iter().filter(|waiter| !self.waiters[**waiter].ended).count() as u32;
        assert_eq!(self.machine.callers(wait), waiting, "callers, step {}", self.step);
        let softened = self.machine.soften(wait, waiting, slot, self.at(), true);
        self.drain();
        if softened != Softened::No {
            let slot = slot.expect("a value that will do");
            self.check_memory(slot, key, |origin| origin.revalidate.max(origin.error).max(origin.fresh_until));
            for waiter in waiters {
                if !self.waiters[waiter].ended {
                    self.waits_no_more(waiter);
                }
            }
            assert_ne!(softened, Softened::Ended, "the cache itself waits");
        }
    }

    /// As `soften`, of one who has a timer of its own.
    pub(super) fn soften_one(&mut self, waiter: usize) {
        let Waiter { key, wait, .. } = self.waiters[waiter];
        let slot = self.by_key.get(&key).copied();
        let softened = self.machine.soften(wait, 1, slot, self.at(), false);
        self.drain();
        if softened != Softened::No {
            self.check_memory(slot.expect("a value"), key, |o| o.revalidate.max(o.error).max(o.fresh_until));
            self.waits_no_more(waiter);
            if softened == Softened::Ended {
                let at = self.load_of(wait);
                self.loads[at].ended = true;
                assert!(self.loads[at].groups.concat().iter().all(|w| self.waiters[*w].ended), "ended under a waiter");
            }
        }
    }
}
