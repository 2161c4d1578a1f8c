//! What lies in the cache.

use std::rc::Rc;

use ::http::{HeaderMap, StatusCode};
use js_sys::Uint8Array;
use nearcache::http::{Freshness, StaleWindows, Vary};

/// Names an entry: a target, or one variant of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Path and query.
    pub target: String,
    /// The marker's number and the selecting fields, for a variant.
    pub variant: Option<(u64, Vec<u8>)>,
}

impl Key {
    pub fn of(target: &str) -> Self {
        Self { target: target.to_owned(), variant: None }
    }

    pub fn weight(&self) -> usize {
        self.target.len() + self.variant.as_ref().map_or(0, |(_, fields)| fields.len())
    }
}

/// Cheap to clone: every request gets one.
#[derive(Clone)]
pub(super) enum Entry {
    /// An answer that may be handed to anyone who asks for its key.
    Full(Rc<Stored>),
    /// The target has variants; they lie under keys of their own.
    Varies(Rc<Marker>),
    /// Answers for this key are nobody else's: everyone asks for himself, and nobody waits (hit-for-miss).
    Uncacheable(&'static str),
}

/// By what the variants of a target differ.
pub(super) struct Marker {
    pub vary: Vary,
    /// Unique. Once the marker is gone, so are all its variants, because no later one has its number.
    pub number: u64,
}

/// A whole answer.
pub(super) struct Stored {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// On the JS heap. Never written to.
    pub body: Uint8Array,
    pub freshness: Freshness,
    pub stale: StaleWindows,
}

/// What an entry takes besides what it holds: slots, reference counts, tables.
const OVERHEAD: usize = 256;

impl Entry {
    /// Bytes, near enough for a budget.
    pub fn weight(&self, key: &Key) -> u32 {
        let held = match self {
            Self::Full(stored) => {
                let fields = stored.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64);
                stored.body.length() as usize + fields.sum::<usize>()
            }
            Self::Varies(marker) => 64 * marker.vary.names().len(),
            Self::Uncacheable(_) => 0,
        };
        // The key lies in the cache and, while it is loaded, in the loader.
        u32::try_from(held + 2 * key.weight() + OVERHEAD).unwrap_or(u32::MAX)
    }
}
