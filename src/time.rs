//! Time as plain numbers. Nothing here reads a clock: `now` is always an argument.

use std::time::Duration;

/// A moment, in whole milliseconds since an epoch that the clock chooses.
///
/// Clocks round down. An expiry is computed from a rounded-down start, so an entry may end up to one
/// millisecond early and never late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Later than every moment a clock can show.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The last moment that a clock can show. What lies above is free for the core's own use.
    pub(crate) const LATEST: Self = Self((1 << 63) - 1);

    /// The moment `millis` milliseconds after the epoch, 2^63 - 1 of them at the most.
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > Self::LATEST.0 { Self::LATEST.0 } else { millis })
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same as a float, for comparing. Rounding keeps the order.
    #[inline]
    pub(crate) fn as_float(self) -> f64 {
        // Conversions of signed numbers are cheaper.
        self.0.min(Self::LATEST.0) as i64 as f64
    }

    /// The moment after which something that lives `ttl` from here is gone.
    #[must_use]
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub fn after(self, ttl: Ttl) -> Self {
        match ttl {
            Ttl::Forever => Self::NEVER,
            Ttl::Millis(millis) => Self::from_millis(self.0.saturating_add(millis)),
        }
    }

    /// The moment so many milliseconds earlier; never stays never.
    #[must_use]
    pub(crate) fn before(self, millis: u64) -> Self {
        if self == Self::NEVER { self } else { Self(self.0.saturating_sub(millis)) }
    }

    /// Milliseconds from `earlier` to here; 0 where the clock went backwards.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How long something lives or may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ttl {
    /// So many milliseconds. Zero means: not stored at all.
    Millis(u64),
    /// No end by time.
    Forever,
}

impl Ttl {
    /// No time at all.
    pub const ZERO: Self = Self::Millis(0);

    /// The same, but what no clock will live to see is [`Forever`](Self::Forever).
    pub(crate) const fn bounded(self) -> Self {
        match self {
            Self::Millis(millis) if millis >= Timestamp::LATEST.0 / 2 => Self::Forever,
            ttl => ttl,
        }
    }
}

impl From<Duration> for Ttl {
    /// Whole milliseconds; the rest is dropped, so that nothing outlives what was asked for. Spans of 10^8 years and
    /// more, such as [`Duration::MAX`], are [`Ttl::Forever`].
    fn from(duration: Duration) -> Self {
        Self::Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).bounded()
    }
}

/// Reads a duration like `"250ms"`, `"30s"`, `"5m"`, `"1.5h"` or `"7d"` as milliseconds.
///
/// `None` for anything else, negative amounts included, and for more than 15 digits.
pub fn parse_duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (amount, unit) = text.split_at_checked(unit_at)?;
    let scale = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let (whole, fraction) = amount.trim_end().split_once('.').unwrap_or((amount.trim_end(), "0"));
    let digits = |part: &str| {
        let fits = !part.is_empty() && part.len() <= 15 && part.bytes().all(|b| b.is_ascii_digit());
        // By hand: the standard library's parser of floats would be a fifth of the wasm that ships.
        fits.then(|| part.bytes().fold(0.0, |sum, b| sum * 10.0 + f64::from(b - b'0')))
    };
    let fraction_scale = fraction.bytes().fold(1.0, |scale, _| scale * 10.0);
    Some((digits(whole)? + digits(fraction)? / fraction_scale) * scale)
}
