use super::SnapshotError;
use crate::core::Record;
use crate::tier::bytes::{Reader, push_long_text, push_varint};
use crate::tier::refused::Refused;
use crate::time::Ttl;

const PART: u8 = 0;
const ENTRY: u8 = 1;

const TTL: u64 = 1;
const REVALIDATE: u64 = 2;
const ERROR: u64 = 4;
const IDLE: u64 = 8;
const SPREAD: u64 = 16;
const CHECKED: u64 = 32;
const WEIGHT: u64 = 64;
const TAGS: u64 = 128;

/// An entry of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The number of the part of the cache where it lies, among those of its chunk.
    pub part: usize,
    /// Its key as text: strings as they are, `#s` before one that begins with `#`, `#j` before the JSON of one that is not
    /// well-formed UTF-16, and `#` and something else for all others.
    pub key: &'a str,
    /// Its numbers, as they were when its chunk was taken out.
    pub record: Record,
    /// By what it can be purged.
    pub tags: Vec<&'a str>,
    /// How the payload is written, as in [`envelope`](crate::tier::envelope).
    pub codec: u8,
    /// Its value.
    pub payload: &'a [u8],
}

/// The parts, by their [`Place`](crate::tier::Place)s' names, and the entries in a chunk's payload, if all of them can be read. O(bytes).
pub fn parse(payload: &[u8]) -> Result<(Vec<&str>, Vec<Entry<'_>>), SnapshotError> {
    let mut bytes = Reader(payload);
    let (mut parts, mut entries) = (Vec::new(), Vec::new());
    while !bytes.0.is_empty() {
        read(&mut bytes, &mut parts, &mut entries).ok_or(SnapshotError::Broken(Refused::Malformed))?;
    }
    Ok((parts, entries))
}

fn read<'a>(bytes: &mut Reader<'a>, parts: &mut Vec<&'a str>, entries: &mut Vec<Entry<'a>>) -> Option<()> {
    match bytes.byte()? {
        PART => parts.push(bytes.long_text()?),
        ENTRY => entries.push(Entry::read(bytes, parts.len())?),
        _ => return None,
    }
    Some(())
}

pub(super) fn push_part(out: &mut Vec<u8>, part: &str) {
    out.push(PART);
    push_long_text(out, part);
}

impl<'a> Entry<'a> {
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        let Self { part, key, record, tags, codec, payload, .. } = self;
        let flag = |is_said: bool, flag: u64| if is_said { flag } else { 0 };
        let flags = flag(record.ttl != Ttl::Forever, TTL)
            | flag(record.stale_while_revalidate != Ttl::ZERO, REVALIDATE)
            | flag(record.stale_if_error != Ttl::ZERO, ERROR)
            | flag(record.idle_ttl != Ttl::Forever, IDLE)
            | flag(record.spread > 0.0, SPREAD)
            | flag(record.checked, CHECKED)
            | flag(record.weight > 0, WEIGHT)
            | flag(!tags.is_empty(), TAGS);
        out.push(ENTRY);
        [flags, *part as u64, record.age].into_iter().for_each(|number| push_varint(out, number));
        let lives = [(TTL, record.ttl), (REVALIDATE, record.stale_while_revalidate), (ERROR, record.stale_if_error)];
        lives.into_iter().filter(|(flag, _)| flags & flag != 0).for_each(|(_, ttl)| push_ttl(out, ttl));
        if flags & IDLE != 0 {
            push_ttl(out, record.idle_ttl);
            push_varint(out, record.unused);
        }
        if flags & SPREAD != 0 {
            out.extend_from_slice(&record.spread.to_le_bytes());
        }
        if flags & WEIGHT != 0 {
            push_varint(out, record.weight.into());
        }
        if flags & TAGS != 0 {
            push_varint(out, tags.len() as u64);
            tags.iter().for_each(|tag| push_long_text(out, tag));
        }
        push_varint(out, record.standing.into());
        push_long_text(out, key);
        out.push(*codec);
        push_varint(out, payload.len() as u64);
        out.extend_from_slice(payload);
    }

    fn read(bytes: &mut Reader<'a>, parts: usize) -> Option<Self> {
        let flags = bytes.varint().filter(|flags| *flags < 256)?;
        let part = usize::try_from(bytes.varint()?).ok().filter(|part| *part < parts)?;
        let age = bytes.varint()?;
        let mut ttl = |flag: u64, or: Ttl| if flags & flag == 0 { Some(or) } else { read_ttl(bytes) };
        let (time_to_live, revalidate, error) =
            (ttl(TTL, Ttl::Forever)?, ttl(REVALIDATE, Ttl::ZERO)?, ttl(ERROR, Ttl::ZERO)?);
        let idle_ttl = ttl(IDLE, Ttl::Forever)?;
        let unused = if flags & IDLE == 0 { 0 } else { bytes.varint()? };
        let spread = if flags & SPREAD == 0 { 0.0 } else { f64::from_bits(bytes.u64()?) };
        let weight = if flags & WEIGHT == 0 { 0 } else { u32::try_from(bytes.varint()?).ok()? };
        let count = if flags & TAGS == 0 { 0 } else { bytes.varint()? };
        let tags = (0..count).map(|_| bytes.long_text()).collect::<Option<Vec<_>>>()?;
        let standing = u32::try_from(bytes.varint()?).ok()?;
        let (key, codec) = (bytes.long_text()?, bytes.byte()?);
        let length = usize::try_from(bytes.varint()?).ok()?;
        let payload = bytes.take(length)?;
        let record = Record {
            age,
            ttl: time_to_live,
            stale_while_revalidate: revalidate,
            stale_if_error: error,
            idle_ttl,
            unused,
            // No generator's logarithm makes sense of anything else.
            spread: if spread.is_finite() && spread > 0.0 { spread } else { 0.0 },
            checked: flags & CHECKED != 0,
            weight,
            standing,
        };
        Some(Self { part, key, record, tags, codec, payload })
    }
}

fn push_ttl(out: &mut Vec<u8>, ttl: Ttl) {
    push_varint(
        out,
        match ttl {
            Ttl::Millis(millis) => millis.saturating_add(1),
            Ttl::Forever => 0,
        },
    );
}

fn read_ttl(bytes: &mut Reader<'_>) -> Option<Ttl> {
    let number = bytes.varint()?;
    Some(number.checked_sub(1).map_or(Ttl::Forever, Ttl::Millis).bounded())
}
