//! Which waits end when, for a driver that serves all of them with one timer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ids::{FlightId, WaitId};
use crate::time::Timestamp;

/// A moment at which a wait is to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub at: Timestamp,
    flight: FlightId,
    group: u32,
    /// Its soft deadline; if not, its hard one.
    pub soft: bool,
}

impl Due {
    pub fn wait(&self) -> WaitId {
        WaitId { flight: self.flight, group: self.group }
    }
}

/// Deadlines of waits by moment. One that ends early stays until it is met or until the heap has doubled, so that
/// neither adding nor ending one costs more than O(log n), amortised.
#[derive(Default)]
pub(crate) struct Alarm {
    heap: BinaryHeap<Reverse<Due>>,
    tidy_at: usize,
}

const TIDY_AT_LEAST: usize = 64;

impl Alarm {
    /// Adds a deadline. `is_live` tells which waits are still under way.
    pub fn add(&mut self, at: Timestamp, wait: WaitId, soft: bool, is_live: impl Fn(WaitId) -> bool) {
        if at == Timestamp::NEVER {
            return;
        }
        if self.heap.len() >= self.tidy_at.max(TIDY_AT_LEAST) {
            self.heap.retain(|Reverse(due)| is_live(due.wait()));
            self.tidy_at = 2 * self.heap.len();
        }
        let WaitId { flight, group } = wait;
        self.heap.push(Reverse(Due { at, flight, group, soft }));
    }

    /// All deadlines come so many milliseconds earlier.
    pub fn set_back(&mut self, millis: u64) {
        let heap = std::mem::take(&mut self.heap).into_iter();
        self.heap = heap.map(|Reverse(due)| Reverse(Due { at: due.at.before(millis), ..due })).collect();
    }

    /// The next deadline that has been reached of a wait that is under way.
    pub fn pop_due(&mut self, now: Timestamp, is_live: impl Fn(WaitId) -> bool) -> Option<Due> {
        self.next(is_live).filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// The earliest deadline of a wait that is under way.
    pub fn next(&mut self, is_live: impl Fn(WaitId) -> bool) -> Option<Timestamp> {
        while let Some(Reverse(due)) = self.heap.peek() {
            if is_live(due.wait()) {
                return Some(due.at);
            }
            self.heap.pop();
        }
        None
    }
}
