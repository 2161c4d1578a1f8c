//! Options in the form that the rest of the crate can rely on without checking again.

use crate::time::Ttl;

/// The bounds of a cache. They hold after every operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_entries: u32,
    max_bytes: u64,
    max_entry_bytes: u32,
}

/// What an entry may weigh at the most. A weight that does not fit its type is the number above, and so is
/// refused.
const HEAVIEST: u32 = u32::MAX - 1;

impl Limits {
    /// At most `max_entries` entries (2^30, if more are asked for), of `max_bytes` together and `max_entry_bytes` each.
    /// Zero entries make a cache that stores nothing and still shares loads.
    pub fn new(max_entries: u64, max_bytes: u64, max_entry_bytes: u64) -> Self {
        Self {
            max_entries: u32::try_from(max_entries).unwrap_or(u32::MAX).min(1 << 30),
            max_bytes,
            max_entry_bytes: u32::try_from(max_entry_bytes.min(max_bytes)).unwrap_or(u32::MAX).min(HEAVIEST),
        }
    }

    /// How many entries may be held.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// How many bytes all entries together may weigh.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// How many bytes one entry may weigh.
    pub fn max_entry_bytes(&self) -> u32 {
        self.max_entry_bytes
    }

    /// Whether entries' weights matter: then one whose weight nobody knows can't be stored.
    pub fn weighs(&self) -> bool {
        self.max_bytes < u64::MAX || self.max_entry_bytes < HEAVIEST
    }

    /// Whether an entry of this weight may be stored at all.
    pub(crate) fn admit(&self, weight: u32) -> bool {
        weight <= self.max_entry_bytes && self.max_entries > 0
    }

    pub(crate) fn exceeded_by(&self, entries: u32, weight: u64) -> bool {
        entries > self.max_entries || weight > self.max_bytes
    }
}

impl Default for Limits {
    /// 10,000 entries of any weight.
    fn default() -> Self {
        Self::new(DEFAULT_MAX_ENTRIES, u64::MAX, u64::MAX)
    }
}

/// How many entries a cache holds if nobody says: a few megabytes of small values, far from an isolate's 128 MiB.
pub const DEFAULT_MAX_ENTRIES: u64 = 10_000;

/// How long a wait may take if nobody says, in milliseconds: what a Worker's `waitUntil` allows.
pub const DEFAULT_HARD_TIMEOUT: u64 = 30_000;

/// How long after a failed attempt a load is tried again if nobody says, in milliseconds.
pub const DEFAULT_RETRY_DELAY: u64 = 100;

/// How long a value may be handed out, and what happens around that moment.
///
/// After `ttl` come two windows, counted from its end, in which the value is stale: it may be handed out
/// while it is revalidated, and instead of an error (RFC 5861). After the longer of them it is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct EntryPolicy {
    /// How long it is fresh. Zero: it is not stored.
    pub ttl: Ttl,
    /// How long it may lie unused. Each get that is answered with it counts as a use; a look that counts nothing does not.
    /// It is gone at the end of this or of `ttl` and the windows, whichever comes first: no window makes it longer. Zero:
    /// it is not stored.
    pub idle_ttl: Ttl,
    /// How long after `ttl` a get is answered with it at once, while one refresh runs.
    pub stale_while_revalidate: Ttl,
    /// How long after `ttl` it stands in for a load that fails, or that takes longer than a get's `soft_timeout`.
    pub stale_if_error: Ttl,
    /// XFetch's beta: 0 never refreshes early, 1 is what the paper finds best, more refreshes earlier.
    pub refresh_ahead: f64,
    /// Up to this part of `ttl`, from 0 to 1, is taken off at random, so that what was stored together does not
    /// expire together. Never longer than `ttl`.
    pub jitter: f64,
    /// The driver checks the value before each use, so that no use goes by without a call to the core.
    pub checked: bool,
}

