//! What the engine needs of the place it runs in.

use std::future::Future;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};

use crate::time::Timestamp;

/// A clock, a sleeper, and a way for many to wait for one task.
pub trait Runtime: 'static {
    /// A task that many wait for. It ends when the task has ended or is lost for good; which of the two
    /// it was, the engine sees by what the task left behind.
    type Task: Future<Output = ()> + Clone + Unpin + 'static;

    /// Whether a shared task goes on when nobody waits for it. If not, it lives as long as somebody
    /// holds a [`Task`](Self::Task) of it.
    const RUNS_ALONE: bool;

    /// The present moment, rounded down.
    fn now(&self) -> Timestamp;

    /// Ends after so many milliseconds.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static;

    /// Makes a task that many can wait for. Does not poll it before it returns.
    fn share(&self, task: LocalBoxFuture<'static, ()>) -> Self::Task;
}

/// Any single-threaded executor: a task is driven by whoever waits for it.
///
/// Natively the clock is monotonic and timers come from `futures-timer`; in wasm they are `Date.now()` and
/// `setTimeout`. In a Cloudflare Worker, where one request may not wait for another's future, the
/// Worker's own runtime takes this one's place.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    clock: clock::Clock,
}

impl Default for Local {
    fn default() -> Self {
        Self { clock: clock::Clock::start() }
    }
}

impl Runtime for Local {
    type Task = Shared<LocalBoxFuture<'static, ()>>;

    const RUNS_ALONE: bool = false;

    #[inline]
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        clock::sleep(millis)
    }

    fn share(&self, task: LocalBoxFuture<'static, ()>) -> Self::Task {
        task.shared()
    }
}

#[cfg(not(target_family = "wasm"))]
mod clock {
    use std::time::{Duration, Instant};

    use crate::time::Timestamp;

    #[derive(Clone, Copy, Debug)]
    pub struct Clock(Instant);

    impl Clock {
        pub fn start() -> Self {
            Self(Instant::now())
        }

        #[inline]
        pub fn now(self) -> Timestamp {
            Timestamp::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
        }
    }

    pub async fn sleep(millis: u64) {
        futures_timer::Delay::new(Duration::from_millis(millis)).await;
    }
}

#[cfg(target_family = "wasm")]
mod clock {
    use crate::time::Timestamp;

    #[derive(Clone, Copy, Debug)]
    pub struct Clock;

    impl Clock {
        pub fn start() -> Self {
            Self
        }

        #[inline]
        pub fn now(self) -> Timestamp {
            super::super::js_clock::now()
        }
    }

    pub use super::super::js_clock::sleep;
}
