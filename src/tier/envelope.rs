//! What lies in a store under a name: a value with all that must be known to believe it, or a mark that something was purged.
//!
//! # Format, version 1
//!
//! All numbers are little-endian. Nothing in it can run code.
//!
//! | bytes | what |
//! | --- | --- |
//! | 2 | `nc` |
//! | 1 | version: 1 |
//! | 1 | kind: 0 value, 1 mark |
//! | 1 | flags: 1 signed, 2 the payload is compressed; others 0 |
//! | 1 | codec of the payload: see [`Envelope::codec`] |
//! | 8 | generation, in ms since 1970: when the load began that brought the value; of a mark: what it ends |
//! | 8 | stored at, in ms since 1970 |
//! | 8, 8, 8 | ttl, stale-while-revalidate, stale-if-error in ms; 2^64 - 1: no end |
//! | 4 | what it counts against `maxBytes`; 2^32 - 1: nobody said |
//! | 2 + n | the name under which it lies, UTF-8 |
//! | 2 | how many tags; each as 2 + n |
//! | 4 + n | the payload |
//! | 8, or 4 + 32 | the first 8 bytes of the SHA-256 of all before; or, if signed, the first 4 bytes of the secret's SHA-256 and the HMAC-SHA-256 of all before |

use super::bytes::{Reader, push_block, push_text};
use super::refused::Refused;
use super::seal::Seal;
use crate::time::{Timestamp, Ttl};

const MAGIC: &[u8] = b"nc";
/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;
const SIGNED: u8 = 1;
const COMPRESSED: u8 = 2;
const FOREVER: u64 = u64::MAX;
const UNSAID: u32 = u32::MAX;

/// What an envelope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value.
    Value,
    /// Whatever the name stands for was purged: what has this generation or an earlier one is not to be believed.
    Mark,
}

/// How long a value may be handed out, from the moment it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long it is fresh.
    pub ttl: Ttl,
    /// After that, how long it may be handed out while it is refreshed (RFC 5861).
    pub stale_while_revalidate: Ttl,
    /// After that, how long it may stand in for a load that fails (RFC 5861).
    pub stale_if_error: Ttl,
}

