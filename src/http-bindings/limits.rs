//! What a driver's settings come to, beside the rules.

/// Bounds and deadlines. Bytes, and milliseconds.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Scheme, host and path prefix of the one origin, without a slash at the end; `None`: each request names its own by its URL.
    pub origin: Option<String>,
    /// What the store may hold.
    pub max_bytes: u64,
    /// How many targets the store may hold.
    pub max_entries: u64,
    /// Trips to the origin at once.
    pub max_loads: usize,
    /// Bytes of bodies on their way into the store.
    pub max_filling_bytes: u64,
    /// How long a request waits where something stale would do.
    pub soft_timeout_ms: Option<u64>,
    /// For the head of an answer.
    pub head_timeout_ms: u64,
    /// For the silence of a body.
    pub idle_timeout_ms: u64,
    /// For all of a body.
    pub total_timeout_ms: u64,
    /// Loads that take longer are logged.
    pub slow_load_log_ms: Option<u64>,
}

/// A mebibyte.
const MIB: u64 = 1024 * 1024;

impl Limits {
    /// The most that the store and the bodies on their way may take of an isolate's 128 MiB: the rest is for the code, for
    /// requests and for what the garbage collector has not got to yet.
    pub const MOST_BYTES: u64 = 96 * MIB;
    /// The most that one body may take.
    pub const MOST_BODY_BYTES: u64 = 32 * MIB;

    /// The longest that a trip takes, with some time to spare.
    pub(crate) fn trip_ms(&self) -> u64 {
        self.head_timeout_ms + self.total_timeout_ms + 1_000
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            origin: None,
            max_bytes: 64 * MIB,
            max_entries: 100_000,
            max_loads: 1_000,
            max_filling_bytes: 16 * MIB,
            soft_timeout_ms: None,
            head_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            total_timeout_ms: 5 * 60_000,
            slow_load_log_ms: None,
        }
    }
}
