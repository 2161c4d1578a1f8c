//! Parts of representations: which part answers a request, and which parts make a whole (RFC 9110 §14, RFC 9111 §3.4).

use std::ops::Range;

use ::http::header::{DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use ::http::{HeaderMap, HeaderValue};

use crate::http::fields::{ByteRange, ContentRange, EntityTag, RangeRequest, date_ms, only};

/// What of a stored response answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All of it.
    Whole,
    /// These positions of the representation.
    Part(Range<u64>),
    /// Nothing: 416.
    Unsatisfiable,
}

/// What of a stored response with these fields answers a GET with such a `Range`, and `None` where what is stored does
/// not suffice. `part` is what is stored of the representation, `length` how many bytes that are.
pub fn select(request: &HeaderMap, stored: &HeaderMap, part: Option<&ContentRange>, length: u64) -> Option<Selected> {
    let range = only(request, &RANGE).filter(|_| if_range_holds(request, stored));
    let range = match range.map(|line| RangeRequest::parse(line.as_bytes())) {
        Some(RangeRequest::One(range)) => range,
        Some(RangeRequest::Other) | None => return part.is_none().then_some(Selected::Whole),
    };
    let Some(part) = part else {
        return Some(range.within(length).map_or(Selected::Unsatisfiable, Selected::Part));
    };
    let wanted = match (range, part.total) {
        (_, Some(total)) => range.within(total)?,
        (ByteRange::FromTo(first, last), None) => first..last.checked_add(1)?,
        (ByteRange::From(_) | ByteRange::Last(_), None) => return None,
    };
    (part.bytes.start <= wanted.start && wanted.end <= part.bytes.end).then_some(Selected::Part(wanted))
}

/// Whether an `If-Range` lets the `Range` count against a stored response (RFC 9110 §13.1.5): an entity tag by strong
/// comparison, a date exactly and only if it is a strong validator, a minute older than the response (§8.8.2.2).
fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let Some(line) = only(request, &IF_RANGE) else { return false };
    if let Some(wanted) = EntityTag::parse(line.as_bytes()) {
        let tag = only(stored, &ETAG).and_then(|line| EntityTag::parse(line.as_bytes()));
        return tag.is_some_and(|tag| tag.matches_strongly(&wanted));
    }
    let modified = only(stored, &LAST_MODIFIED).and_then(date_ms);
    let strong = match (modified, only(stored, &DATE).and_then(date_ms)) {
        (Some(modified), Some(date)) => modified.saturating_add(60_000) <= date,
        _ => false,
    };
    strong && date_ms(line).is_some() && date_ms(line) == modified
}

/// The validator by which parts of one representation are known to belong together: a strong entity tag.
pub fn strong_tag(stored: &HeaderMap) -> Option<&HeaderValue> {
    let line = only(stored, &ETAG)?;
    EntityTag::parse(line.as_bytes()).filter(|tag| !tag.weak).map(|_| line)
}

/// What is missing to the whole, where it is one piece at the beginning or at the end.
pub fn missing(part: &ContentRange) -> Option<ByteRange> {
    let total = part.total?;
    match (part.bytes.start, part.bytes.end) {
        (0, end) if end < total => Some(ByteRange::From(end)),
        (start, end) if start > 0 && end >= total => Some(ByteRange::FromTo(0, start - 1)),
        _ => None,
    }
}

/// How a `Range` of one range is written.
pub fn to_value(range: ByteRange) -> Option<HeaderValue> {
    let value = match range {
        ByteRange::FromTo(first, last) => format!("bytes={first}-{last}"),
        ByteRange::From(first) => format!("bytes={first}-"),
        ByteRange::Last(length) => format!("bytes=-{length}"),
    };
    HeaderValue::try_from(value).ok()
}
