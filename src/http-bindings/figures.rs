//! What happened, counted as every cache of this crate counts it.

use std::cell::RefCell;

use nearcache::Stats;
use nearcache::http::exchange::{ClientResponse, FetchOutcome};

use crate::store::Body;

#[derive(Default)]
pub(crate) struct Figures(RefCell<Stats>);

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// By what is stored, without waiting, though it was stale.
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
            Came::StaleHit => stats.stale_hits += 1,
            Came::Miss => stats.misses += 1,
            Came::Coalesced => stats.coalesced += 1,
        }
    }

    /// A request that was answered from what is stored.
    pub fn answered(&self, answer: &ClientResponse<Body>) {
        // Refusals are no gets.
        let mut stats = self.0.borrow_mut();
        stats.hits += u64::from(answer.fresh == Some(true));
        stats.stale_hits += u64::from(answer.fresh == Some(false));
    }

    pub fn load_began(&self, background: bool) {
        let mut stats = self.0.borrow_mut();
        stats.loads += 1;
        stats.refreshes += u64::from(background);
    }

    pub fn load_ended(&self, outcome: &FetchOutcome<Body>, millis: u64) {
        let mut stats = self.0.borrow_mut();
        stats.load_failures += u64::from(matches!(outcome, FetchOutcome::Failed(_)));
        stats.load_millis.record(millis);
    }

    pub fn stats(&self) -> Stats {
        self.0.borrow().clone()
    }

    pub fn soft_timeout(&self) {
        self.0.borrow_mut().soft_timeouts += 1;
    }
}
