//! How loads end, and what becomes of what they bring. Every ending has a name.

use super::entries::{Entry, names_around};
use super::ids::{FlightId, WaitId};
use super::loads::EndedFlight;
use super::partitions::PartitionId;
use super::slab::{Slot, State};
use super::{Machine, RemovalCause, SWEEP};
use crate::options::PolicyPatch;
use crate::time::{Timestamp, Ttl};

/// A value that a load brought, as far as the core need know.
#[derive(Clone, Copy, Debug)]
pub struct LoadedValue<'a> {
    /// The moment.
    pub now: Timestamp,
    /// What the loader said of it.
    pub said: &'a PolicyPatch,
    /// By what names the loader wants it purged, besides what its caller said.
    pub tags: &'a [String],
    /// What it counts against `max_bytes`, by the loader or the user's weigher; `None`: unknown, unless the caller said.
    pub weight: Option<u32>,
    /// Whether it means "nothing there".
    pub absent: bool,
    /// The loader does not want it stored.
    pub skip: bool,
    /// From 0 to 1, for jitter.
    pub random: f64,
    /// How long it has been stored elsewhere already, in milliseconds: its lifetimes count from then. If nothing is left of
    /// its ttl it is stored for its stale windows.
    pub age: u64,
}

/// A load that failed, as far as the core need know.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// The moment.
    pub now: Timestamp,
    /// For how long its key is not to be loaded again, if the loader or the user's rule says; else as the one who began the
    /// load did.
    pub backoff: Option<Ttl>,
    /// Whether it can be tried again, and the user's rule lets this error be.
    pub may_retry: bool,
    /// From 0 to 1, for the jitter of retries.
    pub random: f64,
}

impl Failure {
    /// One that is not tried again.
    pub const fn last(now: Timestamp, backoff: Option<Ttl>) -> Self {
        Self { now, backoff, may_retry: false, random: 0.0 }
    }
}

/// What became of what a load brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadOutcome {
    /// The value belongs in this slot, and goes to those who waited.
    Stored(Slot),
    /// The load failed, and those who waited get the last good value, which is in this slot. Event: stale.
    ServedStale(Slot),
    /// The error goes to those who waited, and belongs in this slot.
    FailureCached(Slot),
    /// It goes to those who waited, and nowhere else.
    NotStored,
    /// The flight had ended before: nobody waits.
    FlightEnded,
    /// The flight goes on: its load is to be tried again after so many milliseconds, if it
    /// [may](Machine::may_try_again) then. No event.
    RetryIn(u64),
}

/// How a load ended. Event: load, or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What became of what it brought.
    pub outcome: LoadOutcome,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Whether nobody waited when it began: it refreshed what was handed out.
    pub background: bool,
    /// Nobody said what the value weighs, though the cache is bounded by weight: for those who wait this is an error, and
    /// the load counts as failed.
    pub unknown_weight: bool,
}

impl Settled {
    const LATE: Self = Self { outcome: LoadOutcome::FlightEnded, millis: 0, background: false, unknown_weight: false };
}

impl Machine {
    /// A load brought a value. It is stored only if nothing superseded the load.
    ///
    /// Afterwards the driver polls, writes the value if it is stored, and wakes those who wait, but for the groups that
    /// [`poll_ask_again`](Self::poll_ask_again) names.
    pub fn brought(&mut self, flight: FlightId, brought: &LoadedValue<'_>) -> Settled {
        let now = brought.now;
        let Some(known) = self.flights.get(flight) else { return Settled::LATE };
        let weight = brought.weight.or(known.weight);
        if weight.is_none() && self.limits.weighs() && !brought.skip {
            return Settled {
                unknown_weight: true,
                ..self.failed(flight, &Failure::last(now, brought.said.error_backoff))
            };
        }
        let purged = if known.since == self.tags.purges() {
            None
        } else {
            let names = names_around(&self.partitions, known.partition, [&known.tags, brought.tags]);
            self.tags.purged_since(known.since, &names)
        };
        if let Some(purge) = purged {
            self.ask_again = self.flights.asked_since(flight, purge);
        }
        let policy = known.policy.of_value(brought.said, brought.absent);
        let tags = self.flights.take_tags(flight);
        let Some((EndedFlight { slot, partition, background, .. }, millis)) = self.end_load(flight, now) else {
            return Settled::LATE;
        };
        let outcome = match slot {
            Some(slot) if brought.skip => {
                // The loader has seen a newer value than the one stored and won't have it kept.
                self.count(partition, |stats| stats.rejected += 1);
                self.drop_value(slot, Some(RemovalCause::Replaced));
                LoadOutcome::NotStored
            }
            Some(slot) if purged.is_none() && !self.writes.pins(slot) => {
                let entry = Entry {
                    policy,
                    weight: weight.unwrap_or(0),
                    tags: [&tags, brought.tags],
                    random: brought.random,
                    load_millis: Some(millis),
                    used_at: now,
                    hash: None,
                    standing: None,
                    age: 0,
                };
                self.store(Some(slot), partition, now.before(brought.age), &entry)
                    .map_or(LoadOutcome::NotStored, LoadOutcome::Stored)
            }
            slot => {
                self.count(partition, |stats| stats.rejected += 1);
                if let Some(slot) = slot {
                    self.vacate_pending(slot);
                }
                LoadOutcome::NotStored
            }
        };
        self.partitions.release(partition);
        self.sweep_after(outcome, now);
        Settled { outcome, millis, background, unknown_weight: false }
    }

