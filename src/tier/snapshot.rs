//! A whole cache as bytes: written and read piece by piece, so that nobody has to hold it twice.
//!
//! # Format, version 1
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `ncss` |
//! | 1 | version: 1 |
//! | 1 | flags: 1 sealed by signatures; others 0 |
//! | 2 + n | the schema: what its user says keys and values mean, UTF-8 |
//! | 8 | when it was taken, in ms since 1970 |
//! | then, again and again: 4 + n | a record: an [`envelope`](super::envelope) under the name of its key; an empty one is the end |
//! | 8 | how many records there were |
//! | 8, or 4 + 32 | the seal of all this but for the records' bytes: head, count, and the records' own seals |
//!
//! Records stand in the order in which they were last used, the oldest first, so that a cache that takes them one by one comes to
//! the same order. Each is sealed by itself: what has been read may be used at once, but [`Reader::finish`] alone knows
//! whether that was all.

use super::bytes::{Reader as Bytes, push_block, push_text};
use super::envelope::{Envelope, Refused};
use super::seal::Seal;
use crate::time::Timestamp;

const MAGIC: &[u8] = b"ncss";
const VERSION: u8 = 1;
const SIGNED: u8 = 1;
/// A record that says it is longer is taken for broken, lest a reader waits for bytes that never come.
const LONGEST: usize = 256 * 1024 * 1024;

/// Why a snapshot is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It does not begin as snapshots do.
    Foreign,
    /// A version that this one does not read.
    Version(u8),
    /// Made for keys and values of another meaning: its schema.
    Schema(String),
    /// Signatures are wanted and it has none, or it has some and no secret is known.
    Signature,
    /// It ends too early.
    Truncated,
    /// A record, or the end, is broken; why.
    Broken(Refused),
    /// A record that can't be written: its name or a tag is too long, or its value.
    TooLarge,
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign => f.write_str("not a snapshot"),
            Self::Version(version) => write!(f, "a snapshot of version {version}; {VERSION} is read"),
            Self::Schema(schema) => write!(f, "a snapshot of the schema {schema:?}"),
            Self::Signature => f.write_str("a snapshot that is signed otherwise than wanted"),
            Self::Truncated => f.write_str("the snapshot ends too early"),
            Self::Broken(why) => write!(f, "the snapshot is broken: {why}"),
            Self::TooLarge => f.write_str("a record is too large for a snapshot"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// Writes a snapshot piece by piece.
#[derive(Debug)]
pub struct Writer {
    seal: Seal,
    /// What the seal at the end is of.
    sealed: Vec<u8>,
    count: u64,
}

impl Writer {
    /// A writer, and the snapshot's first bytes. A schema longer than 64 KiB is `TooLarge`.
    pub fn new(schema: &str, taken_at: Timestamp, seal: Seal) -> Result<(Self, Vec<u8>), SnapshotError> {
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&[VERSION, u8::from(seal.signs()) * SIGNED]);
        push_text(&mut head, schema).ok_or(SnapshotError::TooLarge)?;
        head.extend_from_slice(&taken_at.as_millis().to_le_bytes());
        Ok((Self { seal, sealed: head.clone(), count: 0 }, head))
    }

    /// The bytes of a record.
    pub fn record(&mut self, envelope: &Envelope<'_>) -> Result<Vec<u8>, SnapshotError> {
        let bytes = envelope.encode(&self.seal).filter(|bytes| bytes.len() <= LONGEST);
        let bytes = bytes.ok_or(SnapshotError::TooLarge)?;
        let mut out = Vec::with_capacity(4 + bytes.len());
        push_block(&mut out, &bytes).ok_or(SnapshotError::TooLarge)?;
        self.sealed.extend_from_slice(end_of(&bytes, &self.seal));
        self.count += 1;
        Ok(out)
    }

    /// The last bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.sealed.extend_from_slice(&self.count.to_le_bytes());
        let from = self.sealed.len();
        self.seal.close(&mut self.sealed);
        let mut out = 0_u32.to_le_bytes().to_vec();
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(self.sealed.get(from..).unwrap_or_default());
        out
    }
}

/// The seal at the end of an envelope.
fn end_of<'a>(bytes: &'a [u8], seal: &Seal) -> &'a [u8] {
    bytes.get(bytes.len().saturating_sub(seal.len())..).unwrap_or_default()
}

