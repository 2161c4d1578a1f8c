//! A circuit breaker: what fails again and again is left alone for a while, and then tried once.

use crate::time::Timestamp;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// So many failures in a row open it. At least 1.
    pub failures: u32,
    /// For how long it stays open, in ms; each time that the trial after it fails, twice as long, up to sixteen times.
    pub cooldown: u64,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self { failures: 5, cooldown: 5_000 }
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One call, to see how it goes.
    HalfOpen,
}

/// What a call's end did to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// The first failure since all was well; of what fails now and then, one in a minute.
    Failing,
    /// Since a failure that was told all has been well for as long as the breaker stays open.
    Recovered,
}

#[derive(Debug)]
pub(super) struct Breaker {
    options: BreakerOptions,
    failures: u32,
    /// How often it has opened since it was closed.
    opened: u32,
    state: State,
    failed_at: Timestamp,
    /// Whether somebody was told that it fails, and not yet that it recovered; and until when nobody is told again.
    told: bool,
    quiet_until: Timestamp,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        until: Timestamp,
    },
    /// A trial that has not ended by `until` was lost with its request.
    HalfOpen {
        until: Timestamp,
    },
}

/// What fails now and then is told of once in so many ms.
const LINES_APART: u64 = 60_000;

/// The cooldown doubles so many times at the most.
const DOUBLINGS: u32 = 4;

impl Breaker {
    pub fn new(options: BreakerOptions) -> Self {
        let [failed_at, quiet_until] = [Timestamp::from_millis(0); 2];
        Self { options, failures: 0, opened: 0, state: State::Closed, failed_at, told: false, quiet_until }
    }

    /// Whether a call may be made that takes so long at the most. In the half-open state one may.
    pub fn admits(&mut self, now: Timestamp, timeout: u64) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } | State::HalfOpen { until } if now < until => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: after(now, timeout) };
                true
            }
        }
    }

    pub fn succeeded(&mut self, now: Timestamp) -> Change {
        self.failures = 0;
        // One that began before the breaker opened says nothing of how things are now.
        if matches!(self.state, State::Open { .. }) {
            return Change::None;
        }
        self.state = State::Closed;
        self.opened = 0;
        if !self.told || now.millis_since(self.failed_at) < self.options.cooldown {
            return Change::None;
        }
        self.told = false;
        self.quiet_until = after(now, LINES_APART);
        Change::Recovered
    }

    pub fn failed(&mut self, now: Timestamp) -> Change {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        let opens = match self.state {
            State::Closed => self.failures >= self.options.failures.max(1),
            State::HalfOpen { .. } => true,
            State::Open { .. } => false,
        };
        if opens {
            let cooldown = self.options.cooldown.saturating_mul(1 << self.opened.min(DOUBLINGS));
            self.opened = self.opened.saturating_add(1);
            self.state = State::Open { until: after(now, cooldown) };
        }
        if self.told || now < self.quiet_until {
            return Change::None;
        }
        self.told = true;
        Change::Failing
    }

    pub fn state(&self, now: Timestamp) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

fn after(now: Timestamp, millis: u64) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(millis))
}
