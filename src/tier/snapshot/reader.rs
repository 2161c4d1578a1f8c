use super::{CHUNK_HEAD, COMPRESSED, END, ENTRIES, Head, LONGEST, MAGIC, SIGNED, SnapshotError, VERSION};
use crate::tier::bytes::Reader as Bytes;
use crate::tier::refused::Refused;
use crate::tier::seal::Seal;
use crate::time::Timestamp;

/// What comes of the bytes that have been read. All of it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// It begins.
    Head(Head),
    /// Some entries, for [`parse`](super::parse).
    Entries {
        /// When they were taken out.
        taken_at: Timestamp,
        /// Whether the payload is compressed; how is for the driver to know.
        compressed: bool,
        /// The payload.
        payload: Vec<u8>,
    },
    /// That was all.
    End {
        /// How many entries were written.
        entries: u64,
        /// The ordinals, in order, of those that are not of the snapshot.
        dropped: Vec<u32>,
    },
}

/// Reads a snapshot that comes piece by piece: [`push`](Self::push) bytes, and [`poll`](Self::poll) until there is nothing more;
/// then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Reader {
    seal: Seal,
    schema: String,
    codec: u8,
    buffer: Vec<u8>,
    /// What of the buffer has been read.
    at: usize,
    id: u64,
    chunks: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Chunks,
    Done,
    Failed,
}

impl Reader {
    /// A reader of snapshots with this schema and codec.
    pub fn new(schema: impl Into<String>, codec: u8, seal: Seal) -> Self {
        let schema = schema.into();
        Self { seal, schema, codec, buffer: Vec::new(), at: 0, id: 0, chunks: 0, stage: Stage::Head }
    }

    /// Some more bytes. O(bytes), and those not yet read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.stage == Stage::Failed {
            return;
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece, if it is all there. After an error there is nothing more.
    pub fn poll(&mut self) -> Result<Option<Piece>, SnapshotError> {
        let read = match self.stage {
            Stage::Head => self.head(),
            Stage::Chunks => self.chunk(),
            Stage::Done if self.at < self.buffer.len() => Err(SnapshotError::Trailing),
            Stage::Done | Stage::Failed => Ok(None),
        };
        if read.is_err() {
            self.stage = Stage::Failed;
            self.buffer = Vec::new();
            self.at = 0;
        }
        read
    }

    /// Whether all of it has been read.
    pub fn finish(&self) -> Result<(), SnapshotError> {
        if self.stage == Stage::Done { Ok(()) } else { Err(SnapshotError::Truncated) }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn head(&mut self) -> Result<Option<Piece>, SnapshotError> {
        let rest = self.rest();
        let mut bytes = Bytes(rest);
        let known = rest.len().min(MAGIC.len());
        if rest.get(..known) != MAGIC.get(..known) {
            return Err(SnapshotError::Foreign);
        }
        let Some(_) = bytes.take(MAGIC.len()) else { return Ok(None) };
        let Some(version) = bytes.byte() else { return Ok(None) };
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let Some(flags) = bytes.byte() else { return Ok(None) };
        let signed = flags & SIGNED != 0;
        if signed != self.seal.signs() {
            return Err(SnapshotError::Signature { signed });
        }
        let Some((codec, id, taken_at, cold_share, schema)) = head_of(&mut bytes) else { return Ok(None) };
        let length = rest.len() - bytes.0.len() + self.seal.len();
        let Some(sealed) = rest.get(..length) else { return Ok(None) };
        self.seal.open(sealed, signed).map_err(SnapshotError::Broken)?;
        let schema = std::str::from_utf8(schema).ok().filter(|_| flags & !SIGNED == 0);
        let schema = schema.ok_or(SnapshotError::Broken(Refused::Malformed))?.to_owned();
        if schema != self.schema {
            return Err(SnapshotError::Schema(schema, self.schema.clone()));
        }
        if codec != self.codec {
            return Err(SnapshotError::Codec(codec, self.codec));
        }
        self.at += length;
        self.id = id;
        self.stage = Stage::Chunks;
        let taken_at = Timestamp::from_millis(taken_at);
        Ok(Some(Piece::Head(Head { schema, codec, id, taken_at, cold_share })))
    }

    fn chunk(&mut self) -> Result<Option<Piece>, SnapshotError> {
        let mut bytes = Bytes(self.rest());
        let Some(length) = bytes.u32() else { return Ok(None) };
        let length = length as usize;
        if !(CHUNK_HEAD + self.seal.len()..=LONGEST).contains(&length) {
            return Err(SnapshotError::Broken(Refused::Malformed));
        }
        let Some(chunk) = bytes.take(length) else { return Ok(None) };
        let body = self.seal.open(chunk, self.seal.signs()).map_err(SnapshotError::Broken)?;
        let piece = self.piece(&mut Bytes(body))?;
        self.at += 4 + length;
        self.chunks = self.chunks.wrapping_add(1);
        if matches!(piece, Piece::End { .. }) {
            self.stage = Stage::Done;
        }
        Ok(Some(piece))
    }

    /// What a chunk says whose seal is right.
    fn piece(&self, body: &mut Bytes<'_>) -> Result<Piece, SnapshotError> {
        let malformed = || SnapshotError::Broken(Refused::Malformed);
        let (id, kind) = body.u64().zip(body.byte()).ok_or_else(malformed)?;
        let (flags, number) = body.byte().zip(body.u32()).ok_or_else(malformed)?;
        let taken_at = Timestamp::from_millis(body.u64().ok_or_else(malformed)?);
        if (id, number) != (self.id, self.chunks) {
            return Err(SnapshotError::Order);
        }
        match (kind, flags) {
            (ENTRIES, 0 | COMPRESSED) => {
                Ok(Piece::Entries { taken_at, compressed: flags == COMPRESSED, payload: body.0.to_vec() })
            }
            (END, 0) => end_of(body).ok_or_else(malformed),
            _ => Err(malformed()),
        }
    }
}

fn head_of<'a>(bytes: &mut Bytes<'a>) -> Option<(u8, u64, u64, u16, &'a [u8])> {
    let (codec, id, taken_at, cold_share) = (bytes.byte()?, bytes.u64()?, bytes.u64()?, bytes.u16()?);
    let length = bytes.u16()?;
    Some((codec, id, taken_at, cold_share, bytes.take(length.into())?))
}

fn end_of(body: &mut Bytes<'_>) -> Option<Piece> {
    let (entries, count) = (body.varint()?, body.varint()?);
    let mut dropped = Vec::new();
    let mut before = -1_i64;
    for _ in 0..count {
        before = before.checked_add_unsigned(body.varint().filter(|step| *step > 0)?)?;
        dropped.push(u32::try_from(before).ok()?);
    }
    body.0.is_empty().then_some(Piece::End { entries, dropped })
}
