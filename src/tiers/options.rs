//! How a chain treats a tier.

use std::time::Duration;

use crate::tier;
use crate::time::Ttl;

/// How a chain treats a tier. A number out of bounds counts as the nearest within.
#[derive(Clone, Copy, Debug, Default)]
pub struct TierOptions {
    pub(crate) machine: tier::TierOptions,
    pub(crate) through: bool,
}

impl TierOptions {
    /// All as it is if nothing is said.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest time that a value stays, in whole milliseconds. The chain's [`max_lifetime`](super::Tiers::max_lifetime) if nothing is said.
    #[must_use]
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.machine.ttl = ttl.into();
        self
    }

    /// How long one read or write may take, in whole milliseconds: what a broken tier can cost. 250 ms if nothing is said, a day
    /// at the most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.machine.timeout = millis(timeout).min(DAY);
        self
    }

    /// After `failures` in a row, one at least, the tier is left alone for `cooldown`; twice as long each time that the trial
    /// after it fails, up to 16 times. 5 and 5 s if nothing is said. Reading and writing count by themselves.
    #[must_use]
    pub fn breaker(mut self, failures: u32, cooldown: Duration) -> Self {
        self.machine.breaker = tier::BreakerOptions { failures: failures.max(1), cooldown: millis(cooldown) };
        self
    }

    /// A load waits until its value is stored in the tier, for `timeout` at the most. If nothing is said it does not wait.
    #[must_use]
    pub fn write_through(mut self) -> Self {
        self.through = true;
        self
    }

    /// So many bytes may be on their way to the tier; more is not written. 16 MiB if nothing is said.
    #[must_use]
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.machine.max_pending_bytes = bytes;
        self
    }

    /// Values that are larger as they are stored are kept from the tier, and count as too large, not as failures. If nothing is said,
    /// none is.
    #[must_use]
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.machine.max_value_bytes = bytes;
        self
    }
}

pub(crate) const DAY: u64 = 86_400_000;

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
