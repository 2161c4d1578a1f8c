//! The machine under random calls in virtual time, driven as both drivers drive it: with one timer for all waits, and
//! with waits that end themselves or vanish. Drivers are late, time leaps over several deadlines, loads end after
//! everybody has left. A model knows what each value is and what was purged when; the rules are checked at each step.
//! `SEED=n` (at compile time) picks the run, `STEPS=n` how long it is.

#[path = "common/random.rs"]
mod random;

use std::collections::HashMap;

use nearcache::core::{
    Answer, Ask, Brought, Counted, EvictionPolicy, FlightId, Machine, NewValue, Node, Outcome, Part, PartitionId, Slot,
    Softened, Timers, Touched, WaitId, Wake, Who, WriteId, WriteThrough, join_scope,
};
use nearcache::options::{EntryPolicy, Limits, Policy, PolicyPatch};
use nearcache::{Timestamp, Ttl};
use random::{Random, seed};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const KEYS: u64 = 20;
const MAX_ENTRIES: u64 = 6;
const MAX_BYTES: u64 = 40;
const HEAVIEST: u32 = 20;
const TAGS: [&str; 3] = ["red", "green", "blue"];
const FOREVER: u64 = u64::MAX;

/// Key `k` lies in part `k % 5`: the root, a namespace, a scope, both, and a scope within both.
const PARTS: [(bool, u8); 5] = [(false, 0), (true, 0), (false, 1), (true, 1), (true, 2)];

fn is_within(inner: usize, outer: usize) -> bool {
    let ((inner_ns, inner_scope), (ns, scope)) = (PARTS[inner], PARTS[outer]);
    (inner_ns || !ns) && inner_scope >= scope
}

fn part_of(key: u64) -> usize {
    (key % PARTS.len() as u64) as usize
}

/// What a driver keeps in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Value(u64),
    Error(u64),
}

/// Something that takes back, or takes the place of, what began before it.
#[derive(Clone, Copy, Debug)]
enum Purge {
    Key(u64),
    Part(usize),
    Tag(usize, usize),
}

/// A value or an error, by its number.
#[derive(Clone)]
struct Origin {
    key: u64,
    /// How many purges there had been when its load or write began, or it was inserted.
    began: usize,
    tags: Vec<usize>,
    /// Set when it is stored.
    fresh_until: u64,
    revalidate: u64,
    error: u64,
}

struct Load {
    id: u64,
    key: u64,
    flight: FlightId,
    policy: Policy,
    tags: Vec<usize>,
    weight: Option<u32>,
    /// By group.
    groups: Vec<Vec<usize>>,
    began: usize,
    leader_deadline: u64,
    /// The driver has been told that it has ended.
    ended: bool,
}

struct Waiter {
    key: u64,
    asked: usize,
    asked_at: u64,
    deadline: u64,
    wait: WaitId,
    counted: Counted,
    policy: Policy,
    ended: bool,
}

struct Write {
    origin: u64,
    key: u64,
    id: WriteId,
    policy: Policy,
    /// The moment after which it may count as abandoned.
    abandoned_at: u64,
    /// It began while another write of the key was under way, or one of any key from before a clear, since nobody knows
    /// which key that was of: as far as that other one may, and as far as it must count.
    doubtful: [bool; 2],
}

struct Sim {
    random: Random,
    timers: Timers,
    machine: Machine,
    now: u64,
    step: u64,
    namespace: u8,
    slots: HashMap<Slot, u64>,
    by_key: HashMap<u64, Slot>,
    kept: HashMap<Slot, Kept>,
    origins: HashMap<u64, Origin>,
    loads: Vec<Load>,
    waiters: Vec<Waiter>,
    writes: Vec<Write>,
    purges: Vec<Purge>,
    next: u64,
    gets: u64,
    /// Loads that ended with a value or an error.
    brought: u64,
    stored: u64,
    again: u64,
    /// Where the columns lay that a driver may see, and by what version.
    columns: Option<([usize; 2], u32)>,
}

