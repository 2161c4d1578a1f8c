//! The machine under random calls, and a model that knows what each value is and what was purged when.

mod asks;
mod check;
mod circles;
mod ends;
mod writes;

use std::collections::HashMap;

use crate::random::Random;
use nearcache::core::{
    Answer, Ask, BatchId, BatchLimits, Counted, EvictionPolicy, Failure, FlightId, Goes, JoinBatch, LoadOutcome,
    LoadedValue, Machine, NewValue, Node, Part, PartitionId, Slot, Softened, Start, Timers, Touched, WaitId, Wake, Who,
    WriteId, WriteThrough, join_scope,
};
use nearcache::options::{EntryPolicy, Limits, LoadLimits, Policy, PolicyPatch, Priority, Retry};
use nearcache::{Timestamp, Ttl};

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

/// Two runs of three limit loads, each in another way.
fn limits_of(seed: u64) -> LoadLimits {
    match seed % 3 {
        0 => LoadLimits::new(),
        1 => LoadLimits::new().max_concurrent(2 + (seed / 3 % 4) as u32).max_queued(3),
        _ => LoadLimits::new().max_concurrent(3).per_second(50.0).max_queued(4),
    }
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
    /// How long it may lie unused, and when it was used last.
    idle: Ttl,
    used_at: u64,
}

impl Origin {
    fn idle_until(&self) -> u64 {
        end(self.used_at, self.idle)
    }
}

fn end(from: u64, ttl: Ttl) -> u64 {
    match ttl {
        Ttl::Millis(millis) => from.saturating_add(millis),
        Ttl::Forever => FOREVER,
    }
}

fn lives(policy: &EntryPolicy) -> bool {
    policy.ttl != Ttl::ZERO && policy.idle_ttl != Ttl::ZERO
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
    /// Attempts that failed, and that another one follows.
    attempts: u32,
    background: bool,
    queue: Queueing,
}

/// How a load stands with the queue.
#[derive(Clone, Copy)]
struct Queueing {
    waits: bool,
    /// A load that is under way asked for it before it began: it takes no place.
    is_inner: bool,
    /// It was cut loose from its key before it began.
    is_cut: bool,
}

struct Waiter {
    key: u64,
    asked: usize,
    asked_at: u64,
    deadline: u64,
    wait: WaitId,
    counted: Counted,
    policy: Policy,
    /// The load or batch whose loader asked.
    asker: Option<Node>,
    ended: bool,
}

/// A batch that loads wait for.
struct Batch {
    id: BatchId,
    loads: Vec<FlightId>,
    /// It takes keys, and its loader has not been called.
    is_open: bool,
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

pub struct Sim {
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
    batches: Vec<Batch>,
    writes: Vec<Write>,
    purges: Vec<Purge>,
    next: u64,
    gets: u64,
    /// Loads that ended with a value or an error.
    brought: u64,
    pub retries: u64,
    pub stored: u64,
    pub again: u64,
    pub waited: u64,
    pub refused: u64,
    pub circles: u64,
    limits: LoadLimits,
    /// When loads with a place began.
    starts: Vec<u64>,
    /// Where the columns lay that a driver may see, and by what version.
    columns: Option<([usize; 2], u32)>,
}

impl Sim {
    pub fn new(seed: u64, timers: Timers) -> Self {
        let limits = Limits::new(MAX_ENTRIES, MAX_BYTES, u64::from(HEAVIEST));
        let mut machine = match seed % 2 {
            0 => Machine::new(limits, Ttl::Millis(30), timers),
            _ => Machine::with_eviction(limits, Ttl::Millis(30), timers, EvictionPolicy::Adaptive),
        };
        let load_limits = limits_of(seed);
        machine.limit_loads(load_limits);
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
            batches: Vec::new(),
            writes: Vec::new(),
            purges: Vec::new(),
            next: 0,
            gets: 0,
            brought: 0,
            retries: 0,
            stored: 0,
            again: 0,
            waited: 0,
            refused: 0,
            circles: 0,
            limits: load_limits,
            starts: Vec::new(),
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
        // First, since it may end others.
        let now = self.at();
        while let Some(start) = self.machine.poll_start(now) {
            let Start::Load(flight, slot) = start else { panic!("there are no batches") };
            // What was asked for this moment is not known yet.
            if let Some(at) = self.loads.iter().position(|load| load.flight == flight && !load.ended) {
                self.start(at, slot);
            }
        }
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
        let may_begin = self.machine.next_start().is_some_and(|at| at <= now);
        let overdue = |load: &Load| load.queue.waits && !load.ended && self.joinable_until(load) <= self.now;
        assert!(!may_begin || self.loads.iter().any(overdue), "one may begin and does not, step {}", self.step);
    }

