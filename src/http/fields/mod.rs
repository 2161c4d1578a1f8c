//! How field values are read: lists, numbers and dates (RFC 9110 §5.6, RFC 9111 §1.2.2), and single fields.

mod cache_control;
mod cache_status;
mod date;
mod entity_tag;
mod negotiation;
mod range;
mod structured;
mod tags;

use ::http::{HeaderMap, HeaderName, HeaderValue};

pub use cache_control::{CacheControl, MaxStale, Qualified, ResponseControl};
pub use cache_status::{CacheStatus, Fwd};
pub(in crate::http) use date::date_ms;
pub use entity_tag::EntityTag;
pub(in crate::http) use entity_tag::list as entity_tags;
pub use negotiation::Coding;
pub(in crate::http) use negotiation::{accepted_codings, language_preference};
pub use range::{ByteRange, ContentRange, RangeRequest};
pub use tags::{cache_tags, strip_cache_tags};

/// The largest delta-seconds value; a greater one is read as this one (RFC 9111 §1.2.2).
pub(in crate::http) const MAX_SECONDS: u32 = 1 << 31;

/// The elements of a comma-separated list, without the whitespace around them. Empty ones are kept.
///
/// A comma inside a quoted string separates nothing. A quoted string without an end reaches to the end of `list`.
pub(in crate::http) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let (element, tail) = split_at_comma(rest?);
        rest = tail;
        Some(trim(element))
    })
}

/// A list's elements over all lines of field `name`, empty ones left out.
pub(in crate::http) fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().flat_map(|line| elements(line.as_bytes())).filter(|element| !element.is_empty())
}

/// Whether this byte may stand in a token (RFC 9110 §5.6.2).
pub(in crate::http) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Without the optional whitespace (spaces and tabs) at either end.
pub(in crate::http) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// delta-seconds: one or more digits, capped at [`MAX_SECONDS`]. `None` for anything else.
pub(in crate::http) fn delta_seconds(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u32, |seconds, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte.wrapping_sub(b'0')))?;
        Some(seconds.saturating_mul(10).saturating_add(digit).min(MAX_SECONDS))
    })
}

/// The value of a field that may stand only once; `None` where it is absent or stands on several lines.
pub(in crate::http) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

fn split_at_comma(list: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    let comma = list.iter().position(|byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => {}
        }
        *byte == b',' && !quoted
    });
    match comma.and_then(|at| list.split_at_checked(at)) {
        Some((element, tail)) => (element, tail.get(1..)),
        None => (list, None),
    }
}
