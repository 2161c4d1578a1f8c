//! A cache's entries as bytes, and back: keys and values by serde, all else by the core, the format by
//! [`tier::snapshot`](crate::tier::snapshot).

mod load;
mod save;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

pub use load::SnapshotLoader;
pub use save::SnapshotChunks;

use super::clock::{self, ManualClock};
use crate::tier::Seal;
use crate::tier::snapshot::SnapshotError;
use crate::tiers::codec;
use crate::time::{Timestamp, Ttl};

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotFormat {
    /// JSON: what the npm package reads and writes too. What JSON can't say (maps by other keys than strings, NaN) is left out or
    /// changes, as `serde_json` has it.
    #[default]
    Json,
    /// MessagePack with names of fields: smaller and faster, and bytes stay bytes.
    MessagePack,
}

impl SnapshotFormat {
    fn codec(self) -> u8 {
        match self {
            Self::Json => codec::JSON,
            Self::MessagePack => codec::MESSAGE_PACK,
        }
    }

    fn encode<V: Serialize>(self, value: &V) -> Option<Vec<u8>> {
        match self {
            Self::Json => codec::encode_json(value).ok(),
            Self::MessagePack => codec::encode_message_pack(value).ok(),
        }
    }
}

/// How a snapshot is written and read: the same for both.
#[derive(Clone, Default)]
pub struct SnapshotOptions {
    schema: String,
    format: SnapshotFormat,
    seal: Seal,
    max_age: Option<Duration>,
    clock: Option<ManualClock>,
}

impl SnapshotOptions {
    /// Without a schema, in JSON, not signed, of any age.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What you call the meaning of keys and values: another name when it changes, and older snapshots are refused. 64 KiB at the most.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// How values are written. A snapshot in another format is refused.
    #[must_use]
    pub fn format(mut self, format: SnapshotFormat) -> Self {
        self.format = format;
        self
    }

    /// Adds a secret: the first one signs (HMAC-SHA-256), all of them verify, and what is not signed is refused.
    #[must_use]
    pub fn secret(mut self, secret: &[u8]) -> Self {
        self.seal = self.seal.with_secret(secret);
        self
    }

    /// One that is older is refused when it is loaded.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Takes the time of day from this clock, for tests. The cache's own clock need not show the time of day.
    #[must_use]
    pub fn clock(mut self, clock: ManualClock) -> Self {
        self.clock = Some(clock);
        self
    }

    fn wall(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(clock::wall, ManualClock::now)
    }
}

impl fmt::Debug for SnapshotOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("SnapshotOptions");
        out.field("schema", &self.schema).field("format", &self.format).field("signs", &self.seal.signs());
        out.finish_non_exhaustive()
    }
}

/// What was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// How many entries are in it.
    pub entries: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// Entries that are not in it: serde refuses key or value, or they are above 32 MiB.
    pub skipped: u64,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// How many entries are in the cache now that were not.
    pub entries: u64,
    /// Keys that the cache had already: they keep their values.
    pub present: u64,
    /// What had expired.
    pub expired: u64,
    /// What the bounds have no room for.
    pub no_room: u64,
    /// What was removed, purged or set since the load began.
    pub purged: u64,
    /// What was removed while the snapshot was saved.
    pub dropped: u64,
    /// Keys and values that serde does not read, and values that nobody weighed (or with 0), where the cache is bounded by bytes and has no
    /// [weigher](crate::Builder::weigher).
    pub unreadable: u64,
}

/// Why a snapshot was not saved or loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotFailure {
    /// It is refused: broken, or of another version, schema, format or secret.
    Refused(SnapshotError),
    /// It is older than [`max_age`](SnapshotOptions::max_age): its age and that, in milliseconds.
    TooOld(u64, u64),
    /// Another save (or load) of this cache has begun meanwhile: one at a time is allowed.
    Superseded,
    /// The reader or writer failed.
    Io(io::Error),
}

impl SnapshotFailure {
    /// A stable name for programs: the same in both faces.
    pub fn code(&self) -> &'static str {
        "ERR_SNAPSHOT"
    }
}

impl fmt::Display for SnapshotFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::TooOld(age, max_age) => write!(f, "the snapshot is {age} ms old; {max_age} ms are allowed (max_age)"),
            Self::Superseded => {
                f.write_str("another save or load of this cache has begun meanwhile; one at a time is allowed")
            }
            Self::Io(error) => write!(f, "the snapshot could not be read or written: {error}"),
        }
    }
}

impl std::error::Error for SnapshotFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(why) => Some(why),
            Self::Io(error) => Some(error),
            Self::TooOld(..) | Self::Superseded => None,
        }
    }
}

impl From<SnapshotError> for SnapshotFailure {
    fn from(why: SnapshotError) -> Self {
        Self::Refused(why)
    }
}

impl From<io::Error> for SnapshotFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Of the cache's clock and the day's how much time has passed; a clock that was set back makes nothing younger.
fn since(taken_at: Timestamp, wall: Timestamp) -> u64 {
    wall.millis_since(taken_at)
}

/// Places of parts, so that each is made once.
type Places = hashbrown::HashMap<crate::core::PartitionId, Rc<str>>;

fn is_too_old(age: u64, max_age: Option<Duration>) -> Option<SnapshotFailure> {
    match Ttl::from(max_age?) {
        Ttl::Millis(most) if age > most => Some(SnapshotFailure::TooOld(age, most)),
        _ => None,
    }
}
