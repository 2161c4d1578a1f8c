//! Whether all is well, by thresholds that the user sets.

use crate::core::Stats;
use crate::error::OptionError;

/// What counts as well. Nothing does harm unless a threshold is set for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    min_hit_rate: Option<f64>,
    max_error_rate: Option<f64>,
    max_timeout_rate: Option<f64>,
    max_latency: Option<u64>,
    min_samples: u64,
}

impl Default for Thresholds {
    /// No threshold, and 20 samples before one would count.
    fn default() -> Self {
        let min_samples = 20;
        Self { min_hit_rate: None, max_error_rate: None, max_timeout_rate: None, max_latency: None, min_samples }
    }
}

impl Thresholds {
    /// At least this share of gets are hits, stale ones included ([`Stats::hit_rate`]).
    ///
    /// # Errors
    /// If it is not within 0 and 1.
    pub fn min_hit_rate(self, rate: f64) -> Result<Self, OptionError> {
        Ok(Self { min_hit_rate: Some(read_rate("min_hit_rate", rate)?), ..self })
    }

    /// At most this share of ended loads have failed ([`Stats::error_rate`]), those rescued by an older value
    /// included.
    ///
    /// # Errors
    /// If it is not within 0 and 1.
    pub fn max_error_rate(self, rate: f64) -> Result<Self, OptionError> {
        Ok(Self { max_error_rate: Some(read_rate("max_error_rate", rate)?), ..self })
    }

    /// At most this share of gets that waited for a load have timed out. An origin that never answers is found
    /// by this alone: its loads neither fail nor take a time that could be told.
    ///
    /// # Errors
    /// If it is not within 0 and 1.
    pub fn max_timeout_rate(self, rate: f64) -> Result<Self, OptionError> {
        Ok(Self { max_timeout_rate: Some(read_rate("max_timeout_rate", rate)?), ..self })
    }

    /// Thresholds that a driver in JS has checked: on hit rate, error rate, timeout rate and latency, NaN for none, and how many samples
    /// it takes. Without the errors that the others may have, which take 3 KB of a wasm.
    #[doc(hidden)]
    #[must_use]
    pub fn from_numbers([hits, errors, timeouts, latency, samples]: [f64; 5]) -> Self {
        let set = |number: f64| Some(number).filter(|number| !number.is_nan());
        Self {
            min_hit_rate: set(hits),
            max_error_rate: set(errors),
            max_timeout_rate: set(timeouts),
            max_latency: set(latency).map(|millis| millis as u64),
            min_samples: (samples as u64).max(1),
        }
    }

    /// The longest that 99 of a hundred loads may take, in ms (the 0.99 quantile, known to within 6.25 % of itself).
    #[must_use]
    pub fn max_latency(self, millis: u64) -> Self {
        Self { max_latency: Some(millis), ..self }
    }

    /// A check of fewer samples than this is passed: a cold cache is not a sick one. 20 if not set; at least 1.
    #[must_use]
    pub fn min_samples(self, samples: u64) -> Self {
        Self { min_samples: samples.max(1), ..self }
    }
}

/// A verdict, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Whether every check is passed.
    pub ok: bool,
    /// One for each threshold that is set.
    pub checks: Vec<Check>,
}

impl Health {
    /// For a driver in JS: of each check value, samples, and 1 if it is well.
    #[doc(hidden)]
    pub fn to_numbers(&self) -> Vec<f64> {
        let mut numbers = Vec::new();
        for check in &self.checks {
            numbers.extend_from_slice(&[check.value, check.samples as f64, f64::from(u8::from(check.ok))]);
        }
        numbers
    }
}

/// One figure and its threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// `hit_rate`, `error_rate`, `timeout_rate` or `latency_p99`.
    pub name: &'static str,
    /// A share from 0 to 1, or milliseconds; 0 without samples.
    pub value: f64,
    /// The last value that would be well.
    pub threshold: f64,
    /// Of how many gets or loads it was made.
    pub samples: u64,
    /// Whether the value is well, or made of too few samples to say.
    pub ok: bool,
}

/// What can be held against thresholds: a share, or milliseconds, and of how many it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Hits per get.
    pub hits: (f64, u64),
    /// Failures per load, or read, that ended.
    pub errors: (f64, u64),
    /// Timeouts per wait.
    pub timeouts: (f64, u64),
    /// How long of a hundred loads, or reads, 99 took at most, in ms.
    pub latency: (f64, u64),
}

/// Figures that can be held against thresholds.
pub trait Judged {
    /// Their rates.
    fn rates(&self) -> Rates;
}

impl Judged for Stats {
    fn rates(&self) -> Rates {
        let ended = self.load_millis.count();
        // Of waits that ended in this window some began in an earlier one.
        let waits = (self.loads.saturating_sub(self.refreshes) + self.coalesced).max(self.timeouts);
        Rates {
            hits: (self.hit_rate(), self.gets()),
            errors: (self.error_rate(), ended),
            timeouts: (share(self.timeouts, waits), waits),
            latency: (self.load_millis.quantile(0.99).unwrap_or(0) as f64, ended),
        }
    }
}

/// A read that takes too long is an error as well; `latency` is that of reads that ended well.
#[cfg(feature = "tier")]
impl Judged for crate::tier::TierFigures {
    fn rates(&self) -> Rates {
        let reads = self.reads();
        Rates {
            hits: (self.hit_rate(), self.asked),
            errors: (self.error_rate(), reads),
            timeouts: (share(self.read_timeouts, reads), reads),
            latency: (self.read_millis.quantile(0.99).unwrap_or(0) as f64, self.read_millis.count()),
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Holds figures against thresholds. They should be [recent](super::Window::recent) ones.
pub fn health(recent: &impl Judged, thresholds: &Thresholds) -> Health {
    let Thresholds { min_hit_rate, max_error_rate, max_timeout_rate, max_latency, min_samples } = *thresholds;
    let rates = recent.rates();
    let figures = [
        ("hit_rate", rates.hits, min_hit_rate),
        ("error_rate", rates.errors, max_error_rate),
        ("timeout_rate", rates.timeouts, max_timeout_rate),
        ("latency_p99", rates.latency, max_latency.map(|millis| millis as f64)),
    ];
    let mut checks = Vec::new();
    for (at, (name, (value, samples), threshold)) in figures.into_iter().enumerate() {
        let Some(threshold) = threshold else { continue };
        // The first is the one that is to be high.
        let is_well = if at == 0 { value >= threshold } else { value <= threshold };
        checks.push(Check { name, value, threshold, samples, ok: samples < min_samples || is_well });
    }
    Health { ok: checks.iter().all(|check| check.ok), checks }
}

fn read_rate(option: &str, rate: f64) -> Result<f64, OptionError> {
    let refuse = || OptionError { option: option.to_owned(), given: describe(rate), allowed: "a number from 0 to 1" };
    (0.0..=1.0).contains(&rate).then_some(rate).ok_or_else(refuse)
}

/// To six digits, and rounded away from zero, so that what is just out of range looks so. By hand: formatting
/// floats would be a fifth of the wasm that ships.
fn describe(number: f64) -> String {
    let sign = if number < 0.0 { "-" } else { "" };
    let millionths = (number.abs() * 1e6).ceil();
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        format!("{sign}Infinity")
    } else if millionths > 1e18 {
        format!("{sign}1000000000000 or beyond")
    } else {
        let millionths = millionths as u64;
        let digits = format!("{sign}{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}