impl Sim {
    fn new(seed: u64, timers: Timers) -> Self {
        let limits = Limits::new(MAX_ENTRIES, MAX_BYTES, u64::from(HEAVIEST));
        let mut machine = match seed % 2 {
            0 => Machine::new(limits, Ttl::Millis(30), timers),
            _ => Machine::with_eviction(limits, Ttl::Millis(30), timers, EvictionPolicy::Adaptive),
        };
        let namespace = machine.namespace(0, "a").expect("there is room for one");
        Self {
            random: Random(seed),
            timers,
            machine,
            now: 1_000,
            step: 0,
            namespace,
            slots: HashMap::new(),
            by_key: HashMap::new(),
            kept: HashMap::new(),
            origins: HashMap::new(),
            loads: Vec::new(),
            waiters: Vec::new(),
            writes: Vec::new(),
            purges: Vec::new(),
            next: 0,
            gets: 0,
            brought: 0,
            stored: 0,
            again: 0,
            columns: None,
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn with_part<T>(&mut self, part: usize, f: impl FnOnce(&mut Machine, Part<'_>) -> T) -> T {
        let (namespaced, depth) = PARTS[part];
        let scope = match depth {
            0 => String::new(),
            1 => join_scope("", "u"),
            _ => join_scope(&join_scope("", "u"), "v"),
        };
        let namespace = if namespaced { self.namespace } else { 0 };
        f(&mut self.machine, Part { namespace, scope: &scope })
    }

    fn partition(&mut self, key: u64) -> PartitionId {
        self.with_part(part_of(key), |machine, part| machine.open_partition(part).expect("numbers are left"))
    }

    /// Everything that the machine says without being asked.
    fn drain(&mut self) {
        while let Some(removal) = self.machine.poll_removal() {
            let kept = self.kept.remove(&removal.slot);
            assert_eq!(
                removal.cause.is_some(),
                matches!(kept, Some(Kept::Value(_))),
                "a cause without a value, or the reverse"
            );
            if removal.key_removed {
                let key = self.slots.remove(&removal.slot).expect("the slot had a key");
                assert_eq!(self.by_key.remove(&key), Some(removal.slot));
            }
        }
        while let Some(flight) = self.machine.poll_ended() {
            assert_eq!(self.timers, Timers::Own, "with one timer nothing is swept");
            let load = self.loads.iter_mut().find(|load| load.flight == flight).expect("a load that began");
            assert!(!load.ended, "ended twice");
            load.ended = true;
            let (now, waiters) = (self.now, load.groups.concat());
            for waiter in waiters {
                assert!(self.waiters[waiter].ended || self.waiters[waiter].deadline < now, "swept under a waiter");
            }
        }
    }

    /// A slot that the machine gave to a key.
    fn place(&mut self, key: u64, slot: Slot) {
        match self.slots.insert(slot, key) {
            None => assert_eq!(self.by_key.insert(key, slot), None, "the key had another slot"),
            Some(other) => assert_eq!(other, key, "the slot was another key's"),
        }
    }

    fn put(&mut self, slot: Slot, kept: Kept) {
        self.kept.insert(slot, kept);
    }

    fn ttl(&mut self, below: u64) -> Ttl {
        match self.random.below(8) {
            0 => Ttl::Forever,
            _ => Ttl::Millis(self.random.below(below)),
        }
    }

    fn policy(&mut self) -> Policy {
        let mut said = PolicyPatch::new().ttl(self.ttl(60)).error_backoff(Ttl::ZERO);
        if self.random.one_in(2) {
            said = said.stale_while_revalidate(self.ttl(40));
        }
        if self.random.one_in(2) {
            said = said.stale_if_error(self.ttl(60));
        }
        if self.random.one_in(3) {
            said = said.refresh_ahead(1.0);
        }
        if self.random.one_in(2) {
            said = said.error_backoff(Ttl::Millis(self.random.below(30)));
        }
        if self.random.one_in(2) {
            said = said.soft_timeout(Ttl::Millis(self.random.below(30)));
        }
        let hard = if self.random.one_in(8) { Ttl::Forever } else { Ttl::Millis(1 + self.random.below(80)) };
        Policy::default().patched(&said.hard_timeout(hard))
    }

    fn some_tags(&mut self) -> Vec<usize> {
        let bits = if self.random.one_in(2) { 0 } else { self.random.below(8) };
        (0..TAGS.len()).filter(|tag| bits & (1 << tag) != 0).collect()
    }

    fn origin(&mut self, key: u64, tags: Vec<usize>) -> u64 {
        self.next += 1;
        let began = self.purges.len();
        let origin = Origin { key, began, tags, fresh_until: 0, revalidate: 0, error: 0 };
        self.origins.insert(self.next, origin);
        self.next
    }

    /// What was said of a value that is now stored.
    fn store(&mut self, id: u64, policy: &EntryPolicy) {
        self.stored += 1;
        let now = self.now;
        let origin = self.origins.get_mut(&id).expect("it is known");
        let end = |from: u64, ttl: Ttl| match ttl {
            Ttl::Millis(millis) => from.saturating_add(millis),
            Ttl::Forever => FOREVER,
        };
        origin.fresh_until = end(now, policy.ttl);
        origin.revalidate = end(origin.fresh_until, policy.stale_while_revalidate);
        origin.error = end(origin.fresh_until, policy.stale_if_error);
    }

    /// Whether a purge concerns a value of these tags.
    fn concerns(&self, purge: Purge, origin: &Origin) -> bool {
        match purge {
            Purge::Key(key) => key == origin.key,
            Purge::Part(part) => is_within(part_of(origin.key), part),
            Purge::Tag(part, tag) => is_within(part_of(origin.key), part) && origin.tags.contains(&tag),
        }
    }

    fn purged_between(&self, id: u64, from: usize, to: usize) -> bool {
        let origin = &self.origins[&id];
        self.purges[from..to].iter().any(|purge| self.concerns(*purge, origin))
    }

    /// Rules 3 and 4 for what comes from memory.
    fn check_memory(&self, slot: Slot, key: u64, last: impl Fn(&Origin) -> u64) {
        let Some(Kept::Value(id)) = self.kept.get(&slot) else { panic!("no value there, step {}", self.step) };
        let origin = &self.origins[id];
        assert_eq!(origin.key, key, "somebody else's value, step {}", self.step);
        assert!(self.now < last(origin), "past its end, step {}: {} {}", self.step, self.now, last(origin));
    }

    fn get(&mut self, key: u64) {
        self.gets += 1;
        match self.by_key.get(&key).copied() {
            None => {
                let namespace = if PARTS[part_of(key)].0 { self.namespace } else { 0 };
                self.machine.miss(namespace, self.at());
            }
            Some(slot) => {
                let fresh = match self.kept.get(&slot) {
                    Some(Kept::Value(id)) => self.now < self.origins[id].fresh_until,
                    _ => false,
                };
                let sure = |machine: &Machine, now: u64| (now as f64) < machine.fresh_until()[slot.index()];
                if self.random.one_in(2) && sure(&self.machine, self.now) {
                    // As a driver does that sees the columns.
                    assert!(fresh, "a column says what is not so, step {}", self.step);
                    self.machine.note_hit(slot);
                    self.machine.count_hits(0, 1);
                    return;
                }
                let touched = self.machine.touch(slot, self.at());
                assert_eq!(touched == Touched::Hit, fresh, "step {}", self.step);
            }
        }
        self.drain();
    }

    fn ask(&mut self, key: u64) {
        self.gets += 1;
        let policy = self.policy();
        let tags = self.some_tags();
        let fresh = self.random.one_in(6);
        let asker = match self.random.one_in(4) {
            true => self.loads.iter().filter(|load| !load.ended).map(|load| load.flight).next_back(),
            false => None,
        };
        self.ask_as(key, policy, tags, fresh, None, asker);
    }

    fn ask_as(
        &mut self,
        key: u64,
        policy: Policy,
        tags: Vec<usize>,
        force_fresh: bool,
        before: Option<(u64, Counted)>,
        asker: Option<FlightId>,
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
            background: true,
            detached: false,
            random: Some(1.0 - self.random.unit()),
            asker: asker.map(Node::Flight),
        };
        let answer = self.machine.ask(&ask);
        self.drain();
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
                self.lead(key, flight, policy, tags, weight, Vec::new(), deadline);
            }
            Answer::Lead(slot, flight, _) => {
                assert!(known.is_none_or(|known| known == slot), "the key's slot changed, step {}", self.step);
                self.place(key, slot);
                let wait = WaitId { flight, group: 0 };
                let waiter = self.wait(key, asked_at, deadline, wait, Counted::Miss, policy);
                self.lead(key, flight, policy, tags, weight, vec![waiter], deadline);
            }
            Answer::Join(wait) => {
                let waiter = self.wait(key, asked_at, deadline, wait, Counted::Coalesced, policy);
                let (now, own) = (self.now, self.timers == Timers::Own);
                let load = self.loads.iter_mut().find(|load| load.flight == wait.flight).expect("a load that began");
                assert_eq!(load.key, key, "joined another key's load");
                assert!(!load.ended, "joined a load that has ended");
                assert!(now < load.leader_deadline, "joined a load that is overdue");
                let (id, began) = (load.id, load.began);
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
                let cut = self.purges[began..].iter().any(|purge| match purge {
                    Purge::Tag(..) => false,
                    purge => self.concerns(*purge, &self.origins[&id]),
                });
                assert!(
                    !cut,
                    "joined a superseded load, step {} {:?} key {key} load {id}",
                    self.step,
                    &self.purges[began..]
                );
            }
            Answer::Recursive => {
                assert!(asker.is_some());
                self.gets -= 1;
            }
            Answer::TimedOut => assert!(before.is_some() && self.now >= deadline),
            Answer::Full => panic!("there are numbers left"),
        }
    }

