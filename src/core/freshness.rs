//! What an entry's one moment of expiry does not tell: when it was stored, where its freshness and its stale windows
//! end, when to refresh it ahead, until when it may lie unused. Each is a column of its own that exists only where entries
//! need it.

use std::num::NonZeroU64;

use super::slab::Slot;
use crate::options::EntryPolicy;
use crate::time::{Timestamp, Ttl};

/// What may be done with a value at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It is fresh.
    Fresh,
    /// It is fresh, and so near its end that a get may refresh it.
    RefreshDue,
    /// It may be handed out while it is refreshed.
    StaleWhileRevalidate,
    /// It may be handed out where a load fails or is slow.
    StaleIfError,
    /// It may not be handed out.
    Expired,
}

/// The ends of a value that has more than one.
#[derive(Clone, Copy)]
pub(crate) struct StaleWindows {
    pub fresh_until: Timestamp,
    /// How long after that it may be handed out while it is refreshed.
    pub stale_while_revalidate: Ttl,
    /// How long after that it may stand in for a load that fails or is slow.
    pub stale_if_error: Ttl,
    /// After a load that failed, when the next may begin.
    pub retry_at: Timestamp,
    /// XFetch's delta times beta, in milliseconds: how long before its end the value is refreshed, on the average.
    pub spread: f64,
}

/// More than `-ln` of the smallest number above 0 that a generator of 53 bits makes.
const LONGEST_LOG: f64 = 37.0;

impl StaleWindows {
    /// For a value stored now whose load took so many milliseconds.
    pub fn new(now: Timestamp, ttl: Ttl, policy: &EntryPolicy, load_millis: Option<u64>) -> Self {
        Self {
            fresh_until: now.after(ttl),
            stale_while_revalidate: policy.stale_while_revalidate,
            stale_if_error: policy.stale_if_error,
            retry_at: Timestamp::default(),
            spread: load_millis.map_or(0.0, |millis| millis as f64 * policy.refresh_ahead.max(0.0)),
        }
    }

    /// When there is nothing left to do with the value.
    pub fn end(&self) -> Timestamp {
        self.after_fresh(self.stale_while_revalidate).max(self.after_fresh(self.stale_if_error))
    }

    /// Whether the value may stand in at this moment for a load that has failed.
    pub fn rescues(&self, now: Timestamp) -> bool {
        self.stale_if_error != Ttl::ZERO && now < self.after_fresh(self.stale_if_error)
    }

    /// The end of a window. Without a freshness that ends by itself there is none.
    fn after_fresh(&self, window: Ttl) -> Timestamp {
        if self.fresh_until == Timestamp::NEVER { Timestamp::NEVER } else { self.fresh_until.after(window) }
    }

    /// Until when no random number could make a refresh due, so that nobody need check.
    pub fn no_check_until(&self) -> Timestamp {
        let ahead = (self.spread * LONGEST_LOG).ceil();
        Timestamp::from_millis(self.fresh_until.as_millis().saturating_sub(ahead as u64))
    }

    pub fn freshness(&self, now: Timestamp) -> Freshness {
        match () {
            () if now < self.fresh_until => Freshness::RefreshDue,
            () if now < self.after_fresh(self.stale_while_revalidate) => Freshness::StaleWhileRevalidate,
            () if now < self.after_fresh(self.stale_if_error) => Freshness::StaleIfError,
            () => Freshness::Expired,
        }
    }

    /// Whether a get at this moment refreshes the value ahead of its end, by a random number from 0 (not included) to 1.
    ///
    /// XFetch (Vattani, Chierichetti, Lowenstein, VLDB 2015, algorithm 3): it does if
    /// `now - delta * beta * ln(random) >= expiry`. The logarithm is negative, so the time it tests is later than
    /// now, by an exponentially distributed amount whose mean is `delta * beta`: the later it is and the longer
    /// loads take, the likelier the refresh, and never is it later than the expiry.
    pub fn is_due(&self, now: Timestamp, random: f64) -> bool {
        let left = self.fresh_until.millis_since(now) as f64;
        self.spread > 0.0 && -random.ln() * self.spread >= left
    }

