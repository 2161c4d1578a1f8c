//! How keys that are asked for together become one call: which batch a key joins, when that goes, and how often a key is
//! tried again whose batch was lost. A driver keeps the keys, and calls the loader of a batch that takes no more of them.

use super::Machine;
use super::batch_trials::{BatchLimits, BatchTrials};
use super::ids::{BatchId, FlightId, Node};
use crate::time::{Timestamp, Ttl};

/// In how many batches a key is tried that are lost.
const TRIES: u32 = 10;
/// Numbers of batches have so many bits, and are then used again.
const BATCH_BITS: u32 = 30;

/// A load that wants its key in a batch.
#[derive(Clone, Copy, Debug)]
pub struct JoinBatch {
    /// The batch that its loader began last, gone or not, if that is known.
    pub last: Option<BatchId>,
    /// Whether that batch has the key.
    pub has: bool,
    /// The load, which waits for the batch.
    pub load: Option<FlightId>,
    /// What the loader's batches may be.
    pub limits: BatchLimits,
    /// The moment. Wanted where the batch may be a new one, or has a window.
    pub now: Timestamp,
}

/// The batch that a key is in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedBatch {
    /// Which.
    pub batch: BatchId,
    /// Whether it begins with this key, and has no other.
    pub is_new: bool,
    /// When it goes.
    pub goes: Goes,
}

/// When a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// At once: it is full.
    Now,
    /// When everyone has asked whose turn it is.
    WithTheTurn,
    /// At this moment, or when it is full.
    At(Timestamp),
}

/// A loader's last batch.
struct Last {
    id: BatchId,
    /// Whether it takes keys.
    open: bool,
    keys: u32,
    /// When its first and its last key came.
    from: Timestamp,
    to: Timestamp,
    /// How many loads wait for one of its keys.
    waiting: usize,
    /// Until then it takes keys; `None`: until the turn is over.
    until: Option<Timestamp>,
    /// Of it and those before.
    trials: BatchTrials,
}

/// The last batches of loaders: all that take keys, and some that are gone, of loaders that may begin another.
#[derive(Default)]
pub(crate) struct Batches {
    last: u32,
    loaders: Vec<Last>,
}

/// So many are remembered.
const MOST_LOADERS: usize = 16;

impl Batches {
    fn open_mut(&mut self, id: BatchId) -> Option<&mut Last> {
        self.loaders.iter_mut().rfind(|last| last.id == id && last.open)
    }

    fn close(&mut self, id: BatchId) {
        if let Some(last) = self.open_mut(id) {
            last.open = false;
            last.trials.count(last.keys, last.from, last.to);
        }
    }

    fn begin(&mut self, JoinBatch { last, limits, now, .. }: &JoinBatch) -> BatchId {
        self.last = self.last % (1 << BATCH_BITS) + 1;
        // One that takes keys no longer makes way.
        last.iter().for_each(|last| self.close(*last));
        let known = self.loaders.iter().position(|known| Some(known.id) == *last);
        let mut trials =
            known.and_then(|at| self.loaders.get(at)).map_or_else(BatchTrials::default, |known| known.trials);
        trials.limits = *limits;
        let (id, until) = (BatchId::new(self.last), limits.window.map(|millis| now.after(Ttl::Millis(millis))));
        let begun = Last { id, open: true, keys: 0, from: *now, to: *now, waiting: 0, until, trials };
        let known = match known {
            Some(at) => self.loaders.get_mut(at),
            None if self.loaders.len() < MOST_LOADERS => None,
            // Who began one longest ago makes way.
            None => self.loaders.iter_mut().filter(|last| !last.open).min_by_key(|last| last.id.number()),
        };
        match known {
            Some(known) => *known = begun,
            None => self.loaders.push(begun),
        }
        id
    }

    /// Whether a key that is asked for now joins this batch.
    ///
    /// A batch that nobody waits for, and whose time has passed, may have lost the one who would have sent it.
    fn takes(&mut self, id: BatchId, now: Timestamp) -> bool {
        self.open_mut(id).is_some_and(|open| open.waiting > 0 || open.until.is_some_and(|until| now < until))
    }
}

impl Machine {
    /// A load wants its key in a batch: it waits for that until the batch or the load has ended.
    pub fn join_batch(&mut self, join: &JoinBatch) -> JoinedBatch {
        let last = join.last.filter(|last| self.batches.takes(*last, join.now));
        let is_new = last.is_none();
        let batch = last.unwrap_or_else(|| self.batches.begin(join));
        // The batch itself waits for nothing as long as it takes keys, so that this closes no circle.
        if let Some(flight) = join.load
            && self.is_live(Node::Flight(flight))
        {
            self.graph.add(Node::Flight(flight), Node::Batch(batch));
        }
        let goes = self.batches.open_mut(batch).map_or(Goes::Now, |open| {
            open.waiting += 1;
            open.keys = open.keys.saturating_add(u32::from(is_new || !join.has));
            open.to = open.to.max(join.now);
            if open.keys >= join.limits.max_size { Goes::Now } else { open.until.map_or(Goes::WithTheTurn, Goes::At) }
        });
        if goes == Goes::Now {
            self.batches.close(batch);
        }
        JoinedBatch { batch, is_new, goes }
    }

    /// A load that wanted its key in a batch wants it no longer.
    pub fn leave_batch(&mut self, batch: BatchId) {
        if let Some(open) = self.batches.open_mut(batch) {
            open.waiting = open.waiting.saturating_sub(1);
        }
    }

    /// Its turn is over, or its moment has come: it takes no more keys.
    pub fn close_batch(&mut self, batch: BatchId) {
        self.batches.close(batch);
    }

    /// What became of the batches of the loader that has made most, and what other limits would have made of them. `None`
    /// before there was any.
    pub fn batch_trials(&self) -> Option<&BatchTrials> {
        self.batches.loaders.iter().map(|last| &last.trials).max_by_key(|trials| trials.batches)
    }

    /// Whether it takes keys, if somebody waits for it.
    pub fn is_batch_open(&self, batch: BatchId) -> bool {
        self.batches.loaders.iter().any(|last| last.id == batch && last.open)
    }

    /// The batch was lost, with its request or by a panic, before it brought anything for a key that so has been tried in
    /// so many. Whether the key is tried in another.
    pub fn batch_lost(&mut self, batch: BatchId, tries: u32) -> bool {
        self.batches.close(batch);
        self.end_call(Node::Batch(batch));
        tries < TRIES
    }

    /// A batch has ended, whatever came of it: it waits for nothing, and nobody waits for it.
    pub fn batch_ended(&mut self, batch: BatchId) {
        self.graph.end(Node::Batch(batch));
        self.end_call(Node::Batch(batch));
    }
}
