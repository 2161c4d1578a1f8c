//! The edge in virtual time: what happens when, to whom.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use nearcache::core::{Answer, Ask, Deadlines, PartitionId, Stats, Wake};
use nearcache::options::{Policy, PolicyPatch};
use nearcache::tier::Place;
use nearcache::{Timestamp, Ttl};

use super::calls::{Call, Part, Pending};
use super::figures::{Figures, Layer};
use super::isolate::{Isolate, Key, Waiter};
use super::leases::{LeaseEvent, LeaseShard};
use super::loads::Load;
use super::log::{Log, LogEvent};
use super::map::Map;
use super::price::Units;
use super::random::Random;
use super::scenario::{FaultKind, Scenario, Target};
use super::slab::{Id, Slab};
use super::stores::{Names, Reply, Stores};
use super::traffic::{self, Zipf};
use super::truth::Truth;

pub enum Event {
    /// Somebody asks, by chance or in a herd.
    Arrival,
    Get(usize, Key),
    /// The source changes, and what is cached of it is purged.
    Update,
    /// An isolate's place is taken by a new one.
    Death(usize),
    Alarm(usize, u32),
    Reach(Id, Part),
    PartEnd(Id, Vec<usize>, Reply),
    OriginReached(Id),
    OriginDone(Key, Id),
    Lease(LeaseEvent),
    Log(LogEvent),
    Fault(usize),
    /// What came before does not count.
    Warm,
}

pub struct World {
    pub scenario: Scenario,
    pub random: Random,
    /// In µs.
    pub now: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Slot)>>,
    events: Slab<Event>,
    count: u64,
    pub map: Map,
    pub isolates: Vec<Isolate>,
    pub stores: Stores,
    pub names: Names,
    pub leases: Vec<LeaseShard>,
    pub log: Log,
    pub calls: Slab<Pending>,
    pub loads: Slab<Load>,
    pub truth: Truth,
    pub figures: Figures,
    pub units: Units,
    pub keys: Vec<String>,
    pub tags: Vec<Vec<String>>,
    pub part: Place,
    pub policy: Policy,
    zipf: Zipf,
    spread: Zipf,
    /// Loads of the origin under way, by key, that a lease is held for.
    pub loading: Vec<u32>,
    pub waiting: i64,
    pub lost_with_isolate: u64,
    /// What machines of isolates that are gone had counted, and the gets that were asked of all.
    gone: Stats,
    asked: u64,
    pub deaths: u64,
}