    /// Counts a get of a new key and the load that it led, of which the machine hears as the load ends. Nothing was asked or told
    /// since `asked_at`, loads are not limited, and what it brought is to be [inserted](Self::insert) next: all that comes to what
    /// [`ask`](Self::ask) and [`brought`](Self::brought) do, but that refreshing ahead does not know how long the load took.
    pub fn count_load(&mut self, partition: PartitionId, asked_at: Timestamp, now: Timestamp) {
        self.follow_clock(asked_at);
        self.count(partition, |stats| {
            stats.misses += 1;
            stats.loads += 1;
            stats.load_millis.record(now.millis_since(asked_at));
        });
    }

    /// A load failed.
    pub fn failed(&mut self, flight: FlightId, failure: &Failure) -> Settled {
        if let Some(millis) = self.retry_in(flight, failure) {
            return Settled { outcome: LoadOutcome::RetryIn(millis), ..Settled::LATE };
        }
        let Some(known) = self.flights.get(flight) else { return Settled::LATE };
        let (now, backoff) = (failure.now, known.policy.backoff(failure.backoff));
        if let Some(slot) = known.slot {
            // While the flight still holds the key in its slot, where the failure may have to be remembered.
            self.remove_expired(slot, now);
        }
        let Some((EndedFlight { slot, partition, background, .. }, millis)) = self.end_load(flight, now) else {
            return Settled::LATE;
        };
        self.count(partition, |stats| stats.load_failures += 1);
        let outcome = match slot {
            Some(slot) => {
                let outcome = self.fail(slot, now, backoff);
                if matches!(outcome, LoadOutcome::ServedStale(_)) {
                    self.count(partition, |stats| stats.rescues += 1);
                }
                outcome
            }
            None => LoadOutcome::NotStored,
        };
        self.partitions.release(partition);
        self.sweep_after(outcome, now);
        Settled { outcome, millis, background, unknown_weight: false }
    }

    /// Whether [`poll_ask_again`](Self::poll_ask_again) has something to say.
    #[inline]
    pub fn must_ask_again(&self) -> bool {
        !self.ask_again.is_empty()
    }

    /// Those who waited in a group of the flight that has just ended, and may not have what it brought, since they asked
    /// after a tag was purged that it bears: they ask again.
    pub fn poll_ask_again(&mut self) -> Option<WaitId> {
        self.ask_again.pop()
    }

    /// A load of this key failed: what is there takes its place as far as it may, or the failure is remembered.
    fn fail(&mut self, slot: Slot, now: Timestamp, backoff: Ttl) -> LoadOutcome {
        if let Some(windows) = self.freshness.windows_mut(slot) {
            // Without a backoff there is no moment to wait for, also if the clock should be set back.
            windows.retry_at = if backoff == Ttl::ZERO { Timestamp::default() } else { now.after(backoff) };
            if !windows.rescues(now) || !self.is_usable(slot, now) {
                return LoadOutcome::NotStored;
            }
            self.freshness.used(slot, now);
            return LoadOutcome::ServedStale(slot);
        }
        if self.slab.get(slot).is_some_and(|entry| entry.state() == State::Ready) {
            return LoadOutcome::NotStored;
        }
        if backoff != Ttl::ZERO
            && !self.writes.pins(slot)
            && let Some(slot) = self.store_failure(slot, now, backoff)
        {
            return LoadOutcome::FailureCached(slot);
        }
        self.drop_value(slot, None);
        LoadOutcome::NotStored
    }

    fn end_load(&mut self, id: FlightId, now: Timestamp) -> Option<(EndedFlight, u64)> {
        let flight = self.end_flight(id)?;
        let millis = now.millis_since(flight.began);
        self.count(flight.partition, |stats| stats.load_millis.record(millis));
        Some((flight, millis))
    }

    fn sweep_after(&mut self, outcome: LoadOutcome, now: Timestamp) {
        let slot = match outcome {
            LoadOutcome::Stored(slot) | LoadOutcome::ServedStale(slot) | LoadOutcome::FailureCached(slot) => Some(slot),
            LoadOutcome::NotStored | LoadOutcome::FlightEnded | LoadOutcome::RetryIn(_) => None,
        };
        self.sweep_for(slot, now, SWEEP);
    }
}
