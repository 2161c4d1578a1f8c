//! What these tests build on.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use nearcache::http::CacheControl;

/// Sun, 06 Nov 1994 08:49:37 GMT, the RFC's own example, in milliseconds.
pub const T: u64 = 784_111_777_000;
pub const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
pub const MINUTE_LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";
pub const MINUTE_EARLIER: &str = "Sun, 06 Nov 1994 08:48:37 GMT";
pub const MAX: u32 = 1 << 31;

/// A map with these lines, in this order.
pub fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// What such `Cache-Control` lines say.
pub fn control(lines: &[&str]) -> CacheControl {
    CacheControl::parse(&map(&lines.iter().map(|line| ("Cache-Control", *line)).collect::<Vec<_>>()))
}
