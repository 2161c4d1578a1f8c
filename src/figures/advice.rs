//! What to change about a cache, by what has happened in it: rules of numbers, each of which stays silent where the figures
//! don't speak for it.

use std::fmt;

use crate::core::{BatchTrials, Stats};
use crate::options::{Limits, Policy};
use crate::time::Ttl;

/// What is known of a cache.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What happened; of the time that the advice is to be about.
    pub stats: Stats,
    /// Its bounds.
    pub limits: Limits,
    /// The entries it holds.
    pub entries: u64,
    /// Their bytes.
    pub weight: u64,
    /// How it keeps values.
    pub policy: Policy,
    /// As [`Machine::hit_rates_by_room`](crate::core::Machine::hit_rates_by_room) estimates it.
    pub hit_rates_by_room: Option<[f64; 4]>,
    /// Of [`Machine::batch_trials`](crate::core::Machine::batch_trials).
    pub batches: Option<BatchTrials>,
}

/// The option that advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lever {
    /// `max_entries`.
    MaxEntries,
    /// `time_to_live`, in milliseconds.
    Ttl,
    /// `stale_while_revalidate`, in milliseconds.
    StaleWhileRevalidate,
    /// `stale_if_error`, in milliseconds.
    StaleIfError,
    /// `refresh_ahead`.
    RefreshAhead,
    /// `max_bytes`.
    MaxBytes,
    /// `batch_window`, in milliseconds; 0 is the end of the turn.
    BatchWindow,
    /// `max_batch_size`.
    MaxBatchSize,
}

impl Lever {
    /// The option's name in the npm package.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxEntries => "maxEntries",
            Self::Ttl => "ttl",
            Self::StaleWhileRevalidate => "staleWhileRevalidate",
            Self::StaleIfError => "staleIfError",
            Self::RefreshAhead => "refreshAhead",
            Self::MaxBytes => "maxBytes",
            Self::BatchWindow => "batchWindow",
            Self::MaxBatchSize => "maxBatchSize",
        }
    }
}

/// Something to change. As text it says why.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Advice {
    /// What.
    pub lever: Lever,
    /// What it is now.
    pub present: f64,
    /// What it should be.
    pub suggested: f64,
    /// The rate that speaks for it, from 0 to 1: the hit rate now, or the share of gets, loads or batches that it is about.
    pub rate: f64,
    /// What is to be expected: the hit rate, of [`Lever::MaxEntries`] and [`Lever::MaxBytes`]; how many keys a batch would have on
    /// average, of [`Lever::BatchWindow`] and [`Lever::MaxBatchSize`].
    pub expected: Option<f64>,
}

/// Fewer gets, or loads, than this say nothing.
const FEWEST: u64 = 1_000;
const FEWEST_LOADS: u64 = 100;
/// More room is worth its memory from so many hits of all gets on, and less room costs fewer than this.
const WORTH: f64 = 0.02;
const NEGLIGIBLE: f64 = 0.002;
/// From this part of a bound on it may be what entries make room for.
const NEARLY_FULL: f64 = 0.9;
/// Below this nobody would notice.
const SLOW_LOAD: u64 = 5;
const HOUR: f64 = 3_600_000.0;
/// A wait for others is worth this part of all batches.
const WORTH_WAITING: f64 = 0.2;

/// What to change, the greatest lever first.
pub fn advise(evidence: &Evidence) -> Vec<Advice> {
    let rules =
        [about_room, about_ttl, about_stale_while_revalidate, about_refresh_ahead, about_stale_if_error, about_batches];
    let mut advice = Vec::new();
    for rule in rules {
        advice.extend(rule(evidence));
    }
    advice
}

/// More room, if entries that made room come back; less, if half of it would do as well.
fn about_room(evidence: &Evidence) -> Option<Advice> {
    let sampled = evidence.hit_rates_by_room?;
    let [half, same, twice, four_times] = sampled.map(|rate| expected_hit_rate(&evidence.stats, sampled, rate));
    let (stats, (lever, present)) = (&evidence.stats, binding_bound(evidence));
    if stats.gets() < FEWEST || stats.evicted_size == 0 {
        return None;
    }
    let advice = |times: f64, expected: f64| {
        let suggested = (present * times).ceil();
        Some(Advice { lever, present, suggested, rate: same, expected: Some(expected) })
    };
    if twice - same >= WORTH {
        if four_times - twice >= WORTH { advice(4.0, four_times) } else { advice(2.0, twice) }
    } else if same - half <= NEGLIGIBLE && four_times - same <= NEGLIGIBLE {
        advice(0.5, half)
    } else {
        None
    }
}

