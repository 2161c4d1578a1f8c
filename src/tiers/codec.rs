//! Keys as text and values as bytes, as the npm package writes its own.

use std::error::Error;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a codec's failure is.
type CodecError = Box<dyn Error>;

const NOTHING: u8 = 0;
pub(crate) const JSON: u8 = 1;
pub(crate) const MESSAGE_PACK: u8 = 2;
const RAW: u8 = 3;

/// How values become bytes and back.
///
/// ```
/// use nearcache::tiers::Codec;
///
/// /// A number as eight bytes.
/// struct LittleEndian;
///
/// impl Codec<u64> for LittleEndian {
///     fn id(&self) -> u8 {
///         16
///     }
///
///     fn encode(&self, value: &u64) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
///         Ok(value.to_le_bytes().to_vec())
///     }
///
///     fn decode(&self, id: u8, bytes: &[u8]) -> Result<u64, Box<dyn std::error::Error>> {
///         if id == 16 { Ok(u64::from_le_bytes(bytes.try_into()?)) } else { Err("not one of these".into()) }
///     }
/// }
/// ```
pub trait Codec<V>: 'static {
    /// What envelopes call it: 1 JSON, 2 MessagePack, 3 raw bytes, and from 16 on one of your own, so that what another codec wrote is
    /// told from it.
    fn id(&self) -> u8;

    /// The value's bytes.
    ///
    /// # Errors
    /// For what can't be written. The value is then in memory alone, and the log is told.
    fn encode(&self, value: &V) -> Result<Vec<u8>, CodecError>;

    /// The value of bytes that the codec of this id wrote.
    ///
    /// # Errors
    /// For what can't be read: to whoever asked it is a miss.
    fn decode(&self, id: u8, bytes: &[u8]) -> Result<V, CodecError>;
}

/// Values by serde as JSON: what the npm package reads and writes too. What JSON can't say (maps by other keys than strings, NaN)
/// is refused or changes, as `serde_json` has it. Reads MessagePack as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

/// Values by serde as MessagePack, with names of fields: smaller and faster than JSON, and bytes stay bytes. Reads JSON as well.
/// The npm package does not read it.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

/// Values that are bytes, as they are: `Vec<u8>`, `Rc<[u8]>` and the like, and `Uint8Array` in the npm package.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes;

impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
    fn id(&self) -> u8 {
        JSON
    }

    fn encode(&self, value: &V) -> Result<Vec<u8>, CodecError> {
        encode_json(value)
    }

    fn decode(&self, id: u8, bytes: &[u8]) -> Result<V, CodecError> {
        decode(id, bytes)
    }
}

impl<V: Serialize + DeserializeOwned> Codec<V> for MessagePack {
    fn id(&self) -> u8 {
        MESSAGE_PACK
    }

    fn encode(&self, value: &V) -> Result<Vec<u8>, CodecError> {
        encode_message_pack(value)
    }

    fn decode(&self, id: u8, bytes: &[u8]) -> Result<V, CodecError> {
        decode(id, bytes)
    }
}

impl<V: AsRef<[u8]> + From<Vec<u8>>> Codec<V> for Bytes {
    fn id(&self) -> u8 {
        RAW
    }

    fn encode(&self, value: &V) -> Result<Vec<u8>, CodecError> {
        Ok(value.as_ref().to_vec())
    }

    fn decode(&self, id: u8, bytes: &[u8]) -> Result<V, CodecError> {
        if id == RAW { Ok(bytes.to_vec().into()) } else { Err(unknown(id)) }
    }
}

/// A value's bytes as they are stored.
pub(crate) struct Payload {
    pub bytes: Vec<u8>,
    pub compressed: bool,
}

/// A payload that would fill the memory is refused: so much comes of so little at the most.
const MOST_INFLATED: usize = 64 << 20;

/// Fast rather than small: a load may wait for it.
const LEVEL: u8 = 3;

impl Payload {
    /// Compressed from so many bytes on, where that makes it smaller, and it can be read back.
    pub fn new(bytes: Vec<u8>, compress_from: usize) -> Self {
        if bytes.len() >= compress_from && bytes.len() <= MOST_INFLATED {
            let small = miniz_oxide::deflate::compress_to_vec(&bytes, LEVEL);
            if small.len() < bytes.len() {
                return Self { bytes: small, compressed: true };
            }
        }
        Self { bytes, compressed: false }
    }
}

/// What was compressed.
pub(crate) fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    miniz_oxide::inflate::decompress_to_vec_with_limit(bytes, MOST_INFLATED).ok()
}

pub(crate) fn encode_json<V: Serialize>(value: &V) -> Result<Vec<u8>, CodecError> {
    Ok(serde_json::to_vec(value)?)
}

pub(crate) fn encode_message_pack<V: Serialize>(value: &V) -> Result<Vec<u8>, CodecError> {
    Ok(rmp_serde::to_vec_named(value)?)
}

/// What one of serde's codecs wrote.
pub(crate) fn decode<V: DeserializeOwned>(id: u8, bytes: &[u8]) -> Result<V, CodecError> {
    match id {
        // JavaScript's `undefined`.
        NOTHING => Ok(serde_json::from_value(Value::Null)?),
        JSON => Ok(serde_json::from_slice(bytes)?),
        MESSAGE_PACK => decode_message_pack(bytes),
        other => Err(unknown(other)),
    }
}

/// As JSON is read: to its end, so that what stands behind a value is not passed over.
fn decode_message_pack<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, CodecError> {
    let mut rest = bytes;
    let value = rmp_serde::from_read(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err("there are bytes behind the value".into()) }
}

fn unknown(id: u8) -> CodecError {
    format!("no codec {id} here").into()
}

/// Strings as they are, unless they begin with `#`; `#s` and the string then; `#n1.5`, `#btrue`, `#0` for nothing, and `#j` and JSON for
/// all else.
pub(crate) fn key_text<K: Serialize + ?Sized>(key: &K) -> Option<String> {
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
#[cfg_attr(not(feature = "snapshot"), expect(dead_code, reason = "tiers are asked for keys, and bring none"))]
pub(crate) fn key_of<K: DeserializeOwned>(text: &str) -> Option<K> {
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
