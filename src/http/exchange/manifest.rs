//! A body that lies apart, in a store of large ones, and what must be known to believe it.
//!
//! It lies there under a name that no other body has or gets, in one piece, as it came. What is said of it lies in the tiers, and says what each
//! part of it hashes to: so that any range can be read and believed by itself, part by part, and nothing unbelieved is handed out.

use std::ops::Range;

/// What is known of a body that lies apart.
///
/// # Format
///
/// Numbers are little-endian: 8 bytes length, 2 bytes length of the name, the name; then of each part, in their order, the first 16 bytes of
/// its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    name: String,
    length: u64,
    digests: Vec<u8>,
}

/// What to read for a range of a body: whole parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The bytes of these parts.
    pub bytes: Range<u64>,
    /// What each of them hashes to, [`Manifest::DIGEST_BYTES`] for each.
    pub digests: &'a [u8],
}

impl Manifest {
    /// How long a part is, but for the last: what a reader holds at once.
    pub const PART_BYTES: u64 = 256 * 1024;
    /// How many bytes of a part's SHA-256 are kept: nobody can make another part for them.
    pub const DIGEST_BYTES: usize = 16;

    /// Of a body under this name. `None` if it is empty, or has not as many digests as parts.
    pub fn new(name: String, length: u64, digests: Vec<u8>) -> Option<Self> {
        let parts = usize::try_from(length.div_ceil(Self::PART_BYTES)).ok()?;
        let fits = parts > 0 && parts.checked_mul(Self::DIGEST_BYTES) == Some(digests.len()) && !name.is_empty();
        fits.then_some(Self { name, length, digests })
    }

    /// Under which name it lies.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What to read for these bytes of it.
    pub fn parts(&self, bytes: &Range<u64>) -> Parts<'_> {
        let first = bytes.start / Self::PART_BYTES;
        let end = bytes.end.min(self.length).div_ceil(Self::PART_BYTES).max(first);
        let at = |part: u64| usize::try_from(part).ok().and_then(|part| part.checked_mul(Self::DIGEST_BYTES));
        let digests = at(first).zip(at(end)).and_then(|(first, end)| self.digests.get(first..end));
        Parts {
            bytes: first * Self::PART_BYTES..(end * Self::PART_BYTES).min(self.length),
            digests: digests.unwrap_or_default(),
        }
    }

    /// Bytes on the heap.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.digests.len()
    }

    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = self.length.to_le_bytes().to_vec();
        out.extend_from_slice(&u16::try_from(self.name.len()).ok()?.to_le_bytes());
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&self.digests);
        Some(out)
    }

    /// `None` for anything that [`encode`](Self::encode) does not write.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (of_name, rest) = rest.split_first_chunk::<2>()?;
        let (name, digests) = rest.split_at_checked(u16::from_le_bytes(*of_name).into())?;
        Self::new(String::from_utf8(name.to_vec()).ok()?, u64::from_le_bytes(*length), digests.to_vec())
    }
}
