//! Entity tags (RFC 9110 §8.8.3).

use super::trim;

/// An entity tag, as it stands between a message's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it begins with `W/`.
    pub weak: bool,
    /// What stands between the quotation marks.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// A field value that is one well-formed entity tag and nothing else.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        match Self::split(trim(value))? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// Whether they are equal as §8.8.3.2's weak comparison has it.
    pub fn matches_weakly(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// Whether they are equal as §8.8.3.2's strong comparison has it: a weak one equals none.
    pub fn matches_strongly(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The entity tag that `input` begins with, and what comes after it.
    ///
    /// Lists of them cannot be split like others: a tag may have commas, and a backslash escapes nothing in it.
    fn split(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, rest) = match input.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, input),
        };
        let opaque = rest.strip_prefix(b"\"")?;
        let end = opaque.iter().position(|byte| *byte == b'"')?;
        let (opaque, rest) = opaque.split_at_checked(end)?;
        let valid = opaque.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..=0xff));
        valid.then_some((Self { weak, opaque }, rest.get(1..)?))
    }
}

/// The entity tags of a list. It ends before the first member that is not well-formed.
pub(in crate::http) fn list(mut list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    std::iter::from_fn(move || {
        list = trim(list);
        while let [b',', rest @ ..] = list {
            list = trim(rest);
        }
        let (tag, rest) = EntityTag::split(list)?;
        list = trim(rest);
        matches!(list, [] | [b',', ..]).then_some(tag)
    })
}