/// Reads a snapshot that comes piece by piece: [`push`](Self::push) bytes, and [`poll`](Self::poll) for records until there is none;
/// then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Reader {
    seal: Seal,
    schema: String,
    buffer: Vec<u8>,
    /// What of the buffer has been read.
    at: usize,
    sealed: Vec<u8>,
    count: u64,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Records,
    End,
    Done,
    Failed,
}

impl Reader {
    /// A reader of snapshots with this schema.
    pub fn new(schema: impl Into<String>, seal: Seal) -> Self {
        let schema = schema.into();
        Self { seal, schema, buffer: Vec::new(), at: 0, sealed: Vec::new(), count: 0, stage: Stage::Head }
    }

    /// Some more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next record's bytes, for [`open`](Self::open), if they are all there. After an error there is nothing more.
    pub fn poll(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        let read = self.step();
        if read.is_err() {
            self.stage = Stage::Failed;
            self.buffer.clear();
            self.at = 0;
        }
        read
    }

    /// The envelope in a record's bytes.
    pub fn open<'a>(&self, bytes: &'a [u8]) -> Result<Envelope<'a>, SnapshotError> {
        Envelope::decode_any(bytes, &self.seal).map_err(SnapshotError::Broken)
    }

    /// Whether all of it has been read, and was what had been written: how many records. Without that some may be missing.
    pub fn finish(self) -> Result<u64, SnapshotError> {
        match self.stage {
            Stage::Done if self.buffer.len() == self.at => Ok(self.count),
            Stage::Done => Err(SnapshotError::Broken(Refused::Malformed)),
            _ => Err(SnapshotError::Truncated),
        }
    }

    fn step(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        if self.stage == Stage::Head && !self.head()? {
            return Ok(None);
        }
        if self.stage == Stage::Records {
            let mut rest = self.rest();
            let Some(length) = rest.u32() else { return Ok(None) };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > LONGEST {
                return Err(SnapshotError::Broken(Refused::Malformed));
            }
            let Some(record) = rest.take(length) else { return Ok(None) };
            let record = record.to_vec();
            self.at += 4 + length;
            if length > 0 {
                self.open(&record)?;
                self.sealed.extend_from_slice(end_of(&record, &self.seal));
                self.count += 1;
                return Ok(Some(record));
            }
            self.stage = Stage::End;
        }
        if self.stage == Stage::End {
            self.end()?;
        }
        Ok(None)
    }

    fn rest(&self) -> Bytes<'_> {
        Bytes(self.buffer.get(self.at..).unwrap_or_default())
    }

    /// Whether the head is there.
    fn head(&mut self) -> Result<bool, SnapshotError> {
        let mut rest = self.rest();
        let known = rest.0.len().min(MAGIC.len());
        if rest.0.get(..known) != MAGIC.get(..known) {
            return Err(SnapshotError::Foreign);
        }
        let Some(_) = rest.take(MAGIC.len()) else { return Ok(false) };
        let Some(version) = rest.byte() else { return Ok(false) };
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let Some(flags) = rest.byte() else { return Ok(false) };
        if (flags & SIGNED != 0) != self.seal.signs() {
            return Err(SnapshotError::Signature);
        }
        let Some(length) = rest.u16() else { return Ok(false) };
        let Some(schema) = rest.take(length.into()) else { return Ok(false) };
        if schema != self.schema.as_bytes() {
            return Err(SnapshotError::Schema(String::from_utf8_lossy(schema).into_owned()));
        }
        let Some(_) = rest.u64() else { return Ok(false) };
        let length = self.rest().0.len() - rest.0.len();
        let head = self.buffer.get(self.at..self.at + length).unwrap_or_default().to_vec();
        self.sealed = head;
        self.at += length;
        self.stage = Stage::Records;
        Ok(true)
    }

    fn end(&mut self) -> Result<(), SnapshotError> {
        let mut rest = self.rest();
        let Some(count) = rest.u64() else { return Ok(()) };
        let Some(seal) = rest.take(self.seal.len()) else { return Ok(()) };
        let sealed = [&self.sealed, count.to_le_bytes().as_slice(), seal].concat();
        self.seal.open(&sealed, self.seal.signs()).map_err(SnapshotError::Broken)?;
        if count != self.count {
            return Err(SnapshotError::Broken(Refused::Malformed));
        }
        self.at += 8 + self.seal.len();
        self.stage = Stage::Done;
        Ok(())
    }
}