    /// The turn of a load has come.
    fn start(&mut self, at: usize, slot: Option<Slot>) {
        let load = &self.loads[at];
        assert!(load.queue.waits, "began twice, step {}", self.step);
        let (id, key, is_inner) = (load.id, load.key, load.queue.is_inner);
        // Nobody joins it after its leader's deadline: the next to ask has begun another.
        let is_cut = self.is_cut(load) || self.loads.iter().any(|other| other.key == key && other.id > id);
        assert_eq!(slot, self.by_key.get(&key).copied().filter(|_| !is_cut), "another's slot, step {}", self.step);
        assert!(self.now <= self.joinable_until(&self.loads[at]), "begun for nobody, step {}", self.step);
        self.loads[at].leader_deadline = self.joinable_until(&self.loads[at]);
        self.loads[at].queue.waits = false;
        self.waited += 1;
        self.loads[at].queue.is_cut = is_cut;
        self.loads[at].began = self.purges.len();
        self.origins.get_mut(&id).expect("it is known").began = self.purges.len();
        if !is_inner {
            self.starts.push(self.now);
        }
    }

    /// From then on nobody joins it: its leader's deadline, or while it waits for its turn the last of all.
    fn joinable_until(&self, load: &Load) -> u64 {
        let waiters = load.groups.iter().flatten().filter(|_| load.queue.waits);
        waiters.map(|waiter| self.waiters[*waiter].deadline).fold(load.leader_deadline, u64::max)
    }

    /// Whether a purge or a write has cut a load loose from its key: while it waits for its turn only a clear of all.
    fn is_cut(&self, load: &Load) -> bool {
        let origin = &self.origins[&load.id];
        load.queue.is_cut
            || self.purges[load.began..].iter().any(|purge| match purge {
                Purge::Tag(..) => false,
                Purge::Part(0) => true,
                purge => !load.queue.waits && self.concerns(*purge, origin),
            })
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
            said = said.idle_ttl(self.ttl(40));
        }
        if self.random.one_in(3) {
            said = said.refresh_ahead(1.0);
        }
        if self.random.one_in(2) {
            let delay = Ttl::Millis(self.random.below(20));
            said = said.retry(Retry::new(self.random.below(4) as u32).delay(delay).jitter(self.random.unit()));
        }
        if self.random.one_in(2) {
            said = said.error_backoff(Ttl::Millis(self.random.below(30)));
        }
        if self.random.one_in(2) {
            said = said.soft_timeout(Ttl::Millis(self.random.below(30)));
        }
        said = said.keep_loading(self.random.one_in(6));
        if self.random.one_in(3) {
            said = said.priority(Priority::Low);
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
        let origin =
            Origin { key, began, tags, fresh_until: 0, revalidate: 0, error: 0, idle: Ttl::Forever, used_at: 0 };
        self.origins.insert(self.next, origin);
        self.next
    }

    /// What was said of a value that is now stored.
    fn store(&mut self, id: u64, policy: &EntryPolicy) {
        self.stored += 1;
        let now = self.now;
        let origin = self.origins.get_mut(&id).expect("it is known");
        origin.fresh_until = end(now, policy.ttl);
        origin.revalidate = end(origin.fresh_until, policy.stale_while_revalidate);
        origin.error = end(origin.fresh_until, policy.stale_if_error);
        (origin.idle, origin.used_at) = (policy.idle_ttl, now);
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
        self.purges[from.min(to)..to].iter().any(|purge| self.concerns(*purge, origin))
    }

    pub fn step(&mut self) {
        self.step += 1;
        let key = self.random.below(KEYS);
        let live: Vec<usize> =
            (0..self.loads.len()).filter(|at| !self.loads[*at].ended || self.random.one_in(20)).collect();
        let load = (!live.is_empty()).then(|| live[self.random.below(live.len() as u64) as usize]);
        let begun = load.filter(|load| !self.loads[*load].queue.waits || self.loads[*load].ended);
        match self.random.below(25) {
            0 | 1 => self.get(key),
            2..=8 => self.ask(key),
            9..=11 => begun.into_iter().for_each(|load| self.bring(load)),
            12 => begun.into_iter().for_each(|load| self.fail(load)),
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
            23 if !self.batches.is_empty() => {
                let at = self.random.below(self.batches.len() as u64) as usize;
                self.go_on(at);
            }
            _ => self.now += self.random.below(3),
        }
        self.drain();
        self.check();
        if self.loads.len() > 200 {
            self.forget();
        }
    }
}
