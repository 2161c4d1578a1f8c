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
    let mut tags = Vec::new();
    let Some(mut tag) = joined else { return tags };
    // From the last one on, byte by byte, since a general search weighs 1 KB of a wasm.
    while !tag.is_empty() {
        let at = tag.bytes().rposition(|byte| byte == 0);
        tags.push(tag.split_off(at.map_or(0, |at| at + 1)));
        tag.truncate(at.unwrap_or(0));
    }
    tags
}
