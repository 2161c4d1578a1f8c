//! Keys as text and values as bytes. Keys are written as the npm package writes its own.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::SnapshotFormat;

const NOTHING: u8 = 0;
pub(super) const JSON: u8 = 1;
pub(super) const MESSAGE_PACK: u8 = 2;

/// Strings as they are, unless they begin with `#`; `#s` and the string then; `#n1.5`, `#btrue`, `#0` for nothing, and `#j` and JSON for
/// all else.
pub(super) fn key_text<K: Serialize>(key: &K) -> Option<String> {
    Some(match serde_json::to_value(key).ok()? {
        Value::String(text) if text.starts_with('#') => format!("#s{text}"),
        Value::String(text) => text,
        Value::Number(number) => format!("#n{number}"),
        Value::Bool(is) => format!("#b{is}"),
        Value::Null => "#0".to_owned(),
        other => format!("#j{other}"),
    })
}

/// The key of a text, if it is one of ours. A bigint of JavaScript's is a number, its `undefined` is nothing.
pub(super) fn key_of<K: DeserializeOwned>(text: &str) -> Option<K> {
    let value = match text.strip_prefix('#') {
        None => Value::String(text.to_owned()),
        Some("0" | "u") => Value::Null,
        Some(rest) => match rest.split_at_checked(1)? {
            ("s", rest) => Value::String(rest.to_owned()),
            ("n" | "i" | "b" | "j", rest) => serde_json::from_str(rest).ok()?,
            _ => return None,
        },
    };
    serde_json::from_value(value).ok()
}

pub(super) fn encode<V: Serialize>(value: &V, format: SnapshotFormat) -> Option<Vec<u8>> {
    match format {
        SnapshotFormat::Json => serde_json::to_vec(value).ok(),
        SnapshotFormat::MessagePack => rmp_serde::to_vec_named(value).ok(),
    }
}

pub(super) fn decode<V: DeserializeOwned>(bytes: &[u8], codec: u8) -> Option<V> {
    match codec {
        // JavaScript's `undefined`.
        NOTHING => serde_json::from_value(Value::Null).ok(),
        JSON => serde_json::from_slice(bytes).ok(),
        MESSAGE_PACK => rmp_serde::from_slice(bytes).ok(),
        _ => None,
    }
}
