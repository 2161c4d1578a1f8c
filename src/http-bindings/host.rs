//! What is the host's: fields and responses of its own making, and its clock.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use js_sys::{Function, Uint8Array};
use nearcache::time::Timestamp;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// `host` of the driver.
    pub type Host;

    /// A `Headers` of flat fields.
    #[wasm_bindgen(method)]
    pub fn headers(this: &Host, flat: &str) -> JsValue;

    /// A `Response`.
    #[wasm_bindgen(method)]
    pub fn respond(this: &Host, status: u16, headers: &JsValue, body: &JsValue) -> JsValue;

    /// A stream of a body without its coding.
    #[wasm_bindgen(method)]
    pub fn decode(this: &Host, coding: &str, body: &JsValue) -> JsValue;

    /// Into the log.
    #[wasm_bindgen(js_namespace = console)]
    pub fn warn(text: &str);

    /// A view of a part of a buffer.
    #[wasm_bindgen(method)]
    pub fn slice(this: &Host, bytes: &Uint8Array, start: f64, end: f64) -> JsValue;
}

/// Milliseconds since the Unix epoch.
pub fn now() -> u64 {
    Timestamp::from_millis(js_sys::Date::now() as u64).as_millis()
}

/// Fields from their flat form: names and values by turns, each with a line feed behind it.
pub fn unflatten(flat: &str) -> HeaderMap {
    unflatten_all(flat).0
}

/// The same, and whether there were some that are no fields, or too many.
pub(crate) fn unflatten_all(flat: &str) -> (HeaderMap, bool) {
    let (mut fields, mut damaged) = (HeaderMap::new(), false);
    let mut lines = flat.split('\n');
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        let field = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
        damaged |= field.is_none_or(|(name, value)| fields.try_append(name, value).is_err());
    }
    (fields, damaged)
}

pub(crate) fn flatten(fields: &HeaderMap) -> String {
    let mut flat = String::with_capacity(fields.len() * 48);
    for (name, value) in fields {
        flat.push_str(name.as_str());
        flat.push('\n');
        flat.push_str(&String::from_utf8_lossy(value.as_bytes()));
        flat.push('\n');
    }
    flat
}

/// The body that a JS function gives, from one byte to another where it is a part.
pub(crate) fn take(function: &Function, range: Option<&std::ops::Range<u64>>) -> JsValue {
    let body = match range {
        None => function.call0(&JsValue::UNDEFINED),
        Some(range) => {
            let (start, end) = (JsValue::from(range.start as f64), JsValue::from(range.end as f64));
            function.call2(&JsValue::UNDEFINED, &start, &end)
        }
    };
    body.unwrap_or(JsValue::NULL)
}