    fn wait(
        &mut self,
        key: u64,
        asked_at: u64,
        deadline: u64,
        wait: WaitId,
        counted: Counted,
        policy: Policy,
    ) -> usize {
        let asked = self.purges.len();
        self.waiters.push(Waiter { key, asked, asked_at, deadline, wait, counted, policy, ended: false });
        self.waiters.len() - 1
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of a load")]
    fn lead(
        &mut self,
        key: u64,
        flight: FlightId,
        policy: Policy,
        tags: Vec<usize>,
        weight: Option<u32>,
        leader: Vec<usize>,
        leader_deadline: u64,
    ) {
        // Rule 1.
        for other in self.loads.iter().filter(|load| load.key == key && !load.ended) {
            let superseded = self.purges[other.began..].iter().any(|purge| match purge {
                Purge::Tag(..) => false,
                purge => self.concerns(*purge, &self.origins[&other.id]),
            });
            // One that counts as abandoned takes its key with it.
            let abandoned = self.writes.iter().any(|write| write.key == key && self.now > write.abandoned_at);
            assert!(
                superseded || abandoned || self.now >= other.leader_deadline,
                "two live loads for a key, step {}",
                self.step
            );
        }
        let id = self.origin(key, tags.clone());
        let began = self.purges.len();
        let groups = vec![leader];
        self.loads.push(Load { id, key, flight, policy, tags, weight, groups, began, leader_deadline, ended: false });
    }

    /// Whether a write of the key is certainly under way, and has not lost its key to a clear: then all that is stored
    /// goes at its end.
    fn is_written(&self, key: u64) -> bool {
        let cleared = |write: &Write| {
            let purges = &self.purges[self.origins[&write.origin].began..];
            purges.iter().any(|purge| matches!(purge, Purge::Part(0)))
        };
        self.writes.iter().any(|write| write.key == key && self.now <= write.abandoned_at && !cleared(write))
    }

    /// A load ends with a value.
    fn bring(&mut self, at: usize) {
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
        let brought = Brought { now: self.at(), said: &said, tags: &names, weight, absent: false, skip, random: 0.0 };
        let settled = self.machine.brought(flight, &brought);
        self.drain();
        let mut again = Vec::new();
        while let Some(wait) = self.machine.poll_ask_again() {
            assert_eq!(wait.flight, flight);
            again.push(wait.group as usize);
        }
        assert_eq!(settled.outcome == Outcome::FlightEnded, was_ended, "who has ended, step {}", self.step);
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
        let overdue = self.loads.iter().any(|other| other.key == key && other.id > id);
        let written = self.writes.iter().any(|write| write.key == key);
        let heavy = heavy.unwrap_or(0) > HEAVIEST;
        match settled.outcome {
            Outcome::Stored(slot) => {
                assert!(!skip && !heavy && policy.ttl != Ttl::ZERO, "stored what may not be, step {}", self.step);
                assert!(!purged, "stored what was purged, step {}", self.step);
                assert!(!self.is_written(key), "stored what may be from before a write, step {}", self.step);
                assert_eq!(self.by_key.get(&key), Some(&slot), "stored in another's slot");
                self.put(slot, Kept::Value(id));
                self.store(id, &policy);
            }
            Outcome::NotStored => {
                let good = !skip && !heavy && policy.ttl != Ttl::ZERO && !purged && !overdue && !written;
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
                    false => self.waiters[waiter].ended = true,
                }
            }
        }
    }

