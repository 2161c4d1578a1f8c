//! How a key's load begins, is shared, and ends. Every ending has a name.

use super::aging::Standing;
use super::flight::Ended;
use super::slab::{Slot, State};
use super::{Cause, FlightId, Keep, Machine, SWEEP, lru};
use crate::time::{Timestamp, Ttl};

/// How a key is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What is stored will do.
    Stored,
    /// What is stored will not do (`force_fresh`); a load already under way will.
    Fresh,
}

/// A get that loads what is not there.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Who counts it.
    pub space: u8,
    /// The moment.
    pub now: Timestamp,
    /// Until when the asker waits.
    pub deadline: Timestamp,
    /// Whether what is stored will do.
    pub ask: Ask,
    /// Whether the driver can run a load that nobody waits for. If not, the asker waits for the refresh that he
    /// would have begun.
    pub background: bool,
    /// A random number above 0 and up to 1, for refreshing ahead; `None`: not now.
    pub draw: Option<f64>,
}

/// What to do about a key that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Hand out the value in this slot.
    Hit(Slot),
    /// Hand out the value in this slot, which is stale.
    Stale(Slot),
    /// Hand out the value in this slot, and begin this load in the background; its one waiter is the cache itself.
    Refresh {
        /// The value's.
        slot: Slot,
        /// The load's.
        flight: FlightId,
        /// Whether the value is stale; if not, it is refreshed ahead of its end.
        stale: bool,
    },
    /// Hand out the error in this slot: the key's load failed a moment ago.
    Failed(Slot),
    /// Wait for this load.
    Join(FlightId),
    /// Begin this load; the key now has this slot.
    Lead(Slot, FlightId),
    /// 2^21 loads are under way, or 2^32 keys are known: there is no number left.
    Full,
}

/// How a load ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// With a value to store.
    Store(Keep<'a>),
    /// With a value that must not be stored.
    Skip,
    /// With an error.
    Fail {
        /// For how long the key is not to be loaded again.
        backoff: Ttl,
    },
}

/// What became of what a load brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The value belongs in this slot.
    Stored(Slot),
    /// The load failed, and those who waited get the last good value, which is in this slot.
    Rescued(Slot),
    /// The error goes to those who waited, and belongs in this slot.
    Remembered(Slot),
    /// It goes to those who waited, and nowhere else.
    Passed,
    /// The flight had ended before: nobody waits.
    Late,
}

impl Machine {
    /// A get that loads what is not there. `slot` is the key's, if it has one. O(1).
    ///
    /// Who is told to join or to lead is counted among the flight's waiters until the flight ends,
    /// [`leave`](Self::leave) or [`time_out`](Self::time_out) is called, or every waiter's `deadline` has passed.
    /// From the deadline of the one who began the load on, nobody joins it: the next to ask begins anew.
    pub fn ask(&mut self, slot: Option<Slot>, query: &Query) -> Answer {
        let stored = slot.filter(|_| query.ask == Ask::Stored);
        if let Some(answer) = stored.and_then(|slot| self.answer_from_store(slot, query)) {
            return answer;
        }
        let space = usize::from(query.space);
        if let Some((slot, flight)) = slot.and_then(|slot| Some((slot, self.flight_of(slot)?))) {
            if self.flights.is_joinable(flight, query.now, self.tags.purges()) {
                self.flights.join(flight, query.deadline);
                self.count(space, |stats| stats.coalesced += 1);
                return Answer::Join(flight);
            }
            self.detach(slot);
        }
        self.count(space, |stats| stats.misses += 1);
        let Some(slot) = slot.or_else(|| self.take(query.space)) else { return Answer::Full };
        let Some(flight) = self.begin(slot, query) else {
            self.expire_dead(slot, query.now);
            self.vacate_pending(slot);
            return Answer::Full;
        };
        // From here on the flight holds the key in its slot, whatever happens to an old value.
        self.expire_dead(slot, query.now);
        // Entries are swept when it settles.
        self.sweep(query.now, 0);
        Answer::Lead(slot, flight)
    }

    /// The answer where what is stored will do.
    fn answer_from_store(&mut self, slot: Slot, query: &Query) -> Option<Answer> {
        let now = query.now;
        if self.hit(slot, now) {
            return Some(Answer::Hit(slot));
        }
        let space = usize::from(query.space);
        if self.is_failed(slot, now) {
            lru::touch(&mut self.slab, slot);
            self.count(space, |stats| stats.hits += 1);
            return Some(Answer::Failed(slot));
        }
        let standing = self.standing(slot, now);
        let windows = *self.aging.windows(slot)?;
        let purges = self.tags.purges();
        let loading = self.flight_of(slot).is_some_and(|flight| self.flights.is_joinable(flight, now, purges));
        let may_load = !loading && now >= windows.retry_at;
        let (stale, refresh) = match standing {
            Standing::Fresh | Standing::Dead => return None,
            Standing::Ageing => {
                let due = query.draw.is_some_and(|draw| windows.is_due(now, draw));
                (false, may_load && due && query.background)
            }
            Standing::Stale if may_load && !query.background => return None,
            Standing::Stale => (true, may_load),
            Standing::LastResort if loading || may_load => return None,
            Standing::LastResort => (true, false),
        };
        lru::touch(&mut self.slab, slot);
        self.count(space, |stats| if stale { stats.stale_hits += 1 } else { stats.hits += 1 });
        let flight = if refresh {
            self.detach(slot);
            self.begin(slot, query)
        } else {
            None
        };
        Some(match (flight, stale) {
            (Some(flight), stale) => {
                self.count(space, |stats| stats.refreshes += 1);
                Answer::Refresh { slot, flight, stale }
            }
            (None, true) => Answer::Stale(slot),
            (None, false) => Answer::Hit(slot),
        })
    }

