//! How waits end that no load's end ends: at a deadline, by leaving, or because the load is lost.

use super::Machine;
use super::ids::{FlightId, Node, WaitId};
use super::loads::{Deadlines, EndedFlight, Turn};
use super::slab::Slot;
use crate::time::Timestamp;

/// A clock that goes back by this much has been set back, in milliseconds.
const CLOCK_STEP: u64 = 1_000;

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody who asked; inside which load, if in one.
    Caller(Option<Node>),
    /// The cache itself, for a refresh in the background.
    Cache,
}

/// A group of waits whose deadline has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Its soft deadline: if a stale value will do, [`soften`](Machine::soften) says so, and those who wait get that.
    Soft(WaitId),
    /// Its hard deadline: those who wait get an error, and wait no more.
    TimedOut {
        /// Who.
        wait: WaitId,
        /// Nobody waits for the flight any more: it has ended, and its load is to be dropped or aborted.
        last: bool,
    },
}

impl Machine {
    /// A waiter gives up before its deadline. `true` when it was the last: the flight has ended and its load is to be
    /// dropped or aborted.
    pub fn leave(&mut self, wait: WaitId, who: Who) -> bool {
        let (callers, release) = match who {
            Who::Caller(asker) => {
                self.waits_no_more(asker, wait.flight);
                (1, false)
            }
            Who::Cache => (0, true),
        };
        self.flights.leave(wait, callers, release) && self.abandon(wait.flight)
    }

    /// A waiter's hard deadline has passed, by its own timer. `true` as in [`leave`](Self::leave).
    pub fn time_out(&mut self, wait: WaitId, who: Who) -> bool {
        if let (Some(flight), Who::Caller(_)) = (self.flights.get(wait.flight), who) {
            self.count(flight.partition, |stats| stats.timeouts += 1);
        }
        self.leave(wait, who)
    }

    /// What the deadlines reached by now come to, with [`Timers::Shared`](super::Timers::Shared); `None` when there is
    /// nothing more.
    pub fn timeout(&mut self, now: Timestamp) -> Option<Wake> {
        self.follow_clock(now);
        loop {
            let Self { alarm, flights, .. } = self;
            let due = alarm.as_mut()?.pop_due(now, |wait| flights.deadlines(wait).is_some())?;
            let (wait, callers) = (due.wait, flights.callers(due.wait));
            if due.soft {
                if callers > 0 {
                    return Some(Wake::Soft(wait));
                }
                continue;
            }
            let partition = flights.get(wait.flight)?.partition;
            self.count(partition, |stats| stats.timeouts += u64::from(callers));
            let last = self.flights.leave(wait, callers, true) && self.abandon(wait.flight);
            return Some(Wake::TimedOut { wait, last });
        }
    }

    /// The earliest deadline of a wait, with [`Timers::Shared`](super::Timers::Shared).
    pub fn next_deadline(&mut self) -> Option<Timestamp> {
        let Self { alarm, flights, .. } = self;
        alarm.as_mut()?.next(|wait| flights.deadlines(wait).is_some())
    }

    /// The live flight with this number.
    pub fn flight_at(&self, number: u32) -> Option<FlightId> {
        self.flights.id_at(number)
    }

    /// How many callers wait in a group.
    pub fn callers(&self, wait: WaitId) -> u32 {
        self.flights.callers(wait)
    }

    /// When a wait's deadlines are; `None` if it is over.
    pub fn deadlines(&self, wait: WaitId) -> Option<Deadlines> {
        self.flights.deadlines(wait)
    }

    /// So many of a group have reached their soft deadline. `true` if the value in `slot`, which is the key's now, will
    /// do: they get that and wait no more. With `hold` the cache itself goes on waiting in their place, until their hard
    /// deadline, so that the load goes on.
    pub fn soften(&mut self, wait: WaitId, callers: u32, slot: Option<Slot>, now: Timestamp, hold: bool) -> Softened {
        let Some(partition) = self.flights.get(wait.flight).map(|flight| flight.partition) else {
            return Softened::No;
        };
        if !slot.is_some_and(|slot| self.is_usable(slot, now)) {
            return Softened::No;
        }
        if let Some(slot) = slot {
            self.freshness.used(slot, now);
        }
        self.count(partition, |stats| stats.soft_timeouts += u64::from(callers));
        let held = hold && self.flights.hold(wait);
        let last = self.flights.leave(wait, callers, false);
        match (held, last) {
            (true, _) => Softened::Held,
            (false, true) => {
                self.abandon(wait.flight);
                Softened::Ended
            }
            (false, false) => Softened::Yes,
        }
    }

