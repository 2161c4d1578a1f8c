//! Every failure, with a code that stays the same across versions and faces.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

/// Why a get-or-load brought no value. Cheap to clone: everyone who waited gets the same one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The loader failed; this is its own error.
    Loader(Rc<dyn Error + 'static>),
    /// The wait's deadline (`hard_timeout`) passed.
    TimedOut {
        /// The deadline that was set, in milliseconds.
        after_millis: u64,
    },
    /// A loader asked the cache for the key that it is loading, which could never end.
    Recursive,
    /// 2^21 loads are under way, the most that a cache can tell apart.
    Full,
    /// A batch's load brought another number of results than it was given keys; nothing of it is stored.
    Batch {
        /// How many keys it was given.
        keys: usize,
        /// How many results it brought.
        results: usize,
    },
    /// The load was lost with the request that ran it, and so was this wait.
    Lost,
    /// A key's `Eq` or a value's `Clone` called the cache that was calling it.
    Reentrant,
}

impl LoadError {
    /// A stable name for programs: the same as `error.code` in the npm package.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Loader(_) => "ERR_LOADER",
            Self::TimedOut { .. } => "ERR_TIMEOUT",
            Self::Recursive => "ERR_RECURSIVE_LOAD",
            Self::Full => "ERR_TOO_MANY_LOADS",
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
                "the loader asked the cache for the very key it is loading; load it directly, or under another key",
            ),
            Self::Full => f.write_str("too many loads are under way: at most 2097152 at once"),
            Self::Batch { keys, results } => {
                write!(
                    f,
                    "the batch was given {keys} keys and brought {results} results; it must bring one for each, in order"
                )
            }
            Self::Lost => f.write_str("the request that ran the load has ended, and the load with it"),
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