    fn ask_again(&mut self, waiter: usize) {
        self.again += 1;
        let Waiter { key, asked_at, counted, policy, .. } = self.waiters[waiter];
        self.waiters[waiter].ended = true;
        self.ask_as(key, policy, Vec::new(), false, Some((asked_at, counted)), None);
    }

    fn fail(&mut self, at: usize) {
        let backoff = self.random.one_in(3).then(|| Ttl::Millis(self.random.below(30)));
        let (flight, was_ended) = (self.loads[at].flight, self.loads[at].ended);
        let settled = self.machine.failed(flight, self.at(), backoff);
        self.drain();
        assert_eq!(settled.outcome == Outcome::FlightEnded, was_ended);
        if !was_ended {
            self.loads[at].ended = true;
            self.brought += 1;
            if let Outcome::FailureCached(slot) = settled.outcome {
                let policy = self.loads[at].policy.backoff(backoff);
                self.put(slot, Kept::Error(self.loads[at].id));
                self.store(self.loads[at].id, &EntryPolicy::of(policy));
            }
            self.after_failure(at, settled.outcome);
        }
    }

    fn after_failure(&mut self, at: usize, outcome: Outcome) {
        let (id, key) = (self.loads[at].id, self.loads[at].key);
        match outcome {
            Outcome::Rescued(slot) => self.check_memory(slot, key, |origin| origin.error),
            Outcome::FailureCached(slot) => {
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
            Outcome::NotStored => {}
            other => panic!("{other:?}"),
        }
        for waiter in self.loads[at].groups.concat() {
            self.waiters[waiter].ended = true;
        }
    }

    /// The load's request is gone.
    fn lose(&mut self, at: usize) {
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

    fn load_of(&self, wait: WaitId) -> usize {
        self.loads.iter().position(|load| load.flight == wait.flight).expect("a load that began")
    }

    /// A waiter leaves, by its own will or at its deadline.
    fn leave(&mut self, waiter: usize) {
        let Waiter { wait, deadline, .. } = self.waiters[waiter];
        let at = self.load_of(wait);
        self.waiters[waiter].ended = true;
        let last = match self.now >= deadline {
            true => self.machine.time_out(wait, Who::Caller(None)),
            false => self.machine.leave(wait, Who::Caller(None)),
        };
        self.drain();
        let waiters = self.loads[at].groups.concat();
        if last {
            assert!(waiters.iter().all(|waiter| self.waiters[*waiter].ended), "ended under a waiter");
            self.loads[at].ended = true;
        }
    }

    /// The timer rings, perhaps late.
    fn ring(&mut self) {
        while let Some(wake) = self.machine.timeout(self.at()) {
            self.drain();
            match wake {
                Wake::Soft(wait) => self.soften(wait),
                Wake::TimedOut { wait, last } => {
                    let at = self.load_of(wait);
                    for waiter in self.loads[at].groups[wait.group as usize].clone() {
                        let waiter = &mut self.waiters[waiter];
                        assert!(waiter.ended || self.now >= waiter.deadline, "woken before its time");
                        waiter.ended = true;
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

    fn soften(&mut self, wait: WaitId) {
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
            waiters.into_iter().for_each(|waiter| self.waiters[waiter].ended = true);
            assert_ne!(softened, Softened::Ended, "the cache itself waits");
        }
    }

    fn insert(&mut self, key: u64) {
        let partition = self.partition(key);
        let (policy, tags) = (self.policy(), self.some_tags());
        let names: Vec<String> = tags.iter().map(|tag| TAGS[*tag].to_owned()).collect();
        let weight = (!self.random.one_in(10)).then(|| self.random.below(25) as u32);
        self.purges.push(Purge::Key(key));
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
        let good = policy.entry.ttl != Ttl::ZERO && weight.is_some_and(|weight| weight <= HEAVIEST);
        assert_eq!(stored.is_some(), good, "step {}", self.step);
        if let Some(slot) = stored {
            self.place(key, slot);
            self.put(slot, Kept::Value(id));
            self.store(id, &policy.entry);
        }
    }

    fn begin_write(&mut self, key: u64) {
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

    fn end_write(&mut self, at: usize) {
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
        let brought = Brought { now, said: &said, tags: &names, weight: None, absent: false, skip: false, random: 0.0 };
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
                let good = written.is_some()
                    && !conflicted
                    && !others
                    && !late
                    && !write.doubtful[0]
                    && policy.ttl != Ttl::ZERO;
                assert!(!good, "did not store what was written, step {}", self.step);
            }
        }
    }

    fn end_freshness(&mut self, purge: Purge) {
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

    fn step(&mut self) {
        self.step += 1;
        let key = self.random.below(KEYS);
        let live: Vec<usize> =
            (0..self.loads.len()).filter(|at| !self.loads[*at].ended || self.random.one_in(20)).collect();
        let load = (!live.is_empty()).then(|| live[self.random.below(live.len() as u64) as usize]);
        match self.random.below(24) {
            0 | 1 => self.get(key),
            2..=8 => self.ask(key),
            9..=11 => load.into_iter().for_each(|load| self.bring(load)),
            12 => load.into_iter().for_each(|load| self.fail(load)),
            13 => load.into_iter().for_each(|load| self.lose(load)),
            14 => {
                let waiting: Vec<usize> = (0..self.waiters.len()).filter(|at| !self.waiters[*at].ended).collect();
                if !waiting.is_empty() {
                    let waiter = waiting[self.random.below(waiting.len() as u64) as usize];
                    let wait = self.waiters[waiter].wait;
                    match self.timers == Timers::Own && self.random.one_in(3) {
                        true if self.loads[self.load_of(wait)].ended => {}
                        true => self.soften_one(waiter),
                        false => self.leave(waiter),
                    }
                }
            }
            15 => self.insert(key),
            16 if self.random.one_in(2) => {
                self.purges.push(Purge::Key(key));
                if let Some(slot) = self.by_key.get(&key).copied() {
                    self.machine.remove(slot);
                    self.drain();
                }
            }
            17 if self.random.one_in(2) => {
                self.purges.push(Purge::Key(key));
                if let Some(slot) = self.by_key.get(&key).copied() {
                    self.machine.expire(slot, self.at());
                    self.end_freshness(Purge::Key(key));
                    self.drain();
                }
            }
            18 if self.random.one_in(3) => self.purge_tag(),
            19 if self.random.one_in(20) => self.clear(part_of(key)),
            20 if self.writes.len() < 4 => self.begin_write(key),
            21 if !self.writes.is_empty() => {
                let at = self.random.below(self.writes.len() as u64) as usize;
                self.end_write(at);
            }
            22 => {
                self.now += if self.random.one_in(300) { 2_000_000 } else { self.random.below(25) };
                if !self.random.one_in(4) {
                    self.ring();
                }
            }
            _ => self.now += self.random.below(3),
        }
        self.check();
        if self.loads.len() > 200 {
            self.forget();
        }
    }

    /// As `soften`, of one who has a timer of its own.
    fn soften_one(&mut self, waiter: usize) {
        let Waiter { key, wait, .. } = self.waiters[waiter];
        let slot = self.by_key.get(&key).copied();
        let softened = self.machine.soften(wait, 1, slot, self.at(), false);
        self.drain();
        if softened != Softened::No {
            self.check_memory(slot.expect("a value"), key, |o| o.revalidate.max(o.error).max(o.fresh_until));
            self.waiters[waiter].ended = true;
            if softened == Softened::Ended {
                let at = self.load_of(wait);
                self.loads[at].ended = true;
                assert!(self.loads[at].groups.concat().iter().all(|w| self.waiters[*w].ended), "ended under a waiter");
            }
        }
    }

    fn purge_tag(&mut self) {
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

    fn clear(&mut self, part: usize) {
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

    /// Rules 5 and 7, and that both sides agree on what is there.
    fn check(&mut self) {
        assert!(
            self.machine.len() as u64 <= MAX_ENTRIES && self.machine.weight() <= MAX_BYTES,
            "bounds, step {}",
            self.step
        );
        assert_eq!(self.machine.len(), self.kept.len(), "entries, step {}", self.step);
        assert_eq!(self.machine.stats().gets(), self.gets, "gets, step {}", self.step);
        assert_eq!(self.machine.stats().load_millis.count(), self.brought, "times of loads, step {}", self.step);
        let at = [self.machine.fresh_until().as_ptr() as usize, self.machine.hit_counters().as_ptr() as usize];
        let version = self.machine.columns_version();
        if let Some((before, known)) = self.columns.replace((at, version)) {
            assert!(before == at || known != version, "a column has moved without a word, step {}", self.step);
        }
        for (at, until) in self.machine.fresh_until().iter().enumerate() {
            let kept = Slot::new(at as u32).and_then(|slot| self.kept.get(&slot));
            let is_value = matches!(kept, Some(Kept::Value(_)));
            let fresh = 0.0 < *until;
            assert!(is_value || !fresh, "no value, but fresh for a driver, step {}", self.step);
        }
        let mut order = self.machine.newest_first(Timestamp::default());
        order.sort_unstable();
        let ready = |(_, kept): &(&Slot, &Kept)| matches!(kept, Kept::Value(_));
        let mut values: Vec<Slot> = self.kept.iter().filter(ready).map(|(slot, _)| *slot).collect();
        values.retain(|slot| self.machine.is_fresh(*slot, Timestamp::default()));
        values.sort_unstable();
        assert_eq!(order, values, "what the policy knows, step {}", self.step);
        let live = self.loads.iter().filter(|load| !load.ended).count();
        assert_eq!(self.machine.loads_in_flight(), live, "flights, step {}", self.step);
        // Dear, and a size that goes wrong stays so.
        let parts = if self.step.is_multiple_of(8) { 0..PARTS.len() } else { 0..0 };
        for part in parts {
            let inside = |(slot, _): &(&Slot, &Kept)| is_within(part_of(self.slots[slot]), part);
            let wanted = self.kept.iter().filter(inside).count();
            let held = self.with_part(part, |machine, part| machine.held_within(part).entries);
            assert_eq!(held as usize, wanted, "size of part {part}, step {}", self.step);
        }
    }

    /// Lets go of what is over, so that long runs stay small.
    fn forget(&mut self) {
        // Whoever still waits for what has ended is a bug that the timers have shown.
        while self.timers == Timers::Own && self.machine.loads_in_flight() > 0 {
            let waiting: Vec<usize> = (0..self.waiters.len()).filter(|at| !self.waiters[*at].ended).collect();
            for waiter in waiting {
                if !self.waiters[waiter].ended {
                    self.leave(waiter);
                }
            }
            for at in 0..self.loads.len() {
                if !self.loads[at].ended {
                    self.fail(at);
                }
            }
        }
        let loads: Vec<usize> = (0..self.loads.len()).filter(|at| !self.loads[*at].ended).collect();
        for load in loads {
            self.fail(load);
        }
        assert!(
            self.timers == Timers::Own || self.waiters.iter().all(|waiter| waiter.ended),
            "somebody waits for nothing"
        );
        self.loads.clear();
        self.waiters.clear();
        let kept: Vec<u64> = self
            .kept
            .values()
            .map(|kept| match kept {
                Kept::Value(id) | Kept::Error(id) => *id,
            })
            .collect();
        let writes: Vec<u64> = self.writes.iter().map(|write| write.origin).collect();
        self.origins.retain(|id, _| kept.contains(id) || writes.contains(id));
    }
}

fn steps() -> u64 {
    let given = std::env::var("STEPS").ok().and_then(|steps| steps.parse().ok());
    given.unwrap_or(if cfg!(debug_assertions) { 40_000 } else { 1_000_000 })
}

fn run(timers: Timers) {
    let (seed, steps) = (seed(), steps());
    println!("seed {seed}, {steps} steps");
    let (mut stored, mut again) = (0, 0);
    for run in 0..steps.div_ceil(20_000) {
        let mut sim = Sim::new(seed.wrapping_add(run), timers);
        for _ in 0..steps.min(20_000) {
            sim.step();
        }
        sim.forget();
        stored += sim.stored;
        again += sim.again;
    }
    println!("{stored} values stored, {again} waiters asked again");
    assert!(stored > steps / 100 && again > steps / 10_000, "the run showed too little");
}

#[test]
fn the_rules_hold_where_one_timer_serves_all_waits() {
    run(Timers::Shared);
}

#[test]
fn the_rules_hold_where_waiters_have_timers_of_their_own_and_vanish() {
    run(Timers::Own);
}
