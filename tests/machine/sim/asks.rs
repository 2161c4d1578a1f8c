//! Gets, and loads that begin.

use super::*;

impl Sim {
    pub(super) fn get(&mut self, key: u64) {
        self.gets += 1;
        match self.by_key.get(&key).copied() {
            None => {
                let namespace = if PARTS[part_of(key)].0 { self.namespace } else { 0 };
                self.machine.miss(namespace, self.at());
            }
            Some(slot) => {
                let fresh = match self.kept.get(&slot) {
                    Some(Kept::Value(id)) => self.now < self.origins[id].fresh_until.min(self.origins[id].idle_until()),
                    _ => false,
                };
                let sure = |machine: &Machine, now: u64| (now as f64) < machine.fresh_until()[slot.index()];
                if self.random.one_in(2) && sure(&self.machine, self.now) {
                    // As a driver does that sees the columns.
                    assert!(fresh, "a column says what is not so, step {}", self.step);
                    let Some(Kept::Value(id)) = self.kept.get(&slot) else { panic!("no value there") };
                    assert_eq!(self.origins[id].idle, Ttl::Forever, "a use would go unnoticed, step {}", self.step);
                    self.machine.note_hit(slot);
                    self.machine.count_hits(0, 1);
                    return;
                }
                let touched = self.machine.touch(slot, self.at());
                assert_eq!(touched == Touched::Hit, fresh, "step {}", self.step);
                if fresh {
                    self.check_memory(slot, key, |origin| origin.fresh_until);
                }
            }
        }
        self.drain();
    }

    pub(super) fn ask(&mut self, key: u64) {
        self.gets += 1;
        let policy = self.policy();
        let tags = self.some_tags();
        let fresh = self.random.one_in(6);
        let asker = self.random.one_in(3).then(|| self.some_asker()).flatten();
        self.ask_as(key, policy, tags, fresh, None, asker);
    }

    pub(super) fn ask_as(
        &mut self,
        key: u64,
        policy: Policy,
        tags: Vec<usize>,
        force_fresh: bool,
        before: Option<(u64, Counted)>,
        asker: Option<Node>,
    ) {
        let partition = self.partition(key);
        let known = self.by_key.get(&key).copied();
        let names: Vec<String> = tags.iter().map(|tag| TAGS[*tag].to_owned()).collect();
        let weight = self.random.one_in(2).then(|| self.random.below(25) as u32);
        let asked_at = before.map_or(self.now, |(at, _)| at);
        let ask = Ask {
            hash: Some(key as u32),
            slot: known,
            partition,
            now: self.at(),
            asked_at: Timestamp::from_millis(asked_at),
            again: before.map(|(_, counted)| counted),
            policy: &policy,
            tags: &names,
            weight,
            force_fresh,
            invalid: false,
            background: true,
            detached: false,
            batched: false,
            random: Some(1.0 - self.random.unit()),
            asker,
        };
        let attached = known.and_then(|slot| self.machine.flight_of(slot)).filter(|_| asker.is_some());
        let waiting = self.loads.iter().position(|load| Some(load.flight) == attached && load.queue.waits);
        let is_circle = self.closes_circle(attached, asker);
        let answer = self.machine.ask(&ask);
        if let (Some(at), Answer::Join(_)) = (waiting, answer) {
            self.loads[at].queue.is_inner = true;
        }
        self.drain();
        // Of what would have closed a circle something may have ended just now, or the load lost its key.
        let is_circle_still = self.closes_circle(attached, asker) && !self.has_abandoned_write(key);
        match answer {
            Answer::Recursive => assert!(is_circle, "refused without a circle, step {}", self.step),
            Answer::Join(_) | Answer::StartLoad(..) | Answer::Refused(_) => {
                assert!(!is_circle_still, "a circle was not seen, step {}", self.step);
            }
            _ => {}
        }
        let deadline = match policy.hard_timeout {
            Ttl::Millis(millis) => asked_at + millis,
            Ttl::Forever => FOREVER,
        };
        match answer {
            Answer::Hit(slot) => self.check_memory(slot, key, |origin| origin.fresh_until),
            Answer::Stale(slot, _) => self.check_memory(slot, key, |origin| origin.revalidate.max(origin.error)),
            Answer::Failed(slot) => {
                let Some(Kept::Error(id)) = self.kept.get(&slot) else { panic!("no error there") };
                assert_eq!(self.origins[id].key, key, "somebody else's error");
                assert!(self.now < self.origins[id].fresh_until, "an error past its backoff");
            }
            Answer::Refresh { slot, flight, stale } => {
                self.check_memory(slot, key, |origin| if stale { origin.revalidate } else { origin.fresh_until });
                self.lead(key, flight, policy, tags, weight, Vec::new(), deadline, asker.is_some());
            }
            Answer::StartLoad(slot, flight, _) => {
                assert!(known.is_none_or(|known| known == slot), "the key's slot changed, step {}", self.step);
                self.place(key, slot);
                let wait = WaitId { flight, group: 0 };
                let waiter = self.wait(key, asked_at, deadline, wait, Counted::Miss, policy, asker);
                self.lead(key, flight, policy, tags, weight, vec![waiter], deadline, asker.is_some());
            }
            Answer::Join(wait) => {
                let until = self.joinable_until(&self.loads[self.load_of(wait)]);
                assert!(self.now < until, "joined a load that is overdue, step {}", self.step);
                let waiter = self.wait(key, asked_at, deadline, wait, Counted::Coalesced, policy, asker);
                if let Some(at) = waiting {
                    // It may have begun by this very join.
                    self.loads[at].leader_deadline = self.loads[at].leader_deadline.max(deadline);
                }
                let own = self.timers == Timers::Own;
                let load = self.loads.iter_mut().find(|load| load.flight == wait.flight).expect("a load that began");
                assert_eq!(load.key, key, "joined another key's load");
                assert!(!load.ended, "joined a load that has ended");
                let group = wait.group as usize;
                assert!(group <= load.groups.len(), "a group was left out");
                if group == load.groups.len() {
                    load.groups.push(Vec::new());
                }
                let same = load.groups[group].iter().all(|other| {
                    let other = &self.waiters[*other];
                    other.deadline == deadline || other.ended
                });
                assert!(same || own, "a group with two deadlines");
                load.groups[group].push(waiter);
                // Keys' purges cut loads loose at once.
                let load = &self.loads[self.load_of(wait)];
                let purges = &self.purges[load.began..];
                assert!(!self.is_cut(load), "joined a superseded load, step {} {purges:?} key {key}", self.step);
            }
            Answer::Recursive => {
                self.circles += 1;
                // Who asks again stays what it was counted as.
                self.gets -= u64::from(before.is_none());
            }
            Answer::TimedOut => assert!(before.is_some() && self.now >= deadline),
            Answer::Refused(_) => {
                let waiting = self.loads.iter().filter(|load| load.queue.waits && !load.ended).count();
                assert!(waiting >= self.limits.max_queued as usize, "refused with room, step {}", self.step);
                self.refused += 1;
            }
            Answer::Full => panic!("there are numbers left"),
        }
    }

