use super::entry::{self, Entry};
use super::{CHUNK_HEAD, COMPRESSED, END, ENTRIES, Head, LONGEST, MAGIC, SIGNED, SnapshotError, VERSION};
use crate::core::Record;
use crate::tier::bytes::{push_text, push_varint};
use crate::tier::seal::Seal;
use crate::time::Timestamp;

/// How many parts are looked through.
const LATELY: usize = 32;

/// Writes a snapshot chunk by chunk: [`add`](Self::add) entries until there are enough bytes, then [`take`](Self::take) and
/// [`chunk`](Self::chunk); at last [`finish`](Self::finish).
#[derive(Debug)]
pub struct Writer {
    seal: Seal,
    id: u64,
    /// The parts of the open chunk, by their numbers. One that comes again after many others gets another number.
    parts: Vec<String>,
    open: Vec<u8>,
    chunks: u32,
    entries: u64,
}

impl Writer {
    /// A writer, and the snapshot's first bytes. A schema longer than 64 KiB is `TooLarge`.
    pub fn new(head: &Head, seal: Seal) -> Result<(Self, Vec<u8>), SnapshotError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[VERSION, u8::from(seal.signs()) * SIGNED, head.codec]);
        bytes.extend_from_slice(&head.id.to_le_bytes());
        bytes.extend_from_slice(&head.taken_at.as_millis().to_le_bytes());
        bytes.extend_from_slice(&head.cold_share.to_le_bytes());
        push_text(&mut bytes, &head.schema).ok_or(SnapshotError::TooLarge)?;
        seal.close(&mut bytes);
        let (parts, open) = (Vec::new(), Vec::new());
        Ok((Self { seal, id: head.id, parts, open, chunks: 0, entries: 0 }, bytes))
    }

    /// Adds an entry of a part of the cache, by its [`Place`](crate::tier::Place). Its ordinal is how many were added before. `TooLarge`
    /// adds nothing: an entry has to fit into a chunk.
    pub fn add<'a>(
        &mut self,
        part: &str,
        key: &str,
        record: Record,
        tags: impl IntoIterator<Item = &'a str>,
        codec: u8,
        payload: &[u8],
    ) -> Result<(), SnapshotError> {
        let before = self.open.len();
        let lately = self.parts.len().saturating_sub(LATELY);
        let known = self.parts.iter().skip(lately).position(|known| known == part);
        let number = known.map_or(self.parts.len(), |known| lately + known);
        if known.is_none() {
            entry::push_part(&mut self.open, part);
        }
        let entry = Entry { part: number, key, record, tags: tags.into_iter().collect(), codec, payload };
        entry.push(&mut self.open);
        // Compression may make a little more of it.
        if self.open.len() - before > LONGEST / 2 {
            self.open.truncate(before);
            return Err(SnapshotError::TooLarge);
        }
        if known.is_none() {
            self.parts.push(part.to_owned());
        }
        self.entries += 1;
        Ok(())
    }

    /// How many bytes the open chunk has.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether the open chunk has none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The payload of the open chunk, for [`chunk`](Self::chunk); the next entry begins another.
    pub fn take(&mut self) -> Vec<u8> {
        self.parts.clear();
        std::mem::take(&mut self.open)
    }

    /// The next bytes: a chunk of this payload, as it is or compressed, whose entries were taken out at this moment.
    pub fn chunk(&mut self, taken_at: Timestamp, payload: &[u8], compressed: bool) -> Vec<u8> {
        self.close(ENTRIES, taken_at, payload, compressed)
    }

    /// The last bytes. `dropped`, in order: the ordinals of entries that are not of the snapshot.
    pub fn finish(mut self, taken_at: Timestamp, dropped: &[u32]) -> Vec<u8> {
        let mut payload = Vec::new();
        push_varint(&mut payload, self.entries);
        push_varint(&mut payload, dropped.len() as u64);
        let mut before = -1_i64;
        for ordinal in dropped {
            let ordinal = i64::from(*ordinal);
            push_varint(&mut payload, u64::try_from(ordinal - before).unwrap_or(0));
            before = ordinal;
        }
        self.close(END, taken_at, &payload, false)
    }

    fn close(&mut self, kind: u8, taken_at: Timestamp, payload: &[u8], compressed: bool) -> Vec<u8> {
        let length = CHUNK_HEAD + payload.len() + self.seal.len();
        let mut chunk = Vec::with_capacity(length);
        chunk.extend_from_slice(&self.id.to_le_bytes());
        chunk.extend_from_slice(&[kind, u8::from(compressed) * COMPRESSED]);
        chunk.extend_from_slice(&self.chunks.to_le_bytes());
        chunk.extend_from_slice(&taken_at.as_millis().to_le_bytes());
        chunk.extend_from_slice(payload);
        self.seal.close(&mut chunk);
        self.chunks += 1;
        [&(length as u32).to_le_bytes(), chunk.as_slice()].concat()
    }
}
