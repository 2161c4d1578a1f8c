//! Which waits end when, for a driver that serves all of them with one timer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Timestamp;

/// Deadlines of waits by moment. A wait that ends early stays until it is met or until the heap has
/// doubled, so that neither adding nor ending one costs more than O(log n), amortised.
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(Timestamp, u64)>>,
    last: Option<(Timestamp, u64)>,
    tidy_at: usize,
}

const TIDY_AT_LEAST: usize = 64;

impl Default for Deadlines {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), last: None, tidy_at: TIDY_AT_LEAST }
    }
}

impl Deadlines {
    /// Adds a deadline for the flight with this id, unless it is the one added last. `is_live` tells which
    /// flights are still waited for.
    pub fn add(&mut self, at: Timestamp, id: u64, is_live: impl Fn(u64) -> bool) {
        if at == Timestamp::NEVER || self.last == Some((at, id)) {
            return;
        }
        if self.heap.len() >= self.tidy_at {
            self.heap.retain(|Reverse((_, id))| is_live(*id));
            self.tidy_at = (2 * self.heap.len()).max(TIDY_AT_LEAST);
        }
        self.last = Some((at, id));
        self.heap.push(Reverse((at, id)));
    }

    /// The id of a live flight, some of whose waits have reached their deadline; the earliest first.
    pub fn pop_due(&mut self, now: Timestamp, is_live: impl Fn(u64) -> bool) -> Option<u64> {
        while self.next(&is_live).is_some_and(|at| at <= now) {
            let Reverse(met) = self.heap.pop()?;
            let (_, id) = met;
            // Where the clock stands still, the same moment may be asked for again.
            self.last = self.last.filter(|last| *last != met);
            if is_live(id) {
                return Some(id);
            }
        }
        None
    }

    /// The earliest deadline of a live flight.
    pub fn next(&mut self, is_live: impl Fn(u64) -> bool) -> Option<Timestamp> {
        while let Some(Reverse((at, id))) = self.heap.peek().copied() {
            if is_live(id) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }
}