    /// A load is gone without a result: with its request, by a panic, or dropped. Those who wait ask again. `false` when
    /// the flight had ended before.
    pub fn lost(&mut self, flight: FlightId) -> bool {
        self.abandon(flight)
    }

    /// The load `asker`, if there is one, does not wait for this flight any more.
    pub fn waits_no_more(&mut self, asker: Option<Node>, flight: FlightId) {
        if let Some(asker) = asker {
            self.graph.remove(asker, Node::Flight(flight));
        }
    }

    /// Whether others may wait for a load that asks. A loader may go on though its load has ended, whose number may be another's
    /// by then. The npm class, which is built without the engine, looks a load up as it names it, and spares the bytes.
    #[inline(always)]
    pub(super) fn is_live(&self, asker: Node) -> bool {
        match asker {
            Node::Flight(flight) if cfg!(feature = "engine") => self.flights.get(flight).is_some(),
            _ => true,
        }
    }

    pub(super) fn set_alarm(&mut self, wait: WaitId, deadlines: Deadlines) {
        let Self { alarm: Some(alarm), flights, .. } = self else { return };
        let is_live = |wait| flights.deadlines(wait).is_some();
        alarm.add(deadlines.hard, wait, false, is_live);
        if deadlines.soft < deadlines.hard {
            alarm.add(deadlines.soft, wait, true, is_live);
        }
    }

    /// A clock that is set back takes the deadlines of those who wait with it, so that it puts none off. Steps of less
    /// than a second are left alone: in a Worker the requests' clocks differ by as much, to and fro.
    pub(super) fn follow_clock(&mut self, now: Timestamp) {
        let back = self.latest.millis_since(now);
        if back < CLOCK_STEP {
            self.latest = self.latest.max(now);
            return;
        }
        self.latest = now;
        self.flights.set_back(back);
        if let Some(queue) = &mut self.queue {
            queue.set_back();
        }
        if let Some(alarm) = &mut self.alarm {
            alarm.set_back(back);
        }
    }

    /// The flight ends without a result: whoever asks next takes the lead.
    pub(super) fn abandon(&mut self, id: FlightId) -> bool {
        let Some(flight) = self.end_flight(id) else { return false };
        // What has not begun was counted as no load.
        if flight.turn != Turn::Waiting {
            self.count(flight.partition, |stats| stats.loads_abandoned += 1);
        }
        if let Some(slot) = flight.slot {
            self.vacate_pending(slot);
        }
        self.partitions.release(flight.partition);
        true
    }

    /// Ends a flight whose last deadline has passed though its waiters never left. Their waits count as timed out: if
    /// they are there still, they find that the flight has ended.
    pub(super) fn sweep_flight(&mut self, now: Timestamp) {
        if let Some(id) = self.flights.sweep(now) {
            self.sweep_out(id);
        }
    }

    pub(super) fn sweep_out(&mut self, id: FlightId) {
        let (callers, partition) = (self.flights.all_callers(id), self.flights.get(id).map(|flight| flight.partition));
        if let Some(partition) = partition {
            self.count(partition, |stats| stats.timeouts += u64::from(callers));
        }
        if self.abandon(id) {
            self.ended.push(id);
        }
    }

    /// Frees a flight's number and lets go of its key. Its partition is the caller's to release, at last.
    pub(super) fn end_flight(&mut self, id: FlightId) -> Option<EndedFlight> {
        let flight = self.flights.end(id)?;
        self.leave_queue(id, flight.turn);
        self.graph.end(Node::Flight(id));
        if let Some(mut entry) = flight.slot.and_then(|slot| self.slab.get_mut(slot)) {
            entry.set_flight(None);
        }
        Some(flight)
    }
}

/// What became of waiters at their soft deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Softened {
    /// There is no stale value that will do: they wait on.
    No,
    /// They get the stale value.
    Yes,
    /// So they do, and the cache itself now waits in their group.
    Held,
    /// So they do, and nobody waits any more: the flight has ended, and its load is to be dropped or aborted.
    Ended,
}
