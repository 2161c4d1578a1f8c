//! Batches, and loads that wait for their turn.

use nearcache::core::{BatchId, BatchLimits, CallTurn, Goes, JoinBatch, JoinedBatch, Node, Slot, Start};
use nearcache::numbers::to_time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::codes::*;
use crate::numbers::with;

#[wasm_bindgen]
impl Core {
    /// A load wants its key in a batch; `last` is the batch that its loader began last (0: none), which `has` the key or
    /// has not. Each takes keys for so many milliseconds (NaN: until the end of the turn), and `max_size` keys.
    ///
    /// The batch's number, with `NEW_BATCH` if it begins with this key, `FULL_BATCH` if it takes no more, and
    /// `TIMED_BATCH` if its window is one of time, all above.
    pub fn join_batch(&mut self, last: u32, has: bool, asker: i32, window: f64, max_size: f64, now: f64) -> f64 {
        let load = match self.node(asker) {
            Some(Node::Flight(flight)) => Some(flight),
            _ => None,
        };
        let window = (!window.is_nan()).then_some(window as u64);
        let limits = BatchLimits { max_size: max_size as u32, window };
        let last = (last > 0).then_some(BatchId::new(last));
        let JoinedBatch { batch, is_new, goes } =
            self.machine.join_batch(&JoinBatch { last, has, load, limits, now: to_time(now) });
        let mut flags = if is_new { NEW_BATCH } else { 0 };
        flags |= if goes == Goes::Now { FULL_BATCH } else { 0 };
        flags |= if window.is_some() { TIMED_BATCH } else { 0 };
        with(batch.number(), flags)
    }

    /// A batch takes no more keys.
    pub fn close_batch(&mut self, batch: u32) {
        self.machine.close_batch(BatchId::new(batch));
    }

    /// A batch was lost before it brought anything for a key that was tried in so many. Whether the key is tried in another.
    pub fn batch_lost(&mut self, batch: u32, tries: u32) -> bool {
        self.machine.batch_lost(BatchId::new(batch), tries)
    }

    /// A batch has ended, whatever came of it.
    pub fn batch_ended(&mut self, batch: u32) {
        self.machine.batch_ended(BatchId::new(batch));
    }

    /// A batch is to make its call: 0 now, 1 when `start` says so, 2 not at all.
    pub fn begin_call(&mut self, batch: i32, now: f64) -> u32 {
        let turn = self.node(batch).map(|batch| self.machine.begin_call(batch, to_time(now)));
        match turn {
            None | Some(CallTurn::Now) => 0,
            Some(CallTurn::Later) => 1,
            Some(CallTurn::Refused) => 2,
        }
    }

    /// One more call for so many keys.
    pub fn count_batch(&mut self, namespace: u8, keys: u32) {
        self.machine.count_batch(namespace, u64::from(keys));
    }

    /// The next that begins which waited: a flight, or a batch as an `asker`; -1 if there is none. There may be news.
    pub fn start(&mut self, now: f64) -> i32 {
        match self.machine.poll_start(to_time(now)) {
            Some(Start::Load(flight, _)) => flight.index() as i32,
            Some(Start::Call(batch)) => asker(batch),
            None => -1,
        }
    }

    /// Where a flight that begins late finds its key's last good value; 0: nowhere.
    pub fn last_good(&self, flight: u32, now: f64) -> u32 {
        let slot = self.flight(flight).and_then(|flight| self.machine.last_good(flight, to_time(now)));
        slot.map_or(0, Slot::number)
    }

    /// When a flight or a batch (as an `asker`) may begin that waits, or (-1) the next of all; infinity: when another ends,
    /// NaN: it does not wait.
    pub fn starts_at(&self, node: i32) -> f64 {
        let Some(node) = self.node(node).or_else(|| self.machine.next_to_start()) else { return f64::NAN };
        match self.machine.starts_at(node) {
            Ok(at) => at.map_or(f64::INFINITY, |at| at.as_millis() as f64),
            Err(_) => f64::NAN,
        }
    }
}

/// A batch, as the one who asks.
fn asker(node: Node) -> i32 {
    match node {
        Node::Batch(batch) => i32::try_from(batch.number()).map_or(-1, |number| -1 - number),
        Node::Flight(_) => -1,
    }
}