impl EntryPolicy {
    /// Fresh for so long, and then gone.
    pub const fn of(ttl: Ttl) -> Self {
        Self {
            ttl,
            idle_ttl: Ttl::Forever,
            stale_while_revalidate: Ttl::ZERO,
            stale_if_error: Ttl::ZERO,
            refresh_ahead: 0.0,
            jitter: 0.0,
            checked: false,
        }
    }

    /// Whether no use of a value may go by unnoticed.
    #[inline]
    pub(crate) fn tells_each_use(&self) -> bool {
        self.checked | (self.idle_ttl.bounded() != Ttl::Forever)
    }

    /// Whether more is to be known of a value than when it expires.
    #[inline]
    pub(crate) fn has_windows(&self) -> bool {
        // Without a branch for each.
        self.tells_each_use()
            | (self.stale_while_revalidate != Ttl::ZERO)
            | (self.stale_if_error != Ttl::ZERO)
            | (self.refresh_ahead > 0.0)
    }
}

/// How often, and when, a load that fails is tried again.
///
/// ```
/// use nearcache::options::Retry;
/// use std::time::Duration;
///
/// let retry = Retry::new(3).delay(Duration::from_millis(200)); // after 200 ms, and again after 400 ms
/// assert_eq!((retry.attempts, retry.factor), (3, 2.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Retry {
    /// How often a load is tried in all; 1: once, and so never again.
    pub attempts: u32,
    /// From the end of the first attempt to the second.
    pub delay: Ttl,
    /// By how much each delay is longer than the one before.
    pub factor: f64,
    /// Up to this part of each delay, from 0 to 1, is taken off at random, so that those who failed together do not come
    /// back together.
    pub jitter: f64,
}

impl Retry {
    pub(crate) const NEVER: Self =
        Self { attempts: 1, delay: Ttl::Millis(DEFAULT_RETRY_DELAY), factor: 2.0, jitter: 0.5 };

    /// So many attempts in all, the second 100 ms after the first, each delay twice as long as the one before, and up to half
    /// of each taken off at random.
    #[must_use]
    pub const fn new(attempts: u32) -> Self {
        Self { attempts, ..Self::NEVER }
    }

    /// From the end of the first attempt to the second, in whole milliseconds.
    #[must_use]
    pub fn delay(mut self, delay: impl Into<Ttl>) -> Self {
        self.delay = delay.into();
        self
    }

    /// By how much each delay is longer than the one before, from 0 on; 1: all are the same. What makes no sense counts as 0.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor.max(0.0);
        self
    }

    /// The part of each delay that chance takes off, from 0 to 1; what lies outside counts as the nearer of them, NaN as 0.
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        self
    }
}

/// In which order loads begin that have to wait for their turn (see [`LoadLimits`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Before the others: somebody waits for it.
    #[default]
    High,
    /// When no other waits, as refreshes in the background and warm-ups.
    Low,
}

/// How many loads may be under way at once, and begin in a second: what an origin bears. The others wait for their turn,
/// first come first served, what somebody waits for before refreshes in the background and warm-ups.
///
/// ```
/// use nearcache::options::LoadLimits;
///
/// let limits = LoadLimits::new().max_concurrent(10).per_second(50.0).max_queued(200);
/// assert_eq!((limits.max_concurrent, limits.max_queued), (10, 200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LoadLimits {
    /// The most loads under way at once.
    pub max_concurrent: u32,
    /// The most that begin in any second; infinity: no bound.
    pub per_second: f64,
    /// The most that wait in each of two lines, of those that somebody waits for and of the others.
    pub max_queued: u32,
}

/// How many loads may wait for their turn if nobody says.
pub const DEFAULT_MAX_QUEUED: u32 = 1_000;

