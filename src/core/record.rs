//! An entry as numbers.

use crate::numbers::{from_ttl, to_ttl};
use crate::options::EntryPolicy;
use crate::time::Ttl;

/// What there is to know of an entry but its key, value, part and tags. In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// How long ago it was stored.
    pub age: u64,
    /// How long it is fresh, from then on.
    pub ttl: Ttl,
    /// After that, how long it may be handed out while it is refreshed.
    pub stale_while_revalidate: Ttl,
    /// After that, how long it may stand in for a load that fails or is slow.
    pub stale_if_error: Ttl,
    /// How long it may lie unused.
    pub idle_ttl: Ttl,
    /// How long it has.
    pub unused: u64,
    /// By how much it is refreshed ahead, on the average: how long its load took, times `refresh_ahead`.
    pub spread: f64,
    /// Its driver checks it before each use.
    pub checked: bool,
    /// What it counts against `max_bytes`.
    pub weight: u32,
    /// What the eviction policy knows of it. It means something to the policy alone.
    pub standing: u32,
}

impl Record {
    /// How many numbers it is.
    #[doc(hidden)]
    pub const NUMBERS: usize = 10;

    /// A value that is stored now and never ends by itself.
    pub const NEW: Self = Self {
        age: 0,
        ttl: Ttl::Forever,
        stale_while_revalidate: Ttl::ZERO,
        stale_if_error: Ttl::ZERO,
        idle_ttl: Ttl::Forever,
        unused: 0,
        spread: 0.0,
        checked: false,
        weight: 0,
        standing: 0,
    };

    /// The same so much later, if it has not been used meanwhile.
    #[must_use]
    #[inline]
    pub fn later(mut self, by: u64) -> Self {
        self.age = self.age.saturating_add(by);
        self.unused = self.unused.saturating_add(by);
        self
    }

    /// As it crosses between JS and wasm: its fields, in their order.
    #[doc(hidden)]
    #[inline]
    pub fn to_numbers(&self) -> Vec<f64> {
        let lives = [self.ttl, self.stale_while_revalidate, self.stale_if_error, self.idle_ttl];
        let [ttl, revalidate, error, idle] = lives.map(from_ttl);
        let checked = f64::from(u8::from(self.checked));
        let (weight, standing) = (self.weight.into(), self.standing.into());
        vec![self.age as f64, ttl, revalidate, error, idle, self.unused as f64, self.spread, checked, weight, standing]
    }

    /// `None` of another number of numbers.
    #[doc(hidden)]
    #[inline]
    pub fn from_numbers(numbers: &[f64]) -> Option<Self> {
        let &[age, ttl, revalidate, error, idle, unused, spread, checked, weight, standing] = numbers else {
            return None;
        };
        Some(Self {
            age: age as u64,
            ttl: to_ttl(ttl),
            stale_while_revalidate: to_ttl(revalidate),
            stale_if_error: to_ttl(error),
            idle_ttl: to_ttl(idle),
            unused: unused as u64,
            spread,
            checked: checked != 0.0,
            weight: weight as u32,
            standing: standing as u32,
        })
    }

    /// How it is kept from now on, if its time is not over. What is stale already lives on for what is left of its windows.
    pub(super) fn policy(&self) -> Option<EntryPolicy> {
        let minus = |ttl: Ttl, by: u64| match ttl.bounded() {
            Ttl::Millis(millis) => Ttl::Millis(millis.saturating_sub(by)),
            forever => forever,
        };
        let over = match self.ttl.bounded() {
            Ttl::Millis(ttl) => self.age.saturating_sub(ttl),
            Ttl::Forever => 0,
        };
        let policy = EntryPolicy {
            ttl: minus(self.ttl, self.age),
            idle_ttl: minus(self.idle_ttl, self.unused),
            stale_while_revalidate: minus(self.stale_while_revalidate, over),
            stale_if_error: minus(self.stale_if_error, over),
            refresh_ahead: self.spread,
            jitter: 0.0,
            checked: self.checked,
        };
        let longest = policy.ttl.max(policy.stale_while_revalidate).max(policy.stale_if_error);
        (longest.min(policy.idle_ttl) != Ttl::ZERO).then_some(policy)
    }
}