/// An event's id, ordered as any.
#[derive(PartialEq, Eq)]
struct Slot(Id);

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl World {
    pub fn new(scenario: Scenario) -> Self {
        let mut random = Random(scenario.seed);
        let map = Map::new(scenario.places, &mut random);
        let spread = Zipf::new(scenario.places, 0.7);
        let isolates =
            (0..scenario.isolates).map(|_| Isolate::new(0, spread.draw(&mut random), &scenario, &mut random)).collect();
        let asleep = scenario.faults.iter().filter(|fault| fault.kind == FaultKind::Sleep);
        let asleep = asleep.map(|fault| (fault.lasts * 1e6) as u64).max().unwrap_or(0);
        // Lifetimes count from a load's end.
        let slack = 5_000_000 + (scenario.origin * 20_000.0) as u64 + 2_000 * scenario.clock_skew + asleep;
        let longest = 1_000 * (scenario.ttl + scenario.swr) + slack;
        let patch = PolicyPatch::new().ttl(Ttl::Millis(scenario.ttl)).stale_while_revalidate(Ttl::Millis(scenario.swr));
        let tag = |key: usize| if scenario.tags { vec![format!("group{}", key / 10)] } else { Vec::new() };
        Self {
            now: 0,
            heap: BinaryHeap::new(),
            events: Slab::default(),
            count: 0,
            isolates,
            stores: Stores::new(&scenario),
            names: Names::default(),
            leases: (0..scenario.lease_shards).map(|_| LeaseShard::default()).collect(),
            log: Log::default(),
            calls: Slab::default(),
            loads: Slab::default(),
            truth: Truth::new(&scenario, longest),
            figures: Figures::new(scenario.keys),
            units: Units::default(),
            keys: (0..scenario.keys).map(|key| format!("key{key}")).collect(),
            tags: (0..scenario.keys).map(tag).collect(),
            part: Place::new::<&str>(&[], &[]),
            policy: Policy::DEFAULT.patched(&patch),
            zipf: Zipf::new(scenario.keys, scenario.zipf),
            spread,
            loading: vec![0; scenario.keys],
            waiting: 0,
            lost_with_isolate: 0,
            gone: Stats::default(),
            asked: 0,
            deaths: 0,
            map,
            random,
            scenario,
        }
    }

    pub fn later(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    pub fn at(&mut self, at: u64, event: Event) {
        self.count += 1;
        let id = self.events.insert(event);
        self.heap.push(Reverse((at, self.count, Slot(id))));
    }

    /// Runs to the end: nobody asks any more, and all that was under way has ended.
    pub fn run(&mut self) {
        self.begin();
        while let Some(Reverse((at, _, Slot(id)))) = self.heap.pop() {
            self.now = self.now.max(at);
            let Some(event) = self.events.remove(id) else { continue };
            if let Some(wakes) = self.asleep(&event) {
                self.at(wakes, event);
            } else {
                self.happen(event);
            }
        }
        self.check_end();
    }

    fn begin(&mut self) {
        if self.scenario.herd > 0 {
            for at in 0..self.scenario.herd {
                let delay = self.random.below(50_000);
                self.later(delay, Event::Get(at % self.scenario.isolates, 0));
            }
        } else {
            self.later(0, Event::Arrival);
            if self.scenario.purges > 0.0 {
                let delay = traffic::next(self.scenario.purges, &mut self.random);
                self.later(delay, Event::Update);
            }
            for isolate in 0..self.scenario.isolates {
                let delay = traffic::next(1.0 / self.scenario.lifetime, &mut self.random);
                self.later(delay, Event::Death(isolate));
            }
            if self.scenario.warmup > 0.0 {
                self.later((self.scenario.warmup * 1e6) as u64, Event::Warm);
            }
        }
        for fault in 0..self.scenario.faults.len() {
            self.later((self.scenario.faults[fault].at * 1e6) as u64, Event::Fault(fault));
        }
    }

    fn end(&self) -> u64 {
        ((self.scenario.warmup + self.scenario.seconds) * 1e6) as u64
    }

    /// Until when an event waits because the isolate sleeps that it is about.
    fn asleep(&mut self, event: &Event) -> Option<u64> {
        let isolate = match event {
            Event::Get(isolate, _) | Event::Alarm(isolate, _) | Event::Log(LogEvent::Page(isolate, ..)) => *isolate,
            Event::PartEnd(call, ..) => self.calls.get_mut(*call)?.isolate,
            Event::OriginDone(_, load) | Event::Lease(LeaseEvent::Answer(load, ..) | LeaseEvent::Beat(load)) => {
                self.loads.get_mut(*load)?.isolate
            }
            _ => return None,
        };
        Some(self.isolates[isolate].asleep_until).filter(|until| *until > self.now)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Get(isolate, key) => self.get(isolate, key),
            Event::Update => self.update(),
            Event::Death(isolate) => self.die(isolate),
            Event::Alarm(isolate, life) => self.ring(isolate, life),
            Event::Reach(call, part) => self.reach(call, part),
            Event::PartEnd(call, places, reply) => self.part_ended(call, &places, reply),
            Event::OriginReached(load) => self.origin_reached(load),
            Event::OriginDone(key, load) => self.origin_done(key, load),
            Event::Lease(event) => self.lease_event(event),
            Event::Log(event) => self.log_event(event),
            Event::Fault(fault) => self.fault(fault),
            Event::Warm => {
                self.figures = Figures::new(self.scenario.keys);
                self.units = Units::default();
                self.stores.forget_figures();
                self.leases.iter_mut().for_each(|shard| shard.server.forget());
                self.log.server.forget();
            }
        }
    }

    fn arrive(&mut self) {
        let mut rate = self.scenario.rate;
        let mut key = None;
        if let Some((at, lasts, factor)) = self.scenario.burst {
            let seconds = self.now as f64 / 1e6;
            if seconds >= at && seconds < at + lasts {
                rate *= 1.0 + factor;
                if self.random.unit() < factor / (1.0 + factor) {
                    key = Some((self.scenario.keys / 2) as Key);
                }
            }
        }
        let delay = traffic::next(rate, &mut self.random);
        if self.now + delay < self.end() {
            self.later(delay, Event::Arrival);
        }
        let key = key.unwrap_or_else(|| self.zipf.draw(&mut self.random) as Key);
        let isolate = self.somebody();
        if self.isolates[isolate].asleep_until > self.now {
            self.at(self.isolates[isolate].asleep_until, Event::Get(isolate, key));
        } else {
            self.get(isolate, key);
        }
    }

    /// An isolate that is asked; one that sleeps only if few are awake.
    fn somebody(&mut self) -> usize {
        let mut isolate = 0;
        for _ in 0..20 {
            isolate = self.random.below(self.isolates.len() as u64) as usize;
            if self.isolates[isolate].asleep_until <= self.now {
                break;
            }
        }
        isolate
    }

    fn get(&mut self, isolate: usize, key: Key) {
        self.asked += 1;
        self.waiting += 1;
        let window = self.now / 1_000 / self.scenario.ttl.max(1);
        self.figures.asked(key, window);
        if self.scenario.log && self.follow(isolate) {
            self.isolates[isolate].follower.waiting.push((key, self.now));
        } else {
            self.ask(isolate, key, self.now, None);
        }
    }

    /// Asks the machine, and does what it says.
    pub fn ask(&mut self, isolate: usize, key: Key, asked_at: u64, again: Option<nearcache::core::Counted>) {
        let one = &mut self.isolates[isolate];
        let now = one.clock(self.now);
        let ask = Ask {
            slot: one.slots.get(&key).copied(),
            hash: Some(key.wrapping_mul(0x9e37_79b1)),
            partition: PartitionId::ROOT,
            now,
            asked_at: one.clock(asked_at),
            again,
            policy: &self.policy,
            tags: &self.tags[key as usize],
            weight: None,
            force_fresh: false,
            invalid: false,
            batched: false,
            background: true,
            detached: true,
            random: None,
            asker: None,
        };
        let answer = one.machine.ask(&ask);
        one.drain();
        match answer {
            Answer::Hit(slot) | Answer::Stale(slot, _) => {
                let version = one.items[slot.index()].1;
                self.answered(isolate, key, asked_at, version, Layer::Memory);
            }
            Answer::Refresh { slot, flight, .. } => {
                let version = one.items[slot.index()].1;
                one.waiters(flight).clear();
                self.answered(isolate, key, asked_at, version, Layer::Memory);
                self.begin_load(isolate, key, flight, true);
            }
            Answer::Join(wait) => {
                one.waiters(wait.flight).push(Waiter { wait, asked_at, leads: false });
            }
            Answer::StartLoad(slot, flight, _) => {
                one.seat(key, slot);
                let wait = nearcache::core::WaitId { flight, group: 0 };
                one.waiters(flight).clear();
                one.waiters(flight).push(Waiter { wait, asked_at, leads: true });
                self.begin_load(isolate, key, flight, false);
            }
            Answer::Failed(_) | Answer::Recursive | Answer::TimedOut | Answer::Full | Answer::Refused(_) => {
                self.failed(asked_at);
            }
        }
        self.check_bounds(isolate);
        self.set_alarm(isolate);
    }

    pub fn answered(&mut self, isolate: usize, key: Key, asked_at: u64, version: u32, layer: Layer) {
        self.waiting -= 1;
        self.figures.answered(layer, self.now - asked_at);
        let own = self.isolates[isolate].purged.get(&key).copied();
        let current = self.isolates[isolate].follower.current;
        self.truth.answered(self.now, asked_at, key, version, own, current);
    }

    pub fn failed(&mut self, asked_at: u64) {
        self.waiting -= 1;
        self.figures.answered(Layer::Failed, self.now - asked_at);
    }

    /// One timer for all deadlines of an isolate.
    pub fn set_alarm(&mut self, isolate: usize) {
        let one = &mut self.isolates[isolate];
        if let Some(at) = one.machine.next_deadline() {
            let at = one.moment(at);
            if one.alarm_at.is_none_or(|set| at < set) {
                one.alarm_at = Some(at);
                let life = one.life;
                self.at(at, Event::Alarm(isolate, life));
            }
        }
    }

    fn ring(&mut self, isolate: usize, life: u32) {
        let one = &mut self.isolates[isolate];
        if one.life != life {
            return;
        }
        one.alarm_at = None;
        let now = one.clock(self.now);
        let mut late = Vec::new();
        while let Some(wake) = one.machine.timeout(now) {
            if let Wake::TimedOut { wait, .. } = wake {
                one.waiters(wait.flight).retain(|waiter| {
                    late.extend((waiter.wait == wait).then_some(waiter.asked_at));
                    waiter.wait != wait
                });
            }
        }
        one.drain();
        late.into_iter().for_each(|asked_at| self.failed(asked_at));
        self.set_alarm(isolate);
    }

    fn die(&mut self, isolate: usize) {
        if self.now >= self.end() {
            return;
        }
        self.deaths += 1;
        let place = self.spread.draw(&mut self.random);
        let life = self.isolates[isolate].life + 1;
        let fresh = Isolate::new(life, place, &self.scenario, &mut self.random);
        let dead = std::mem::replace(&mut self.isolates[isolate], fresh);
        // Requests of its own die with it.
        let unasked = dead.follower.waiting.len();
        let lost = dead.flights.iter().map(Vec::len).sum::<usize>() + unasked;
        self.asked -= unasked as u64;
        self.waiting -= lost as i64;
        self.lost_with_isolate += lost as u64;
        self.gone.merge(&dead.machine.stats());
        let delay = traffic::next(1.0 / self.scenario.lifetime, &mut self.random);
        self.later(delay, Event::Death(isolate));
    }

    fn update(&mut self) {
        let delay = traffic::next(self.scenario.purges, &mut self.random);
        if self.now + delay < self.end() {
            self.later(delay, Event::Update);
        }
        let key = self.zipf.draw(&mut self.random) as Key;
        let isolate = self.somebody();
        if self.isolates[isolate].asleep_until <= self.now {
            self.figures.purges += 1;
            self.purge(isolate, key);
        }
    }

    fn fault(&mut self, fault: usize) {
        let fault = self.scenario.faults[fault];
        match fault.kind {
            FaultKind::Dead(Target::Lease) => self.forget_leases(),
            FaultKind::Sleep => {
                let until = self.now + (fault.lasts * 1e6) as u64;
                for isolate in self.isolates.iter_mut().step_by(10) {
                    isolate.asleep_until = until;
                }
            }
            FaultKind::Dead(_) | FaultKind::Partition => {}
        }
    }

    fn has_fault(&self, kind: FaultKind) -> bool {
        let seconds = self.now as f64 / 1e6;
        let is_now = |at: f64, lasts: f64| seconds >= at && seconds < at + lasts;
        self.scenario.faults.iter().any(|fault| fault.kind == kind && is_now(fault.at, fault.lasts))
    }

    pub fn is_dead(&self, target: Target) -> bool {
        self.has_fault(FaultKind::Dead(target))
    }

    /// Whether nothing gets from one place to the other.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        from != to && self.has_fault(FaultKind::Partition) && (self.map.is_east(from) || self.map.is_east(to))
    }

    /// From one place to another, in µs.
    pub fn one_way(&mut self, from: usize, to: usize) -> u64 {
        let millis = self.map.round_trip(from, to) / 2.0;
        (millis * (1.0 + 0.2 * self.random.unit()) * 1_000.0) as u64
    }

    pub fn send(&mut self, isolate: usize, tier: usize, calls: Vec<Call>, timeout: u64, then: super::calls::Then) {
        super::calls::send(self, isolate, tier, calls, timeout, then);
    }

    fn check_bounds(&mut self, isolate: usize) {
        let len = self.isolates[isolate].machine.len() as u64;
        if len > self.scenario.entries {
            self.truth.violated(format!("{} µs: {len} entries in memory", self.now));
        }
    }

    fn check_end(&mut self) {
        if self.waiting != 0 {
            self.truth.violated(format!("{} gets were never answered", self.waiting));
        }
        if self.loads.len() != 0 || self.calls.len() != 0 {
            let (loads, calls) = (self.loads.len(), self.calls.len());
            self.truth.violated(format!("{loads} loads and {calls} calls never ended"));
        }
        for isolate in &self.isolates {
            self.gone.merge(&isolate.machine.stats());
        }
        let counted = self.gone.gets();
        if counted != self.asked {
            self.truth.violated(format!("{} gets were counted as {counted}", self.asked));
        }
        for isolate in 0..self.isolates.len() {
            for tier in 0..self.scenario.tiers.len() {
                let Some(f) = self.isolates[isolate].chain.figures(tier) else { continue };
                let sum = f.hits + f.stale + f.misses + f.purged + f.refusals() + f.lost;
                if f.asked != sum || f.refusals() > 0 {
                    self.truth.violated(format!("figures of tier {tier} of isolate {isolate}: {f:?}"));
                }
            }
        }
    }

    /// The latest a get may be answered, by its policy.
    pub fn deadline(&self) -> u64 {
        let Deadlines { hard, .. } = Deadlines::of(&self.policy, Timestamp::from_millis(0));
        hard.as_millis() * 1_000
    }
}
