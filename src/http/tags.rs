//! `Cache-Tag`: by what names a response can be purged together with others. No RFC's, but every CDN's.

use ::http::{HeaderMap, HeaderName};

use super::field;

/// The response's tags: those of all lines, between commas, without spaces around them, each once. At most 1,000, each of at most
/// 1,024 printable ASCII characters; others are left out.
pub fn cache_tags(response_headers: &HeaderMap) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in field::list(response_headers, &NAME) {
        let readable = tag.len() <= 1_024 && tag.iter().all(|byte| (b' '..=b'~').contains(byte));
        let Some(tag) = std::str::from_utf8(tag).ok().filter(|_| readable) else { continue };
        if tags.len() < 1_000 && !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

/// Takes the tags off a response, which are between the origin and the cache.
pub fn strip_cache_tags(response_headers: &mut HeaderMap) {
    response_headers.remove(NAME);
}

const NAME: HeaderName = HeaderName::from_static("cache-tag");
