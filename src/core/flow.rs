//! How a key's load begins, is shared, and ends. Every ending has a name.

use super::slab::{Slot, State};
use super::{FlightId, Machine, SWEEP};
use crate::time::{Timestamp, Ttl};

/// How a key is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What is stored will do.
    Stored,
    /// What is stored will not do (`force_fresh`); a load already under way will.
    Fresh,
}

/// What to do about a key that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Hand out the value in this slot.
    Hit(Slot),
    /// Wait for this load.
    Join(FlightId),
    /// Begin this load; the key now has this slot.
    Lead(Slot, FlightId),
    /// 2^21 loads are under way, or 2^32 keys are known: there is no number left.
    Full,
}

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a value to store.
    Store {
        /// How long it may be handed out.
        ttl: Ttl,
        /// What it counts against `max_bytes`.
        weight: u32,
    },
    /// With a value that must not be stored.
    Skip,
    /// With an error.
    Fail,
}

/// What became of what a load brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The value belongs in this slot.
    Stored(Slot),
    /// It goes to those who waited, and nowhere else.
    Passed,
    /// The flight had ended before: nobody waits.
    Late,
}

impl Machine {
    /// A get that loads what is not there. `slot` is the key's, if it has one. O(1).
    ///
    /// The asker is counted among the flight's waiters until the flight ends, [`leave`](Self::leave) or
    /// [`time_out`](Self::time_out) is called, or every waiter's `deadline` has passed. From the deadline of
    /// the one who began the load on, nobody joins it: the next to ask begins anew.
    pub fn ask(&mut self, slot: Option<Slot>, now: Timestamp, ask: Ask, deadline: Timestamp) -> Answer {
        if let Some(slot) = slot.filter(|slot| ask == Ask::Stored && self.hit(*slot, now)) {
            return Answer::Hit(slot);
        }
        if let Some((slot, flight)) = slot.and_then(|slot| Some((slot, self.flight_of(slot)?))) {
            if self.flights.is_joinable(flight, now) {
                self.flights.join(flight, deadline);
                self.stats.coalesced += 1;
                return Answer::Join(flight);
            }
            self.detach(slot);
        }
        self.stats.misses += 1;
        let Some(slot) = slot.or_else(|| self.slab.take()) else { return Answer::Full };
        let Some(flight) = self.flights.begin(slot, deadline) else {
            self.expire(slot, now);
            self.vacate_pending(slot);
            return Answer::Full;
        };
        if let Some(entry) = self.slab.get_mut(slot) {
            entry.set_flight(Some(flight.number()));
        }
        self.stats.loads += 1;
        // From here on the flight holds the key in its slot, whatever happens to an old value.
        self.expire(slot, now);
        self.sweep(now, SWEEP);
        Answer::Lead(slot, flight)
    }

    /// The live load attached to a slot.
    pub fn flight_of(&self, slot: Slot) -> Option<FlightId> {
        self.flights.id_at(self.slab.get(slot)?.flight()?)
    }

    /// Whether the flight has neither settled nor been abandoned.
    pub fn is_live(&self, flight: FlightId) -> bool {
        self.flights.is_live(flight)
    }

    /// Ends a flight with what it brought. A value is stored only if nothing superseded the load.
    ///
    /// On [`Settled::Stored`] the driver drains the departures, then writes the value, then wakes the waiters.
    pub fn settle(&mut self, flight: FlightId, now: Timestamp, outcome: Outcome) -> Settled {
        if !self.flights.is_live(flight) {
            return Settled::Late;
        }
        let slot = self.end(flight);
        match (outcome, slot) {
            (Outcome::Fail, slot) => {
                self.stats.load_failures += 1;
                if let Some(slot) = slot.filter(|slot| self.is_pending(*slot)) {
                    self.drop_value(slot, None);
                }
                Settled::Passed
            }
            (Outcome::Store { ttl, weight }, Some(slot)) => {
                let stored = self.store(Some(slot), now, ttl, weight);
                self.sweep(now, SWEEP);
                stored.map_or(Settled::Passed, Settled::Stored)
            }
            (Outcome::Skip, Some(slot)) => {
                // The loader has seen a newer value than the one stored and won't have it kept.
                self.stats.rejected += 1;
                self.drop_value(slot, Some(super::Cause::Replaced));
                Settled::Passed
            }
            (Outcome::Store { .. } | Outcome::Skip, None) => {
                self.stats.rejected += 1;
                Settled::Passed
            }
        }
    }

    /// So many waiters give up. `true` when they were the last: the flight has ended and its load may stop.
    pub fn leave(&mut self, flight: FlightId, waiters: u32) -> bool {
        let last = self.flights.leave(flight, waiters);
        if last {
            self.abandon(flight);
        }
        last
    }

    /// So many waiters have reached their deadline and leave. `true` as in [`leave`](Self::leave).
    pub fn time_out(&mut self, flight: FlightId, waiters: u32) -> bool {
        self.stats.timeouts += u64::from(waiters);
        self.leave(flight, waiters)
    }

    /// The load is gone without a result: whoever asks next takes the lead. `false` when the flight had
    /// ended before.
    pub fn abandon(&mut self, flight: FlightId) -> bool {
        if !self.flights.is_live(flight) {
            return false;
        }
        self.stats.loads_abandoned += 1;
        if let Some(slot) = self.end(flight) {
            self.vacate_pending(slot);
        }
        true
    }

    /// A follower has found the load lost: it is gone for all, and the follower, who now asks again, is
    /// counted by what that comes to.
    pub fn lost(&mut self, flight: FlightId) -> bool {
        self.stats.coalesced = self.stats.coalesced.saturating_sub(1);
        self.abandon(flight)
    }

    /// A waiter more that is no asker: the load itself, where it goes on when nobody waits.
    pub fn hold(&mut self, flight: FlightId) {
        self.flights.join(flight, Timestamp::default());
    }

    /// Cuts a key loose from its load. The flight's waiters stay.
    pub(super) fn detach(&mut self, slot: Slot) {
        if let Some(flight) = self.flight_of(slot) {
            self.flights.detach(flight);
        }
        if let Some(entry) = self.slab.get_mut(slot) {
            entry.set_flight(None);
        }
    }

    fn end(&mut self, flight: FlightId) -> Option<Slot> {
        let slot = self.flights.slot(flight);
        self.flights.end(flight);
        if let Some(entry) = slot.and_then(|slot| self.slab.get_mut(slot)) {
            entry.set_flight(None);
        }
        slot
    }

    fn is_pending(&self, slot: Slot) -> bool {
        self.slab.get(slot).is_some_and(|entry| entry.state() == State::Pending)
    }

    /// Ends a flight that nobody can be waiting for any more, and that nobody said so of.
    pub(super) fn sweep_flight(&mut self, now: Timestamp) {
        if let Some(flight) = self.flights.sweep(now) {
            self.abandon(flight);
        }
    }

    fn vacate_pending(&mut self, slot: Slot) {
        if self.is_pending(slot) {
            self.drop_value(slot, None);
        }
    }
}
