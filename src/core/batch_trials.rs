//! What other limits would have made of a loader's batches: each is tried out beside the real ones, as if keys had been
//! asked for at the same moments.

use super::batch::{BatchId, BatchLimits};
use crate::time::Timestamp;

/// Of so many loaders batches are looked at, of others none.
const MOST_LOADERS: usize = 16;

/// What became of a loader's batches, from its second on, and what other limits would have made of them.
#[derive(Clone, Copy, Debug)]
pub struct BatchTrials {
    /// What they might be.
    pub limits: BatchLimits,
    /// How many there were.
    pub batches: u64,
    /// Their keys.
    pub keys: u64,
    /// How many batches, all of whose keys would have gone with an earlier one, each of [`WINDOWS`](Self::WINDOWS) would have
    /// spared.
    pub spared_by_window: [u64; 4],
    /// How many twice the size would have.
    pub spared_by_size: u64,
}

impl BatchTrials {
    /// The windows that are tried out, in milliseconds.
    pub const WINDOWS: [u64; 4] = [1, 4, 16, 64];
}

/// A batch as it is when it takes no more keys.
#[derive(Clone, Copy)]
pub(super) struct Closed {
    pub id: BatchId,
    pub keys: usize,
    /// When its first and its last key came.
    pub from: Timestamp,
    pub to: Timestamp,
}

struct Loader {
    last: BatchId,
    trials: BatchTrials,
    /// Of each trial the batch that would be there last: when its first key came, and how many it would have.
    tried: [Option<(Timestamp, usize)>; 5],
}

/// The loaders that have made more than one batch.
#[derive(Default)]
pub(super) struct Loaders(Vec<Loader>);

impl Loaders {
    /// A loader begins a batch after its `last` one.
    pub fn begin(&mut self, last: BatchId, id: BatchId, limits: BatchLimits) {
        let none = BatchTrials { limits, batches: 0, keys: 0, spared_by_window: [0; 4], spared_by_size: 0 };
        let new = Loader { last: id, trials: none, tried: [None; 5] };
        if let Some(known) = self.0.iter_mut().find(|loader| loader.last == last) {
            if known.trials.limits != limits {
                *known = new;
                return;
            }
            known.last = id;
            return;
        }
        if self.0.len() < MOST_LOADERS {
            self.0.push(new);
        } else if let Some(least) = self.0.iter_mut().min_by_key(|loader| loader.trials.batches) {
            *least = new;
        }
    }

    /// A batch takes no more keys.
    pub fn closed(&mut self, batch: Closed) {
        let Some(Loader { trials, tried, .. }) = self.0.iter_mut().find(|loader| loader.last == batch.id) else {
            return;
        };
        let BatchTrials { limits: BatchLimits { max_size, window }, .. } = *trials;
        trials.batches += 1;
        trials.keys += batch.keys as u64;
        let windows = BatchTrials::WINDOWS.map(|window| (window, max_size)).into_iter();
        let limits = windows.chain([(window.unwrap_or(0).max(1), max_size.saturating_mul(2))]);
        let spared = trials.spared_by_window.iter_mut().chain([&mut trials.spared_by_size]);
        for ((tried, (window, max_size)), spared) in tried.iter_mut().zip(limits).zip(spared) {
            match tried {
                Some((from, keys))
                    if batch.to.millis_since(*from) < window && keys.saturating_add(batch.keys) <= max_size =>
                {
                    *keys += batch.keys;
                    *spared += 1;
                }
                _ => *tried = Some((batch.from, batch.keys)),
            }
        }
    }

    /// Those of the loader that has made most batches.
    pub fn busiest(&self) -> Option<&BatchTrials> {
        self.0.iter().map(|loader| &loader.trials).max_by_key(|trials| trials.batches)
    }
}
