//! By what names responses can be purged together: `Cache-Tag` (a list with commas) and `Surrogate-Key` (a list with
//! spaces). No RFC's, but every CDN's.

use ::http::{HeaderMap, HeaderName};

use super as field;

static CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
static SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const MAX_TAGS: usize = 1_000;
const MAX_TAG_LENGTH: usize = 1_024;

/// The response's tags, those of all lines of both fields, each once. At most 1,000, each of at most 1,024 printable
/// ASCII characters; others are left out.
pub fn cache_tags(response_headers: &HeaderMap) -> Vec<String> {
    let tags = field::list(response_headers, &CACHE_TAG);
    let lines = response_headers.get_all(&SURROGATE_KEY).into_iter();
    let keys = lines.flat_map(|line| line.as_bytes().split(|byte| matches!(byte, b' ' | b'\t')));
    let mut known: Vec<String> = Vec::new();
    for tag in tags.chain(keys) {
        let readable = matches!(tag.len(), 1..=MAX_TAG_LENGTH) && tag.iter().all(|byte| (b' '..=b'~').contains(byte));
        let Some(tag) = std::str::from_utf8(tag).ok().filter(|_| readable) else { continue };
        if known.len() < MAX_TAGS && !known.iter().any(|known| known == tag) {
            known.push(tag.to_owned());
        }
    }
    known
}

/// Takes the tags off a response, which are between the origin and the cache.
pub fn strip_cache_tags(response_headers: &mut HeaderMap) {
    response_headers.remove(&CACHE_TAG);
    response_headers.remove(&SURROGATE_KEY);
}
