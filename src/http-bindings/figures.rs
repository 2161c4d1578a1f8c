//! What happened, counted as every cache of this crate counts it.

use std::cell::RefCell;

use nearcache::figures::{Held, Layer};
use nearcache::http::exchange::{Answer, Outcome};
use nearcache::{Stats, figures};

use crate::proxy::Proxy;
use crate::store::Body;

#[derive(Default)]
pub(crate) struct Figures(RefCell<Stats>);

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// By what is stored, without waiting.
    Hit,
    /// So, and it was stale.
    StaleHit,
    /// By a trip of its own.
    Miss,
    /// By another request's trip.
    Coalesced,
}

impl Figures {
    pub fn count(&self, came: Came) {
        let mut stats = self.0.borrow_mut();
        match came {
            Came::Hit => stats.hits += 1,
            Came::StaleHit => stats.stale_hits += 1,
            Came::Miss => stats.misses += 1,
            Came::Coalesced => stats.coalesced += 1,
        }
    }

    /// A request that was answered from what is stored.
    pub fn answered(&self, answer: &Answer<Body>, now: u64) {
        // Refusals have no record; they are no gets.
        if let Some(record) = &answer.record {
            self.count(if record.freshness.is_fresh(now) { Came::Hit } else { Came::StaleHit });
        }
    }

    pub fn load_began(&self, background: bool) {
        let mut stats = self.0.borrow_mut();
        stats.loads += 1;
        stats.refreshes += u64::from(background);
    }

    pub fn load_ended(&self, outcome: &Outcome<Body>, millis: u64) {
        let mut stats = self.0.borrow_mut();
        stats.load_failures += u64::from(matches!(outcome, Outcome::Failed(_)));
        stats.load_millis.record(millis);
    }

    pub fn soft_timeout(&self) {
        self.0.borrow_mut().soft_timeouts += 1;
    }
}

impl Proxy {
    /// The figures of the isolate: what requests came to, and what became of entries.
    pub fn stats(&self) -> Stats {
        let (asked, stored) = (self.figures.0.borrow().clone(), self.store.stats());
        Stats {
            inserts: stored.inserts,
            rejected: stored.rejected,
            evicted_size: stored.evicted_size,
            evicted_expired: stored.evicted_expired,
            evicted_replaced: stored.evicted_replaced,
            evicted_removed: stored.evicted_removed,
            ..asked
        }
    }

    /// What there is now, and its bounds.
    pub fn held(&self) -> Held {
        Held {
            entries: Some(self.store.len() as u64),
            bytes: Some(self.store.weight()),
            max_entries: Some(self.limits.max_entries),
            max_bytes: Some(self.limits.max_bytes),
            loads_in_flight: Some(self.flights.under_way() as u64),
            ..Held::default()
        }
    }

    /// A page for Prometheus.
    pub fn metrics(&self) -> String {
        let (stats, held) = (self.stats(), self.held());
        figures::prometheus(&[Layer { cache: "nearcache", layer: "memory", namespace: None, stats: &stats, held }])
    }
}
