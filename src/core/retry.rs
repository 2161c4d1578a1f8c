//! Whether a load that has failed is tried again, and when.

use super::ids::FlightId;
use super::{Failure, Machine};
use crate::options::Retry;
use crate::time::{Timestamp, Ttl};

impl Machine {
    /// In how many milliseconds the load that has just failed is to be tried again; `None`: never, so that its flight ends.
    ///
    /// It is tried again while somebody waits whose deadline comes later than the next attempt, unless a purge or a newer
    /// value has cut it loose from its key: those who wait then have the error at once, and ask anew if they like.
    pub(super) fn retry_in(&mut self, id: FlightId, failure: &Failure) -> Option<u64> {
        let flight = self.flights.get(id).filter(|flight| failure.may_retry && flight.slot.is_some())?;
        let delay = flight.policy.retry.delay_after(flight.failures + 1, failure.random)?;
        let begins = failure.now.after(Ttl::Millis(delay));
        let partition = flight.partition;
        self.flights.awaited_until(id).filter(|until| begins < *until)?;
        self.flights.get_mut(id)?.failures += 1;
        self.count(partition, |stats| stats.retries += 1);
        Some(delay)
    }

    /// Whether the next attempt of a load may begin, now that its delay has passed. If not, the load has
    /// [failed](Self::failed) for good, with the error that it had.
    pub fn may_try_again(&mut self, flight: FlightId, now: Timestamp) -> bool {
        let attached = self.flights.get(flight).is_some_and(|flight| flight.slot.is_some());
        let may = attached && self.flights.awaited_until(flight).is_some_and(|until| now < until);
        if may {
            self.spend_token(now);
        }
        may
    }
}

impl Retry {
    /// How long after the end of attempt number `attempt` (from 1 on) the next begins, in milliseconds; `None` after the last.
    fn delay_after(&self, attempt: u32, random: f64) -> Option<u64> {
        if attempt >= self.attempts {
            return None;
        }
        let Ttl::Millis(first) = self.delay else { return None };
        let exponent = i32::try_from(attempt - 1).unwrap_or(i32::MAX);
        let delay = first as f64 * self.factor.powi(exponent);
        // A cast saturates.
        Some((delay * (1.0 - self.jitter * random)) as u64)
    }
}
