//! Header fields between the runtime's form and the `http` crate's.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use worker::{Headers, Result};

/// All fields that can be read; the runtime has refused the rest already.
pub(super) fn from_js(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers.entries() {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            map.append(name, value);
        }
    }
    map
}

pub(super) fn to_js(map: &HeaderMap) -> Result<Headers> {
    let headers = Headers::new();
    for (name, value) in map {
        headers.append(name.as_str(), &String::from_utf8_lossy(value.as_bytes()))?;
    }
    Ok(headers)
}
