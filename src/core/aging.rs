//! What one moment of expiry does not tell of an entry: when it was stored, where its freshness and its stale
//! windows end, when to refresh it ahead. Columns of their own, which exist only where entries need them.

use std::num::NonZeroU64;

use super::slab::Slot;
use crate::options::Life;
use crate::time::{Timestamp, Ttl};

/// What may be done with a value at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is fresh.
    Fresh,
    /// It is fresh, and so near its end that a get may refresh it.
    Ageing,
    /// It may be handed out while it is refreshed.
    Stale,
    /// It may be handed out where a load fails or is slow.
    LastResort,
    /// It may not be handed out.
    Dead,
}

/// The ends of a value that has more than one.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    pub fresh_until: Timestamp,
    /// How long after that it may be handed out while it is refreshed.
    revalidate: Ttl,
    /// How long after that it may stand in for a load that fails or is slow.
    error: Ttl,
    /// After a load that failed, when the next may begin.
    pub retry_at: Timestamp,
    /// XFetch's delta times beta, in milliseconds: how long before its end the value is refreshed, on the average.
    spread: f64,
}

/// More than `-ln` of the smallest number above 0 that a generator of 53 bits draws.
const LONGEST_DRAW: f64 = 37.0;

impl Windows {
    /// For a value stored now whose load took so many milliseconds.
    pub fn new(now: Timestamp, ttl: Ttl, life: &Life, load_millis: Option<u64>) -> Self {
        Self {
            fresh_until: now.after(ttl),
            revalidate: life.stale_while_revalidate,
            error: life.stale_if_error,
            retry_at: Timestamp::default(),
            spread: load_millis.map_or(0.0, |millis| millis as f64 * life.refresh_ahead.max(0.0)),
        }
    }

    /// When there is nothing left to do with the value.
    pub fn end(&self) -> Timestamp {
        self.after_fresh(self.revalidate).max(self.after_fresh(self.error))
    }

    /// Whether the value may stand in at this moment for a load that has failed.
    pub fn rescues(&self, now: Timestamp) -> bool {
        self.error != Ttl::ZERO && now < self.after_fresh(self.error)
    }

    /// The end of a window. Without a freshness that ends by itself there is none.
    fn after_fresh(&self, window: Ttl) -> Timestamp {
        if self.fresh_until == Timestamp::NEVER { Timestamp::NEVER } else { self.fresh_until.after(window) }
    }

    /// Until when no draw could make it due.
    pub fn plain_until(&self) -> Timestamp {
        let ahead = (self.spread * LONGEST_DRAW).ceil();
        Timestamp::from_millis(self.fresh_until.as_millis().saturating_sub(ahead as u64))
    }

    pub fn standing(&self, now: Timestamp) -> Standing {
        match () {
            () if now < self.fresh_until => Standing::Ageing,
            () if now < self.after_fresh(self.revalidate) => Standing::Stale,
            () if now < self.after_fresh(self.error) => Standing::LastResort,
            () => Standing::Dead,
        }
    }

    /// Whether a get at this moment refreshes the value ahead of its end, by a `draw` from 0 (not included) to 1.
    ///
    /// XFetch (Vattani, Chierichetti, Lowenstein, VLDB 2015, algorithm 3): it does if
    /// `now - delta * beta * ln(draw) >= expiry`. The logarithm is negative, so the time it tests is later than
    /// now, by an exponentially distributed amount whose mean is `delta * beta`: the later it is and the longer
    /// loads take, the likelier the refresh, and never is it later than the expiry.
    pub fn is_due(&self, now: Timestamp, draw: f64) -> bool {
        let left = self.fresh_until.millis_since(now) as f64;
        self.spread > 0.0 && -draw.ln() * self.spread >= left
    }

    /// Its freshness is over now; of its windows it keeps the length.
    pub fn expire(&mut self, now: Timestamp) {
        self.fresh_until = self.fresh_until.min(now);
    }
}

/// The columns.
#[derive(Default)]
pub(crate) struct Aging {
    /// The moment after the one an entry was stored at, which so is never 0.
    born: Vec<Option<NonZeroU64>>,
    windows: Vec<Option<Windows>>,
}

impl Aging {
    pub fn windows(&self, slot: Slot) -> Option<&Windows> {
        self.windows.get(slot.index())?.as_ref()
    }

    pub fn windows_mut(&mut self, slot: Slot) -> Option<&mut Windows> {
        self.windows.get_mut(slot.index())?.as_mut()
    }

    pub fn set_windows(&mut self, slot: Slot, windows: Option<Windows>) {
        set(&mut self.windows, slot, windows);
    }

    pub fn born(&self, slot: Slot) -> Option<Timestamp> {
        let after = (*self.born.get(slot.index())?)?;
        Some(Timestamp::from_millis(after.get() - 1))
    }

    pub fn set_born(&mut self, slot: Slot, born: Option<Timestamp>) {
        set(&mut self.born, slot, born.and_then(|born| NonZeroU64::new(born.as_millis() + 1)));
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