/// The bound that entries make room for. The estimates are about what the cache holds, whichever it is.
fn binding_bound(evidence: &Evidence) -> (Lever, f64) {
    let Evidence { limits, entries, weight, .. } = evidence;
    let is_full = |held: u64, most: u64| held as f64 >= NEARLY_FULL * most as f64;
    match is_full(*weight, limits.max_bytes()) && !is_full(*entries, u64::from(limits.max_entries())) {
        true => (Lever::MaxBytes, limits.max_bytes() as f64),
        false => (Lever::MaxEntries, f64::from(limits.max_entries())),
    }
}

/// What the cache would hit with room for which a sample of its keys is hit at this rate.
///
/// The most popular keys are rarely in a sample, and hit anyway: what the sample tells is by which part the misses become
/// fewer (as SHARDS' adjustment, Waldspurger et al., FAST 2015). Those that time is to blame for stay.
fn expected_hit_rate(stats: &Stats, [_, same, ..]: [f64; 4], rate: f64) -> f64 {
    let of_room = (stats.misses + stats.coalesced - stats.expired_misses.min(stats.misses)) as f64;
    let part = (1.0 - rate) / (1.0 - same).max(f64::MIN_POSITIVE);
    stats.hit_rate() + of_room / (stats.gets() as f64).max(1.0) * (1.0 - part)
}

/// Of all gets those that met a value past its time.
fn expired_rate(stats: &Stats) -> f64 {
    stats.expired_misses as f64 / (stats.gets() as f64).max(1.0)
}

/// A longer life, where time takes much more than room does.
fn about_ttl(evidence: &Evidence) -> Option<Advice> {
    let (stats, rate) = (&evidence.stats, expired_rate(&evidence.stats));
    let Ttl::Millis(present) = evidence.policy.entry.ttl else { return None };
    let by_time = stats.evicted_expired + stats.evicted_replaced > 4 * stats.evicted_size;
    (stats.gets() >= FEWEST && rate >= 0.1 && by_time).then_some(Advice {
        lever: Lever::Ttl,
        present: present as f64,
        suggested: present as f64 * 2.0,
        rate,
        expected: None,
    })
}

/// The last value while a newer one comes, where gets wait for what has only just expired.
fn about_stale_while_revalidate(evidence: &Evidence) -> Option<Advice> {
    let (stats, rate) = (&evidence.stats, expired_rate(&evidence.stats));
    let Ttl::Millis(ttl) = evidence.policy.entry.ttl else { return None };
    let is_slow = stats.load_millis.quantile(0.5)? >= SLOW_LOAD;
    let has_none = evidence.policy.entry.stale_while_revalidate == Ttl::ZERO;
    (stats.gets() >= FEWEST && rate >= 0.02 && is_slow && has_none).then_some(Advice {
        lever: Lever::StaleWhileRevalidate,
        present: 0.0,
        suggested: ttl as f64,
        rate,
        expected: None,
    })
}

/// Refreshing before the end, where gets of popular keys wait for what has expired: the more wait together, the more so.
fn about_refresh_ahead(evidence: &Evidence) -> Option<Advice> {
    let (stats, entry) = (&evidence.stats, &evidence.policy.entry);
    let waiting = stats.expired_misses + stats.coalesced;
    let rate = waiting as f64 / (stats.gets() as f64).max(1.0);
    let Ttl::Millis(ttl) = entry.ttl else { return None };
    let load = stats.load_millis.quantile(0.5)?;
    // A life that is hardly longer than a load would be spent on refreshing.
    let fits = load >= SLOW_LOAD && ttl >= 20 * load;
    let popular = stats.hits >= 10 * stats.expired_misses.max(1);
    let has_none = entry.refresh_ahead == 0.0 && entry.stale_while_revalidate == Ttl::ZERO;
    (stats.gets() >= FEWEST && rate >= 0.005 && stats.expired_misses > 0 && fits && popular && has_none)
        .then_some(Advice { lever: Lever::RefreshAhead, present: 0.0, suggested: 1.0, rate, expected: None })
}

