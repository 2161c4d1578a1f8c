//! How keys that are asked for together become one call: which batch a key joins, when that goes, and how often a key is
//! tried again whose batch was lost. A driver keeps the keys, and says who waits.

use crate::time::{Timestamp, Ttl};

/// In how many batches a key is tried that are lost.
const TRIES: u32 = 10;

/// A batch among those of one loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchId(u64);

/// When a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// At once: it is full, or takes no more keys for another reason.
    Now,
    /// When everyone has asked whose turn it is.
    WithTheTurn,
    /// At this moment, or when it is full.
    At(Timestamp),
}

struct Open {
    id: BatchId,
    keys: usize,
    /// How many loads wait for one of its keys.
    waiting: usize,
    /// Until then it takes keys; `None`: until the turn is over.
    until: Option<Timestamp>,
}

/// The batches of one loader, of which one at the most takes keys.
pub struct Batches {
    max_size: usize,
    /// In milliseconds; `None`: until the end of the turn.
    window: Option<u64>,
    begun: u64,
    open: Option<Open>,
}

impl Default for Batches {
    /// Without a bound; each goes with the turn.
    fn default() -> Self {
        Self { max_size: usize::MAX, window: None, begun: 0, open: None }
    }
}

impl Batches {
    /// At most so many keys in each; one at the least.
    pub fn set_max_size(&mut self, keys: usize) {
        self.max_size = keys.max(1);
    }

    /// Each takes keys for so many milliseconds; 0: until the end of the turn.
    pub fn set_window(&mut self, millis: u64) {
        self.window = Some(millis).filter(|millis| *millis > 0);
    }

    /// For how many milliseconds each takes keys; `None`: until the end of the turn.
    pub fn window(&self) -> Option<u64> {
        self.window
    }

    /// Whether a key that is asked for now joins this batch; if not, it [begins](Self::begin) one.
    ///
    /// A batch that nobody waits for, and whose time has passed, may have lost the one who would have sent it.
    pub fn takes(&self, batch: BatchId, now: Timestamp) -> bool {
        let takes = |open: &Open| open.waiting > 0 || open.until.is_some_and(|until| now < until);
        self.open.as_ref().is_some_and(|open| open.id == batch && takes(open))
    }

    /// A new batch, which takes keys instead of any other.
    pub fn begin(&mut self, now: Timestamp) -> BatchId {
        self.begun += 1;
        let id = BatchId(self.begun);
        self.open =
            Some(Open { id, keys: 0, waiting: 0, until: self.window.map(|millis| now.after(Ttl::Millis(millis))) });
        id
    }

    /// One more load waits for its key in a batch, which already `has` that key or gets it now. When the batch goes.
    pub fn join(&mut self, batch: BatchId, has: bool) -> Goes {
        let Some(open) = self.open.as_mut().filter(|open| open.id == batch) else { return Goes::Now };
        open.waiting += 1;
        open.keys += usize::from(!has);
        if open.keys >= self.max_size {
            self.open = None;
            return Goes::Now;
        }
        open.until.map_or(Goes::WithTheTurn, Goes::At)
    }

    /// A load waits no longer.
    pub fn leave(&mut self, batch: BatchId) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == batch) {
            open.waiting = open.waiting.saturating_sub(1);
        }
    }

    /// Its turn is over, or its moment has come: it takes no more keys.
    pub fn close(&mut self, batch: BatchId) {
        self.open.take_if(|open| open.id == batch);
    }

    /// Whether it takes no more keys, so that it goes.
    pub fn is_closed(&self, batch: BatchId) -> bool {
        self.open.as_ref().is_none_or(|open| open.id != batch)
    }

    /// The batch was lost, with its request or by a panic, before it brought anything for a key that so has been tried in
    /// so many. Whether the key is tried in another.
    pub fn lost(&mut self, batch: BatchId, tries: u32) -> bool {
        self.close(batch);
        tries < TRIES
    }
}
