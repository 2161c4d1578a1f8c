//! Options as JS gives them, read once into numbers. What can't be read is an error that names the
//! option, what was given, and what is allowed.

use nearcache::error::OptionError;
use nearcache::time::parse_duration;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

/// More than a JS `Map` holds.
const MAX_COUNT: f64 = 16_777_215.0;

/// A duration: milliseconds from 0 on, `Infinity`, or a text like "5m".
#[wasm_bindgen]
pub fn read_duration(option: &str, given: &JsValue) -> Result<f64, JsError> {
    let read = match given.as_f64() {
        Some(millis) => (millis >= 0.0).then_some(millis),
        None => given.as_string().as_deref().and_then(parse_duration),
    };
    read.ok_or_else(|| {
        refuse(
            option,
            given,
            "milliseconds from 0 on, Infinity, or a text like \"250ms\", \"30s\", \"5m\", \"2h\", \"1d\"",
        )
    })
}

/// How many entries: a whole number from 0 on that a `Map` can hold.
#[wasm_bindgen]
pub fn read_count(option: &str, given: &JsValue) -> Result<f64, JsError> {
    let read = given.as_f64().filter(|count| count.fract() == 0.0 && (0.0..=MAX_COUNT).contains(count));
    read.ok_or_else(|| refuse(option, given, "a whole number from 0 to 16777215"))
}

/// How many bytes: from 0 on, or `Infinity`.
#[wasm_bindgen]
pub fn read_bytes(option: &str, given: &JsValue) -> Result<f64, JsError> {
    let read = given.as_f64().filter(|bytes| *bytes >= 0.0);
    read.ok_or_else(|| refuse(option, given, "bytes from 0 on, or Infinity"))
}

/// A part of a whole: from 0 to 1.
#[wasm_bindgen]
pub fn read_fraction(option: &str, given: &JsValue) -> Result<f64, JsError> {
    let read = given.as_f64().filter(|part| (0.0..=1.0).contains(part));
    read.ok_or_else(|| refuse(option, given, "a number from 0 to 1"))
}

/// A factor from 0 on.
#[wasm_bindgen]
pub fn read_factor(option: &str, given: &JsValue) -> Result<f64, JsError> {
    let read = given.as_f64().filter(|factor| *factor >= 0.0 && factor.is_finite());
    read.ok_or_else(|| refuse(option, given, "a number from 0 on"))
}

fn refuse(option: &str, given: &JsValue, allowed: &'static str) -> JsError {
    JsError::from(OptionError { option: option.to_owned(), given: describe(given), allowed })
}

fn describe(given: &JsValue) -> String {
    if let Some(text) = given.as_string() {
        return format!("{:?}", text.chars().take(60).collect::<String>());
    }
    if let Some(number) = given.as_f64() {
        // JS writes its numbers itself: formatting floats would be a fifth of the wasm that ships.
        return match number {
            _ if number.is_nan() => "NaN".to_owned(),
            _ if number == f64::INFINITY => "Infinity".to_owned(),
            _ if number == f64::NEG_INFINITY => "-Infinity".to_owned(),
            _ => js_sys::JSON::stringify(given).map_or_else(|_| "a number".to_owned(), String::from),
        };
    }
    match given.js_typeof().as_string().as_deref() {
        Some("object") if given.is_null() => "null".to_owned(),
        Some("object") => "an object".to_owned(),
        Some("boolean") => if given.is_truthy() { "true" } else { "false" }.to_owned(),
        Some(other) => format!("a {other}"),
        None => "something else".to_owned(),
    }
}
