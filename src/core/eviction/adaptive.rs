//! The policy that adapts: a [`Clock`] whose cold share is chosen by [`Shadows`].

use super::Leaving;
use super::clock::{Clock, Room};
use super::shadows::{Shadows, USUAL_SHARE};
use crate::core::slab::Slot;
use crate::options::Limits;

pub(crate) struct Adaptive {
    clock: Clock,
    shadows: Shadows,
    limits: Limits,
}

impl Adaptive {
    pub fn new(limits: &Limits) -> Self {
        let clock = Clock::new(limits.max_entries());
        let mut adaptive = Self { clock, shadows: Shadows::new(), limits: *limits };
        adaptive.set_cold_share(USUAL_SHARE);
        adaptive
    }

    pub fn keyed(&mut self, slot: Slot, hash: Option<u32>) {
        self.clock.keyed(slot.number(), own(hash));
    }

    pub fn inserted(&mut self, slot: Slot, weights: &[u32], failure: bool) {
        self.clock.insert(slot.number(), weights, !failure);
        if !failure {
            self.shadows.resize(self.clock.len());
            self.note(slot.number());
        }
    }

    pub fn replaced(&mut self, slot: Slot, weights: &[u32], before: u32) {
        let now = weights.get(slot.index()).copied().unwrap_or(0);
        self.clock.reweigh(slot.number(), before, now);
        self.hit(slot);
    }

    #[inline]
    pub fn hit(&mut self, slot: Slot) {
        if self.clock.hit(slot.number()) {
            self.note(slot.number());
        }
    }

    pub fn removed(&mut self, slot: Slot, weights: &[u32], why: Leaving) {
        self.clock.remove(slot.number(), weights, why);
        let weight = self.clock.hot.weight + self.clock.cold.weight;
        debug_assert!(self.clock.len() > 0 || weight == 0, "nothing weighs {weight}");
    }

    #[inline(always)]
    pub fn exchanged(&mut self, slot: Slot, hash: Option<u32>) {
        let (number, hash) = (slot.number(), own(hash));
        let sampled = self.shadows.samples(hash);
        self.clock.exchange(number, hash, sampled);
        if sampled {
            self.tell_shadows(hash);
        }
    }

    #[inline(always)]
    pub fn victim(&mut self, weights: &[u32], keep: Option<Slot>) -> Option<Slot> {
        self.clock.victim(weights, keep.map_or(0, Slot::number)).and_then(Slot::new)
    }

    pub fn standing(&self, slot: Slot) -> u32 {
        self.clock.standing(slot.number())
    }

    pub fn restored(&mut self, slot: Slot, weights: &[u32], standing: u32) {
        let number = slot.number();
        self.clock.restore(number, weights, standing);
        self.shadows.resize(self.clock.len());
        self.clock.set_noted(number, self.shadows.samples(self.clock.hash(number)));
    }

    pub fn cold_share(&self) -> u32 {
        self.shadows.share()
    }

    pub fn begin_with(&mut self, share: u32) {
        if self.shadows.begin_with(share) {
            self.set_cold_share(share);
        }
    }

    pub fn order(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        for number in self.clock.order() {
            slots.extend(Slot::new(number));
        }
        slots
    }

    pub fn counters(&self) -> &[u8] {
        &self.clock.hits
    }

    pub fn capacity(&self) -> usize {
        self.clock.hits.capacity()
    }

    pub fn version(&self) -> u32 {
        self.clock.version
    }

    pub fn set_version(&mut self, version: u32) {
        self.clock.version = version;
    }

    pub fn bytes(&self) -> usize {
        self.clock.bytes() + self.shadows.bytes()
    }

    /// As [`Shadows::hit_rates`].
    pub fn hit_rates(&mut self) -> Option<[f64; 4]> {
        self.shadows.hit_rates()
    }

    /// Lets the shadows know of a use of a key that they sample, and does as they advise.
    fn note(&mut self, number: u32) {
        let hash = self.clock.hash(number);
        let sampled = self.shadows.samples(hash);
        self.clock.set_noted(number, sampled);
        if sampled {
            self.tell_shadows(hash);
        }
    }

    #[inline(never)]
    fn tell_shadows(&mut self, hash: u32) {
        if let Some(share) = self.shadows.access(hash, self.clock.len(), self.clock.was_full) {
            self.set_cold_share(share);
        }
    }

    /// `share`: of a thousand.
    fn set_cold_share(&mut self, share: u32) {
        // At least one is cold, and nothing overflows.
        let share = u64::from(share);
        let hot = |all: u64| all - all / 1000 * share - (all % 1000 * share).div_ceil(1000);
        let entries = hot(u64::from(self.limits.max_entries())) as u32;
        self.clock.set_hot_room(Room { entries, weight: hot(self.limits.max_bytes()) });
    }
}

/// The clock's hash of a key, of the driver's; 0 is none.
#[inline(always)]
fn own(hash: Option<u32>) -> u32 {
    match hash {
        Some(hash) => mixed(hash).max(1),
        None => 0,
    }
}

/// A hash whose every bit depends on each of the driver's, who may give numbers as they are (MurmurHash3's last step).
#[inline(always)]
fn mixed(mut hash: u32) -> u32 {
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
