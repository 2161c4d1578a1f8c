//! Who computes a key when: one after the other, in the order in which they asked.

use super::updates::LONGEST_WRITE;
use crate::time::Timestamp;

/// So many wait for one key at most, beside the one who computes it.
pub const MOST_COMPUTES_WAITING: u32 = 1_000;

struct WaitingCompute {
    number: u32,
    deadline: Timestamp,
}

/// Those who compute one key, and wait to. A driver keeps it from the first who asks until [nobody](Self::first) is left, and
/// tells the first that it is its turn, who may be another after every call.
#[derive(Default)]
pub struct ComputeQueue {
    /// The first computes, the others wait.
    asked: Vec<WaitingCompute>,
    /// Since when the first has been the first.
    since: Timestamp,
    last: u32,
}

impl ComputeQueue {
    /// Asks for a turn that is over at the deadline, be it spent with waiting or computing. The number of the one who asks,
    /// from 1 on, which no other has before 2^32 have asked; `None`: too many wait. O(1).
    pub fn ask(&mut self, now: Timestamp, deadline: Timestamp) -> Option<u32> {
        if self.asked.is_empty() {
            self.since = now;
        }
        if self.asked.len() > MOST_COMPUTES_WAITING as usize {
            return None;
        }
        self.last = self.last.wrapping_add(1).max(1);
        self.asked.push(WaitingCompute { number: self.last, deadline });
        Some(self.last)
    }

    /// Whose turn it is.
    pub fn first(&self) -> Option<u32> {
        self.asked.first().map(|first| first.number)
    }

    /// When to look again at one who computes or waits: at its deadline, or when the first counts as lost, at that one's
    /// deadline or a quarter of an hour after its turn began. Then it is the next one's turn, whatever became of it: its
    /// request may have ended without a word. `None`: the deadline of the one who looks has come, or it is none of them.
    /// O(those who wait).
    pub fn look(&mut self, number: u32, now: Timestamp) -> Option<Timestamp> {
        while let Some(first) = self.asked.first() {
            let mut until = first.deadline;
            if first.number != number {
                until = until.min(self.since.after(LONGEST_WRITE));
                if now >= until {
                    self.leave(first.number, now);
                    continue;
                }
                until = until.min(self.asked.iter().find(|asked| asked.number == number)?.deadline);
            }
            return (now < until).then_some(until);
        }
        None
    }

    /// One computes or waits no longer, for whatever reason. Nothing happens if it counts as lost. O(those who wait).
    pub fn leave(&mut self, number: u32, now: Timestamp) {
        let Some(at) = self.asked.iter().position(|asked| asked.number == number) else { return };
        self.asked.remove(at);
        if at == 0 {
            self.since = now;
        }
    }
}