impl Default for LoadLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl LoadLimits {
    /// No bounds, but 1,000 may wait as soon as there are some.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_concurrent: u32::MAX, per_second: f64::INFINITY, max_queued: DEFAULT_MAX_QUEUED }
    }

    /// The most loads under way at once; 0 counts as 1.
    #[must_use]
    pub fn max_concurrent(mut self, loads: u32) -> Self {
        self.max_concurrent = loads.max(1);
        self
    }

    /// The most loads that begin in any second; 0.5 is one in two seconds. What is not above 0 counts as the least: one in a day.
    #[must_use]
    pub fn per_second(mut self, loads: f64) -> Self {
        self.per_second = loads.max(SLOWEST);
        self
    }

    /// The most loads that wait in each of two lines.
    #[must_use]
    pub fn max_queued(mut self, loads: u32) -> Self {
        self.max_queued = loads;
        self
    }

    pub(crate) fn is_boundless(&self) -> bool {
        self.max_concurrent == u32::MAX && !self.is_rated()
    }

    pub(crate) fn is_rated(&self) -> bool {
        self.per_second < MOST_PER_SECOND
    }

    /// How many may begin at one moment.
    pub(crate) fn tokens(&self) -> usize {
        if self.is_rated() { (self.per_second as usize).max(1) } else { usize::MAX }
    }

    /// How long after its beginning a load's token is there for another, in milliseconds, so that no second has more.
    pub(crate) fn token_back(&self) -> u64 {
        (self.tokens() as f64 * 1_000.0 / self.per_second).ceil() as u64
    }
}

/// One load in a day.
const SLOWEST: f64 = 1.0 / 86_400.0;
/// More than this a second is no bound.
const MOST_PER_SECOND: f64 = 1e6;

/// How values are kept and waited for: what a cache, a namespace in it, or a call comes to, with nothing left unsaid.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// How an entry is kept.
    pub entry: EntryPolicy,
    /// How long the answer "nothing there" is fresh, instead of `entry.ttl`; as long as any other if unsaid.
    pub negative_ttl: Option<Ttl>,
    /// For how long after a failed load the key is not loaded again.
    pub error_backoff: Ttl,
    /// How a load that fails is tried again before it counts as failed, while those who wait for it can wait.
    pub retry: Retry,
    /// How long a wait may take where a stale value could be had instead.
    pub soft_timeout: Ttl,
    /// How long a wait may take.
    pub hard_timeout: Ttl,
    /// Whether a load goes on, until the `hard_timeout` of the one who began it, though everybody has left.
    pub keep_loading: bool,
    /// When a load begins that has to wait for its turn.
    pub priority: Priority,
}

