//! Which waits end when, for a driver that serves all of them with one timer.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::ids::WaitId;
use crate::time::Timestamp;

/// A moment at which a wait is to be looked at. The soonest is the greatest, since a heap gives that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub at: Timestamp,
    pub wait: WaitId,
    /// Its soft deadline; if not, its hard one.
    pub soft: bool,
}

impl Ord for Due {
    /// Of what is due at one moment, each flight's groups in their order.
    #[cfg_attr(target_family = "wasm", inline(never))]
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |due: &Self| (due.at, due.wait.flight.number(), due.wait.group);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Deadlines of waits by moment. One that ends early stays until it is met or until the heap has doubled, so that
/// neither adding nor ending one costs more than O(log n), amortised.
#[derive(Default)]
pub(crate) struct Alarm {
    heap: BinaryHeap<Due>,
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
            self.heap.retain(|due| is_live(due.wait));
            self.tidy_at = 2 * self.heap.len();
        }
        self.heap.push(Due { at, wait, soft });
    }

    /// All deadlines come so many milliseconds earlier.
    pub fn set_back(&mut self, millis: u64) {
        let mut all = std::mem::take(&mut self.heap).into_vec();
        all.iter_mut().for_each(|due| due.at = due.at.before(millis));
        self.heap = all.into();
    }

    /// The next deadline that has been reached of a wait that is under way.
    pub fn pop_due(&mut self, now: Timestamp, is_live: impl Fn(WaitId) -> bool) -> Option<Due> {
        self.next(is_live).filter(|at| *at <= now)?;
        self.heap.pop()
    }

    /// The earliest deadline of a wait that is under way.
    pub fn next(&mut self, is_live: impl Fn(WaitId) -> bool) -> Option<Timestamp> {
        while let Some(due) = self.heap.peek() {
            if is_live(due.wait) {
                return Some(due.at);
            }
            self.heap.pop();
        }
        None
    }
}
