//! One isolate: the machine of its memory, its chain of tiers, and what a driver keeps beside them.

use nearcache::core::{EvictionPolicy, FlightId, Machine, Slot, Timers, WaitId};
use nearcache::options::Limits;
use nearcache::tier::{BreakerOptions, Chain, ChainOptions, Gate, Seal, TierOptions};
use nearcache::{Timestamp, Ttl};

use super::log::Follower;
use super::random::Random;
use super::scenario::Scenario;
use super::slab::Numbered;

/// What the clocks show when the simulation begins, in ms.
const EPOCH: u64 = 1_700_000_000_000;

/// A key by its number.
pub type Key = u32;

/// What is handed out for a key: which of its source's versions.
pub type Version = u32;

/// Who waits for a load.
#[derive(Clone, Copy)]
pub struct Waiter {
    pub wait: WaitId,
    pub asked_at: u64,
    pub leads: bool,
}

/// A purge that was made here.
pub struct OwnPurge {
    pub mark: String,
    pub keys: Vec<(Key, Version)>,
}

pub struct Isolate {
    /// How many there were before in this one's place: what is on its way to one of them is lost.
    pub life: u32,
    pub place: usize,
    ahead: u64,
    pub asleep_until: u64,
    pub machine: Machine,
    pub slots: Numbered<Key, Slot>,
    pub items: Vec<(Key, Version)>,
    pub flights: Vec<Vec<Waiter>>,
    pub alarm_at: Option<u64>,
    pub chain: Chain,
    pub gate: Gate,
    pub follower: Follower,
    /// The last version of a key that was purged here, and when.
    pub purged: Numbered<Key, (Version, u64)>,
    /// By tier: what it has not been told, and whether it is being told.
    pub untold: Vec<Vec<std::rc::Rc<OwnPurge>>>,
    pub telling: Vec<bool>,
}

impl Isolate {
    pub fn new(life: u32, place: usize, scenario: &Scenario, random: &mut Random) -> Self {
        let Scenario { clock_skew, late_writes, .. } = *scenario;
        let options = ChainOptions { clock_skew, late_writes, ..ChainOptions::default() };
        let mut chain = Chain::new(options, Seal::default());
        for tier in &scenario.tiers {
            chain.add_tier(TierOptions { timeout: tier.timeout(), ..TierOptions::default() });
        }
        let limits = Limits::new(scenario.entries, u64::MAX, u64::MAX);
        let tiers = scenario.tiers.len();
        Self {
            life,
            place,
            ahead: random.below(clock_skew.max(1)),
            asleep_until: 0,
            machine: Machine::with_eviction(limits, Ttl::Millis(scenario.ttl), Timers::Shared, EvictionPolicy::DEFAULT),
            slots: Numbered::default(),
            items: Vec::new(),
            flights: Vec::new(),
            alarm_at: None,
            chain,
            gate: Gate::new(BreakerOptions { failures: 3, cooldown: 5_000 }),
            follower: Follower::new(tiers > 0, clock_skew),
            purged: Numbered::default(),
            untold: (0..tiers).map(|_| Vec::new()).collect(),
            telling: vec![false; tiers],
        }
    }

    /// What its clock shows.
    pub fn clock(&self, now: u64) -> Timestamp {
        Timestamp::from_millis(EPOCH + now / 1_000 + self.ahead)
    }

    /// When its clock shows that, or a moment later.
    pub fn moment(&self, at: Timestamp) -> u64 {
        (at.as_millis() + 1).saturating_sub(EPOCH + self.ahead) * 1_000
    }

    pub fn waiters(&mut self, flight: FlightId) -> &mut Vec<Waiter> {
        if self.flights.len() <= flight.index() {
            self.flights.resize_with(flight.index() + 1, Vec::new);
        }
        &mut self.flights[flight.index()]
    }

    /// Lets go of keys that the machine has let go of.
    pub fn drain(&mut self) {
        while let Some(removal) = self.machine.poll_removal() {
            if removal.key_removed {
                let (key, _) = self.items[removal.slot.index()];
                self.slots.remove(&key);
            }
        }
    }

    /// A key has this slot.
    pub fn seat(&mut self, key: Key, slot: Slot) {
        if self.items.len() <= slot.index() {
            self.items.resize(slot.index() + 1, (0, 0));
        }
        if self.slots.insert(key, slot) != Some(slot) {
            self.items[slot.index()] = (key, 0);
        }
    }
}

/// What an object's clock shows.
pub fn object_clock(now: u64) -> Timestamp {
    Timestamp::from_millis(EPOCH + now / 1_000)
}