    /// Its freshness is over now; of its windows it keeps the length.
    pub fn expire(&mut self, now: Timestamp) {
        self.fresh_until = self.fresh_until.min(now);
    }
}

/// How long a value may lie unused, in milliseconds, and until when if it is not used again.
///
/// Each use has to be known, so that such a value has no moment until which it needs no check: every get of it comes to
/// the core. It has [`StaleWindows`] too, which say when it ends otherwise.
#[derive(Clone, Copy)]
struct Idle {
    ttl: NonZeroU64,
    until: Timestamp,
}

/// The columns.
#[derive(Default)]
pub(crate) struct FreshnessColumns {
    /// The moment after the one an entry was stored at, which so is never 0.
    stored_at: Vec<Option<NonZeroU64>>,
    windows: Vec<Option<StaleWindows>>,
    idle: Vec<Option<Idle>>,
}

impl FreshnessColumns {
    /// Whether nothing is known of any entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.stored_at.is_empty() && self.windows.is_empty()
    }

    pub fn windows(&self, slot: Slot) -> Option<&StaleWindows> {
        self.windows.get(slot.index())?.as_ref()
    }

    /// What may be done with a value that needs a check.
    pub fn freshness(&self, slot: Slot, now: Timestamp) -> Freshness {
        match self.windows(slot) {
            Some(windows) if self.idle_until(slot).is_none_or(|until| now < until) => windows.freshness(now),
            _ => Freshness::Expired,
        }
    }

    /// Until when the value may lie unused; `None` for ever.
    pub fn idle_until(&self, slot: Slot) -> Option<Timestamp> {
        (*self.idle.get(slot.index())?).map(|idle| idle.until)
    }

    /// The value was handed out.
    #[inline]
    pub fn used(&mut self, slot: Slot, now: Timestamp) {
        if let Some(Some(idle)) = self.idle.get_mut(slot.index()) {
            idle.until = now.after(Ttl::Millis(idle.ttl.get()));
        }
    }

    /// How long the value may lie unused, from each use on.
    pub fn idle_ttl(&self, slot: Slot) -> Ttl {
        let idle = self.idle.get(slot.index()).copied().flatten();
        idle.map_or(Ttl::Forever, |idle| Ttl::Millis(idle.ttl.get()))
    }

    /// The value, stored now, may lie unused for so long.
    pub fn set_idle(&mut self, slot: Slot, ttl: Ttl, now: Timestamp) {
        self.set_idle_until(slot, ttl, now.after(ttl));
    }

    /// As [`set_idle`](Self::set_idle), of a value that has lain unused for a while: its first use is wanted before `until`.
    pub fn set_idle_until(&mut self, slot: Slot, ttl: Ttl, until: Timestamp) {
        let idle = match ttl.bounded() {
            Ttl::Millis(millis) => NonZeroU64::new(millis).map(|ttl| Idle { ttl, until }),
            Ttl::Forever => None,
        };
        set(&mut self.idle, slot, idle);
    }

    pub fn windows_mut(&mut self, slot: Slot) -> Option<&mut StaleWindows> {
        self.windows.get_mut(slot.index())?.as_mut()
    }

    pub fn set_windows(&mut self, slot: Slot, windows: Option<StaleWindows>) {
        set(&mut self.windows, slot, windows);
    }

    pub fn stored_at(&self, slot: Slot) -> Option<Timestamp> {
        let after = (*self.stored_at.get(slot.index())?)?;
        Some(Timestamp::from_millis(after.get() - 1))
    }

    pub fn set_stored_at(&mut self, slot: Slot, at: Option<Timestamp>) {
        set(&mut self.stored_at, slot, at.and_then(|at| NonZeroU64::new(at.as_millis() + 1)));
    }
}

/// Writes to a column, which grows only for something.
fn set<T: Copy>(column: &mut Vec<Option<T>>, slot: Slot, value: Option<T>) {
    if value.is_some() && column.len() <= slot.index() {
        column.resize(slot.index() + 1, None);
    }
    if let Some(place) = column.get_mut(slot.index()) {
        *place = value;
    }
}