impl Policy {
    /// What a cache does if nobody says anything.
    pub const DEFAULT: Self = Self {
        entry: EntryPolicy::of(Ttl::Forever),
        negative_ttl: None,
        error_backoff: Ttl::ZERO,
        retry: Retry::NEVER,
        soft_timeout: Ttl::Forever,
        hard_timeout: Ttl::Millis(DEFAULT_HARD_TIMEOUT),
        keep_loading: false,
        priority: Priority::High,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What one speaker says of a [`Policy`]: a namespace, a call, or a loader about what it brings. `None` says nothing,
/// and leaves it to the speaker before.
///
/// ```
/// use nearcache::options::PolicyPatch;
/// use std::time::Duration;
///
/// let patch = PolicyPatch::new().ttl(Duration::from_secs(60)).jitter(0.1);
/// assert_eq!((patch.jitter, patch.negative_ttl), (Some(0.1), None));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PolicyPatch {
    /// [`EntryPolicy::ttl`].
    pub ttl: Option<Ttl>,
    /// [`EntryPolicy::idle_ttl`].
    pub idle_ttl: Option<Ttl>,
    /// [`EntryPolicy::stale_while_revalidate`].
    pub stale_while_revalidate: Option<Ttl>,
    /// [`EntryPolicy::stale_if_error`].
    pub stale_if_error: Option<Ttl>,
    /// [`EntryPolicy::refresh_ahead`].
    pub refresh_ahead: Option<f64>,
    /// [`EntryPolicy::jitter`].
    pub jitter: Option<f64>,
    /// [`EntryPolicy::checked`].
    pub checked: Option<bool>,
    /// [`Policy::negative_ttl`].
    pub negative_ttl: Option<Ttl>,
    /// [`Policy::error_backoff`].
    pub error_backoff: Option<Ttl>,
    /// [`Policy::retry`].
    pub retry: Option<Retry>,
    /// [`Policy::soft_timeout`].
    pub soft_timeout: Option<Ttl>,
    /// [`Policy::hard_timeout`].
    pub hard_timeout: Option<Ttl>,
    /// [`Policy::keep_loading`].
    pub keep_loading: Option<bool>,
    /// [`Policy::priority`].
    pub priority: Option<Priority>,
}

/// Setters of what may be said of an entry, for a type that is a [`PolicyPatch`] or has one in the field named.
macro_rules! entry_setters {
    ($($field:ident)?) => {
        /// How long the value is fresh, in whole milliseconds. Zero: it is not stored.
        #[must_use]
        pub fn ttl(mut self, ttl: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?ttl = Some(ttl.into());
            self
        }

        /// How long it may lie unused: each get that is answered with it begins this time anew. It ends the value for
        /// good, whichever comes first, this or the ttl and its windows.
        #[must_use]
        pub fn idle_ttl(mut self, ttl: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?idle_ttl = Some(ttl.into());
            self
        }

        /// How long after its ttl it may be handed out while it is refreshed (RFC 5861, 3).
        #[must_use]
        pub fn stale_while_revalidate(mut self, window: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?stale_while_revalidate = Some(window.into());
            self
        }

        /// How long after its ttl it may be handed out where a load fails (RFC 5861, 4), or is slower than
        /// `soft_timeout`.
        #[must_use]
        pub fn stale_if_error(mut self, window: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?stale_if_error = Some(window.into());
            self
        }

        /// The part of its ttl that chance takes off, from 0 to 1.
        #[must_use]
        pub fn jitter(mut self, part: f64) -> Self {
            self.$($field.)?jitter = Some(part);
            self
        }

        /// How long a value is fresh that means "nothing there", unless `ttl` is said of that very value.
        #[must_use]
        pub fn negative_ttl(mut self, ttl: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?negative_ttl = Some(ttl.into());
            self
        }
    };
}

/// Setters of what may be said of loads besides.
macro_rules! load_setters {
    ($($field:ident)?) => {
        /// XFetch's beta: 0 never refreshes early, 1 is what the paper finds best, more refreshes earlier.
        #[must_use]
        pub fn refresh_ahead(mut self, beta: f64) -> Self {
            self.$($field.)?refresh_ahead = Some(beta);
            self
        }

        /// For how long after a failed load the key is not loaded again.
        #[must_use]
        pub fn error_backoff(mut self, backoff: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?error_backoff = Some(backoff.into());
            self
        }

        /// How a load that fails is tried again. Needs a loader that can be called again, as
        /// [`try_get_with_retry`](crate::Cache::try_get_with_retry) takes it.
        #[must_use]
        pub fn retry(mut self, retry: $crate::options::Retry) -> Self {
            self.$($field.)?retry = Some(retry);
            self
        }

        /// How long a get waits before it is content with an older value, if one may still be handed out. The load
        /// goes on.
        #[must_use]
        pub fn soft_timeout(mut self, timeout: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?soft_timeout = Some(timeout.into());
            self
        }

        /// How long a get may wait.
        #[must_use]
        pub fn hard_timeout(mut self, timeout: impl Into<$crate::time::Ttl>) -> Self {
            self.$($field.)?hard_timeout = Some(timeout.into());
            self
        }

        /// Whether the load goes on, until the `hard_timeout` of the one who began it, though everybody has left.
        #[must_use]
        pub fn keep_loading(mut self, keep: bool) -> Self {
            self.$($field.)?keep_loading = Some(keep);
            self
        }

        /// When the load begins if it has to wait for its turn.
        #[must_use]
        pub fn priority(mut self, priority: $crate::options::Priority) -> Self {
            self.$($field.)?priority = Some(priority);
            self
        }
    };
}
pub(crate) use {entry_setters, load_setters};

/// What most say, to be known by where it lies.
pub(crate) static NOTHING_SAID: PolicyPatch = PolicyPatch::NONE;

impl PolicyPatch {
    pub(crate) const NONE: Self = Self {
        ttl: None,
        idle_ttl: None,
        stale_while_revalidate: None,
        stale_if_error: None,
        refresh_ahead: None,
        jitter: None,
        checked: None,
        negative_ttl: None,
        error_backoff: None,
        retry: None,
        soft_timeout: None,
        hard_timeout: None,
        keep_loading: None,
        priority: None,
    };