    /// Attaches a new load to a key.
    fn begin(&mut self, slot: Slot, query: &Query) -> Option<FlightId> {
        let flight = self.flights.begin(slot, query, self.tags.purges())?;
        if let Some(entry) = self.slab.get_mut(slot) {
            entry.set_flight(Some(flight.number()));
        }
        self.count(usize::from(query.space), |stats| stats.loads += 1);
        Some(flight)
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
    pub fn settle(&mut self, flight: FlightId, now: Timestamp, outcome: Outcome<'_>) -> Settled {
        if matches!(outcome, Outcome::Fail { .. })
            && let Some(slot) = self.flights.slot(flight)
        {
            // While the flight still holds the key in its slot, where the failure may have to be remembered.
            self.expire_dead(slot, now);
        }
        let Some(Ended { slot, space, began, since }) = self.end(flight) else { return Settled::Late };
        let millis = now.millis_since(began);
        self.count(usize::from(space), |stats| stats.load_millis.record(millis));
        let settled = match (outcome, slot) {
            (Outcome::Fail { backoff }, slot) => {
                self.count(usize::from(space), |stats| stats.load_failures += 1);
                slot.map_or(Settled::Passed, |slot| self.fail(slot, space, now, backoff))
            }
            (Outcome::Store(keep), Some(slot)) if !self.writes.pins(slot) && !self.tags.beat(since, keep.tags) => {
                self.store(Some(slot), space, now, &keep, Some(millis)).map_or(Settled::Passed, Settled::Stored)
            }
            (Outcome::Skip, Some(slot)) => {
                // The loader has seen a newer value than the one stored and won't have it kept.
                self.count(usize::from(space), |stats| stats.rejected += 1);
                self.drop_value(slot, Some(Cause::Replaced));
                Settled::Passed
            }
            (Outcome::Store(_) | Outcome::Skip, slot) => {
                self.count(usize::from(space), |stats| stats.rejected += 1);
                if let Some(slot) = slot {
                    self.vacate_pending(slot);
                }
                Settled::Passed
            }
        };
        self.sweep(now, SWEEP);
        settled
    }

    /// A load of this key failed: what is there takes its place as far as it may, or the failure is remembered.
    fn fail(&mut self, slot: Slot, space: u8, now: Timestamp, backoff: Ttl) -> Settled {
        if let Some(windows) = self.aging.windows_mut(slot) {
            windows.retry_at = now.after(backoff);
            if windows.rescues(now) {
                self.count(usize::from(space), |stats| stats.rescues += 1);
                return Settled::Rescued(slot);
            }
            return Settled::Passed;
        }
        if self.slab.get(slot).is_some_and(|entry| entry.state() == State::Ready) {
            return Settled::Passed;
        }
        if backoff != Ttl::ZERO
            && let Some(slot) = self.store_failure(slot, now, backoff)
        {
            return Settled::Remembered(slot);
        }
        self.drop_value(slot, None);
        Settled::Passed
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
        let space = self.flights.space(flight);
        self.count(usize::from(space), |stats| stats.timeouts += u64::from(waiters));
        self.leave(flight, waiters)
    }

    /// The load is gone without a result: whoever asks next takes the lead. `false` when the flight had
    /// ended before.
    pub fn abandon(&mut self, flight: FlightId) -> bool {
        let Some(Ended { slot, space, .. }) = self.end(flight) else { return false };
        self.count(usize::from(space), |stats| stats.loads_abandoned += 1);
        if let Some(slot) = slot {
            self.vacate_pending(slot);
        }
        true
    }

    /// A follower has found the load lost: it is gone for all, and the follower, who now asks again, is
    /// counted by what that comes to.
    pub fn lost(&mut self, flight: FlightId, space: u8) -> bool {
        self.count(usize::from(space), |stats| stats.coalesced = stats.coalesced.saturating_sub(1));
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

    fn end(&mut self, flight: FlightId) -> Option<Ended> {
        let ended = self.flights.end(flight)?;
        if let Some(entry) = ended.slot.and_then(|slot| self.slab.get_mut(slot)) {
            entry.set_flight(None);
        }
        Some(ended)
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

    /// Lets go of a key without a value, unless it is being loaded or written.
    pub(super) fn vacate_pending(&mut self, slot: Slot) {
        if self.is_pending(slot) {
            self.drop_value(slot, None);
        }
    }
}