/// An envelope's content. Strings and payload lie in the bytes it was decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Value or mark.
    pub kind: Kind,
    /// How the payload is written: 0 nothing (JS' `undefined`), 1 JSON, 2 MessagePack, 3 raw bytes, from 16 on its user's own.
    pub codec: u8,
    /// Whether the payload is compressed; how is for the driver to know.
    pub compressed: bool,
    /// When the load began that brought the value: whatever was purged then or later was purged after the value was read at
    /// its source, or may have been.
    pub generation: Timestamp,
    /// When it was stored, which its lifetimes count from.
    pub stored_at: Timestamp,
    /// How long it may be handed out.
    pub lifetimes: Lifetimes,
    /// What it counts against a bound of bytes.
    pub weight: Option<u32>,
    /// The name under which it was stored, so that a value can't be mistaken for another's.
    pub name: &'a str,
    /// By what it can be purged.
    pub tags: Vec<&'a str>,
    /// The value.
    pub payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// A mark that ends what has this generation or an earlier one.
    pub fn mark(name: &'a str, generation: Timestamp) -> Self {
        let lifetimes = Lifetimes { ttl: Ttl::Forever, stale_while_revalidate: Ttl::ZERO, stale_if_error: Ttl::ZERO };
        Self {
            kind: Kind::Mark,
            codec: 0,
            compressed: false,
            generation,
            stored_at: generation,
            lifetimes,
            weight: None,
            name,
            tags: Vec::new(),
            payload: &[],
        }
    }

    /// The bytes to store. O(bytes). `None` for a name or tag of 64 KiB and more, more than 65,535 tags, or a payload of
    /// 4 GiB and more.
    pub fn encode(&self, seal: &Seal) -> Option<Vec<u8>> {
        let strings = self.name.len() + self.tags.iter().map(|tag| tag.len() + 2).sum::<usize>();
        let mut out = Vec::with_capacity(100 + strings + self.payload.len());
        out.extend_from_slice(MAGIC);
        let kind = u8::from(self.kind == Kind::Mark);
        let flags = if seal.signs() { SIGNED } else { 0 } | if self.compressed { COMPRESSED } else { 0 };
        out.extend_from_slice(&[VERSION, kind, flags, self.codec]);
        let Lifetimes { ttl, stale_while_revalidate, stale_if_error } = self.lifetimes;
        let moments = [self.generation, self.stored_at].map(Timestamp::as_millis);
        for number in moments.into_iter().chain([ttl, stale_while_revalidate, stale_if_error].map(to_number)) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.weight.unwrap_or(UNSAID).to_le_bytes());
        push_text(&mut out, self.name)?;
        out.extend_from_slice(&u16::try_from(self.tags.len()).ok()?.to_le_bytes());
        for tag in &self.tags {
            push_text(&mut out, tag)?;
        }
        push_block(&mut out, self.payload)?;
        seal.close(&mut out);
        Some(out)
    }

    /// What bytes from a store say that should lie under `name`. O(bytes); allocates for the list of tags alone.
    pub fn decode(bytes: &'a [u8], name: &str, seal: &Seal) -> Result<Self, Refused> {
        let mut head = Reader(bytes);
        if head.take(MAGIC.len()) != Some(MAGIC) {
            return Err(Refused::Foreign);
        }
        let version = head.byte().ok_or(Refused::Truncated)?;
        if version != VERSION {
            return Err(Refused::Version(version));
        }
        let (_, flags) = head.byte().zip(head.byte()).ok_or(Refused::Truncated)?;
        let body = seal.open(bytes, flags & SIGNED != 0)?;
        let mut body = Reader(body.get(MAGIC.len() + 1..).ok_or(Refused::Truncated)?);
        let envelope = Self::read(&mut body).ok_or(Refused::Malformed)?;
        if !body.0.is_empty() {
            return Err(Refused::Malformed);
        }
        if envelope.name == name { Ok(envelope) } else { Err(Refused::OtherName) }
    }

    fn read(body: &mut Reader<'a>) -> Option<Self> {
        let kind = match body.byte()? {
            0 => Kind::Value,
            1 => Kind::Mark,
            _ => return None,
        };
        let flags = body.byte()?;
        if flags & !(SIGNED | COMPRESSED) != 0 {
            return None;
        }
        let codec = body.byte()?;
        let generation = to_moment(body.u64()?)?;
        let stored_at = to_moment(body.u64()?)?;
        let lifetimes = Lifetimes {
            ttl: to_ttl(body.u64()?),
            stale_while_revalidate: to_ttl(body.u64()?),
            stale_if_error: to_ttl(body.u64()?),
        };
        let weight = Some(body.u32()?).filter(|weight| *weight != UNSAID);
        let name = body.text()?;
        let count = body.u16()?;
        let tags = (0..count).map(|_| body.text()).collect::<Option<Vec<_>>>()?;
        let payload = body.block()?;
        let compressed = flags & COMPRESSED != 0;
        Some(Self { kind, codec, compressed, generation, stored_at, lifetimes, weight, name, tags, payload })
    }

    /// The last moment at which it may be of any use.
    pub fn ends(&self) -> Timestamp {
        self.lifetimes.end(self.stored_at)
    }
}

impl Lifetimes {
    /// When what was stored at `stored_at` is of no use any more.
    pub fn end(self, stored_at: Timestamp) -> Timestamp {
        stored_at.after(self.ttl).after(self.stale_while_revalidate.max(self.stale_if_error))
    }

    /// What a value that was stored at `stored_at` may be used for at `now`.
    pub fn freshness(self, stored_at: Timestamp, now: Timestamp) -> Freshness {
        let fresh_until = stored_at.after(self.ttl);
        if now < fresh_until {
            Freshness::Fresh
        } else if now < fresh_until.after(self.stale_while_revalidate) {
            Freshness::StaleWhileRevalidate
        } else if now < fresh_until.after(self.stale_if_error) {
            Freshness::StaleIfError
        } else {
            Freshness::Expired
        }
    }
}

/// What a value may be used for, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Anything.
    Fresh,
    /// To be handed out while it is refreshed.
    StaleWhileRevalidate,
    /// To stand in for a load that fails.
    StaleIfError,
    /// Nothing.
    Expired,
}

fn to_number(ttl: Ttl) -> u64 {
    match ttl {
        Ttl::Millis(millis) => millis,
        Ttl::Forever => FOREVER,
    }
}

fn to_ttl(number: u64) -> Ttl {
    Ttl::Millis(number).bounded()
}

/// `None` for what no clock shows.
fn to_moment(millis: u64) -> Option<Timestamp> {
    Some(Timestamp::from_millis(millis)).filter(|moment| moment.as_millis() == millis)
}
