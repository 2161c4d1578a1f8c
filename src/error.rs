//! Every failure, with a code that stays the same across versions and faces.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a get-or-load brought no value. Cheap to clone: everyone who waited gets the same one. It may cross threads, so
/// that `?` turns it into a `Box<dyn Error + Send + Sync>` or an `anyhow::Error`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The loader failed; this is its own error.
    Loader(Arc<dyn Error + Send + Sync>),
    /// The wait's deadline (`hard_timeout`) passed.
    TimedOut {
        /// The deadline that was set, in milliseconds.
        after_millis: u64,
    },
    /// A loader asked the cache for the key that it is loading, or for one whose load waits for it: that could never
    /// end.
    Recursive,
    /// Nobody said what the value weighs, in a cache that is bounded by weight: the cache has no weigher, and neither the
    /// call nor the loader gave a weight. The value is not stored.
    UnknownWeight,
    /// The loader brought a value that the cache's rule ([`validate`](crate::Builder::validate)) refuses. It is not stored.
    Invalid,
    /// 2^21 loads are under way, the most that a cache can tell apart.
    Full,
    /// As many loads as may ([`max_queued_loads`](crate::Builder::max_queued_loads)) wait for their turn already, and there
    /// is no stale value.
    QueueFull {
        /// How many may.
        max_queued: u32,
    },
    /// As many [computations](crate::Cache::compute) of the key as may wait for their turn already.
    ComputeQueueFull {
        /// How many may.
        max_waiting: u32,
    },
    /// A batch's load brought another number of results than it was given keys; nothing of it is stored.
    Batch {
        /// How many keys it was given.
        keys: usize,
        /// How many results it brought.
        results: usize,
    },
    /// The load was lost, and so was this wait: the request that ran it has ended, its future was dropped, or its loader
    /// panicked while somebody else drove it. Whoever else waited has asked again.
    Lost,
    /// A key's `Eq` or a value's `Clone` called the cache that was calling it.
    Reentrant,
}

impl LoadError {
    /// A stable name for programs: the same as `error.code` in the npm package, where a loader's own error comes as it is
    /// (no `ERR_LOADER`) and any code may call the cache (no `ERR_REENTRANT`).
    pub fn code(&self) -> &'static str {
        match self {
            Self::Loader(_) => "ERR_LOADER",
            Self::TimedOut { .. } => "ERR_TIMEOUT",
            Self::Recursive => "ERR_RECURSIVE_LOAD",
            Self::UnknownWeight => "ERR_BYTES",
            Self::Invalid => "ERR_INVALID",
            Self::Full => "ERR_TOO_MANY_LOADS",
            Self::QueueFull { .. } | Self::ComputeQueueFull { .. } => "ERR_QUEUE_FULL",
            Self::Batch { .. } => "ERR_BATCH",
            Self::Lost => "ERR_LOAD_LOST",
            Self::Reentrant => "ERR_REENTRANT",
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loader(error) => write!(f, "the loader failed: {error}"),
            Self::TimedOut { after_millis } => write!(
                f,
                "no value within {after_millis} ms (hard_timeout); the load is slow, or never ends, or waits for itself"
            ),
            Self::Recursive => f.write_str(
                "the loader asked the cache for the very key it is loading, or for one whose load waits for it; load it directly, or under another key",
            ),
            Self::UnknownWeight => f.write_str(
                "the cache is bounded by bytes, and nobody said how many the value has; set a weigher, or the weight",
            ),
            Self::Invalid => f.write_str("the loader brought a value that the cache's rule (validate) refuses"),
            Self::Full => f.write_str("too many loads are under way: at most 2097152 at once"),
            Self::QueueFull { max_queued } => {
                write!(f, "not loaded: {max_queued} loads wait for their turn already (max_queued_loads)")
            }
            Self::ComputeQueueFull { max_waiting } => {
                write!(f, "not computed: {max_waiting} computations of the key wait for their turn already")
            }
            Self::Batch { keys, results } => {
                write!(
                    f,
                    "the batch was given {keys} keys and brought {results} results; it must bring one for each, in order"
                )
            }
            Self::Lost => f.write_str("the load was lost: its request has ended, or its loader panicked"),
            Self::Reentrant => {
                f.write_str("a key's Eq or a value's Clone called the cache back while the cache was calling it")
            }
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Loader(error) => Some(&**error),
            _ => None,
        }
    }
}

/// An option with a value it can't take. Nothing was made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option's name, as the caller wrote it.
    pub option: String,
    /// What was given.
    pub given: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl OptionError {
    /// A stable name for programs.
    pub const CODE: &'static str = "ERR_OPTION";
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: got {}, wants {}", self.option, self.given, self.allowed)
    }
}

impl Error for OptionError {}