    /// A load or a batch whose loader asks: now and then one that goes on though its flight has ended.
    fn some_asker(&mut self) -> Option<Node> {
        let late = self.random.one_in(8);
        let may_ask = |load: &&Load| !load.queue.waits && load.ended == late;
        let loads = self.loads.iter().filter(may_ask).map(|load| Node::Flight(load.flight));
        let called = self.batches.iter().filter(|batch| !batch.is_open).map(|batch| Node::Batch(batch.id));
        let askers: Vec<Node> = loads.chain(called).collect();
        (!askers.is_empty()).then(|| askers[self.random.below(askers.len() as u64) as usize])
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of a wait")]
    pub(super) fn wait(
        &mut self,
        key: u64,
        asked_at: u64,
        deadline: u64,
        wait: WaitId,
        counted: Counted,
        policy: Policy,
        asker: Option<Node>,
    ) -> usize {
        let asked = self.purges.len();
        self.waiters.push(Waiter { key, asked, asked_at, deadline, wait, counted, policy, asker, ended: false });
        self.waiters.len() - 1
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of a load")]
    pub(super) fn lead(
        &mut self,
        key: u64,
        flight: FlightId,
        policy: Policy,
        tags: Vec<usize>,
        weight: Option<u32>,
        leader: Vec<usize>,
        leader_deadline: u64,
        is_inner: bool,
    ) {
        // Rule 1.
        for other in self.loads.iter().filter(|load| load.key == key && !load.ended) {
            let superseded = self.is_cut(other);
            assert!(
                superseded || self.has_abandoned_write(key) || self.now >= self.joinable_until(other),
                "two live loads for a key, step {}",
                self.step
            );
        }
        let id = self.origin(key, tags.clone());
        let began = self.purges.len();
        let (background, ended, attempts) = (leader.is_empty(), false, 0);
        let groups = vec![leader];
        let queue = Queueing { waits: self.machine.is_queued(flight), is_inner, is_cut: false };
        if !queue.waits && !is_inner {
            self.starts.push(self.now);
        }
        self.loads.push(Load {
            id,
            key,
            flight,
            policy,
            tags,
            weight,
            groups,
            began,
            leader_deadline,
            ended,
            attempts,
            background,
            queue,
        });
        // Where loads are limited a batch's call has a turn, of which tests/machine/queue.rs knows.
        if self.limits == LoadLimits::new() && self.random.one_in(3) {
            self.join_batch(flight);
        }
    }

    /// Whether a write of the key counts as abandoned: it takes the key with it.
    fn has_abandoned_write(&self, key: u64) -> bool {
        self.writes.iter().any(|write| write.key == key && self.now > write.abandoned_at)
    }

    /// Whether a write of the key is certainly under way, and has not lost its key to a clear: then all that is stored
    /// goes at its end.
    pub(super) fn is_written(&self, key: u64) -> bool {
        let cleared = |write: &Write| {
            let purges = &self.purges[self.origins[&write.origin].began..];
            purges.iter().any(|purge| matches!(purge, Purge::Part(0)))
        };
        self.writes.iter().any(|write| write.key == key && self.now <= write.abandoned_at && !cleared(write))
    }
}
