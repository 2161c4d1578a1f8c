//! What the engine needs of the place it runs in.

use std::fmt;
use std::future::{Future, Pending, pending};

use futures_util::future::LocalBoxFuture;

use super::clock::{self, Clock, Spawner};
use crate::time::Timestamp;

/// Settles a promise.
pub type Signal = Box<dyn FnOnce()>;

/// A clock, a sleeper, and perhaps a way to run tasks by themselves.
pub trait Runtime: 'static {
    /// The promise of a [detached](Self::detach) task: ready when the task has ended or is lost for good. Which of the
    /// two it was, the engine sees by what the task left behind.
    type Task: Future<Output = ()> + Clone + Unpin + 'static;

    /// Whether loads run by themselves, each in the request that began it, and go on when nobody waits for them. If not,
    /// a load is driven by one of those who wait for it.
    const DETACHED: bool;

    /// Runs a task by itself, without polling it before this returns. Called only where [`DETACHED`](Self::DETACHED) is
    /// set.
    fn detach(&self, task: LocalBoxFuture<'static, ()>) -> Self::Task;

    /// The present moment, rounded down.
    fn now(&self) -> Timestamp;

    /// A moment not before now, if that is cheaper to tell than now: enough to know that an entry which
    /// outlives it is alive.
    #[inline]
    fn upper_bound(&self) -> Timestamp {
        self.now()
    }

    /// A moment not after now, if that is cheaper to tell: enough to know that an entry is dead.
    #[inline]
    fn lower_bound(&self) -> Timestamp {
        self.now()
    }

    /// As [`lower_bound`](Self::lower_bound), and may be some calls old, if that is cheaper: enough to look for what is dead.
    #[inline]
    fn passed_moment(&self) -> Timestamp {
        self.lower_bound()
    }

    /// A promise of the present request, and what settles it, whichever request calls that. Wanted where tasks are
    /// [`DETACHED`](Self::DETACHED) and a task's waker would go on in the request that wakes it; else `None`.
    fn signal(&self) -> Option<(Self::Task, Signal)> {
        None
    }

    /// Ends after so many milliseconds.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static;

    /// Whether [`spawn`](Self::spawn) runs what it is given.
    fn can_spawn(&self) -> bool {
        false
    }

    /// Runs a future that nobody waits for; drops it where that can't be done.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        drop(task);
    }

    /// The time of day, in milliseconds since 1970: what is kept beyond this process is dated by it. The default is the
    /// platform's.
    fn wall(&self) -> Timestamp {
        clock::wall()
    }

    /// A random number, at least 0 and below 1. Asked for twice when a cache is made, to hash keys by, when a loaded value is
    /// stored, or any with jitter, and when a value comes near its end with `refresh_ahead`. The default is `Math.random()` in wasm and SplitMix64 natively.
    fn random(&self) -> f64 {
        super::random::random()
    }
}

/// Any single-threaded executor: a load is driven by one of those who wait for it.
///
/// Natively the clock is monotonic and timers come from `futures-timer`; in wasm they are `Date.now()` and
/// `setTimeout`; a [`ManualClock`](super::ManualClock) takes the place of both. In a Cloudflare Worker, where one request
/// may not wait for another's future, the Worker's own runtime takes this one's place.
///
/// Background loads run by `wasm_bindgen_futures::spawn_local` in wasm, and natively by what the
/// [builder](super::Builder::spawner) is given; without that there are none.
#[derive(Clone)]
pub struct Local {
    clock: Clock,
    spawner: Option<Spawner>,
}

impl Local {
    pub(super) fn set_spawner(&mut self, spawner: Spawner) {
        self.spawner = Some(spawner);
    }

    pub(super) fn set_clock(&mut self, clock: super::ManualClock) {
        self.clock = Clock::Manual(clock);
    }
}

impl Default for Local {
    fn default() -> Self {
        Self { clock: Clock::start(), spawner: clock::spawner() }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("can_spawn", &self.can_spawn()).finish_non_exhaustive()
    }
}

impl Runtime for Local {
    type Task = Pending<()>;

    const DETACHED: bool = false;

    fn detach(&self, _: LocalBoxFuture<'static, ()>) -> Pending<()> {
        pending()
    }

    #[inline]
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    #[inline]
    fn upper_bound(&self) -> Timestamp {
        self.clock.upper_bound()
    }

    #[inline]
    fn lower_bound(&self) -> Timestamp {
        self.clock.lower_bound()
    }

    #[inline]
    fn passed_moment(&self) -> Timestamp {
        self.clock.passed_moment()
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        self.clock.sleep(millis)
    }

    /// That of the [`ManualClock`](super::ManualClock), where there is one.
    fn wall(&self) -> Timestamp {
        match &self.clock {
            Clock::Manual(clock) => clock.now(),
            Clock::Platform(..) => clock::wall(),
        }
    }

    fn can_spawn(&self) -> bool {
        self.spawner.is_some()
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        if let Some(spawner) = &self.spawner {
            spawner(task);
        }
    }
}