/// The last good value for an error, where loads fail of what was there a moment ago.
fn about_stale_if_error(evidence: &Evidence) -> Option<Advice> {
    let stats = &evidence.stats;
    let (rate, loads) = (stats.error_rate(), stats.load_millis.count());
    let Ttl::Millis(ttl) = evidence.policy.entry.ttl else { return None };
    let has_none = evidence.policy.entry.stale_if_error == Ttl::ZERO;
    (loads >= FEWEST_LOADS && rate >= 0.01 && stats.expired_misses > 0 && has_none).then_some(Advice {
        lever: Lever::StaleIfError,
        present: 0.0,
        suggested: (ttl as f64 * 10.0).max(HOUR),
        rate,
        expected: None,
    })
}

/// Fewer batches: a longer window, where they follow each other so closely that they would become one, or a larger size, where they
/// are full, and the next has what found no place. A window is no longer than a load takes without it: so none takes more than
/// twice as long.
fn about_batches(evidence: &Evidence) -> Option<Advice> {
    let BatchTrials { limits, batches, keys, trials, .. } = evidence.batches?;
    let present = limits.window.unwrap_or(0);
    let bearable = evidence.stats.load_millis.quantile(0.5)?.saturating_sub(present);
    let (mut best, mut spared) = (None, 0);
    for (place, trial) in trials.iter().enumerate() {
        let window = BatchTrials::window(place);
        let is_bearable = window.is_none_or(|window| window > present && window <= bearable);
        // A longer wait is worth more than a tenth.
        if is_bearable && trial.spared > spared + spared / 10 {
            (best, spared) = (Some(window), trial.spared);
        }
    }
    let (lever, present, suggested) = match best? {
        Some(window) => (Lever::BatchWindow, present as f64, window as f64),
        None => (Lever::MaxBatchSize, f64::from(limits.max_size), f64::from(limits.max_size) * 2.0),
    };
    let (rate, expected) = (f64::from(spared) / f64::from(batches), f64::from(keys) / f64::from(batches - spared));
    let speaks = u64::from(batches) >= FEWEST_LOADS && rate >= WORTH_WAITING;
    speaks.then_some(Advice { lever, present, suggested, rate, expected: Some(expected) })
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { present, suggested, .. } = *self;
        let (rate, keys) = (100.0 * self.rate, self.expected.unwrap_or(0.0));
        let expected = 100.0 * keys;
        match self.lever {
            Lever::MaxEntries if suggested > present => {
                write!(f, "room for {suggested} entries would give {expected:.1} % of hits, {present} give {rate:.1} %")
            }
            Lever::MaxEntries => {
                write!(f, "{suggested} entries would give {expected:.1} % of hits, {present} give {rate:.1} %")
            }
            Lever::MaxBytes => {
                write!(f, "{suggested} bytes would give {expected:.1} % of hits, {present} give {rate:.1} %")
            }
            Lever::Ttl => write!(
                f,
                "{rate:.1} % of gets met a value past its ttl of {present} ms, and little made room for others; \
                 if values change more rarely, let them live longer"
            ),
            Lever::StaleWhileRevalidate => write!(
                f,
                "{rate:.1} % of gets waited for a load of what had expired; with stale_while_revalidate they get the last \
                 value at once"
            ),
            Lever::RefreshAhead => write!(
                f,
                "{rate:.1} % of gets waited where a popular value had expired; refresh_ahead loads it before its end"
            ),
            Lever::BatchWindow => write!(
                f,
                "{rate:.1} % of batches came within {suggested} ms of an earlier one; with a batch_window so long they would \
                 have {keys:.1} keys on average"
            ),
            Lever::MaxBatchSize => write!(
                f,
                "{rate:.1} % of batches were the rest of a full one; with a max_batch_size of {suggested} they would have \
                 {keys:.1} keys on average"
            ),
            Lever::StaleIfError => {
                write!(f, "{rate:.1} % of loads failed; with stale_if_error the last good value stands in for a while")
            }
        }
    }
}
