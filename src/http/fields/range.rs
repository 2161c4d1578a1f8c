//! `Range` and `Content-Range` of bytes (RFC 9110 §14).

use std::ops::Range;

use super::{elements, trim};

/// One range that a request asks for (§14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `5-9`: from the first to the last position, both counted.
    FromTo(u64, u64),
    /// `5-`: from a position to the end.
    From(u64),
    /// `-5`: so many bytes at the end.
    Last(u64),
}

/// What a `Range` field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeRequest {
    /// One range of bytes.
    One(ByteRange),
    /// Several ranges, another unit, or what can't be read: a server may answer with the whole (§14.2).
    Other,
}

impl RangeRequest {
    /// Reads the value of a `Range`.
    pub fn parse(value: &[u8]) -> Self {
        let value = trim(value);
        let bytes = value.get(..6).is_some_and(|unit| unit.eq_ignore_ascii_case(b"bytes="));
        let Some(set) = value.get(6..).filter(|_| bytes) else { return Self::Other };
        let mut members = elements(set);
        match (members.next().and_then(ByteRange::parse), members.next()) {
            (Some(range), None) => Self::One(range),
            _ => Self::Other,
        }
    }
}

impl ByteRange {
    fn parse(range: &[u8]) -> Option<Self> {
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (range.get(..dash)?, range.get(dash + 1..)?);
        match (first, last) {
            ([], last) => Some(Self::Last(number(last)?)),
            (first, []) => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The bytes of a representation of so many that this asks for, or `None` where there are none: 416 (§15.5.17).
    pub fn within(self, total: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::FromTo(first, last) => first..last.saturating_add(1).min(total),
            Self::From(first) => first..total,
            Self::Last(length) => total.saturating_sub(length)..total,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Which part of a representation a response holds (§14.4): `bytes 0-4/10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The positions, the end not counted.
    pub bytes: Range<u64>,
    /// How long the whole is, where that is said.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the value of a `Content-Range` that names a part. `None` for everything else.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = trim(value);
        let (unit, rest) = value.split_at_checked(6)?;
        unit.eq_ignore_ascii_case(b"bytes ").then_some(())?;
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let (range, total) = (rest.get(..slash)?, rest.get(slash + 1..)?);
        let total = if total == b"*" { None } else { Some(number(total)?) };
        let ByteRange::FromTo(first, last) = ByteRange::parse(range)? else { return None };
        (total.is_none_or(|total| last < total)).then_some(Self { bytes: first..last.checked_add(1)?, total })
    }

    /// As it is written.
    pub fn to_value(&self) -> String {
        let last = self.bytes.end.saturating_sub(1);
        match self.total {
            Some(total) => format!("bytes {}-{last}/{total}", self.bytes.start),
            None => format!("bytes {}-{last}/*", self.bytes.start),
        }
    }
}

/// At most what JavaScript counts exactly.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}
