//! What other limits would have made of a loader's batches: each is tried out beside the real ones, as if keys had been
//! asked for at the same moments.

use crate::time::Timestamp;

/// What a loader's batches may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// At most so many keys in each; one at the least.
    pub max_size: u32,
    /// For how many milliseconds each takes keys; `None`: until the end of the turn.
    pub window: Option<u64>,
}

impl Default for BatchLimits {
    /// Without a bound; each goes with the turn.
    fn default() -> Self {
        Self { max_size: u32::MAX, window: None }
    }
}

/// Limits that are tried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchTrial {
    /// How many batches they would have spared: those whose keys would all have gone with an earlier one.
    pub spared: u32,
    /// When the first key of the batch would have come that would be there last.
    from: Timestamp,
    keys: u32,
}

/// What became of a loader's batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchTrials {
    /// What they might be.
    pub limits: BatchLimits,
    /// How many there were.
    pub batches: u32,
    /// Their keys.
    pub keys: u32,
    /// What windows of 1, 4, 16 and 64 ms would have made of them, and twice the size.
    pub trials: [BatchTrial; 5],
}

impl BatchTrials {
    /// The window in milliseconds that a trial has, by its place; `None`: the present one.
    pub fn window(place: usize) -> Option<u64> {
        (place < 4).then_some(1 << (2 * place))
    }

    /// A batch of so many keys, the first of which came at `from` and the last at `to`.
    pub(super) fn count(&mut self, batch_keys: u32, from: Timestamp, to: Timestamp) {
        self.batches = self.batches.saturating_add(1);
        self.keys = self.keys.saturating_add(batch_keys);
        for (place, trial) in self.trials.iter_mut().enumerate() {
            let (window, max_size) = match Self::window(place) {
                Some(window) => (window, self.limits.max_size),
                None => (self.limits.window.unwrap_or(1), self.limits.max_size.saturating_mul(2)),
            };
            let keys = trial.keys.saturating_add(batch_keys);
            let is_spared = trial.keys > 0 && keys <= max_size && to.millis_since(trial.from) < window;
            trial.spared = trial.spared.saturating_add(u32::from(is_spared));
            trial.keys = if is_spared { keys } else { batch_keys };
            trial.from = if is_spared { trial.from } else { from };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_end_at_the_greatest_number() {
        let most = BatchTrial { spared: u32::MAX, from: Timestamp::default(), keys: 1 };
        let mut trials = BatchTrials { batches: u32::MAX, keys: u32::MAX, trials: [most; 5], ..BatchTrials::default() };
        trials.count(1, Timestamp::default(), Timestamp::default());
        assert_eq!([trials.batches, trials.keys], [u32::MAX; 2]);
        assert!(trials.trials.iter().all(|trial| trial.spared == u32::MAX));
    }
}
