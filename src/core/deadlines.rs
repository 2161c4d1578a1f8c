//! Which waits end when, for a driver that serves all of them with one timer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Timestamp;

/// Pending deadlines by moment. Cancelling is lazy: what has ended is dropped when it is met, or when
/// more than half of what is kept has ended.
#[derive(Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(Timestamp, u64)>>,
    live: usize,
}

impl Deadlines {
    /// Adds the deadline of the wait with this id. O(log n).
    pub fn add(&mut self, at: Timestamp, id: u64) {
        self.heap.push(Reverse((at, id)));
        self.live += 1;
    }

    /// One of the waits has ended before its deadline; `is_live` tells which remain. Amortised O(1).
    pub fn cancel(&mut self, is_live: impl Fn(u64) -> bool) {
        self.live = self.live.saturating_sub(1);
        if self.live == 0 {
            self.heap.clear();
        } else if self.heap.len() > 2 * self.live + 64 {
            self.heap.retain(|Reverse((_, id))| is_live(*id));
        }
    }

    /// The id of a wait whose deadline has come, the earliest first.
    pub fn pop_due(&mut self, now: Timestamp, is_live: impl Fn(u64) -> bool) -> Option<u64> {
        while let Some(Reverse((at, id))) = self.heap.peek().copied() {
            let live = is_live(id);
            if live && now < at {
                return None;
            }
            self.heap.pop();
            if live {
                self.live = self.live.saturating_sub(1);
                return Some(id);
            }
        }
        None
    }

    /// The earliest deadline that is kept.
    pub fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}