    /// Says nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self::NONE
    }

    /// One that says nothing, for who passes it often: it is known by where it lies, and need not be looked at.
    #[must_use]
    #[inline]
    pub fn nothing() -> &'static Self {
        &NOTHING_SAID
    }

    entry_setters!();
    load_setters!();

    /// Whether it leaves everything as it is.
    #[inline]
    pub(crate) fn says_nothing(&self) -> bool {
        if std::ptr::eq(self, &NOTHING_SAID) {
            return true;
        }
        // Without a branch for each.
        !(self.ttl.is_some()
            | self.idle_ttl.is_some()
            | self.stale_while_revalidate.is_some()
            | self.stale_if_error.is_some()
            | self.refresh_ahead.is_some()
            | self.jitter.is_some()
            | self.checked.is_some()
            | self.negative_ttl.is_some()
            | self.error_backoff.is_some()
            | self.retry.is_some()
            | self.soft_timeout.is_some()
            | self.hard_timeout.is_some()
            | self.keep_loading.is_some()
            | self.priority.is_some())
    }
}

impl Policy {
    /// This policy with what `patch` says instead. Numbers that make no sense become the nearest that do: a negative or
    /// undefined `refresh_ahead` or `jitter` is 0, a `jitter` above 1 is 1.
    #[must_use]
    #[inline(never)]
    pub fn patched(&self, patch: &PolicyPatch) -> Self {
        let entry = &self.entry;
        // `max` takes the other number where one is NaN.
        let factor = |said: Option<f64>, or: f64| said.unwrap_or(or).max(0.0);
        Self {
            entry: EntryPolicy {
                ttl: patch.ttl.unwrap_or(entry.ttl),
                idle_ttl: patch.idle_ttl.unwrap_or(entry.idle_ttl),
                stale_while_revalidate: patch.stale_while_revalidate.unwrap_or(entry.stale_while_revalidate),
                stale_if_error: patch.stale_if_error.unwrap_or(entry.stale_if_error),
                refresh_ahead: factor(patch.refresh_ahead, entry.refresh_ahead),
                jitter: factor(patch.jitter, entry.jitter).min(1.0),
                checked: patch.checked.unwrap_or(entry.checked),
            },
            negative_ttl: patch.negative_ttl.or(self.negative_ttl),
            error_backoff: patch.error_backoff.unwrap_or(self.error_backoff),
            retry: patch.retry.unwrap_or(self.retry),
            soft_timeout: patch.soft_timeout.unwrap_or(self.soft_timeout),
            hard_timeout: patch.hard_timeout.unwrap_or(self.hard_timeout),
            keep_loading: patch.keep_loading.unwrap_or(self.keep_loading),
            priority: patch.priority.unwrap_or(self.priority),
        }
    }

    /// How a value is kept about which its loader, its writer or `insert` itself says `said`. What is said of the value
    /// itself wins; then, where it is `absent` ("nothing there"), `negative_ttl`; then what this policy says of all.
    #[inline(never)]
    pub fn of_value(&self, said: &PolicyPatch, absent: bool) -> EntryPolicy {
        // Most loaders say nothing.
        if said.says_nothing() {
            return match self.negative_ttl {
                Some(ttl) if absent => EntryPolicy { ttl, ..self.entry },
                _ => self.entry,
            };
        }
        let patched = self.patched(said);
        let negative = patched.negative_ttl.filter(|_| absent && said.ttl.is_none());
        EntryPolicy { ttl: negative.unwrap_or(patched.entry.ttl), ..patched.entry }
    }

    /// For how long after a load that failed its key is not loaded again, if the loader, or the user's rule for this
    /// error, says `said`.
    pub fn backoff(&self, said: Option<Ttl>) -> Ttl {
        said.unwrap_or(self.error_backoff)
    }
}
