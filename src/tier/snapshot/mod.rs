//! A whole cache as bytes: written and read chunk by chunk, so that nobody has to hold it twice.
//!
//! # Format, version 1
//!
//! Numbers are little-endian. A `v` is a number of 7 bits a byte, the lowest first, whose last byte is below 128 (LEB128), a text a `v`
//! and as many bytes of UTF-8, a time `v` 0 for no end or milliseconds and 1.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `ncss` |
//! | 1 | version: 1 |
//! | 1 | flags: 1 signed; others 0 |
//! | 1 | codec of the values, as in [`envelope`](super::envelope) |
//! | 8 | a number by which the snapshot's chunks know that they belong together |
//! | 8 | when it was begun, in ms since 1970 |
//! | 2 | which part of the room, of a thousand, the eviction policy keeps for what is new; 0: nothing is known |
//! | 2 + n | the schema: what its user says keys and values mean |
//! | 8, or 4 + 32 | the seal of all before, as envelopes have it |
//! | then again and again: 4 | length of a chunk |
//! | 8 | the snapshot's number |
//! | 1 | kind: 0 entries, 1 the end |
//! | 1 | flags: 1 the payload is compressed; others 0 |
//! | 4 | which chunk it is, from 0 on |
//! | 8 | when its entries were taken out, in ms since 1970 |
//! | n | the payload |
//! | 8, or 4 + 32 | the seal of the chunk, its length excluded |
//!
//! The payload of entries is a sequence of items, each a byte and what it says. 0 is a part of the cache, numbered from 0 on in its
//! chunk: a text, as [`Place`](super::Place) writes it. 1 is an entry: `v` of flags, `v` of its part, `v` age in ms; what the flags say of time to live (1),
//! stale-while-revalidate (2), stale-if-error (4), idle time with `v` ms unused (8), 8 bytes of XFetch's spread (16), nothing for 32 (checked
//! before each use), `v` weight (64), `v` tags as so many texts (128); `v` of what the eviction policy knows of it, its key as a text, a byte for its codec, `v` and as many bytes of
//! payload. Where a time is not said there is none: the value is fresh for ever, has no such window.
//!
//! The end's payload is `v` entries and `v` dropped ones, each by how far it lies behind the one before (the first: behind -1):
//! entries that were removed or replaced after they had been written, and are not of the snapshot. A snapshot is what the
//! cache held when its end was written.
//!
//! Entries stand in the order of their worth, the most valuable first. Each chunk is sealed by itself: what a chunk has may be used at once, and only
//! the end says that it was all.

mod entry;
mod reader;
mod writer;

pub use entry::{Entry, parse};
pub use reader::{Piece, Reader};
pub use writer::Writer;

use super::refused::Refused;
use crate::time::Timestamp;

const MAGIC: &[u8] = b"ncss";
const VERSION: u8 = 1;
const SIGNED: u8 = 1;
const COMPRESSED: u8 = 1;
const ENTRIES: u8 = 0;
const END: u8 = 1;
/// What a chunk has before its payload.
const CHUNK_HEAD: usize = 8 + 1 + 1 + 4 + 8;
/// A chunk is not longer: who reads one has to hold it.
pub const LONGEST: usize = 64 * 1024 * 1024;

/// What a snapshot says of itself at its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What its user says keys and values mean: another schema is refused. 64 KiB at the most.
    pub schema: String,
    /// How values are written: another codec is refused.
    pub codec: u8,
    /// Random.
    pub id: u64,
    /// When it was begun, by the wall clock.
    pub taken_at: Timestamp,
    /// [`Machine::cold_share`](crate::core::Machine::cold_share).
    pub cold_share: u16,
}

/// Why a snapshot is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It does not begin as snapshots do.
    Foreign,
    /// A version that this one does not read.
    Version(u8),
    /// Made for keys and values of another meaning: its schema, and the one that is wanted.
    Schema(String, String),
    /// Values are written by another codec: its, and the one that is wanted.
    Codec(u8, u8),
    /// Signatures are wanted and it has none, or it has some and no secret is known.
    Signature {
        /// Whether it is signed.
        signed: bool,
    },
    /// It ends too early.
    Truncated,
    /// Bytes come after its end.
    Trailing,
    /// A chunk is missing, comes twice, or is another snapshot's.
    Order,
    /// The head, a chunk or the end is broken; why.
    Broken(Refused),
    /// It is compressed, which is not read here.
    Compressed,
    /// Something that can't be written: the schema or an entry is too long.
    TooLarge,
}

impl SnapshotError {
    /// A stable name for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Version(_) => "version",
            Self::Schema(..) => "schema",
            Self::Codec(..) => "codec",
            Self::Signature { .. } | Self::Broken(Refused::UnknownSigner | Refused::Signature) => "signature",
            Self::Truncated => "truncated",
            Self::Trailing | Self::Order | Self::Broken(_) => "broken",
            Self::Compressed => "compressed",
            Self::TooLarge => "too large",
        }
    }
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign => f.write_str("these bytes are no snapshot: they do not begin with \"ncss\""),
            Self::Version(version) => write!(f, "the snapshot is of version {version}; version {VERSION} is read"),
            Self::Schema(schema, wanted) => {
                write!(f, "the snapshot is of the schema \"{schema}\"; \"{wanted}\" is wanted")
            }
            Self::Codec(codec, wanted) => {
                write!(f, "the snapshot's values are written by codec {codec}; {wanted} is wanted")
            }
            Self::Signature { signed: true } => f.write_str("the snapshot is signed, and no secret is given"),
            Self::Signature { signed: false } => f.write_str("the snapshot is not signed; a signature is wanted"),
            Self::Truncated => f.write_str("the snapshot ends too early"),
            Self::Trailing => f.write_str("the snapshot is broken: bytes come after its end"),
            Self::Order => f.write_str("the snapshot is broken: a chunk is missing, comes twice, or is another's"),
            Self::Broken(Refused::UnknownSigner) => {
                f.write_str("the snapshot is signed by a secret that is not among those given")
            }
            Self::Broken(why) => write!(f, "the snapshot is broken ({why})"),
            Self::Compressed => f.write_str("the snapshot is compressed; one that is not is wanted"),
            Self::TooLarge => write!(f, "too large for a snapshot: {LONGEST} bytes are allowed"),
        }
    }
}

impl std::error::Error for SnapshotError {}
