//! What crosses, as the core has it.

use nearcache::numbers::to_ttl;
use nearcache::time::Ttl;

/// A code with a number above it.
pub(crate) fn with(code: u32, above: usize) -> f64 {
    f64::from(code) + above as f64 * 4_294_967_296.0
}

#[inline(never)]
pub(crate) fn said_ttl(millis: f64) -> Option<Ttl> {
    (!millis.is_nan()).then(|| to_ttl(millis))
}

pub(crate) fn to_hash(hash: u32) -> Option<u32> {
    (hash != 0).then_some(hash)
}

pub(crate) fn to_weight(bytes: f64) -> Option<u32> {
    (!bytes.is_nan()).then(|| bytes.ceil() as u32)
}

/// Tags that are joined by U+0000, which none has of its own.
pub(crate) fn to_tags(joined: Option<String>) -> Vec<String> {
    let (joined, mut tags) = (joined.unwrap_or_default(), Vec::new());
    let mut rest = joined.as_str();
    while !rest.is_empty() {
        // Byte by byte, since a general search weighs 1 KB of a wasm.
        let end = rest.bytes().position(|byte| byte == 0).unwrap_or(rest.len());
        tags.extend(rest.get(..end).map(str::to_owned));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    tags
}
