//! Snapshots: entries in and out, a chunk at a time.

use js_sys::Uint8Array;
use nearcache::core::Record;
use nearcache::tier::snapshot::{Head, Piece, Reader, SnapshotError, Writer, parse};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{seal_of, to_time};

/// Writes one.
#[wasm_bindgen]
pub struct SnapshotWriter {
    writer: Option<Writer>,
    head: Vec<u8>,
}

#[wasm_bindgen]
impl SnapshotWriter {
    /// `id` is a random number. Nothing is written of a schema that is too long.
    #[wasm_bindgen(constructor)]
    pub fn new(schema: String, codec: u8, id: f64, taken_at: f64, cold_share: u16, secrets: Vec<Uint8Array>) -> Self {
        let head = Head { schema, codec, id: id as u64, taken_at: to_time(taken_at), cold_share };
        match Writer::new(&head, seal_of(&secrets)) {
            Ok((writer, head)) => Self { writer: Some(writer), head },
            Err(_) => Self { writer: None, head: Vec::new() },
        }
    }

    /// The first bytes.
    pub fn head(&self) -> Vec<u8> {
        self.head.clone()
    }

    /// Adds an entry; U+0000 stands between its tags. `false` if it is too large.
    pub fn add(&mut self, part: &str, key: &str, numbers: &[f64], tags: &str, codec: u8, payload: &[u8]) -> bool {
        let (Some(writer), Some(record)) = (&mut self.writer, Record::from_numbers(numbers)) else { return false };
        let tags = tags.split('\0').filter(|tag| !tag.is_empty());
        writer.add(part, key, record, tags, codec, payload).is_ok()
    }

    /// Bytes in the open chunk.
    pub fn len(&self) -> usize {
        self.writer.as_ref().map_or(0, Writer::len)
    }

    /// What the open chunk has, for `chunk`.
    pub fn take(&mut self) -> Vec<u8> {
        self.writer.as_mut().map(Writer::take).unwrap_or_default()
    }

    /// A chunk of that.
    pub fn chunk(&mut self, taken_at: f64, payload: &[u8], compressed: bool) -> Vec<u8> {
        let chunk = self.writer.as_mut().map(|writer| writer.chunk(to_time(taken_at), payload, compressed));
        chunk.unwrap_or_default()
    }

    /// The last bytes.
    pub fn finish(&mut self, taken_at: f64, dropped: &[u32]) -> Vec<u8> {
        self.writer.take().map(|writer| writer.finish(to_time(taken_at), dropped)).unwrap_or_default()
    }
}

/// Reads one.
#[wasm_bindgen]
pub struct SnapshotReader {
    reader: Reader,
    piece: Option<Piece>,
    error: Option<SnapshotError>,
}

#[wasm_bindgen]
impl SnapshotReader {
    /// Of this schema and codec, signed by one of the secrets.
    #[wasm_bindgen(constructor)]
    pub fn new(schema: String, codec: u8, secrets: Vec<Uint8Array>) -> Self {
        Self { reader: Reader::new(schema, codec, seal_of(&secrets)), piece: None, error: None }
    }

    /// Some more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// What comes next: 0 nothing yet, 1 the head, 2 entries, 3 the end, 4 an error.
    pub fn poll(&mut self) -> u8 {
        match self.reader.poll() {
            Ok(piece) => self.piece = piece,
            Err(error) => return self.refuse(error),
        }
        match &self.piece {
            None => 0,
            Some(Piece::Head(_)) => 1,
            Some(Piece::Entries { .. }) => 2,
            Some(Piece::End { .. }) => 3,
        }
    }

    /// 0 if all has been read, or 4.
    pub fn finish(&mut self) -> u8 {
        self.reader.finish().map_or_else(|error| self.refuse(error), |()| 0)
    }

    /// When the head or the entries were taken; of the head also the eviction policy's share; whether entries are compressed.
    pub fn numbers(&self) -> Vec<f64> {
        match &self.piece {
            Some(Piece::Head(head)) => vec![head.taken_at.as_millis() as f64, f64::from(head.cold_share)],
            Some(Piece::Entries { taken_at, compressed, .. }) => {
                vec![taken_at.as_millis() as f64, f64::from(u8::from(*compressed))]
            }
            Some(Piece::End { entries, .. }) => vec![*entries as f64],
            None => Vec::new(),
        }
    }

    /// The payload of the entries.
    pub fn payload(&mut self) -> Vec<u8> {
        match self.piece.take() {
            Some(Piece::Entries { payload, .. }) => payload,
            _ => Vec::new(),
        }
    }

    /// The entries in a payload, decompressed; nothing if they can't be read, which is an error.
    pub fn entries(&mut self, payload: &[u8]) -> Option<SnapshotEntries> {
        match parse(payload) {
            Ok((parts, entries)) => {
                let mut numbers = Vec::with_capacity(entries.len() * (Record::NUMBERS + 4));
                for entry in &entries {
                    let start = entry.payload.as_ptr() as usize - payload.as_ptr() as usize;
                    numbers.extend(entry.record.to_numbers());
                    let about = [entry.part, entry.codec.into(), start, start + entry.payload.len()];
                    numbers.extend(about.map(|number| number as f64));
                }
                Some(SnapshotEntries {
                    parts: parts.into_iter().map(str::to_owned).collect(),
                    keys: entries.iter().map(|entry| entry.key.to_owned()).collect(),
                    tags: entries.iter().map(|entry| entry.tags.join("\0")).collect(),
                    numbers,
                })
            }
            Err(error) => {
                self.refuse(error);
                None
            }
        }
    }

    /// The ordinals of what is not of the snapshot, once it has ended.
    pub fn dropped(&self) -> Vec<u32> {
        match &self.piece {
            Some(Piece::End { dropped, .. }) => dropped.clone(),
            _ => Vec::new(),
        }
    }

    /// Why it is refused: a name, and a message.
    pub fn error(&self) -> Vec<String> {
        self.error.as_ref().map_or_else(Vec::new, |error| vec![error.reason().to_owned(), error.to_string()])
    }

    fn refuse(&mut self, error: SnapshotError) -> u8 {
        self.error = Some(error);
        4
    }
}

/// Entries of a chunk. Of each the numbers of its record, its part's place in `parts`, its codec, and where its payload begins and ends.
#[wasm_bindgen(getter_with_clone)]
pub struct SnapshotEntries {
    /// The names of parts.
    pub parts: Vec<String>,
    /// A key for each.
    pub keys: Vec<String>,
    /// Tags for each, U+0000 between them.
    pub tags: Vec<String>,
    /// 14 for each.
    pub numbers: Vec<f64>,
}
